//! The agent: executors in containers, tasks on executors, status updates until acknowledged.
//!
//! One [`Agent`] is owned by the loop of `drive/mesos-agent`, which fetches, forks, kills and writes the journal for it.
//!
//! ```text
//!   executor:  LAUNCH ─▶ registering ─ SUBSCRIBE ─▶ running ─ SHUTDOWN ─▶ terminating ─ destroyed ─▶ gone
//!                            │                        ▲  │                     ▲
//!                            └─ 1 min ─▶ terminating   │  └─ process exits ────┤
//!   after a restart:      recovering ── SUBSCRIBE ────┘                        │
//!                            └─ reregistration timeout ────────────────────────┘
//!   update:    made ─▶ written down ─▶ sent, again and again ─▶ acknowledged ─▶ next one of the task
//! ```

mod containers;
mod executors;
mod query;
mod records;
mod recovery;
mod tasks;
#[cfg(test)]
mod tests;
mod updates;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use km_base::Timestamp;
use km_mesos::resources::Resources;
use km_mesos::task_status::Reason;
use km_mesos::{
    AgentInfo, ExecutorId, ExecutorInfo, Flag, FrameworkId, FrameworkInfo, KillPolicy, Task, TaskId, TaskInfo,
    TaskState, TaskStatus, executor,
};

pub use records::{Process, Record};

use crate::ids::Uuids;
use crate::link::{ToAgent, ToMaster};
pub use crate::master::{Answer, RequestId, StreamId};

/// What the agent must be told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Hostname, port, total resources, attributes, domain; `id` unset.
    pub info: AgentInfo,
    /// Where its API answers, as `slave(1)@host:port`.
    pub pid: String,
    /// The address executors report as theirs.
    pub ip: String,
    /// Shown by GET_VERSION.
    pub version: String,
    /// Shown by GET_FLAGS; frameworks read `isolation` and `launcher` there.
    pub flags: Vec<Flag>,
    /// Seed for UUIDs, new at every start.
    pub seed: u128,
    /// How long an executor may take from its launch to SUBSCRIBE, fetching included.
    pub executor_registration_timeout: Duration,
    /// How long an executor may take to SUBSCRIBE again after the agent restarted.
    pub executor_reregistration_timeout: Duration,
    /// How long an executor may take to end after SHUTDOWN, unless its ExecutorInfo says otherwise.
    pub executor_shutdown_grace_period: Duration,
    /// When an unacknowledged update is sent again for the first time; later ones double up to the maximum.
    pub update_retry_min: Duration,
    /// The longest pause between two sends of one update.
    pub update_retry_max: Duration,
}

/// What happens to the agent.
#[derive(Debug)]
pub enum Event {
    /// The driver has looked after the containers of before: these still run.
    Started {
        /// Container ids out of [`Agent::recovered_containers`].
        alive: BTreeSet<String>,
    },
    /// A connection to the master is there.
    LinkUp,
    /// The connection to the master is gone.
    LinkDown,
    /// The master says something.
    FromMaster(ToAgent),
    /// An executor's call.
    Call {
        /// To answer.
        request: RequestId,
        /// A fresh stream id, used if the call is a SUBSCRIBE.
        fresh: StreamId,
        /// The call.
        call: Box<executor::Call>,
    },
    /// An executor's stream is gone.
    StreamClosed(StreamId),
    /// A container's first process exists and waits to be released.
    Forked {
        /// Which.
        container_id: String,
        /// Its process.
        process: Process,
    },
    /// A container could not be made; what there was of it is cleared away.
    LaunchFailed {
        /// Which.
        container_id: String,
        /// Why, for the task's status.
        message: String,
    },
    /// A container's first process has ended.
    Exited {
        /// Which.
        container_id: String,
        /// As `waitpid` gives it; -1 when not known.
        status: i32,
    },
    /// Nothing of a container is left.
    Destroyed {
        /// Which.
        container_id: String,
    },
    /// Time has passed; due at [`Agent::next_wakeup`].
    Tick,
}

/// A container to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Whose.
    pub framework: FrameworkInfo,
    /// What to fetch and run.
    pub executor: ExecutorInfo,
    /// Its name, also of its cgroups and sandbox.
    pub container_id: String,
    /// How long it may take to end after SHUTDOWN.
    pub shutdown_grace_period: Duration,
}

/// What a container may use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Sum of requests: the executor's and those of its tasks that are not over.
    pub requests: Resources,
    /// Sum of limits in bytes' megabytes, where a task without limit counts with its request; `None` is no limit.
    pub mem_limit_mb: Option<f64>,
    /// Sum of cpu limits likewise; `None` is no limit.
    pub cpus_limit: Option<f64>,
}

/// What the driver does for the agent, in this order.
#[derive(Debug)]
pub enum Action {
    /// Answers a call.
    Answer {
        /// Which.
        request: RequestId,
        /// How.
        answer: Answer,
    },
    /// Sends an event to an executor.
    ToExecutor {
        /// Over which stream.
        stream: StreamId,
        /// What.
        event: Box<executor::Event>,
    },
    /// Ends a stream after what was sent on it.
    CloseStream(StreamId),
    /// Sends to the master; lost when there is no link.
    ToMaster(ToMaster),
    /// Writes a record down; durable before the next action begins.
    Checkpoint(Record),
    /// Makes sandbox and cgroups, fetches, forks; reported by `Forked` or `LaunchFailed`.
    Launch(Box<Launch>),
    /// Lets the forked process run its command.
    Release {
        /// Which container.
        container_id: String,
    },
    /// Sets what a container may use.
    Update {
        /// Which container.
        container_id: String,
        /// How much.
        allowance: Allowance,
    },
    /// Kills everything in a container and removes its cgroups; reported by `Destroyed`.
    Destroy {
        /// Which container.
        container_id: String,
    },
}

/// A container from before a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredContainer {
    /// Its name.
    pub container_id: String,
    /// Its first process, if it was forked.
    pub process: Option<Process>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    uuids: Uuids,
    info: AgentInfo,
    total: Resources,
    is_linked: bool,
    is_registered: bool,
    frameworks: BTreeMap<FrameworkId, Framework>,
    executors: BTreeMap<ExecutorKey, Executor>,
    /// Tasks until their terminal update is acknowledged.
    tasks: BTreeMap<TaskKey, HeldTask>,
    streams: BTreeMap<StreamId, ExecutorKey>,
}

type ExecutorKey = (FrameworkId, ExecutorId);
type TaskKey = (FrameworkId, TaskId);

#[derive(Debug)]
struct Framework {
    info: FrameworkInfo,
    /// Shut down: nothing of it is reported any more.
    is_ending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Registering,
    Recovering,
    Running,
    Terminating,
}

#[derive(Debug)]
struct Executor {
    info: ExecutorInfo,
    container_id: String,
    process: Option<Process>,
    phase: Phase,
    stream: Option<StreamId>,
    /// When patience ends: with SUBSCRIBE, or with an end after SHUTDOWN.
    deadline: Option<Timestamp>,
    is_being_destroyed: bool,
    exit_status: i32,
    /// Why it ends, when the agent knows better than "terminated".
    ending: Option<Ending>,
    /// Kills that arrived while no stream was there.
    pending_kills: Vec<(TaskId, Option<KillPolicy>)>,
}

/// How the agent reports tasks whose executor no longer does.
#[derive(Clone, Debug)]
struct Ending {
    state: TaskState,
    reason: Reason,
    message: String,
}

impl Ending {
    fn new(state: TaskState, reason: Reason, message: &str) -> Self {
        Self { state, reason, message: message.to_owned() }
    }
}

#[derive(Debug)]
struct HeldTask {
    info: TaskInfo,
    record: Task,
    /// Handed to the executor.
    is_launched: bool,
    pending: VecDeque<TaskStatus>,
    /// Uuids of all updates of this task, acknowledged or not.
    seen: BTreeSet<Vec<u8>>,
    next_send: Option<Timestamp>,
    retry: Duration,
}

impl Agent {
    /// Handles one event; what follows from it is appended to `out`.
    pub fn step(&mut self, now: Timestamp, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Started { alive } => self.started(now, &alive, out),
            Event::LinkUp => self.link_up(out),
            Event::LinkDown => {
                self.is_linked = false;
                self.is_registered = false;
            }
            Event::FromMaster(message) => self.obey(now, message, out),
            Event::Call { request, fresh, call } => self.call(now, request, fresh, *call, out),
            Event::StreamClosed(stream) => self.stream_closed(&stream),
            Event::Forked { container_id, process } => self.forked(&container_id, process, out),
            Event::LaunchFailed { container_id, message } => self.launch_failed(now, &container_id, message, out),
            Event::Exited { container_id, status } => self.exited(&container_id, status, out),
            Event::Destroyed { container_id } => self.destroyed(now, &container_id, out),
            Event::Tick => self.tick(now, out),
        }
    }

    /// Returns when an [`Event::Tick`] is due at the latest, if at all.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let deadlines = self.executors.values().filter_map(|executor| executor.deadline);
        let sends = self.tasks.values().filter_map(|task| task.next_send).filter(|_| self.is_registered);
        deadlines.chain(sends).min()
    }

    /// Returns the agent's id, once the master has given one.
    pub fn id(&self) -> Option<&km_mesos::AgentId> {
        self.info.id.as_ref()
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let late: Vec<ExecutorKey> = self
            .executors
            .iter()
            .filter(|(_, executor)| executor.deadline.is_some_and(|deadline| deadline <= now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in late {
            self.lose_patience(&key, out);
        }
        self.resend_updates(now, out);
    }
}
