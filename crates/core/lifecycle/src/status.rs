//! What the API server and Mesos are told about a pod while it is here.
//!
//! The status is computed whole from the machine's state and written when it differs from what is stored; one
//! write at a time, so the newest content wins. Ends are told to Mesos by `stop`.

use km_api::Quantity;
use std::time::Duration;

use km_base::Timestamp;
use km_kinds::api::core::v1::Pod;
use km_mesos::TaskState;
use serde_json::{Value, json};

use crate::container::{CRASH_BACKOFF, Container, Ended, Run};
use crate::machine::{Cause, Lifecycle, RETRY, Setup, Stage, Verdict};
use crate::spec::{self, Role};
use crate::{Action, WriteOutcome};

/// Memory that km gives a container which asks for none (DESIGN 5): an OOM under it says where it came from.
const DEFAULT_MEMORY: Quantity = Quantity::from_units(64 << 20);

/// How long the API server may show another status than was written before it is written again.
const OVERWRITTEN_AFTER: Duration = Duration::from_secs(5);

/// Tells whether the pod's status says of phase and containers what `written` does.
fn shows(pod: &Pod, written: &Value) -> bool {
    let Some(status) = &pod.status else { return true };
    let containers = written["containerStatuses"].as_array().into_iter().flatten();
    let told = |written: &Value| {
        let own =
            status.container_statuses.iter().flatten().find(|s| written["name"].as_str() == Some(s.name.as_str()));
        own.is_some_and(|own| {
            written["ready"].as_bool() == Some(own.ready)
                && written["restartCount"].as_i64() == Some(i64::from(own.restart_count))
                && written["containerID"].as_str() == own.container_id.as_deref()
        })
    };
    written["phase"].as_str() == status.phase.as_deref() && containers.into_iter().all(told)
}

/// Phase of a pod that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

impl Lifecycle {
    /// Writes the status and tells Mesos that the pod runs, where that is news.
    pub(crate) fn report(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let known = !matches!(self.stage, Stage::Unbound { .. } | Stage::Forgotten);
        if !known || self.cleaning || self.pod.is_none() {
            return;
        }
        if self.stage == Stage::Active && self.phase() == Phase::Running {
            let ready = self.containers.iter().filter(|c| c.role != Role::Init).all(Container::is_ready);
            self.tell(TaskState::Running, String::new(), Some(ready), out);
        }
        if self.object_gone || self.write.in_flight.is_some() || self.write.again_at.is_some_and(|at| at > now) {
            return;
        }
        if self.write.overwritten_at.is_some_and(|at| at <= now) {
            self.write.overwritten_at = None;
            self.write.stored = None;
        }
        let status = self.status(now);
        if self.write.stored.as_ref() != Some(&status) {
            self.write.in_flight = Some(status.clone());
            out.push(Action::WriteStatus(status));
        }
    }

    /// Notes when the API server shows another status than was written last: that of an earlier life of the
    /// executor, delivered late. One that is only behind is followed by the right one in time.
    pub(crate) fn compare_status(&mut self, now: Timestamp) {
        let Some(pod) = self.pod.as_deref() else { return };
        let differs = self.write.stored.as_ref().is_some_and(|stored| !spec::has_ended(pod) && !shows(pod, stored));
        self.write.overwritten_at =
            if differs { self.write.overwritten_at.or(Some(now + OVERWRITTEN_AFTER)) } else { None };
    }

    /// Tells whether the API server has acknowledged the current status.
    pub(crate) fn status_is_stored(&mut self, now: Timestamp) -> bool {
        let status = self.status(now);
        self.cleaning || (self.write.in_flight.is_none() && self.write.stored == Some(status))
    }

    pub(crate) fn status_written(&mut self, now: Timestamp, outcome: WriteOutcome) {
        let Some(written) = self.write.in_flight.take() else { return };
        match outcome {
            WriteOutcome::Done => {
                self.write.stored = Some(written);
                self.write.failures = 0;
                self.write.again_at = None;
            }
            WriteOutcome::Gone => self.object_gone = true,
            WriteOutcome::Failed => {
                self.write.failures += 1;
                self.write.again_at = Some(now + RETRY.delay(self.write.failures));
            }
        }
    }

    /// Returns the phase, or nothing before the Binding was seen.
    pub(crate) fn phase_text(&self) -> String {
        let seen = !matches!(self.stage, Stage::Unbound { .. });
        if seen { self.phase().as_str().to_owned() } else { String::new() }
    }

    fn verdict_told(&self) -> Option<Verdict> {
        match &self.stage {
            // The phase is final only when nothing runs any more.
            Stage::Stopped { cause: Cause::Ended(verdict) } => Some(verdict.clone()),
            Stage::Stopped { cause: Cause::Deleted } => {
                let ok = self.containers.iter().filter(|c| c.role == Role::Main).all(|c| match &c.run {
                    Run::Exited { ended, .. } => ended.exit.code == 0,
                    _ => false,
                });
                Some(Verdict { succeeded: ok, reason: "", message: String::new() })
            }
            _ => None,
        }
    }

    // k8s 1.33 pkg/kubelet/kubelet_pods.go, getPhase.
    fn phase(&self) -> Phase {
        if let Some(verdict) = self.verdict_told() {
            return if verdict.succeeded { Phase::Succeeded } else { Phase::Failed };
        }
        let has_run = |c: &Container| c.is_running() || matches!(c.run, Run::Exited { .. }) || c.last.is_some();
        let mut mains = self.containers.iter().filter(|c| c.role == Role::Main);
        if mains.all(has_run) { Phase::Running } else { Phase::Pending }
    }

    /// Returns conditions that were true before this executor came, so that their times stay.
    pub(crate) fn adopt_conditions(&mut self, pod: &Pod) {
        for condition in pod.status.iter().flat_map(|s| s.conditions.iter().flatten()) {
            let Some(own) = OWN_CONDITIONS.iter().find(|own| **own == condition.type_) else { continue };
            let since = condition.last_transition_time.as_ref().map(|time| Timestamp::from(time.0));
            self.conditions.insert(own, (condition.status.clone(), since.unwrap_or(Timestamp::EPOCH)));
        }
    }

    fn status(&mut self, now: Timestamp) -> Value {
        let Some(pod) = self.pod.clone() else { return Value::Null };
        let phase = self.phase();
        let conditions = self.condition_list(now, &pod, phase);
        let mut status = json!({
            "phase": phase.as_str(),
            "conditions": conditions,
            "hostIP": self.config.host_ip,
            "hostIPs": [{"ip": self.config.host_ip}],
            "qosClass": spec::qos_class(&pod),
            "containerStatuses": self.container_list(|role| role == Role::Main),
        });
        if self.containers.iter().any(|c| c.role != Role::Main) {
            status["initContainerStatuses"] = self.container_list(|role| role != Role::Main);
        }
        if let Some(start) = self.start_time {
            status["startTime"] = json!(start.rfc3339());
        }
        let ips = match &self.sandbox {
            Setup::Ready(facts) | Setup::Ending(facts) | Setup::Over(facts) => facts.ips.as_slice(),
            _ => &[],
        };
        if let Some(first) = ips.first() {
            status["podIP"] = json!(first);
            // Merged by address: without the directive a second sandbox's address would join the first one's.
            let listed = ips.iter().map(|ip| json!({"ip": ip}));
            status["podIPs"] = listed.chain([json!({"$patch": "replace"})]).collect();
        }
        if let Some(generation) = pod.metadata.generation {
            status["observedGeneration"] = json!(generation);
        }
        if let Some(verdict) = self.verdict_told() {
            if !verdict.reason.is_empty() {
                status["reason"] = json!(verdict.reason);
            }
            if !verdict.message.is_empty() {
                status["message"] = json!(verdict.message);
            }
        }
        status
    }

    fn condition_list(&mut self, now: Timestamp, pod: &Pod, phase: Phase) -> Value {
        let over = match phase {
            Phase::Succeeded => Some("PodCompleted"),
            Phase::Failed => Some("PodFailed"),
            Phase::Pending | Phase::Running => None,
        };
        let sandboxed = matches!(&self.sandbox, Setup::Ready(facts) if !facts.ips.is_empty());
        let uninitialized: Vec<&str> = self
            .containers
            .iter()
            .filter(|c| match c.role {
                Role::Init => !c.is_ready(),
                Role::Sidecar => !c.is_started(),
                Role::Main => false,
            })
            .map(|c| c.name.as_str())
            .collect();
        let initialized = self.initialized || uninitialized.is_empty() || phase == Phase::Succeeded;
        let unready: Vec<&str> =
            self.containers.iter().filter(|c| c.role != Role::Init && !c.is_ready()).map(|c| c.name.as_str()).collect();
        let containers_ready = match over {
            Some(reason) => Condition::no(reason, String::new()),
            None if unready.is_empty() => Condition::YES,
            None => {
                Condition::no("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))
            }
        };
        let ready = if containers_ready.met { missing_gates(pod) } else { containers_ready.clone() };
        let initialized = match initialized {
            true if phase == Phase::Succeeded => Condition { reason: "PodCompleted", ..Condition::YES },
            true => Condition::YES,
            false => Condition::no(
                "ContainersNotInitialized",
                format!("containers with incomplete status: [{}]", uninitialized.join(" ")),
            ),
        };
        let sandboxed = if sandboxed { Condition::YES } else { Condition::no("", String::new()) };
        let values = [sandboxed, initialized, ready, containers_ready];
        let mut list: Vec<Value> =
            OWN_CONDITIONS.iter().zip(values).map(|(name, value)| self.condition(now, name, value)).collect();
        list.push(scheduled(pod, self.start_time.unwrap_or(now)));
        Value::Array(list)
    }

    fn condition(&mut self, now: Timestamp, name: &'static str, value: Condition) -> Value {
        let status = if value.met { "True" } else { "False" };
        let entry = self.conditions.entry(name).or_insert_with(|| (status.to_owned(), now));
        if entry.0 != status {
            *entry = (status.to_owned(), now);
        }
        // The status is sent as a strategic merge patch, which merges conditions by type: only a null takes away the
        // reason that the condition had before.
        let said = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
        json!({
            "type": name, "status": status, "lastProbeTime": null, "lastTransitionTime": entry.1.rfc3339(),
            "reason": said(value.reason), "message": said(&value.message),
        })
    }

    fn container_list(&self, wanted: impl Fn(Role) -> bool) -> Value {
        let over = matches!(self.stage, Stage::Stopped { .. });
        let has_init = self.containers.iter().any(|c| c.role != Role::Main);
        // k8s 1.37 pkg/kubelet/kubelet_pods.go, convertToAPIContainerStatuses: so it stays when the init containers are done.
        let waits_for = if has_init { "PodInitializing" } else { "ContainerCreating" };
        let pod_name = format!("{}_{}({})", self.key.name, self.key.namespace, self.uid);
        // k8s 1.37 pkg/kubelet/status/status_manager.go, TerminatePod: before a pod is initialized, a container that was
        // not started is not missing; it never had its turn.
        let unstarted = if over && self.initialized { never_ran() } else { json!({"waiting": {"reason": waits_for}}) };
        let listed = self.containers.iter().filter(|c| wanted(c.role));
        listed.map(|c| container_status(c, &pod_name, &unstarted, over)).collect()
    }
}

const OWN_CONDITIONS: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

#[derive(Clone)]
struct Condition {
    met: bool,
    reason: &'static str,
    message: String,
}

impl Condition {
    const YES: Self = Self { met: true, reason: "", message: String::new() };

    fn no(reason: &'static str, message: String) -> Self {
        Self { met: false, reason, message }
    }
}

// k8s 1.33 pkg/kubelet/status/generate.go, GeneratePodReadyCondition.
fn missing_gates(pod: &Pod) -> Condition {
    let conditions: Vec<_> = pod.status.iter().flat_map(|s| s.conditions.iter().flatten()).collect();
    let mut messages = Vec::new();
    for gate in spec::spec(pod).readiness_gates.iter().flatten() {
        let name = &gate.condition_type;
        match conditions.iter().find(|c| c.type_ == *name) {
            None => messages.push(format!("corresponding condition of pod readiness gate {name:?} does not exist.")),
            Some(c) if c.status != "True" => {
                messages.push(format!("the status of pod readiness gate {name:?} is not \"True\", but {}", c.status))
            }
            Some(_) => {}
        }
    }
    if messages.is_empty() { Condition::YES } else { Condition::no("ReadinessGatesNotReady", messages.join(", ")) }
}

/// Keeps the scheduler's condition, or says what the Binding proves.
fn scheduled(pod: &Pod, bound_at: Timestamp) -> Value {
    let found = pod.status.iter().flat_map(|s| s.conditions.iter().flatten()).find(|c| c.type_ == "PodScheduled");
    let since = found
        .filter(|c| c.status == "True")
        .and_then(|c| c.last_transition_time.as_ref())
        .map_or(bound_at, |time| Timestamp::from(time.0));
    json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": since.rfc3339(),
           "reason": null, "message": null})
}

fn container_status(c: &Container, pod_name: &str, unstarted: &Value, over: bool) -> Value {
    let waiting = |reason: &str, message: &str| {
        let mut state = json!({"waiting": {"reason": reason}});
        if !message.is_empty() {
            state["waiting"]["message"] = json!(message);
        }
        state
    };
    let last = c.last.as_ref();
    let (state, last) = match &c.run {
        Run::Running { since, .. } => (json!({"running": {"startedAt": since.rfc3339()}}), last),
        Run::Exited { ended, backing_off: true } if !over => {
            let wait = CRASH_BACKOFF.delay(c.crashes);
            let text = format!("back-off {} restarting failed container={} pod={pod_name}", go_wait(wait), c.name);
            (waiting("CrashLoopBackOff", &text), Some(ended))
        }
        Run::Exited { ended, .. } => (terminated(c, ended), last),
        Run::Blocked { reason, message, .. } => (waiting(reason, message), last),
        // Between two runs the end of the last one is what there is to see.
        Run::Idle | Run::Image | Run::Creating | Run::Starting { .. } => match last {
            Some(ended) => (terminated(c, ended), None),
            None => (unstarted.clone(), None),
        },
    };
    let id = c.id().or(c.last.as_ref().map(|ended| ended.id.as_str())).filter(|id| !id.is_empty());
    let started = c.role != Role::Init && c.is_started();
    // Until it starts again, the count is of the run that ended.
    let restarts = if c.last.is_some() && c.id().is_none() { c.attempt.saturating_sub(1) } else { c.attempt };
    let mut status = json!({
        "name": c.name,
        "image": c.image(),
        "imageID": c.image_ref,
        "ready": c.is_ready(),
        "started": started,
        "restartCount": restarts,
        "state": state,
        "lastState": last.map_or_else(|| json!({}), |ended| terminated(c, ended)),
    });
    if let Some(id) = id {
        status["containerID"] = json!(format!("containerd://{id}"));
    }
    status
}

fn terminated(c: &Container, ended: &Ended) -> Value {
    let exit = &ended.exit;
    let reason = match exit.reason.as_str() {
        "" if exit.code == 0 => "Completed",
        "" => "Error",
        reason => reason,
    };
    let mut state = json!({"exitCode": exit.code, "reason": reason, "finishedAt": exit.finished_at.rfc3339()});
    if let Some(started) = exit.started_at {
        state["startedAt"] = json!(started.rfc3339());
    }
    let mut message = exit.message.clone();
    if reason == "OOMKilled" && has_default_limit(c) {
        // Whether the pod's author or km set it cannot be told: the default is written into the pod.
        let hint = "the memory limit was 64Mi, which km also gives to containers that ask for none; set resources.limits.memory to allow more";
        message = if message.is_empty() { hint.to_owned() } else { format!("{message}\n{hint}") };
    }
    if !message.is_empty() {
        state["message"] = json!(message);
    }
    if !ended.id.is_empty() {
        state["containerID"] = json!(format!("containerd://{}", ended.id));
    }
    json!({ "terminated": state })
}

/// How upstream shows a container of a finished pod that was never started.
fn never_ran() -> Value {
    json!({"terminated": {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
    }})
}

/// Tells whether a container's memory limit is what km gives to those that ask for none.
fn has_default_limit(container: &Container) -> bool {
    let limits = container.spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let limit = limits.and_then(|limits| limits.get("memory")).and_then(|limit| Quantity::parse(&limit.0).ok());
    limit == Some(DEFAULT_MEMORY)
}

/// Writes a back-off as Go does: `10s`, `1m20s`, `5m0s`.
fn go_wait(wait: std::time::Duration) -> String {
    let secs = wait.as_secs();
    if secs < 60 { format!("{secs}s") } else { format!("{}m{}s", secs / 60, secs % 60) }
}
