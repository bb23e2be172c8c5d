//! What agent and master say to each other.
//!
//! In `km up` both live in one process and a bounded channel carries these; they are plain serialisable data, so that a
//! network connection can carry them just as well. Delivery is in order; a lost link is made good by re-registration.

use bytes::Bytes;
use km_mesos::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, KillPolicy, Resource, Task, TaskId,
    TaskInfo, TaskStatus,
};
use serde::{Deserialize, Serialize};

/// One connection between an agent and the master; a new one at every connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LinkId(pub u64);

/// An executor that runs on an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningExecutor {
    /// Whose it is.
    pub framework_id: FrameworkId,
    /// As launched.
    pub info: ExecutorInfo,
}

/// From an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ToMaster {
    /// An agent without an id asks for one; one with an id says what runs on it.
    Register(Box<Registration>),
    /// A status update, sent again until acknowledged.
    StatusUpdate {
        /// Whose task.
        framework_id: FrameworkId,
        /// The oldest update of this task that is not acknowledged.
        status: Box<TaskStatus>,
        /// The newest state of the task: when terminal, its resources are free already.
        latest_state: i32,
    },
    /// An executor's message to its scheduler.
    ExecutorMessage {
        /// Whose executor.
        framework_id: FrameworkId,
        /// From whom.
        executor_id: ExecutorId,
        /// Opaque.
        #[serde(with = "km_mesos::json::RequiredBytes")]
        data: Bytes,
    },
    /// An executor is gone and its container destroyed.
    ExecutorExited {
        /// Whose executor.
        framework_id: FrameworkId,
        /// Which.
        executor_id: ExecutorId,
        /// As `waitpid` gives it; -1 when not known.
        status: i32,
    },
}

/// What an agent says when it connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// With `id` set when the agent had one before.
    pub info: AgentInfo,
    /// Host and port of the agent's own API, as `slave(1)@host:port`.
    pub pid: String,
    /// Total resources with reservations and volumes; none of them allocated.
    pub total: Vec<Resource>,
    /// All tasks not yet terminal and acknowledged.
    pub tasks: Vec<Task>,
    /// All executors not yet gone.
    pub executors: Vec<RunningExecutor>,
    /// The frameworks of those tasks and executors.
    pub frameworks: Vec<FrameworkInfo>,
}

/// To an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ToAgent {
    /// The agent is known, under this id.
    Registered {
        /// The agent's id, to be kept for good.
        agent_id: AgentId,
    },
    /// Run a task, and its executor first when it does not run yet.
    RunTask {
        /// Whose task.
        framework: Box<FrameworkInfo>,
        /// Who runs it.
        executor: Box<ExecutorInfo>,
        /// What to run.
        task: Box<TaskInfo>,
    },
    /// Kill a task.
    KillTask {
        /// Whose task.
        framework_id: FrameworkId,
        /// Which.
        task_id: TaskId,
        /// Overrides the policy in the task.
        kill_policy: Option<KillPolicy>,
    },
    /// Shut one executor down.
    ShutdownExecutor {
        /// Whose executor.
        framework_id: FrameworkId,
        /// Which.
        executor_id: ExecutorId,
    },
    /// Shut all executors of a framework down and forget it.
    ShutdownFramework {
        /// Which.
        framework_id: FrameworkId,
    },
    /// A scheduler has handled an update.
    Acknowledge {
        /// Whose task.
        framework_id: FrameworkId,
        /// Which.
        task_id: TaskId,
        /// The update's uuid.
        #[serde(with = "km_mesos::json::RequiredBytes")]
        uuid: Bytes,
    },
    /// A scheduler's message to its executor.
    FrameworkMessage {
        /// Whose executor.
        framework_id: FrameworkId,
        /// To whom.
        executor_id: ExecutorId,
        /// Opaque.
        #[serde(with = "km_mesos::json::RequiredBytes")]
        data: Bytes,
    },
    /// A framework describes itself anew.
    UpdateFramework(Box<FrameworkInfo>),
    /// The agent's resources after reservations or volumes changed.
    SetTotal {
        /// All of them, unallocated.
        total: Vec<Resource>,
    },
}
