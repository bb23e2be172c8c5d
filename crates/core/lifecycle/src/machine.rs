//! The machine of one pod: takes an event in, then advances as far as its whole state allows.
//!
//! `apply` records what happened, `advance` looks at everything and emits what may be done now; it never asks
//! which event woke it. What to do while active is in `order`, while ending in `stop`, what to tell in `status`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use km_base::{Backoff, ObjectKey, Timestamp, Uid};
use km_kinds::api::core::v1::Pod;
use km_mesos::TaskState;
use serde_json::Value;

use crate::container::{Container, Run, Stop};
use crate::spec;
use crate::{Action, Adopted, AdoptedState, Event, Exit, Record, SandboxFacts, TaskUpdate, WriteOutcome};

/// What is the same for all pods of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the Node.
    pub node_name: String,
    /// Its InternalIP (`hostIP`).
    pub host_ip: String,
}

/// How often a pod whose Binding does not show up is looked for.
const LOOK_UP_EVERY: Duration = Duration::from_secs(15);
/// Waits between attempts at something the API server or the runtime refused.
pub(crate) const RETRY: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(30) };
/// Waits between attempts at volumes.
const VOLUME_RETRY: Backoff = Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(122) };

/// Why the pod stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its containers ended for good, or its deadline passed; this is its phase from now on.
    Ended(Verdict),
    /// Its deletion was asked for.
    Deleted,
    /// Its object is gone.
    ObjectGone,
    /// Mesos wants the task to end; the pod itself may be launched again.
    Killed,
}

/// How a pod ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) succeeded: bool,
    /// `status.reason`, e.g. `DeadlineExceeded`, or empty.
    pub(crate) reason: &'static str,
    /// `status.message`, or empty.
    pub(crate) message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Unbound { look_up_at: Option<Timestamp> },
    Active,
    Stopping { cause: Cause, kill_at: Timestamp },
    Stopped { cause: Cause },
    Forgotten,
}

/// Something that is set up once: not yet, under way, there, or to be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setup<T> {
    None,
    Doing,
    Ready(T),
    Failed {
        again_at: Timestamp,
    },
    /// Being taken down.
    Ending(T),
    /// Taken down.
    Over(T),
}

/// Something in the runtime that nobody will ask for any more, by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Removal {
    Container(String),
    Sandbox(String),
}

/// One pod on a node. See the crate's documentation.
#[derive(Debug)]
pub struct Lifecycle {
    pub(crate) config: Config,
    pub(crate) key: ObjectKey,
    pub(crate) uid: Uid,
    pub(crate) task_id: String,
    /// The pod as last seen; kept when the object is gone, because stopping needs it.
    pub(crate) pod: Option<Arc<Pod>>,
    pub(crate) object_gone: bool,
    /// Cap on the grace when Mesos asked for the end.
    pub(crate) killed: Option<Option<Duration>>,
    pub(crate) stage: Stage,
    pub(crate) start_time: Option<Timestamp>,
    pub(crate) volumes: Setup<()>,
    pub(crate) volume_failures: u32,
    pub(crate) sandbox: Setup<SandboxFacts>,
    pub(crate) sandbox_attempt: u32,
    pub(crate) sandbox_failures: u32,
    /// Sandboxes before the current one, to be removed with the pod.
    pub(crate) old_sandboxes: Vec<String>,
    pub(crate) initialized: bool,
    pub(crate) containers: Vec<Container>,
    /// Removals under way (`None`) and those to be tried again.
    pub(crate) removing: BTreeMap<Removal, Option<Timestamp>>,
    /// When a sandbox that would not stop is told so again.
    pub(crate) sandbox_stop_at: Option<Timestamp>,
    /// Whether what the status is made of is being removed: the last one stands.
    pub(crate) cleaning: bool,
    pub(crate) adopted: Adopted,
    pub(crate) conditions: BTreeMap<&'static str, (String, Timestamp)>,
    pub(crate) write: Write,
    /// State and health last told to Mesos.
    pub(crate) told: Option<(TaskState, Option<bool>)>,
    pub(crate) delete: Setup<()>,
    pub(crate) api_failures: u32,
    wake_at: Option<Timestamp>,
}

/// The write of the pod's status: one at a time, the newest content.
#[derive(Debug, Default)]
pub(crate) struct Write {
    pub(crate) in_flight: Option<Value>,
    pub(crate) stored: Option<Value>,
    pub(crate) again_at: Option<Timestamp>,
    pub(crate) failures: u32,
    /// When it is written again, because the API server shows another one.
    pub(crate) overwritten_at: Option<Timestamp>,
}

impl Lifecycle {
    /// Makes the machine of the pod that task `task_id` may run.
    #[must_use]
    pub fn new(config: Config, key: ObjectKey, uid: Uid, task_id: String) -> Self {
        Self {
            config,
            key,
            uid,
            task_id,
            pod: None,
            object_gone: false,
            killed: None,
            stage: Stage::Unbound { look_up_at: None },
            start_time: None,
            volumes: Setup::None,
            volume_failures: 0,
            sandbox: Setup::None,
            sandbox_attempt: 0,
            sandbox_failures: 0,
            old_sandboxes: Vec::new(),
            initialized: false,
            containers: Vec::new(),
            removing: BTreeMap::new(),
            sandbox_stop_at: None,
            cleaning: false,
            adopted: Adopted::default(),
            conditions: BTreeMap::new(),
            write: Write::default(),
            told: None,
            delete: Setup::None,
            api_failures: 0,
            wake_at: None,
        }
    }

    /// Returns the Mesos task.
    #[must_use]
    pub fn task_id(&self) -> &str {
        &self.task_id
    }

    /// Returns namespace and name of the pod.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Returns the pod as last seen.
    #[must_use]
    pub fn pod(&self) -> Option<&Arc<Pod>> {
        self.pod.as_ref()
    }

    /// Returns the running sandbox.
    #[must_use]
    pub fn sandbox(&self) -> Option<&SandboxFacts> {
        match &self.sandbox {
            Setup::Ready(facts) => Some(facts),
            _ => None,
        }
    }

    /// Returns the runtime's id of the newest run of a container, running or ended, and whether it runs.
    #[must_use]
    pub fn container_id(&self, name: &str) -> Option<(&str, bool)> {
        let container = self.containers.iter().find(|c| c.name == name)?;
        let current = container.id().filter(|id| !id.is_empty());
        let id = current.or_else(|| container.last.as_ref().map(|ended| ended.id.as_str()))?;
        Some((id, container.is_running()))
    }

    /// Returns the attempt whose log is the current one of a container; `None` before its first start.
    #[must_use]
    pub fn log_attempt(&self, name: &str) -> Option<u32> {
        let container = self.containers.iter().find(|c| c.name == name)?;
        match container.run {
            Run::Running { .. } | Run::Exited { .. } | Run::Starting { .. } => Some(container.attempt),
            _ => container.attempt.checked_sub(1),
        }
    }

    /// Tells whether the pod ended by itself and is kept only for its logs.
    #[must_use]
    pub fn is_kept_for_logs(&self) -> bool {
        matches!(&self.stage, Stage::Stopped { cause: Cause::Ended(_) })
    }

    /// Takes one event and appends what has to be done to `out`.
    pub fn step(&mut self, now: Timestamp, event: Event, out: &mut Vec<Action>) {
        self.apply(now, event, out);
        self.advance(now, out);
    }

    fn advance(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if matches!(self.stage, Stage::Unbound { .. }) {
            self.advance_unbound(now, out);
        }
        if self.stage == Stage::Active {
            self.advance_active(now, out);
        }
        if matches!(self.stage, Stage::Stopping { .. }) {
            self.advance_stopping(now, out);
        }
        if matches!(self.stage, Stage::Stopped { .. }) {
            self.advance_stopped(now, out);
        }
        if self.stage == Stage::Forgotten {
            return;
        }
        self.collect_garbage(now, out);
        self.report(now, out);
        if let Some(at) = self.next_wake(now)
            && self.wake_at != Some(at)
        {
            self.wake_at = Some(at);
            out.push(Action::WakeAt(at));
        }
    }

    /// Waits for the Binding: starts when the pod shows this task, ends when it shows another or is no more.
    fn advance_unbound(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.killed.is_some() || self.object_gone {
            let message =
                if self.object_gone { "the pod no longer exists" } else { "killed before its first container" };
            return self.end_unbound(message, out);
        }
        if let Some(pod) = self.pod.clone() {
            let here = spec::spec(&pod).node_name.as_deref() == Some(self.config.node_name.as_str());
            let task = spec::bound_task(&pod);
            if here && task == Some(self.task_id.as_str()) {
                return self.activate(now, &pod);
            }
            // A pod that is launched again shows its earlier task until this one's Binding.
            let earlier = task.is_some_and(|task| spec::is_earlier(task, &self.task_id));
            if !earlier && (task.is_some() || spec::spec(&pod).node_name.is_some()) {
                return self.end_unbound("the pod is bound to another task", out);
            }
        }
        let Stage::Unbound { look_up_at } = &mut self.stage else { return };
        match *look_up_at {
            Some(at) if at <= now => {
                *look_up_at = Some(now + LOOK_UP_EVERY);
                out.push(Action::LookUpPod);
            }
            Some(_) => {}
            None => *look_up_at = Some(now + LOOK_UP_EVERY),
        }
    }

    fn end_unbound(&mut self, message: &str, out: &mut Vec<Action>) {
        let leftovers = self.adopted.sandbox.is_some() || !self.adopted.containers.is_empty();
        if leftovers {
            // An earlier life of the executor had started it: take it down the ordinary way.
            self.adopt_unknown();
            let cause = if self.object_gone { Cause::ObjectGone } else { Cause::Killed };
            self.stage = Stage::Stopping { cause, kill_at: Timestamp::EPOCH };
            return;
        }
        self.tell_end(TaskState::Killed, None, message.to_owned(), out);
        self.stage = Stage::Forgotten;
        out.push(Action::Forget);
    }

    fn activate(&mut self, now: Timestamp, pod: &Pod) {
        self.start_time = Some(spec::start_time(pod).unwrap_or(now));
        self.containers =
            spec::containers(pod).into_iter().map(|(role, spec)| Container::new(pod, role, spec)).collect();
        self.adopt_conditions(pod);
        self.adopt_containers(pod);
        self.stage = Stage::Active;
    }

    /// Fits what the runtime holds to the pod's containers.
    fn adopt_containers(&mut self, pod: &Pod) {
        let adopted = std::mem::take(&mut self.adopted);
        self.adopt_sandbox(adopted.sandbox);
        let statuses = pod.status.as_ref();
        for found in adopted.containers {
            let Some(container) = self.containers.iter_mut().find(|c| c.name == found.name) else {
                self.removing.insert(Removal::Container(found.id), Some(Timestamp::EPOCH));
                continue;
            };
            let is_newer = container.id().is_none() || found.attempt >= container.attempt;
            if !is_newer {
                container.stale.push(found.id);
                continue;
            }
            if container.id().is_some() {
                container.next_run();
            }
            container.attempt = found.attempt;
            container.image_ref = found.image_ref;
            container.run = match found.state {
                AdoptedState::Created => {
                    container.stale.push(found.id);
                    Run::Idle
                }
                AdoptedState::Running(since) => {
                    let status = statuses.and_then(|s| {
                        let all = s.container_statuses.iter().chain(s.init_container_statuses.iter()).flatten();
                        all.into_iter().find(|s| s.name == found.name)
                    });
                    let started = status.is_some_and(|s| s.started == Some(true));
                    container.probes.adopt(started, status.is_some_and(|s| s.ready));
                    // A hook that was cut off by the restart is not run twice.
                    Run::Running { id: found.id, since, hooked: true, stop: Stop::No }
                }
                AdoptedState::Exited(exit) => {
                    container.end(&found.id, exit);
                    container.run.clone()
                }
            };
        }
        let main_ran = self.containers.iter().any(|c| c.role == spec::Role::Main && c.id().is_some());
        self.initialized = main_ran && matches!(self.sandbox, Setup::Ready(_));
    }

    fn adopt_sandbox(&mut self, sandbox: Option<crate::AdoptedSandbox>) {
        let Some(sandbox) = sandbox else { return };
        self.sandbox_attempt = sandbox.attempt;
        // A dead sandbox is stopped like a lost one, so that its addresses are given back.
        self.sandbox = if sandbox.ready { Setup::Ready(sandbox.facts) } else { Setup::Over(sandbox.facts) };
    }

    /// Takes over containers of a pod that is not to run here, as far as needed to stop them.
    fn adopt_unknown(&mut self) {
        let adopted = std::mem::take(&mut self.adopted);
        self.adopt_sandbox(adopted.sandbox);
        for found in adopted.containers {
            let spec = km_kinds::api::core::v1::Container { name: found.name, ..Default::default() };
            let mut container = Container::new(&Pod::default(), spec::Role::Main, &spec);
            match found.state {
                AdoptedState::Running(since) => {
                    container.run = Run::Running { id: found.id, since, hooked: true, stop: Stop::No };
                }
                AdoptedState::Created | AdoptedState::Exited(_) => container.stale.push(found.id),
            }
            self.containers.push(container);
        }
        self.volumes = Setup::Ready(());
    }

    fn apply(&mut self, now: Timestamp, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::TaskLaunched => self.tell(TaskState::Starting, String::new(), None, out),
            Event::TaskKilled { grace } => {
                let tighter = match (self.killed, grace) {
                    (Some(Some(old)), Some(new)) => Some(old.min(new)),
                    (Some(old), None) => old,
                    (_, new) => new,
                };
                self.killed = Some(tighter);
            }
            Event::PodChanged(pod) => {
                if pod.metadata.uid.as_deref() == Some(self.uid.as_str()) {
                    self.pod = Some(pod);
                    self.compare_status(now);
                    self.take_images(now, out);
                } else {
                    self.object_gone = true;
                }
            }
            Event::PodGone => self.object_gone = true,
            Event::Adopted(adopted) => self.adopted = adopted,
            Event::VolumesPrepared(result) => self.volumes_prepared(now, result, out),
            Event::VolumesCleaned(result) => {
                self.volumes = match result {
                    Ok(()) => Setup::Over(()),
                    Err(_) => Setup::Failed { again_at: now + RETRY.max },
                };
            }
            Event::SandboxStarted { attempt, result } => self.sandbox_started(now, attempt, result, out),
            Event::SandboxLost { id } => self.sandbox_lost(&id, out),
            Event::SandboxStopped { id, result } => self.sandbox_stopped(now, &id, &result),
            Event::SandboxRemoved { id, result } => self.removed(now, Removal::Sandbox(id), &result),
            Event::ContainerRemoved { id, result } => self.removed(now, Removal::Container(id), &result),
            Event::ImagePulling { container, attempt } => self.image_pulling(&container, attempt, out),
            Event::ImageEnsured { container, attempt, result } => {
                self.image_ensured(now, &container, attempt, result, out);
            }
            Event::ContainerCreated { container, attempt, result } => {
                self.container_created(now, &container, attempt, result, out);
            }
            Event::ContainerStarted { container, id, result } => {
                self.container_started(now, &container, &id, result, out);
            }
            Event::ContainerExited { container, id, exit } => self.container_exited(&container, &id, exit, out),
            Event::StopAnswered { container, id, result } => self.stop_answered(now, &container, &id, &result),
            Event::HookDone { container, id, hook, result } => {
                self.hook_done(now, &container, &id, hook, result, out);
            }
            Event::ProbeResult { container, id, kind, result } => {
                self.probe_result(now, &container, &id, kind, result, out);
            }
            Event::StatusWritten(outcome) => self.status_written(now, outcome),
            Event::PodDeleted(outcome) => match outcome {
                WriteOutcome::Done => self.delete = Setup::Over(()),
                WriteOutcome::Gone => {
                    self.object_gone = true;
                    self.delete = Setup::Over(());
                }
                WriteOutcome::Failed => {
                    self.api_failures += 1;
                    self.delete = Setup::Failed { again_at: now + RETRY.delay(self.api_failures) };
                }
            },
            Event::LookUpFailed | Event::Tick => {}
        }
    }

    fn volumes_prepared(&mut self, now: Timestamp, result: Result<(), crate::VolumeFailure>, out: &mut Vec<Action>) {
        if self.volumes != Setup::Doing {
            return;
        }
        self.volumes = match result {
            Ok(()) => Setup::Ready(()),
            Err(failure) => {
                self.volume_failures += 1;
                let message = format!("MountVolume.SetUp failed for volume {:?} : {}", failure.volume, failure.message);
                record(true, "FailedMount", message, None, out);
                Setup::Failed { again_at: now + VOLUME_RETRY.delay(self.volume_failures) }
            }
        };
    }

    fn sandbox_started(
        &mut self,
        now: Timestamp,
        attempt: u32,
        result: Result<SandboxFacts, String>,
        out: &mut Vec<Action>,
    ) {
        if self.sandbox != Setup::Doing || attempt != self.sandbox_attempt {
            return;
        }
        self.sandbox = match result {
            Ok(facts) => {
                self.sandbox_failures = 0;
                Setup::Ready(facts)
            }
            Err(message) => {
                self.sandbox_failures += 1;
                self.sandbox_attempt += 1;
                record(true, "FailedCreatePodSandBox", format!("Failed to create pod sandbox: {message}"), None, out);
                Setup::Failed { again_at: now + RETRY.delay(self.sandbox_failures) }
            }
        };
    }

    fn sandbox_lost(&mut self, id: &str, out: &mut Vec<Action>) {
        let Setup::Ready(facts) = &self.sandbox else { return };
        if facts.id != id {
            return;
        }
        let facts = facts.clone();
        if self.stage == Stage::Active {
            record(false, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.".into(), None, out);
        }
        out.push(Action::StopSandbox { id: facts.id.clone() });
        self.sandbox = Setup::Ending(facts);
    }

    fn sandbox_stopped(&mut self, now: Timestamp, id: &str, result: &Result<(), String>) {
        let Setup::Ending(facts) = &self.sandbox else { return };
        if facts.id != id {
            return;
        }
        match result {
            Ok(()) => self.sandbox = Setup::Over(facts.clone()),
            Err(_) => {
                let facts = facts.clone();
                self.sandbox_failures += 1;
                self.sandbox_stop_at = Some(now + RETRY.delay(self.sandbox_failures));
                self.sandbox = Setup::Ready(facts);
            }
        }
    }

    fn removed(&mut self, now: Timestamp, what: Removal, result: &Result<(), String>) {
        match (self.removing.get_mut(&what), result) {
            (Some(_), Ok(())) => drop(self.removing.remove(&what)),
            (Some(again_at), Err(_)) => *again_at = Some(now + RETRY.max),
            (None, _) => {}
        }
    }

    pub(crate) fn container_mut(&mut self, name: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|c| c.name == name)
    }

    /// Records the end of a container, whoever caused it.
    fn container_exited(&mut self, name: &str, id: &str, exit: Exit, out: &mut Vec<Action>) {
        let Some(container) = self.container_mut(name) else { return };
        let is_current = match &container.run {
            Run::Running { id: current, .. } | Run::Starting { id: current } => current == id,
            _ => false,
        };
        if !is_current {
            return;
        }
        for kind in container.probes.running.drain(..) {
            out.push(Action::StopProbe { container: name.to_owned(), kind });
        }
        container.end(id, exit);
    }

    /// Tells Mesos the task's state when it is news.
    pub(crate) fn tell(&mut self, state: TaskState, message: String, healthy: Option<bool>, out: &mut Vec<Action>) {
        if self.told == Some((state, healthy)) || self.told.is_some_and(|(told, _)| told.is_terminal()) {
            return;
        }
        self.told = Some((state, healthy));
        let phase = self.phase_text();
        out.push(Action::TaskUpdate(TaskUpdate { state, reason: None, message, healthy, phase }));
    }

    /// Tells Mesos that the task is over, once.
    pub(crate) fn tell_end(
        &mut self,
        state: TaskState,
        reason: Option<km_mesos::task_status::Reason>,
        message: String,
        out: &mut Vec<Action>,
    ) {
        if self.told.is_some_and(|(told, _)| told.is_terminal()) {
            return;
        }
        self.told = Some((state, None));
        let phase = self.phase_text();
        out.push(Action::TaskUpdate(TaskUpdate { state, reason, message, healthy: None, phase }));
    }

    /// Returns when something is due that no event will bring.
    fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let mut due: Vec<Timestamp> = Vec::new();
        match &self.stage {
            Stage::Unbound { look_up_at } => due.extend(*look_up_at),
            Stage::Active => {
                due.extend(self.setup_due());
                due.extend(self.deadline());
            }
            Stage::Stopping { .. } => due.extend(self.stop_due()),
            Stage::Stopped { .. } | Stage::Forgotten => {}
        }
        if let Setup::Failed { again_at } = self.delete {
            due.push(again_at);
        }
        if let Setup::Failed { again_at } = self.volumes {
            due.push(again_at);
        }
        due.extend(self.removing.values().flatten().copied());
        due.extend(self.sandbox_stop_at);
        if self.write.in_flight.is_none() {
            due.extend(self.write.again_at);
            due.extend(self.write.overwritten_at);
        }
        // Something long due waits for an event, not for the clock.
        due.into_iter().filter(|at| *at > now).min()
    }
}

/// Appends an event about the pod, or about a container of it.
pub(crate) fn record(
    warning: bool,
    reason: &'static str,
    message: String,
    container: Option<&Container>,
    out: &mut Vec<Action>,
) {
    let field_path = container.map(Container::field_path).unwrap_or_default();
    out.push(Action::Record(Record { warning, reason, message, field_path }));
}
