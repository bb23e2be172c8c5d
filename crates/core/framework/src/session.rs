//! The subscription: who we are, subscribing, reconciling.
//!
//! ```text
//! Loading ─▶ Storing ─▶ Idle ──(informers synced)──▶ Subscribing ─▶ Reconciling ─▶ Reconciled
//!                        ▲                                │             │              │
//!                        └───────── back-off ◀────────────┴─────────────┴──────────────┘
//! ```
//! The barrier: an implicit RECONCILE is followed by an explicit one for a task that cannot exist; Mesos answers
//! in order, so its TASK_UNKNOWN says that every other answer has come (spec of Mesos 1.11, seen on the real one).

use std::collections::BTreeSet;

use km_api::{Reason, Response, Status};
use km_base::{ObjectKey, Timestamp, Uid};
use km_mesos::framework_info::{Capability, capability};
use km_mesos::scheduler::call::{self, Reconcile, Subscribe, reconcile};
use km_mesos::scheduler::{Call, Event as MesosEvent, event};
use km_mesos::{AgentId, FrameworkId, FrameworkInfo, TaskId, scheduler};

use crate::identity::{self, Identity, Stored};
use crate::step::Framework;
use crate::{Action, Purpose, ToScheduler};

/// Where the session stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    stage: Stage,
    /// What was read, while it is being rewritten.
    resource_version: Option<String>,
    failures: u32,
    retry_at: Timestamp,
    /// Counts reconciliations.
    pub round: u64,
    sentinel: Option<TaskId>,
    /// A framework ID that Mesos will not have again.
    removed: Option<String>,
    /// Why there is no subscription, from the first failure to the next success.
    outage: Option<String>,
    /// Pods that were told of the outage.
    told: BTreeSet<Uid>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Loading,
    Storing,
    Idle,
    Subscribing,
    Reconciling,
    Reconciled,
    /// Another scheduler took over.
    Ended,
}

impl Session {
    pub(crate) fn is_subscribed(&self) -> bool {
        matches!(self.stage, Stage::Reconciling | Stage::Reconciled)
    }

    pub(crate) fn is_reconciled(&self) -> bool {
        self.stage == Stage::Reconciled
    }
}

impl Framework {
    pub(crate) fn start(&mut self, out: &mut Vec<Action>) {
        self.session.stage = Stage::Loading;
        self.api(Purpose::LoadIdentity, identity::load(), out);
    }

    pub(crate) fn identity_loaded(&mut self, now: Timestamp, result: Result<Response, Status>, out: &mut Vec<Action>) {
        let fresh = Identity { framework_id: self.config.new_framework_id.clone(), epoch: 1 };
        match result {
            Ok(Response::Object(object) | Response::Created(object)) => {
                let Stored { mut identity, resource_version } = identity::parse(&object);
                if identity.framework_id.is_empty() || self.session.removed.as_ref() == Some(&identity.framework_id) {
                    identity.framework_id = fresh.framework_id;
                }
                identity.epoch += 1;
                self.store_identity(identity, Some(resource_version), out);
            }
            Err(status) if status.is(Reason::NotFound) => self.store_identity(fresh, None, out),
            Ok(_) => self.retry_later(now, "reading the framework ID brought no object", out),
            Err(status) => self.retry_later(now, &format!("failed to read the framework ID: {status}"), out),
        }
    }

    fn store_identity(&mut self, identity: Identity, resource_version: Option<String>, out: &mut Vec<Action>) {
        self.session.stage = Stage::Storing;
        let request = identity::store(&identity, resource_version.as_deref());
        self.session.resource_version = resource_version;
        self.identity = Some(identity);
        self.api(Purpose::StoreIdentity, request, out);
    }

    pub(crate) fn identity_stored(&mut self, now: Timestamp, result: Result<Response, Status>, out: &mut Vec<Action>) {
        match result {
            Ok(_) => {
                self.session.stage = Stage::Idle;
                self.session.failures = 0;
                self.session.retry_at = now;
                self.subscribe_when_ready(now, out);
            }
            // Whether it was written is not known, or someone else wrote: read again and take the next epoch.
            Err(status) => {
                self.session.stage = Stage::Loading;
                self.retry_later(now, &format!("failed to store the framework ID: {status}"), out);
            }
        }
    }

    /// Subscribes once there is an identity and what the API holds is known.
    pub(crate) fn subscribe_when_ready(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let known = self.pods_synced && self.nodes_synced;
        let Some(identity) = self.identity.clone() else { return };
        if self.session.stage != Stage::Idle || !known || now < self.session.retry_at {
            return;
        }
        self.session.stage = Stage::Subscribing;
        let suppressed = self.config.roles.iter().filter(|r| !self.demand.roles.contains(*r)).cloned().collect();
        out.push(Action::Subscribe(Box::new(Call {
            framework_id: Some(FrameworkId::new(identity.framework_id.as_str())),
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(Subscribe {
                framework_info: self.framework_info(&identity),
                suppressed_roles: suppressed,
                offer_constraints: None,
            }),
            ..Call::default()
        })));
    }

    fn framework_info(&self, identity: &Identity) -> FrameworkInfo {
        use capability::Type;
        let capabilities = [
            Type::MultiRole,
            Type::ReservationRefinement,
            Type::PartitionAware,
            Type::TaskKillingState,
            Type::RegionAware,
            Type::GpuResources,
        ];
        FrameworkInfo {
            user: self.config.user.clone(),
            name: self.config.framework_name.clone(),
            id: Some(FrameworkId::new(identity.framework_id.as_str())),
            failover_timeout: Some(self.config.failover_timeout.as_secs_f64()),
            checkpoint: Some(true),
            roles: self.config.roles.clone(),
            principal: self.config.principal.clone(),
            capabilities: capabilities.iter().map(|c| Capability { r#type: Some(*c as i32) }).collect(),
            ..FrameworkInfo::default()
        }
    }

    pub(crate) fn mesos(&mut self, now: Timestamp, event: MesosEvent, out: &mut Vec<Action>) {
        use event::Type;
        let Some(kind) = event.r#type.and_then(|t| Type::try_from(t).ok()) else { return };
        match kind {
            Type::Subscribed => self.subscribed(now, out),
            Type::Offers => {
                let offers = event.offers.map(|o| o.offers).unwrap_or_default();
                self.counters.offers += offers.len() as u64;
                let mut new = false;
                for offer in &offers {
                    new |= self.agent_offered(now, offer, out);
                }
                out.push(Action::Scheduler(ToScheduler::Offers(offers)));
                if new {
                    // What runs there is known before a bound pod is launched there again.
                    self.reconcile(out);
                }
            }
            Type::Rescind => {
                if let Some(rescind) = event.rescind {
                    out.push(Action::Scheduler(ToScheduler::Rescind(rescind.offer_id)));
                }
            }
            Type::Update => {
                if let Some(update) = event.update {
                    self.updated(now, &update.status, out);
                }
            }
            Type::Failure => {
                let Some(failure) = event.failure else { return };
                if let Some(agent_id) = &failure.agent_id {
                    self.failed(now, agent_id, failure.executor_id.as_ref(), out);
                }
            }
            Type::Error => self.error(now, &event.error.map(|e| e.message).unwrap_or_default(), out),
            // Inverse offers are not answered: Mesos then goes on as without them. Operations are never made.
            Type::InverseOffers
            | Type::RescindInverseOffer
            | Type::UpdateOperationStatus
            | Type::Message
            | Type::Heartbeat
            | Type::Unknown => {}
        }
    }

    /// What Mesos has is asked first: a task that is not heard of in the reconciliation is gone only if its agent
    /// was registered before.
    fn subscribed(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.session.stage = Stage::Reconciling;
        self.session.failures = 0;
        self.session.sentinel = None;
        self.session.outage = None;
        self.session.told.clear();
        self.agents_known = false;
        self.executors_known = false;
        self.ask_executors(now, out);
        self.poll_at = now + self.config.poll_interval;
        out.extend([Action::GetAgents, Action::WakeAt(self.poll_at)]);
        self.demand_subscribed(now, out);
    }

    /// Starts a reconciliation: after subscribing, and again when an agent (re-)registers.
    pub(crate) fn reconcile(&mut self, out: &mut Vec<Action>) {
        if !self.session.is_subscribed() || !self.agents_known || !self.executors_known {
            return;
        }
        self.session.stage = Stage::Reconciling;
        let epoch = self.identity.as_ref().map_or(0, |i| i.epoch);
        self.session.round += 1;
        let sentinel = TaskId::new(format!("km-sentinel.{epoch}.{}", self.session.round));
        self.call(call::Type::Reconcile, out, |call| call.reconcile = Some(Reconcile::default()));
        let task = reconcile::Task { task_id: sentinel.clone(), agent_id: Some(AgentId::new("km-no-such-agent")) };
        self.call(call::Type::Reconcile, out, |call| call.reconcile = Some(Reconcile { tasks: vec![task] }));
        self.session.sentinel = Some(sentinel);
    }

    pub(crate) fn ask_executors(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.executors_asked = now + self.config.poll_interval;
        out.push(Action::GetExecutors);
    }

    /// Tells whether an update is the barrier's; if so, what was not heard of is lost.
    pub(crate) fn is_barrier(&mut self, now: Timestamp, task_id: &TaskId, out: &mut Vec<Action>) -> bool {
        if task_id.value.starts_with("km-sentinel.") {
            if self.session.sentinel.as_ref() == Some(task_id) && self.session.stage == Stage::Reconciling {
                self.session.stage = Stage::Reconciled;
                self.reconsider_all(now, out);
            }
            return true;
        }
        false
    }

    fn error(&mut self, now: Timestamp, message: &str, out: &mut Vec<Action>) {
        // Mesos 1.11 src/master/master.cpp: the texts of ERROR are its only reason codes.
        if message.contains("failed over") {
            self.session.stage = Stage::Ended;
            out.push(Action::Fatal(format!("another scheduler has taken over: Mesos says {message:?}")));
        } else if message.contains("has been removed") || message.contains("Completed framework") {
            out.push(Action::Warn(format!("Mesos has removed the framework ({message}): subscribing as a new one")));
            let identity = self.identity.take();
            let epoch = identity.as_ref().map_or(0, |i| i.epoch);
            self.config.new_framework_id = next_framework_id(&self.config.new_framework_id, epoch);
            self.session.removed = identity.map(|i| i.framework_id);
            self.drop_session(out);
            self.start(out);
        } else {
            self.disconnected(now, &format!("Mesos says {message:?}"), out);
        }
    }

    pub(crate) fn disconnected(&mut self, now: Timestamp, reason: &str, out: &mut Vec<Action>) {
        if !matches!(self.session.stage, Stage::Subscribing | Stage::Reconciling | Stage::Reconciled) {
            return;
        }
        self.drop_session(out);
        self.session.stage = Stage::Idle;
        let reason = format!("not subscribed to Mesos: {reason}");
        self.retry_later(now, &reason, out);
        self.session.outage = Some(reason);
        let all: Vec<Uid> = self.pods.keys().cloned().collect();
        for uid in all {
            self.reconsider(now, &uid, out);
        }
    }

    /// Tells a waiting pod, once an outage, that no offer can come and why.
    pub(crate) fn tell_outage(&mut self, now: Timestamp, uid: &Uid, key: &ObjectKey, out: &mut Vec<Action>) {
        let Some(reason) = self.session.outage.clone() else { return };
        if self.session.told.insert(uid.clone()) {
            self.explain(now, uid, key, &reason, out);
        }
    }

    /// Without a session no offer is valid and no launch that waits can be made.
    fn drop_session(&mut self, out: &mut Vec<Action>) {
        out.push(Action::Scheduler(ToScheduler::DropOffers(None)));
        let agents: Vec<AgentId> = self.pending.keys().cloned().collect();
        for agent_id in agents {
            self.give_up_pending(&agent_id, false, out);
        }
    }

    fn retry_later(&mut self, now: Timestamp, why: &str, out: &mut Vec<Action>) {
        self.session.failures += 1;
        self.session.retry_at = now + self.config.retry.delay(self.session.failures);
        out.push(Action::Warn(why.to_owned()));
        out.push(Action::WakeAt(self.session.retry_at));
    }

    pub(crate) fn session_tick(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if now < self.session.retry_at {
            return;
        }
        match self.session.stage {
            Stage::Loading if self.session.failures > 0 => self.start(out),
            Stage::Idle => self.subscribe_when_ready(now, out),
            _ => {}
        }
    }

    /// Makes a call of the subscription; `fill` sets its union field.
    pub(crate) fn call(&self, kind: call::Type, out: &mut Vec<Action>, fill: impl FnOnce(&mut scheduler::Call)) {
        let mut call =
            Call { framework_id: self.framework_id(), r#type: Some(kind as i32), ..scheduler::Call::default() };
        fill(&mut call);
        out.push(Action::Call(Box::new(call)));
    }
}

/// A framework ID after one that Mesos has removed: never one that was used.
fn next_framework_id(id: &str, epoch: u64) -> String {
    format!("{id}-{}", epoch + 1)
}
