//! One attempt to run a pod: a Mesos task and how far it has come.

use bytes::Bytes;
use km_base::{ObjectKey, Timestamp, Uid};
use km_mesos::{AgentId, ExecutorId, OfferId, TaskId, TaskState};
use km_podwire::HostPort;

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub uid: Uid,
    pub key: ObjectKey,
    pub agent_id: AgentId,
    pub node: String,
    pub executor_id: Option<ExecutorId>,
    pub offer_id: Option<OfferId>,
    pub ports: Vec<HostPort>,
    pub stage: Stage,
    /// Update that Mesos repeats until it is acknowledged.
    pub unacknowledged: Option<Unacknowledged>,
    pub launched: Timestamp,
    /// Reconciliation in which the task was last heard of.
    pub round: u64,
    /// When it was last asked to be killed.
    pub killed: Option<Timestamp>,
    /// Failed tries to bind, and when to try again.
    pub bind_failures: u32,
    pub bind_at: Timestamp,
    /// Whether its Binding is the pod's first, not a new task ID on a bound pod.
    pub first: bool,
    /// When the task was last asked about.
    pub asked: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unacknowledged {
    pub uuid: Bytes,
    pub state: TaskState,
    pub since: Timestamp,
}

/// How far an attempt has come; see the diagram in `lib.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The ACCEPT is sent.
    Launching,
    /// The executor has the task; the Binding is being written.
    Binding,
    /// The Binding was refused; the task is being killed.
    Refused,
    /// The pod is bound to this task.
    Bound,
    /// The executor said that the task is over; the pod's own state is still to be seen.
    Ended,
}

/// A task as shown to people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// Task ID.
    pub task_id: String,
    /// The pod.
    pub key: ObjectKey,
    /// Name of the node.
    pub node: String,
    /// Agent ID.
    pub agent_id: String,
    /// How far it has come.
    pub stage: &'static str,
    /// Since when.
    pub launched: Timestamp,
}

impl Attempt {
    pub(crate) fn view(&self, task_id: &TaskId) -> TaskView {
        TaskView {
            task_id: task_id.value.clone(),
            key: self.key.clone(),
            node: self.node.clone(),
            agent_id: self.agent_id.value.clone(),
            stage: match self.stage {
                Stage::Launching => "launching",
                Stage::Binding => "binding",
                Stage::Refused => "refused",
                Stage::Bound => "bound",
                Stage::Ended => "ended",
            },
            launched: self.launched,
        }
    }
}
