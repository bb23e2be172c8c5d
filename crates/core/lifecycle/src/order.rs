//! An active pod: volumes, then the sandbox, then its containers in their order, and again when they end.
//!
//! Also takes the answers of what it asked for. It decides when the pod is over; `stop` then ends it.

use std::time::Duration;

use km_base::{Backoff, Timestamp};

use crate::container::{Container, Ended, Run, Stop};
use crate::machine::{Cause, Lifecycle, Setup, Stage, Verdict, record};
use crate::probe::{self, ProbeKind};
use crate::spec::{self, Role};
use crate::{Action, CreateFailure, Exit, Hook, ImageFacts, ImageFailure};

// k8s 1.33 pkg/kubelet/kubelet.go: image back-off 10 s doubling to 300 s.
const IMAGE_BACKOFF: Backoff = Backoff { initial: Duration::from_secs(10), max: Duration::from_secs(300) };
/// How long a failed pull shows its error before it shows that it is being waited.
const PULL_ERROR_SHOWN: Duration = Duration::from_secs(3);
/// How often a container with an impossible configuration is tried again.
const CONFIG_RETRY: Duration = Duration::from_secs(10);

impl Lifecycle {
    pub(crate) fn advance_active(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if let Some(cause) = self.reason_to_stop(now, out) {
            self.begin_stopping(now, cause, out);
            return;
        }
        if !self.has_volumes(now, out) {
            return;
        }
        if !self.has_sandbox(now, out) {
            return;
        }
        self.drive_containers(now, out);
        self.drive_probes(out);
        if let Some(verdict) = self.verdict() {
            self.begin_stopping(now, Cause::Ended(verdict), out);
        }
    }

    fn reason_to_stop(&mut self, now: Timestamp, out: &mut Vec<Action>) -> Option<Cause> {
        let pod = self.pod.clone()?;
        if self.object_gone {
            return Some(Cause::ObjectGone);
        }
        if spec::is_deleting(&pod) {
            return Some(Cause::Deleted);
        }
        if self.killed.is_some() {
            return Some(Cause::Killed);
        }
        if spec::has_ended(&pod) {
            let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
            let verdict = Verdict { succeeded: phase == Some("Succeeded"), reason: "", message: String::new() };
            return Some(Cause::Ended(verdict));
        }
        if self.deadline().is_some_and(|at| at <= now) {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            record(false, "DeadlineExceeded", message.clone(), None, out);
            return Some(Cause::Ended(Verdict { succeeded: false, reason: "DeadlineExceeded", message }));
        }
        self.verdict().map(Cause::Ended)
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let limit = spec::active_deadline(self.pod.as_ref()?)?;
        Some(self.start_time? + limit)
    }

    /// Tells how the pod ended, once none of its containers will run again.
    fn verdict(&self) -> Option<Verdict> {
        let over = |succeeded| Some(Verdict { succeeded, reason: "", message: String::new() });
        let init_failed = |c: &&Container| c.role == Role::Init && c.final_code().is_some_and(|code| code != 0);
        if !self.initialized && self.containers.iter().any(|c| init_failed(&c)) {
            return over(false);
        }
        let mut mains = self.containers.iter().filter(|c| c.role == Role::Main).peekable();
        mains.peek()?;
        let codes: Option<Vec<i32>> = mains.map(Container::final_code).collect();
        over(codes?.iter().all(|code| *code == 0))
    }

    fn has_volumes(&mut self, now: Timestamp, out: &mut Vec<Action>) -> bool {
        match self.volumes {
            Setup::Ready(()) => true,
            Setup::Failed { again_at } if again_at > now => false,
            Setup::None | Setup::Failed { .. } => {
                self.volumes = Setup::Doing;
                out.push(Action::PrepareVolumes);
                false
            }
            Setup::Doing | Setup::Ending(()) | Setup::Over(()) => false,
        }
    }

    fn has_sandbox(&mut self, now: Timestamp, out: &mut Vec<Action>) -> bool {
        match &self.sandbox {
            Setup::Ready(_) => return true,
            Setup::Doing | Setup::Ending(_) => return false,
            Setup::Failed { again_at } if *again_at > now => return false,
            Setup::None | Setup::Failed { .. } => {}
            Setup::Over(facts) => {
                // Containers of the lost sandbox have to be over before a new one is made.
                if self.containers.iter().any(Container::is_busy) {
                    return false;
                }
                self.old_sandboxes.push(facts.id.clone());
                self.sandbox_attempt += 1;
                self.initialized = false;
                for container in self.containers.iter_mut().filter(|c| c.role == Role::Init) {
                    container.next_run();
                }
            }
        }
        self.sandbox = Setup::Doing;
        out.push(Action::RunSandbox { attempt: self.sandbox_attempt });
        false
    }

    fn drive_containers(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let (key, uid) = (self.key.clone(), self.uid.clone());
        let initialized = self.initialized;
        let mut done = true;
        for container in &mut self.containers {
            let may_run = match container.role {
                Role::Init => done && !initialized,
                Role::Sidecar => done || initialized,
                Role::Main => done,
            };
            if may_run {
                let pod = format!("{}_{}({uid})", key.name, key.namespace);
                drive(container, now, &pod, out);
            }
            done = match container.role {
                Role::Init => done && (initialized || container.final_code() == Some(0)),
                Role::Sidecar => done && (initialized || container.is_started()),
                Role::Main => done,
            };
        }
        self.initialized = initialized || done;
    }

    /// Starts and stops probes so that those run that should.
    pub(crate) fn drive_probes(&mut self, out: &mut Vec<Action>) {
        for container in &mut self.containers {
            let Run::Running { id, hooked: true, stop, .. } = &container.run else { continue };
            let mut wanted = container.probes.wanted(&container.spec);
            if *stop != Stop::No {
                wanted.retain(|kind| *kind == ProbeKind::Readiness);
            }
            for kind in container.probes.running.iter().filter(|kind| !wanted.contains(kind)) {
                out.push(Action::StopProbe { container: container.name.clone(), kind: *kind });
            }
            for kind in wanted.iter().filter(|kind| !container.probes.running.contains(kind)) {
                let Some(probe) = kind.of(&container.spec) else { continue };
                let (name, id) = (container.name.clone(), id.clone());
                out.push(Action::StartProbe { container: name, id, kind: *kind, probe: probe.clone() });
            }
            container.probes.running = wanted;
        }
    }

    /// Returns the times at which a waiting container, volume or sandbox is due.
    pub(crate) fn setup_due(&self) -> Vec<Timestamp> {
        let mut due = Vec::new();
        if let Setup::Failed { again_at } = self.sandbox {
            due.push(again_at);
        }
        for container in &self.containers {
            match &container.run {
                Run::Blocked { since, again_at, .. } => {
                    due.push(*again_at);
                    due.push(*since + PULL_ERROR_SHOWN);
                }
                Run::Exited { .. } if container.wants_restart() => due.extend(container.restart_at()),
                Run::Running { stop: Stop::Failed { again_at, .. }, .. } => due.push(*again_at),
                _ => {}
            }
        }
        due
    }

    pub(crate) fn image_pulling(&mut self, name: &str, attempt: u32, out: &mut Vec<Action>) {
        let Some(container) = self.container_mut(name) else { return };
        if container.attempt == attempt && container.run == Run::Image {
            record(false, "Pulling", format!("Pulling image {:?}", container.image()), Some(container), out);
        }
    }

    pub(crate) fn image_ensured(
        &mut self,
        now: Timestamp,
        name: &str,
        attempt: u32,
        result: Result<ImageFacts, ImageFailure>,
        out: &mut Vec<Action>,
    ) {
        let sandbox = self.sandbox().map(|facts| facts.id.clone());
        let active = self.stage == Stage::Active;
        let Some(container) = self.container_mut(name) else { return };
        if container.attempt != attempt || container.run != Run::Image {
            return;
        }
        let (facts, sandbox) = match (result, sandbox) {
            (Ok(facts), Some(sandbox)) if active => (facts, sandbox),
            // Whatever it was asked for is over: look again when it is wanted again.
            (Ok(_), _) => return container.run = Run::Idle,
            (Err(failure), _) => return image_failed(container, now, failure, out),
        };
        container.pull_failures = 0;
        let image = container.image().to_owned();
        let message = match facts.pulled {
            None => format!("Container image {image:?} already present on machine"),
            Some(pulled) => format!(
                "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {} bytes.",
                pulled.size,
                took = go_duration(pulled.took)
            ),
        };
        record(false, "Pulled", message, Some(container), out);
        container.image_ref.clone_from(&facts.image_ref);
        container.run = Run::Creating;
        let (name, image) = (name.to_owned(), facts.image_ref);
        out.push(Action::CreateContainer { container: name, attempt, sandbox, image });
    }

    pub(crate) fn container_created(
        &mut self,
        now: Timestamp,
        name: &str,
        attempt: u32,
        result: Result<String, CreateFailure>,
        out: &mut Vec<Action>,
    ) {
        let active = self.stage == Stage::Active && self.sandbox().is_some();
        let Some(container) = self.container_mut(name) else { return };
        if container.attempt != attempt || container.run != Run::Creating {
            return;
        }
        match result {
            Ok(id) if active => {
                record(false, "Created", "Container created".to_owned(), Some(container), out);
                container.run = Run::Starting { id: id.clone() };
                out.push(Action::StartContainer { container: name.to_owned(), id });
            }
            Ok(id) => container.abandon(Some(id)),
            Err(failure) => {
                let (reason, message, wait) = match failure {
                    CreateFailure::Config(message) => ("CreateContainerConfigError", message, CONFIG_RETRY),
                    CreateFailure::Runtime(message) => {
                        container.pull_failures += 1;
                        ("CreateContainerError", message, IMAGE_BACKOFF.delay(container.pull_failures))
                    }
                };
                record(true, "Failed", format!("Error: {message}"), Some(container), out);
                container.run = Run::Blocked { reason, message, since: now, again_at: now + wait };
            }
        }
    }

    pub(crate) fn container_started(
        &mut self,
        now: Timestamp,
        name: &str,
        id: &str,
        result: Result<(), String>,
        out: &mut Vec<Action>,
    ) {
        let Some(container) = self.container_mut(name) else { return };
        if !matches!(&container.run, Run::Starting { id: current } if current == id) {
            return;
        }
        if let Err(message) = result {
            record(true, "Failed", format!("Error: {message}"), Some(container), out);
            // containerd marks such a container as ended with 128, StartError; so does this.
            let exit = Exit { code: 128, reason: "StartError".into(), message, started_at: None, finished_at: now };
            return container.end(id, exit);
        }
        record(false, "Started", "Container started".to_owned(), Some(container), out);
        let hook = container.spec.lifecycle.as_ref().and_then(|l| l.post_start.clone());
        container.run = Run::Running { id: id.to_owned(), since: now, hooked: hook.is_none(), stop: Stop::No };
        if let Some(handler) = hook {
            let (container, id) = (name.to_owned(), id.to_owned());
            out.push(Action::RunHook { container, id, hook: Hook::PostStart, handler, timeout: None });
        }
    }

    /// Takes the images that were changed in the pod. A container that runs with another is restarted whatever its
    /// policy says, one that waits for its image asks for the new one at once.
    // k8s 1.37 pkg/kubelet/kuberuntime/kuberuntime_manager.go, computePodActions.
    pub(crate) fn take_images(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let Some(pod) = self.pod.clone().filter(|_| matches!(self.stage, Stage::Active)) else { return };
        for (_, spec) in spec::containers(&pod) {
            let Some(container) = self.container_mut(&spec.name) else { continue };
            if container.spec.image == spec.image {
                continue;
            }
            container.spec.image.clone_from(&spec.image);
            container.pull_failures = 0;
            match &container.run {
                Run::Running { stop, .. } => {
                    let stops = *stop != Stop::No;
                    container.changed = true;
                    if !stops {
                        let message = format!("Container {} definition changed, will be restarted", spec.name);
                        crate::stop::begin(container, now, now + spec::grace(&pod), message, out);
                    }
                }
                Run::Blocked { .. } => container.run = Run::Idle,
                Run::Exited { .. } if container.wants_restart() => container.changed = true,
                Run::Idle | Run::Image | Run::Creating | Run::Starting { .. } | Run::Exited { .. } => {}
            }
        }
    }

    pub(crate) fn probe_result(
        &mut self,
        now: Timestamp,
        name: &str,
        id: &str,
        kind: ProbeKind,
        result: Result<(), String>,
        out: &mut Vec<Action>,
    ) {
        let pod_grace = self.pod.as_ref().map_or(Duration::ZERO, |pod| spec::grace(pod));
        let Some(container) = self.container_mut(name) else { return };
        if !matches!(&container.run, Run::Running { id: current, .. } if current == id) {
            return;
        }
        let Some(probe) = kind.of(&container.spec).cloned() else { return };
        let succeeded = result.is_ok();
        if let Err(message) = result {
            let text = format!("{} probe failed: {message}", kind.as_str());
            record(true, "Unhealthy", text, Some(container), out);
        }
        let verdict = container.probes.count(kind, &probe, succeeded);
        if verdict == probe::Verdict::Kill && matches!(container.run, Run::Running { stop: Stop::No, .. }) {
            let word = if kind == ProbeKind::Startup { "startup" } else { "liveness" };
            let message = format!("Container {name} failed {word} probe, will be restarted");
            let grace = probe.termination_grace_period_seconds.and_then(|secs| u64::try_from(secs).ok());
            let grace = grace.map_or(pod_grace, Duration::from_secs);
            crate::stop::begin(container, now, now + grace, message, out);
        }
    }
}

/// Takes one container that may run one step further.
fn drive(container: &mut Container, now: Timestamp, pod: &str, out: &mut Vec<Action>) {
    let image = container.image().to_owned();
    match &mut container.run {
        Run::Idle => {}
        Run::Blocked { again_at, .. } if *again_at <= now => {}
        Run::Blocked { reason, message, since, .. } => {
            if *reason == "ErrImagePull" && *since + PULL_ERROR_SHOWN <= now {
                *reason = "ImagePullBackOff";
                *message = format!("Back-off pulling image {image:?}: ErrImagePull: {message}");
                let text = format!("Back-off pulling image {image:?}");
                record(false, "BackOff", text, Some(container), out);
                record(true, "Failed", "Error: ImagePullBackOff".to_owned(), Some(container), out);
            }
            return;
        }
        Run::Exited { .. } => {
            if !container.wants_restart() {
                return;
            }
            if container.restart_at().is_some_and(|at| at > now) {
                return say_back_off(container, pod, out);
            }
            container.next_run();
        }
        Run::Running { id, stop, .. } => {
            if let Stop::Failed { again_at, deadline } = *stop
                && again_at <= now
            {
                *stop = Stop::Sent { deadline };
                let grace = deadline.saturating_since(now);
                out.push(Action::StopContainer { container: container.name.clone(), id: id.clone(), grace });
            }
            return;
        }
        Run::Image | Run::Creating | Run::Starting { .. } => return,
    }
    container.run = Run::Image;
    out.push(Action::EnsureImage { container: container.name.clone(), attempt: container.attempt });
}

fn say_back_off(container: &mut Container, pod: &str, out: &mut Vec<Action>) {
    let Run::Exited { backing_off, .. } = &mut container.run else { return };
    if !std::mem::replace(backing_off, true) {
        let message = format!("Back-off restarting failed container {} in pod {pod}", container.name);
        record(true, "BackOff", message, Some(container), out);
    }
}

fn image_failed(container: &mut Container, now: Timestamp, failure: ImageFailure, out: &mut Vec<Action>) {
    let image = container.image().to_owned();
    container.pull_failures += 1;
    let (reason, message) = match failure {
        ImageFailure::Pull(message) => {
            record(true, "Failed", format!("Failed to pull image {image:?}: {message}"), Some(container), out);
            ("ErrImagePull", message)
        }
        ImageFailure::NeverPull => {
            let message = format!("Container image {image:?} is not present with pull policy of Never");
            record(true, "ErrImageNeverPull", message.clone(), Some(container), out);
            ("ErrImageNeverPull", message)
        }
        ImageFailure::InvalidName(why) => {
            let message = format!("Failed to apply default image tag {image:?}: {why}");
            record(true, "InspectFailed", message.clone(), Some(container), out);
            ("InvalidImageName", message)
        }
    };
    record(true, "Failed", format!("Error: {reason}"), Some(container), out);
    let again_at = now + IMAGE_BACKOFF.delay(container.pull_failures);
    container.run = Run::Blocked { reason, message, since: now, again_at };
}

/// Writes a duration as Go does, which is how clients know it: `1.5s`, `850ms`.
fn go_duration(took: Duration) -> String {
    let millis = took.as_millis();
    if millis < 1000 {
        format!("{millis}ms")
    } else {
        format!("{}s", Duration::from_millis(u64::try_from(millis).unwrap_or(0)).as_secs_f64())
    }
}

/// Returns how a container that ended is described in a message to Mesos.
pub(crate) fn describe_end(name: &str, ended: &Ended) -> String {
    let exit = &ended.exit;
    let mut text = format!("container {name} exited with code {}", exit.code);
    if !exit.reason.is_empty() {
        text.push_str(&format!(" ({})", exit.reason));
    }
    text
}
