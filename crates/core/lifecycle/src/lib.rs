//! One pod on a node: from the Mesos task that may run it to the last byte of its sandbox.
//!
//! Stands at the end of the pod's journey: `drive/executor` feeds a [`Lifecycle`] with what Mesos, the API
//! server and the container runtime say and performs the [`Action`]s that come out.
//!
//! ```text
//!            bound, own task ID            verdict, deadline, deletion, kill, object gone
//!  Unbound ─────────────────────▶ Active ─────────────────────────────────────────────▶ Stopping
//!     │ another task ID, no pod, kill                                                      │ nothing runs
//!     ▼                                                                                    ▼
//!  Forgotten ◀── containers, sandbox, object removed ── Stopped (ended by itself: keeps its logs)
//! ```
//!
//! **Invariant:** no container starts before the pod's watch shows it on this node with this task's ID.
//! **Invariant:** an action that must follow another is emitted only on the other's completion event.
//! **Invariant:** a terminal task update follows the terminal pod status (or the deletion) that the API server
//! has acknowledged, so whoever sees the task end can read why; a kill by Mesos alone waits for no API server.
//! **Invariant:** results are matched by container attempt and id: a late one changes nothing.
//!
//! Deliberately absent: what a container's configuration looks like in CRI, volumes' contents, waiting, retrying
//! of single calls (drive/executor); ephemeral containers and in-place resize.

mod container;
mod machine;
mod order;
mod probe;
mod spec;
mod status;
mod stop;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use km_base::Timestamp;
use km_kinds::api::core::v1::{LifecycleHandler, Pod, Probe};
use km_mesos::TaskState;
use km_mesos::task_status::Reason;

pub use machine::{Config, Lifecycle};
pub use probe::ProbeKind;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Mesos launched the task of this pod.
    TaskLaunched,
    /// Mesos asks for the task's end, or the whole executor shuts down; `grace` caps the pod's own.
    TaskKilled {
        /// Longest wait between the stop signal and the kill.
        grace: Option<Duration>,
    },
    /// The API server shows this state of the pod.
    PodChanged(Arc<Pod>),
    /// The API server no longer has the pod, or has another one under its name.
    PodGone,
    /// What the runtime holds of this pod after the executor itself started again; comes before anything else.
    Adopted(Adopted),
    /// Answer to [`Action::PrepareVolumes`].
    VolumesPrepared(Result<(), VolumeFailure>),
    /// Answer to [`Action::CleanVolumes`].
    VolumesCleaned(Result<(), String>),
    /// Answer to [`Action::RunSandbox`].
    SandboxStarted {
        /// The attempt it answers.
        attempt: u32,
        /// The sandbox, or why there is none.
        result: Result<SandboxFacts, String>,
    },
    /// The sandbox died by itself.
    SandboxLost {
        /// Its id.
        id: String,
    },
    /// Answer to [`Action::StopSandbox`].
    SandboxStopped {
        /// Its id.
        id: String,
        /// Whether it is stopped now.
        result: Result<(), String>,
    },
    /// Answer to [`Action::RemoveSandbox`].
    SandboxRemoved {
        /// Its id.
        id: String,
        /// Whether it is gone now.
        result: Result<(), String>,
    },
    /// The image of [`Action::EnsureImage`] is not here and is being fetched.
    ImagePulling {
        /// Container.
        container: String,
        /// Attempt.
        attempt: u32,
    },
    /// Answer to [`Action::EnsureImage`].
    ImageEnsured {
        /// Container.
        container: String,
        /// Attempt.
        attempt: u32,
        /// The image, or why it cannot be had.
        result: Result<ImageFacts, ImageFailure>,
    },
    /// Answer to [`Action::CreateContainer`].
    ContainerCreated {
        /// Container.
        container: String,
        /// Attempt.
        attempt: u32,
        /// The container's id, or why it was not created.
        result: Result<String, CreateFailure>,
    },
    /// Answer to [`Action::StartContainer`].
    ContainerStarted {
        /// Container.
        container: String,
        /// Its id.
        id: String,
        /// Why it did not start.
        result: Result<(), String>,
    },
    /// A container ended, by itself or because it was stopped.
    ContainerExited {
        /// Container.
        container: String,
        /// Its id.
        id: String,
        /// How.
        exit: Exit,
    },
    /// Answer to [`Action::StopContainer`]; the end itself is a [`Event::ContainerExited`].
    StopAnswered {
        /// Container.
        container: String,
        /// Its id.
        id: String,
        /// Why it may still run.
        result: Result<(), String>,
    },
    /// Answer to [`Action::RemoveContainer`].
    ContainerRemoved {
        /// Its id.
        id: String,
        /// Whether it is gone now.
        result: Result<(), String>,
    },
    /// Answer to [`Action::RunHook`].
    HookDone {
        /// Container.
        container: String,
        /// Its id.
        id: String,
        /// Which hook.
        hook: Hook,
        /// Why it failed.
        result: Result<(), String>,
    },
    /// One result of a probe started by [`Action::StartProbe`].
    ProbeResult {
        /// Container.
        container: String,
        /// Its id.
        id: String,
        /// Which probe.
        kind: ProbeKind,
        /// What the probe said when it failed.
        result: Result<(), String>,
    },
    /// Answer to [`Action::WriteStatus`].
    StatusWritten(WriteOutcome),
    /// Answer to [`Action::DeletePod`].
    PodDeleted(WriteOutcome),
    /// Answer to [`Action::LookUpPod`] when it could not be answered by [`Event::PodChanged`] or [`Event::PodGone`].
    LookUpFailed,
    /// The time asked for by [`Action::WakeAt`] has come.
    Tick,
}

/// What a write to the API server came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Stored.
    Done,
    /// The object is not there (any more), or is another one.
    Gone,
    /// Failed; worth trying again.
    Failed,
}

/// Something to do. Every action but the last three groups is answered by an event of its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make the pod's volumes ready to be mounted.
    PrepareVolumes,
    /// Unmount and remove the pod's volumes.
    CleanVolumes,
    /// Create and start the sandbox.
    RunSandbox {
        /// Counts the sandboxes of this pod.
        attempt: u32,
    },
    /// Stop the sandbox and give its addresses back.
    StopSandbox {
        /// Its id.
        id: String,
    },
    /// Remove the sandbox.
    RemoveSandbox {
        /// Its id.
        id: String,
    },
    /// Have the container's image on the node, obeying its pull policy.
    EnsureImage {
        /// Container.
        container: String,
        /// Attempt.
        attempt: u32,
    },
    /// Create a container.
    CreateContainer {
        /// Container.
        container: String,
        /// Counts its starts, from 0.
        attempt: u32,
        /// Sandbox to create it in.
        sandbox: String,
        /// Image as the runtime knows it.
        image: String,
    },
    /// Start a created container.
    StartContainer {
        /// Container.
        container: String,
        /// Its id.
        id: String,
    },
    /// Stop a container; also sent again with less grace.
    StopContainer {
        /// Container.
        container: String,
        /// Its id.
        id: String,
        /// Wait between stop signal and kill.
        grace: Duration,
    },
    /// Remove a stopped container and its log.
    RemoveContainer {
        /// Its id.
        id: String,
    },
    /// Run a lifecycle hook.
    RunHook {
        /// Container.
        container: String,
        /// Its id.
        id: String,
        /// Which hook.
        hook: Hook,
        /// What to run.
        handler: LifecycleHandler,
        /// Longest run; a post-start hook has none.
        timeout: Option<Duration>,
    },
    /// Probe a container periodically until told to stop; results come as [`Event::ProbeResult`].
    StartProbe {
        /// Container.
        container: String,
        /// Its id.
        id: String,
        /// Which probe.
        kind: ProbeKind,
        /// When and how.
        probe: Probe,
    },
    /// Stop one probe of a container.
    StopProbe {
        /// Container.
        container: String,
        /// Which probe.
        kind: ProbeKind,
    },
    /// Write the pod's status: a strategic merge patch of the status subresource, with the UID as precondition.
    WriteStatus(serde_json::Value),
    /// Delete the pod object, grace 0, UID as precondition.
    DeletePod,
    /// Read the pod object: it has not shown up in the watch.
    LookUpPod,
    /// Tell Mesos.
    TaskUpdate(TaskUpdate),
    /// Record an event about the pod.
    Record(Record),
    /// Send [`Event::Tick`] at this time; replaces an earlier wish.
    WakeAt(Timestamp),
    /// Drop this machine: nothing of the pod is left here.
    Forget,
}

/// What Mesos is told about the task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskUpdate {
    /// State of the task.
    pub state: TaskState,
    /// Reason, where one of Mesos's fits.
    pub reason: Option<Reason>,
    /// Text for people, or empty.
    pub message: String,
    /// Whether the pod is ready; absent before it runs.
    pub healthy: Option<bool>,
    /// Phase of the pod, or empty.
    pub phase: String,
}

/// A Kubernetes event about the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whether it is a `Warning`.
    pub warning: bool,
    /// Reason.
    pub reason: &'static str,
    /// Text.
    pub message: String,
    /// Field path of the container it is about, e.g. `spec.containers{web}`; empty for the pod.
    pub field_path: String,
}

/// A lifecycle hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// After the start.
    PostStart,
    /// Before the stop signal.
    PreStop,
}

/// A running sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxFacts {
    /// Its id.
    pub id: String,
    /// The pod's addresses, the first one being `podIP`.
    pub ips: Vec<String>,
}

/// An image that is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// How the runtime names it (`imageID`).
    pub image_ref: String,
    /// How it came; absent when it had been here.
    pub pulled: Option<Pulled>,
}

/// A pull that was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// How long it took.
    pub took: Duration,
    /// Size in bytes.
    pub size: u64,
}

/// Why an image cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageFailure {
    /// The reference is not one.
    InvalidName(String),
    /// Not here, and the pull policy is Never.
    NeverPull,
    /// The pull failed.
    Pull(String),
}

/// Why a container was not created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateFailure {
    /// Its configuration cannot be made, e.g. a ConfigMap is missing.
    Config(String),
    /// The runtime refused.
    Runtime(String),
}

/// Why the pod's volumes are not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFailure {
    /// Volume.
    pub volume: String,
    /// Why.
    pub message: String,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled` …
    pub reason: String,
    /// Termination message.
    pub message: String,
    /// When it started; absent when it never did.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// What the runtime holds of a pod.
#[derive(Clone, Debug, Default)]
pub struct Adopted {
    /// Its newest sandbox.
    pub sandbox: Option<AdoptedSandbox>,
    /// Its containers.
    pub containers: Vec<AdoptedContainer>,
}

/// A sandbox found in the runtime.
#[derive(Clone, Debug)]
pub struct AdoptedSandbox {
    /// Id and addresses.
    pub facts: SandboxFacts,
    /// Attempt.
    pub attempt: u32,
    /// Whether it still stands.
    pub ready: bool,
}

/// A container found in the runtime.
#[derive(Clone, Debug)]
pub struct AdoptedContainer {
    /// Name in the pod.
    pub name: String,
    /// Id.
    pub id: String,
    /// Attempt.
    pub attempt: u32,
    /// Image as the runtime names it.
    pub image_ref: String,
    /// Where it stands.
    pub state: AdoptedState,
}

/// Where a container found in the runtime stands.
#[derive(Clone, Debug)]
pub enum AdoptedState {
    /// Created, not started.
    Created,
    /// Running since.
    Running(Timestamp),
    /// Ended.
    Exited(Exit),
}
