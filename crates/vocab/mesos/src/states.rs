//! What a task state means: over or not, and who may have run.
//!
//! Source: Mesos 1.11 src/common/protobuf_utils.cpp, `isTerminalState`; include/mesos/v1/mesos.proto, `TaskState`.

use crate::{Task, TaskState, TaskStatus};

impl TaskState {
    /// Tells whether the task is over for Mesos: its resources are free once the update is acknowledged.
    /// `TASK_UNREACHABLE` and `TASK_UNKNOWN` are not terminal: the task may still run.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Finished
            | Self::Failed
            | Self::Killed
            | Self::Error
            | Self::Lost
            | Self::Dropped
            | Self::Gone
            | Self::GoneByOperator => true,
            Self::Staging | Self::Starting | Self::Running | Self::Killing | Self::Unreachable | Self::Unknown => false,
        }
    }

    /// Tells whether an executor has the task in hand now.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Starting | Self::Running | Self::Killing)
    }
}

impl TaskStatus {
    /// Returns the state, `None` when the wire brought a number that this crate does not know.
    pub fn known_state(&self) -> Option<TaskState> {
        TaskState::try_from(self.state).ok()
    }

    /// Tells whether Mesos repeats this status until it is acknowledged.
    /// Source: Mesos 1.11 docs/scheduler-http-api.md, ACKNOWLEDGE: an update without `uuid` must not be acknowledged.
    pub fn needs_acknowledgement(&self) -> bool {
        self.uuid.as_ref().is_some_and(|uuid| !uuid.is_empty())
    }
}

impl Task {
    /// Returns the state, `None` when the wire brought a number that this crate does not know.
    pub fn known_state(&self) -> Option<TaskState> {
        TaskState::try_from(self.state).ok()
    }
}
