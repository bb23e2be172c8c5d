//! Between the two cores: each has words of its own, because cores do not import each other. Public for simulations,
//! which drive both cores without this driver.

use km_core_framework::{Event as FrameworkEvent, LaunchPlan, LaunchPod, ToScheduler};
use km_podwire::HostPort;
use km_scheduler::{Action as SchedulerAction, Event as SchedulerEvent, PlacedPort, Placement, Plan};

/// Turns what the framework tells the scheduler into the scheduler's event.
#[must_use]
pub fn to_scheduler(message: ToScheduler) -> SchedulerEvent {
    match message {
        ToScheduler::Wait(pod) => SchedulerEvent::Wait(pod),
        ToScheduler::Forget(uid) => SchedulerEvent::Forget(uid),
        ToScheduler::Retry(uid) => SchedulerEvent::Retry(uid),
        ToScheduler::Bound(pod) => SchedulerEvent::Bound(pod),
        ToScheduler::Unbound(uid) => SchedulerEvent::Unbound(uid),
        ToScheduler::Node(node) => SchedulerEvent::Node(node),
        ToScheduler::NodeGone(name) => SchedulerEvent::NodeGone(name),
        ToScheduler::Offers(offers) => SchedulerEvent::Offers(offers),
        ToScheduler::Rescind(offer) => SchedulerEvent::Rescind(offer),
        ToScheduler::DropOffers(agent) => SchedulerEvent::DropOffers(agent),
        ToScheduler::Executor { agent_id, present } => SchedulerEvent::Executor { agent_id, present },
    }
}

/// Turns a scheduler's action into the framework's event.
///
/// # Errors
/// A wake-up is no event; its time is returned instead.
pub fn to_framework(
    action: SchedulerAction,
    entropy: impl FnOnce() -> [u8; 32],
) -> Result<FrameworkEvent, km_base::Timestamp> {
    Ok(match action {
        SchedulerAction::Place(plan) => FrameworkEvent::Launch { plan: launch_plan(plan), entropy: entropy() },
        SchedulerAction::Decline { offers, refuse } => FrameworkEvent::Decline { offers, refuse },
        SchedulerAction::Unschedulable { uid, key, reason } => FrameworkEvent::Unschedulable { uid, key, reason },
        SchedulerAction::Demand { roles, news } => FrameworkEvent::Demand { roles, news },
        SchedulerAction::WakeAt(time) => return Err(time),
    })
}

fn launch_plan(plan: Plan) -> LaunchPlan {
    LaunchPlan {
        agent_id: plan.agent_id,
        node: plan.node,
        offers: plan.offers,
        pods: plan.placements.into_iter().map(launch_pod).collect(),
        executor: plan.executor.map(|share| (share.resources, share.kubelet_port)),
    }
}

fn launch_pod(placement: Placement) -> LaunchPod {
    LaunchPod {
        uid: placement.uid,
        resources: placement.resources,
        ports: placement.ports.into_iter().map(host_port).collect(),
    }
}

fn host_port(port: PlacedPort) -> HostPort {
    HostPort {
        container: port.container,
        container_port: port.container_port,
        host_port: port.host_port,
        protocol: port.protocol,
    }
}
