//! What an agent writes down, so that its executors survive it.
//!
//! Records are appended in order and replayed in order. A snapshot of the state is again a list of records, with which
//! the driver replaces a journal that has grown long.

use km_mesos::{
    AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, Resource, TaskId, TaskInfo, TaskStatus,
};
use serde::{Deserialize, Serialize};

/// One fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The agent has this id; `info.id` is set.
    Agent(Box<AgentInfo>),
    /// The agent's resources after reservations.
    Total(Vec<Resource>),
    /// A framework has something here, or describes itself anew.
    Framework(Box<FrameworkInfo>),
    /// A framework is shut down.
    FrameworkGone(FrameworkId),
    /// An executor's container is about to be made.
    Executor {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        info: Box<ExecutorInfo>,
        /// Its container.
        container_id: String,
    },
    /// The container's first process exists and waits for this record before it runs anything.
    Forked {
        /// Which.
        container_id: String,
        /// Its process.
        process: Process,
    },
    /// An executor and its container are gone.
    ExecutorGone {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        executor_id: ExecutorId,
    },
    /// A task is to run on an executor.
    Task {
        /// Whose.
        framework_id: FrameworkId,
        /// Which, with its executor in it.
        task: Box<TaskInfo>,
    },
    /// A task was handed to its executor.
    Launched {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        task_id: TaskId,
    },
    /// A status update to be delivered until acknowledged.
    Update {
        /// Whose.
        framework_id: FrameworkId,
        /// With its `uuid`.
        status: Box<TaskStatus>,
    },
    /// The oldest update of a task was handled by the scheduler.
    Acknowledged {
        /// Whose.
        framework_id: FrameworkId,
        /// Which.
        task_id: TaskId,
    },
}

/// A process that can be told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id, leader of its own session.
    pub pid: u32,
    /// Start time in clock ticks after boot, field 22 of /proc/PID/stat.
    pub start_ticks: u64,
}
