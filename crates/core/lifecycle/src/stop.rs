//! The end of a pod: containers in order, sandbox, volumes, object, and who is told when.
//!
//! ```text
//! Stopping: mains at once, then sidecars last to first; hook, stop, kill within the grace
//! Stopped:  sandbox stopped, volumes cleaned
//!           ended by itself: status stored ─▶ task finished or failed ─▶ kept until deleted
//!           deleted:         status stored ─▶ containers, sandbox removed ─▶ object deleted ─▶ task killed
//!           killed, gone:    containers, sandbox removed ─▶ task killed
//! ```

use std::time::Duration;

use km_base::Timestamp;
use km_mesos::TaskState;
use km_mesos::task_status::Reason;

use crate::container::{Container, Run, Stop};
use crate::machine::{Cause, Lifecycle, RETRY, Removal, Setup, Stage, Verdict, record};
use crate::order::describe_end;
use crate::spec::{self, Role};
use crate::{Action, Hook};

/// Grace that a container has at least after its pre-stop hook used the rest up.
// k8s 1.33 pkg/kubelet/kuberuntime/kuberuntime_container.go: minimumGracePeriodInSeconds.
const GRACE_MIN: Duration = Duration::from_secs(2);
/// Grace of a pod whose object was removed by force.
const GONE_GRACE: Duration = Duration::from_secs(1);

impl Lifecycle {
    pub(crate) fn begin_stopping(&mut self, now: Timestamp, cause: Cause, out: &mut Vec<Action>) {
        if matches!(cause, Cause::Deleted | Cause::Killed | Cause::ObjectGone) && self.told.is_some() {
            self.tell(TaskState::Killing, String::new(), None, out);
        }
        let kill_at = now + self.grace(&cause);
        self.stage = Stage::Stopping { cause, kill_at };
    }

    fn grace(&self, cause: &Cause) -> Duration {
        let own = self.pod.as_ref().map_or(Duration::ZERO, |pod| spec::grace(pod));
        match (cause, self.killed) {
            (Cause::ObjectGone, _) => own.min(GONE_GRACE),
            (_, Some(Some(cap))) => own.min(cap),
            _ => own,
        }
    }

    pub(crate) fn advance_stopping(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.tighten(now, out);
        let Stage::Stopping { cause, kill_at } = self.stage.clone() else { return };
        for container in &mut self.containers {
            // Nothing of these two is in the runtime: late answers find another state and change nothing.
            if matches!(container.run, Run::Image | Run::Blocked { .. }) {
                container.run = Run::Idle;
            }
        }
        let mains_run = self.containers.iter().any(|c| c.role != Role::Sidecar && c.is_busy());
        let mut later_run = mains_run;
        for container in self.containers.iter_mut().rev() {
            let may_stop = container.role != Role::Sidecar || !later_run;
            if may_stop {
                stop_now(container, now, kill_at, out);
            }
            later_run |= container.role == Role::Sidecar && container.is_busy();
        }
        self.drive_probes(out);
        if self.containers.iter().any(Container::is_busy) {
            return;
        }
        if self.sandbox_is_down(now, out) && self.volumes_are_down(now, out) {
            self.stage = Stage::Stopped { cause };
            self.report(now, out);
        }
    }

    /// A stronger wish arrived while stopping: takes its cause and its shorter grace over.
    fn tighten(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let Stage::Stopping { cause, kill_at } = self.stage.clone() else { return };
        let deleting = self.pod.as_ref().is_some_and(|pod| spec::is_deleting(pod));
        let stronger = match cause {
            Cause::ObjectGone => None,
            _ if self.object_gone => Some(Cause::ObjectGone),
            Cause::Ended(_) | Cause::Deleted => None,
            Cause::Killed => deleting.then_some(Cause::Deleted),
        };
        let cause = stronger.unwrap_or(cause);
        let ends_itself = matches!(cause, Cause::Ended(_)) && !deleting && self.killed.is_none();
        // The deletion says how long, counted from now when it comes later than the stop.
        let wished = if ends_itself { kill_at } else { now + self.grace(&cause) };
        let kill_at_new = kill_at.min(wished);
        self.stage = Stage::Stopping { cause, kill_at: kill_at_new };
        if kill_at_new == kill_at {
            return;
        }
        for container in &mut self.containers {
            let name = container.name.clone();
            if let Run::Running { id, stop: Stop::Sent { deadline }, .. } = &mut container.run
                && *deadline > kill_at_new
            {
                *deadline = kill_at_new;
                let grace = kill_at_new.saturating_since(now);
                out.push(Action::StopContainer { container: name, id: id.clone(), grace });
            }
        }
    }

    fn sandbox_is_down(&mut self, now: Timestamp, out: &mut Vec<Action>) -> bool {
        match &self.sandbox {
            Setup::None | Setup::Over(_) => true,
            Setup::Failed { .. } => {
                self.sandbox = Setup::None;
                true
            }
            Setup::Doing | Setup::Ending(_) => false,
            Setup::Ready(facts) => {
                if self.sandbox_stop_at.is_some_and(|at| at > now) {
                    return false;
                }
                let facts = facts.clone();
                out.push(Action::StopSandbox { id: facts.id.clone() });
                self.sandbox = Setup::Ending(facts);
                false
            }
        }
    }

    fn volumes_are_down(&mut self, now: Timestamp, out: &mut Vec<Action>) -> bool {
        match self.volumes {
            Setup::None | Setup::Over(()) => true,
            Setup::Doing | Setup::Ending(()) => false,
            Setup::Failed { again_at } if again_at > now && self.volume_failures == 0 => false,
            Setup::Ready(()) | Setup::Failed { .. } => {
                self.volume_failures = 0;
                self.volumes = Setup::Ending(());
                out.push(Action::CleanVolumes);
                false
            }
        }
    }

    pub(crate) fn stop_due(&self) -> Vec<Timestamp> {
        let failed = |c: &Container| match c.run {
            Run::Running { stop: Stop::Failed { again_at, .. }, .. } => Some(again_at),
            _ => None,
        };
        self.containers.iter().filter_map(failed).collect()
    }

    pub(crate) fn advance_stopped(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let Stage::Stopped { cause } = self.stage.clone() else { return };
        let deleting = self.pod.as_ref().is_some_and(|pod| spec::is_deleting(pod));
        let status_needed = !self.object_gone && cause != Cause::Killed;
        if status_needed && !self.status_is_stored(now) {
            return;
        }
        if let Cause::Ended(verdict) = &cause {
            self.tell_verdict(verdict, out);
            if !deleting && !self.object_gone {
                return;
            }
        }
        if !self.runtime_is_clean(now, out) {
            return;
        }
        if deleting && !self.object_gone && !self.object_is_deleted(now, out) {
            return;
        }
        let message = match cause {
            Cause::Deleted => "the pod was deleted",
            Cause::ObjectGone => "the pod no longer exists",
            Cause::Killed | Cause::Ended(_) => "the task was killed",
        };
        self.tell_end(TaskState::Killed, None, message.to_owned(), out);
        self.stage = Stage::Forgotten;
        out.push(Action::Forget);
    }

    fn tell_verdict(&mut self, verdict: &Verdict, out: &mut Vec<Action>) {
        if verdict.succeeded {
            return self.tell_end(TaskState::Finished, None, String::new(), out);
        }
        let failed: Vec<(&Container, &crate::container::Ended)> = self
            .containers
            .iter()
            .filter_map(|c| match &c.run {
                Run::Exited { ended, .. } if ended.exit.code != 0 => Some((c, ended)),
                _ => None,
            })
            .collect();
        let oom = failed.iter().any(|(_, ended)| ended.exit.reason == "OOMKilled");
        let reason = if oom { Reason::ContainerLimitationMemory } else { Reason::CommandExecutorFailed };
        let mut parts: Vec<String> = failed.iter().map(|(c, ended)| describe_end(&c.name, ended)).collect();
        if !verdict.message.is_empty() {
            parts.insert(0, verdict.message.clone());
        }
        self.tell_end(TaskState::Failed, Some(reason), parts.join("; "), out);
    }

    /// Removes every container, then every sandbox; true once nothing is left.
    fn runtime_is_clean(&mut self, now: Timestamp, out: &mut Vec<Action>) -> bool {
        self.cleaning = true;
        for container in &mut self.containers {
            let last = container.last.take().map(|ended| ended.id);
            let current = match std::mem::replace(&mut container.run, Run::Idle) {
                Run::Exited { ended, .. } => Some(ended.id),
                _ => None,
            };
            container.stale.extend(last.into_iter().chain(current).filter(|id| !id.is_empty()));
        }
        self.collect_garbage(now, out);
        if !self.removing.is_empty() {
            return false;
        }
        let mut sandboxes = std::mem::take(&mut self.old_sandboxes);
        if let Setup::Over(facts) = &self.sandbox {
            sandboxes.push(facts.id.clone());
            self.sandbox = Setup::None;
        }
        for id in sandboxes {
            self.removing.insert(Removal::Sandbox(id.clone()), None);
            out.push(Action::RemoveSandbox { id });
        }
        self.removing.is_empty()
    }

    /// Removes containers that nobody will ask for any more, and tries failed removals again.
    pub(crate) fn collect_garbage(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        for container in &mut self.containers {
            for id in container.stale.drain(..) {
                self.removing.entry(Removal::Container(id)).or_insert(Some(Timestamp::EPOCH));
            }
        }
        for (what, again_at) in &mut self.removing {
            if again_at.is_some_and(|at| at <= now) {
                *again_at = None;
                out.push(match what.clone() {
                    Removal::Container(id) => Action::RemoveContainer { id },
                    Removal::Sandbox(id) => Action::RemoveSandbox { id },
                });
            }
        }
    }

    fn object_is_deleted(&mut self, now: Timestamp, out: &mut Vec<Action>) -> bool {
        match self.delete {
            Setup::Over(()) => true,
            Setup::Failed { again_at } if again_at > now => false,
            Setup::None | Setup::Failed { .. } => {
                self.delete = Setup::Doing;
                out.push(Action::DeletePod);
                false
            }
            Setup::Doing | Setup::Ready(()) | Setup::Ending(()) => false,
        }
    }

    pub(crate) fn stop_answered(&mut self, now: Timestamp, name: &str, id: &str, result: &Result<(), String>) {
        let Some(container) = self.container_mut(name) else { return };
        if let Run::Running { id: current, stop, .. } = &mut container.run
            && current == id
            && result.is_err()
            && let Stop::Sent { deadline } = *stop
        {
            *stop = Stop::Failed { again_at: now + RETRY.initial, deadline };
        }
    }

    pub(crate) fn hook_done(
        &mut self,
        now: Timestamp,
        name: &str,
        id: &str,
        hook: Hook,
        result: Result<(), String>,
        out: &mut Vec<Action>,
    ) {
        let stop_at = match self.stage {
            Stage::Stopping { kill_at, .. } => Some(kill_at),
            _ => None,
        };
        let pod_grace = self.pod.as_ref().map_or(Duration::ZERO, |pod| spec::grace(pod));
        let Some(container) = self.container_mut(name) else { return };
        let Run::Running { id: current, hooked, stop, .. } = &mut container.run else { return };
        if current != id {
            return;
        }
        match hook {
            Hook::PostStart => {
                *hooked = true;
                if result.is_err() {
                    record(true, "FailedPostStartHook", "PostStartHook failed".to_owned(), Some(container), out);
                    let message = format!("FailedPostStartHook: container {name} will be restarted");
                    begin(container, now, stop_at.unwrap_or(now + pod_grace), message, out);
                }
            }
            Hook::PreStop => {
                if *stop != Stop::Hook {
                    return;
                }
                let deadline = stop_at.unwrap_or(now + pod_grace).max(now + GRACE_MIN);
                *stop = Stop::Sent { deadline };
                let id = id.to_owned();
                let grace = deadline.saturating_since(now);
                if result.is_err() {
                    record(true, "FailedPreStopHook", "PreStopHook failed".to_owned(), Some(container), out);
                }
                out.push(Action::StopContainer { container: name.to_owned(), id, grace });
            }
        }
    }
}

/// Begins or goes on with the end of one container of a pod that stops.
fn stop_now(container: &mut Container, now: Timestamp, kill_at: Timestamp, out: &mut Vec<Action>) {
    let message = format!("Stopping container {}", container.name);
    let Run::Running { id, stop, .. } = &mut container.run else { return };
    match *stop {
        Stop::No => begin(container, now, kill_at, message, out),
        Stop::Failed { again_at, .. } if again_at <= now => {
            *stop = Stop::Sent { deadline: kill_at };
            let (id, grace) = (id.clone(), kill_at.saturating_since(now));
            out.push(Action::StopContainer { container: container.name.clone(), id, grace });
        }
        Stop::Hook | Stop::Sent { .. } | Stop::Failed { .. } => {}
    }
}

/// Begins to stop a running container: its pre-stop hook first, where it has one and time for it.
pub(crate) fn begin(
    container: &mut Container,
    now: Timestamp,
    deadline: Timestamp,
    message: String,
    out: &mut Vec<Action>,
) {
    record(false, "Killing", message, Some(container), out);
    let hook = container.spec.lifecycle.as_ref().and_then(|l| l.pre_stop.clone());
    let name = container.name.clone();
    let Run::Running { id, stop, .. } = &mut container.run else { return };
    let (id, grace) = (id.clone(), deadline.saturating_since(now));
    match hook {
        Some(handler) if !grace.is_zero() => {
            *stop = Stop::Hook;
            out.push(Action::RunHook { container: name, id, hook: Hook::PreStop, handler, timeout: Some(grace) });
        }
        _ => {
            *stop = Stop::Sent { deadline };
            out.push(Action::StopContainer { container: name, id, grace });
        }
    }
}
