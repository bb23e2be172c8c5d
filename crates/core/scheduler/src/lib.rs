//! Which pod runs on which agent: the queue of waiting pods × the book of held offers.
//!
//! Third step of a pod's journey: `drive/framework` hands over the pods that wait and the offers that came,
//! and performs the [`Action::Place`]s that come out as one ACCEPT per agent and role.
//!
//! ```text
//! offer:  held ──place──▶ used          pod:  waiting ──place──▶ placed ──Forget (bound)──▶ gone
//!           ├──deadline──▶ declined             ▲                  │
//!           └──Rescind───▶ gone                 └──Retry (back-off)┘
//! ```
//!
//! **Invariant:** a plan never takes more of an offer than is in it, port by port and thousandth by thousandth.
//! **Invariant:** an offer is used, declined or dropped exactly once; every offer of an agent and role goes
//! into that agent's one plan.
//! **Invariant:** the same events in the same order give the same actions; ties go to the smaller node name.
//! **Invariant:** up to 100 nodes, every node that fits is compared; beyond, the first 100 in turn.
//! **Invariant:** a pod that is placed is not placed again before `Retry`.
//!
//! Deliberately absent: eviction of a bound pod that finds its node full because two runs of the framework raced
//! (it waits for room and says so); preemption, topology spread constraints, preferred relations between pods, volumes;
//! Mesos sessions, task IDs and Bindings (`core/framework`).

mod ask;
mod book;
mod filters;
mod queue;
mod reason;
mod relations;
mod solve;
mod step;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use km_base::{Backoff, ObjectKey, Timestamp, Uid};
use km_kinds::api::core::v1::{Node, Pod};
use km_mesos::resources::Milli;
use km_mesos::{AgentId, Offer, OfferId, Resource};

pub use queue::Waiting;
pub use step::Scheduler;

/// Annotation of a Node: the port ranges of its agent, e.g. `31000-32000`.
pub const PORTS_ANNOTATION: &str = "k8s.mesosphere.io/ports";
/// Annotation of a pod: the roles it may draw on, in order of preference, e.g. `web,*`.
pub const ROLES_ANNOTATION: &str = "k8s.mesosphere.io/roles";
/// Label of a pod: `fixed` or `wildcard`, see [`PortMapping`].
pub const PORT_MAPPING_LABEL: &str = "k8s.mesosphere.io/portMapping";

/// How a declared port without host port is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortMapping {
    /// It stays inside the pod.
    Fixed,
    /// It gets a free port of those offered (network mode `host-ports`).
    Wildcard,
}

/// Which of the agents that fit is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scoring {
    /// The one with the largest share free afterwards: spreads.
    LeastAllocated,
    /// The one with the smallest share free afterwards: packs.
    MostAllocated,
}

/// What is settled before the first event.
#[derive(Clone, Debug)]
pub struct Config {
    /// The framework's roles, in order of preference.
    pub roles: Vec<String>,
    /// CPUs charged for an executor that has to be started.
    pub executor_cpus: Milli,
    /// Memory (MB) charged for an executor that has to be started.
    pub executor_mem: Milli,
    /// Treatment of ports without host port, where the pod's label does not say.
    pub port_mapping: PortMapping,
    /// Preference among agents.
    pub scoring: Scoring,
    /// Longest time that an offer is held while pods wait.
    pub hold_max: Duration,
    /// How long offers are kept after the last pod was placed: a pod that comes then starts at once.
    pub idle_after: Duration,
    /// Filter of an offer that no waiting pod can use.
    pub refuse_short: Duration,
    /// Filter of offers that are given up because nothing waits; REVIVE lifts it.
    pub refuse_long: Duration,
    /// How long a pod may find no offer before that is called a reason.
    pub reason_grace: Duration,
    /// Wait of a pod whose launch failed.
    pub backoff: Backoff,
    /// Most tasks in one ACCEPT: a Mesos agent's work per executor is quadratic in its tasks.
    pub batch_len_max: usize,
}

/// What the scheduler is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// The pod waits for an agent, or a waiting pod changed. A pod with `spec.nodeName` waits for that node's.
    Wait(Arc<Pod>),
    /// The pod no longer waits: it is bound, deleted or not ours.
    Forget(Uid),
    /// The launch of a placed pod came to nothing: it waits again, after its back-off.
    Retry(Uid),
    /// A pod runs on the node that its `spec.nodeName` says, or one that does has changed.
    Bound(Arc<Pod>),
    /// A pod that ran is over or deleted.
    Unbound(Uid),
    /// A Node is new or changed.
    Node(Arc<Node>),
    /// A Node is gone.
    NodeGone(String),
    /// Offers came.
    Offers(Vec<Offer>),
    /// An offer is no longer valid.
    Rescind(OfferId),
    /// Every offer, or every offer of one agent, is no longer valid.
    DropOffers(Option<AgentId>),
    /// Whether the agent has an executor of ours, which need not be paid again.
    Executor {
        /// The agent.
        agent_id: AgentId,
        /// Whether one runs or is being started.
        present: bool,
    },
    /// Decide now; sent after a batch of the others and when a time asked for has come.
    Solve,
}

/// What the scheduler wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Launch pods on an agent.
    Place(Plan),
    /// Give offers back.
    Decline {
        /// The offers.
        offers: Vec<OfferId>,
        /// How long Mesos shall not offer the same again.
        refuse: Duration,
    },
    /// Tell why a pod waits; sent when the reason changes.
    Unschedulable {
        /// The pod.
        uid: Uid,
        /// Its name.
        key: ObjectKey,
        /// Counts per reason.
        reason: String,
    },
    /// For these roles pods wait that held offers do not satisfy; empty: nothing is wanted.
    Demand {
        /// The roles.
        roles: BTreeSet<String>,
        /// Whether something happened since the last time that a new offer might answer.
        news: bool,
    },
    /// Send [`Event::Solve`] at this time.
    WakeAt(Timestamp),
}

/// Pods for one agent, out of all its offers of one role.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The agent.
    pub agent_id: AgentId,
    /// Name of its Node.
    pub node: String,
    /// The role that its offers are for.
    pub role: String,
    /// The offers, all of which are used.
    pub offers: Vec<OfferId>,
    /// The pods, in launch order.
    pub placements: Vec<Placement>,
    /// Resources for an executor, where none is present.
    pub executor: Option<ExecutorShare>,
}

/// One pod of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The pod.
    pub uid: Uid,
    /// Its name.
    pub key: ObjectKey,
    /// What is taken for it, as offered (with allocation and reservations).
    pub resources: Vec<Resource>,
    /// Its ports on the host.
    pub ports: Vec<PlacedPort>,
}

/// A port of a pod on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedPort {
    /// Container that declares it.
    pub container: String,
    /// Its name, or empty.
    pub name: String,
    /// Port in the pod.
    pub container_port: u16,
    /// Port on the host.
    pub host_port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

/// What is taken for an executor that a plan starts.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorShare {
    /// CPU, memory and the kubelet port, as offered.
    pub resources: Vec<Resource>,
    /// Port for the kubelet endpoints.
    pub kubelet_port: u16,
}
