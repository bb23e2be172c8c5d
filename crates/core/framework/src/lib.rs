//! The framework's side of Mesos: session, attempts, executors, nodes.
//!
//! It stands between the scheduler core (which pod on which agent) and the Mesos master: it turns plans into
//! ACCEPTs, task updates into Bindings and acknowledgements, agents into Nodes. `drive/framework` performs its
//! actions and brings the replies back as events.
//!
//! ```text
//! attempt:  Launching ──STARTING──▶ Binding ──2xx──▶ Bound ──terminal──▶ Ended ──pod's state seen──▶ gone
//!               │                      └─refused─▶ Refused ─┐
//!               └────────terminal (the pod waits again)─────┴──▶ gone
//! ```
//!
//! **Invariant:** a task ID is never used twice: `<pod uid>.<epoch>.<n>`, the epoch written before SUBSCRIBE.
//! **Invariant:** TASK_STARTING is acknowledged only after the Binding's 2xx; what comes later, after the
//! informer shows it or [`Config::ack_timeout`] has passed.
//! **Invariant:** before its Binding no end of a task ends the pod: it waits again.
//! **Invariant:** nothing is launched before the reconciliation barrier: what runs is known first.
//! **Invariant:** an executor that runs is echoed exactly; a bootstrap token exists before the ACCEPT with it.
//! **Invariant:** a running task without its pod is killed.
//!
//! Deliberately absent: placement (`core/scheduler`), executors' work, inverse offers, reservations and
//! volumes, offer constraints; taints and evictions (`core/controllers`).

mod attempt;
mod demand;
mod executors;
mod identity;
mod launch;
mod nodes;
mod pods;
mod session;
mod step;
#[cfg(test)]
mod tests;
mod updates;
mod writes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use km_api::{Request, Response, Status};
use km_base::{Backoff, ObjectKey, Timestamp, Uid};
use km_kinds::api::core::v1::{Node, Pod};
use km_mesos::master::response::{GetAgents, GetExecutors};
use km_mesos::resources::Milli;
use km_mesos::scheduler::{Call, Event as MesosEvent};
use km_mesos::{AgentId, Offer, OfferId, Resource, TaskId};
use km_podwire::HostPort;

pub use attempt::TaskView;
pub use step::{Counters, Framework};

/// Reason of the Ready condition that the framework writes while no executor reports.
pub const READY_REASON: &str = "MesosAgentReady";
/// Annotation of a bound pod: the first offer that its task was launched from.
pub const OFFER_ID_ANNOTATION: &str = "k8s.mesosphere.io/offerId";

/// What is settled before the first event.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name in Mesos, e.g. `Kubernetes`.
    pub framework_name: String,
    /// User as whom executors run, e.g. `root`.
    pub user: String,
    /// Principal of the framework's credential.
    pub principal: Option<String>,
    /// Roles, in order of preference.
    pub roles: Vec<String>,
    /// Framework ID to choose where none is stored yet: unique for ever.
    pub new_framework_id: String,
    /// How long Mesos keeps our tasks while no scheduler is subscribed.
    pub failover_timeout: Duration,
    /// `spec.schedulerName` of the pods that are ours.
    pub scheduler_name: String,
    /// CPUs set aside on every agent for the executor.
    pub executor_cpus: Milli,
    /// Memory (MB) set aside on every agent for the executor.
    pub executor_mem: Milli,
    /// How long an executor may take to shut down.
    pub executor_shutdown_grace: Duration,
    /// Base URL of the artifact server, e.g. `http://10.0.0.1:10251`.
    pub artifact_server: String,
    /// URL of the API server, as executors reach it.
    pub api_server: String,
    /// PEM of the API server's CA.
    pub api_server_ca: String,
    /// Addresses of all pods; every node gets a /24 of it.
    pub cluster_cidr: String,
    /// Addresses of services.
    pub service_cidr: String,
    /// Cluster IP of the DNS service.
    pub cluster_dns: String,
    /// DNS domain.
    pub cluster_domain: String,
    /// CRI endpoint that executors use instead of their own containerd.
    pub container_runtime_endpoint: Option<String>,
    /// Most pods on a node.
    pub pods_max: u32,
    /// Filter on what is left of the offers of an ACCEPT.
    pub accept_refuse: Duration,
    /// Shortest time between two REVIVEs; one millisecond per agent is added, as each re-offers every agent.
    pub revive_interval: Duration,
    /// Longest time between two REVIVEs for pods that still wait.
    pub revive_interval_max: Duration,
    /// Waits between attempts to subscribe or to write.
    pub retry: Backoff,
    /// Time between two GET_AGENTS.
    pub poll_interval: Duration,
    /// Time between two renewals of a node's Lease.
    pub lease_interval: Duration,
    /// How long an update waits for the informer before it is acknowledged all the same.
    pub ack_timeout: Duration,
    /// How long an agent is missing before deleted pods there are let go without it; its Node goes after twice that.
    pub release_after: Duration,
}

/// What the framework is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Begin.
    Start,
    /// An API request is answered.
    Written {
        /// As in the action.
        purpose: Purpose,
        /// The answer.
        result: Result<Response, Status>,
    },
    /// A pod is new or changed.
    Pod(Arc<Pod>),
    /// A pod is gone.
    PodGone(ObjectKey),
    /// All pods that there are have been told.
    PodsSynced,
    /// A Node is new or changed.
    Node(Arc<Node>),
    /// A Node is gone.
    NodeGone(String),
    /// All Nodes that there are have been told.
    NodesSynced,
    /// An event of the subscription.
    Mesos(Box<MesosEvent>),
    /// The subscription failed or ended.
    Disconnected {
        /// What happened.
        reason: String,
    },
    /// Answer to GET_AGENTS; `None`: refused or failed.
    Agents(Option<GetAgents>),
    /// Answer to GET_EXECUTORS; `None`: refused or failed.
    Executors(Option<GetExecutors>),
    /// Answer to [`Action::GetIsolation`]: the agent's isolators.
    Isolation {
        /// The agent.
        agent_id: AgentId,
        /// Value of its flag `isolation`.
        isolation: String,
    },
    /// The scheduler placed pods.
    Launch {
        /// Where, and out of what.
        plan: LaunchPlan,
        /// Fresh random bytes, for a bootstrap token.
        entropy: [u8; 32],
    },
    /// The scheduler gives offers back.
    Decline {
        /// The offers.
        offers: Vec<OfferId>,
        /// Filter.
        refuse: Duration,
    },
    /// The scheduler says why a pod waits.
    Unschedulable {
        /// The pod.
        uid: Uid,
        /// Its name.
        key: ObjectKey,
        /// Counts per reason.
        reason: String,
    },
    /// For which roles offers are wanted.
    Demand {
        /// The roles.
        roles: BTreeSet<String>,
        /// Whether asking again may now help.
        news: bool,
    },
    /// A time asked for with [`Action::WakeAt`] has come.
    Tick,
}

/// What the framework wants done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Perform an API request; reply with [`Event::Written`].
    Api {
        /// For the reply.
        purpose: Purpose,
        /// The request.
        request: Box<Request>,
    },
    /// Open a subscription; its events and its end come as events.
    Subscribe(Box<Call>),
    /// Make a call in the subscription, in order. A call that fails ends the subscription.
    Call(Box<Call>),
    /// Ask the master for its agents.
    GetAgents,
    /// Ask the master for its executors.
    GetExecutors,
    /// Ask an agent (`host:port`) for its flags.
    GetIsolation {
        /// The agent.
        agent_id: AgentId,
        /// Where it listens.
        address: String,
    },
    /// Tell the scheduler.
    Scheduler(ToScheduler),
    /// Log for the operator.
    Warn(String),
    /// Another scheduler took over, or Mesos will never accept us: stop.
    Fatal(String),
    /// Send [`Event::Tick`] at this time, or earlier.
    WakeAt(Timestamp),
}

/// What the scheduler core must hear; the driver passes it on.
#[derive(Clone, Debug)]
pub enum ToScheduler {
    /// A pod waits for an agent.
    Wait(Arc<Pod>),
    /// A pod no longer waits.
    Forget(Uid),
    /// A placed pod waits again.
    Retry(Uid),
    /// A pod takes a place on its node.
    Bound(Arc<Pod>),
    /// A pod takes no place any more.
    Unbound(Uid),
    /// A Node is new or changed.
    Node(Arc<Node>),
    /// A Node is gone.
    NodeGone(String),
    /// Offers came.
    Offers(Vec<Offer>),
    /// An offer was rescinded.
    Rescind(OfferId),
    /// All offers (of one agent) are void.
    DropOffers(Option<AgentId>),
    /// Whether an agent has an executor of ours.
    Executor {
        /// The agent.
        agent_id: AgentId,
        /// Whether it has.
        present: bool,
    },
}

/// What an API request is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Read the stored framework ID and epoch.
    LoadIdentity,
    /// Store them.
    StoreIdentity,
    /// Bind a pod, or write a new task ID on a bound one.
    Bind(TaskId),
    /// Make a bootstrap token for an agent's executor.
    Token(AgentId),
    /// Create or change a Node.
    Node(String),
    /// Change a Node's status.
    NodeStatus(String),
    /// Renew a Node's Lease.
    Lease(String),
    /// Delete a pod whose task is gone for good.
    DeletePod(Uid),
    /// Write down why a pod waits.
    Reason(Uid),
    /// Record an Event; nothing depends on it.
    Record,
}

/// Pods to launch on an agent out of its offers of one role (the scheduler core's plan).
#[derive(Clone, Debug)]
pub struct LaunchPlan {
    /// The agent.
    pub agent_id: AgentId,
    /// Name of its Node.
    pub node: String,
    /// The offers, all used.
    pub offers: Vec<OfferId>,
    /// The pods.
    pub pods: Vec<LaunchPod>,
    /// Resources and kubelet port for an executor, where none is present.
    pub executor: Option<(Vec<Resource>, u16)>,
}

/// One pod of a plan.
#[derive(Clone, Debug)]
pub struct LaunchPod {
    /// The pod.
    pub uid: Uid,
    /// What is taken for it.
    pub resources: Vec<Resource>,
    /// Its ports on the host.
    pub ports: Vec<HostPort>,
}
