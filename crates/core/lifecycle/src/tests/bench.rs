//! A node for one pod: performs actions in its head and writes down what it was told.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use km_base::{ObjectKey, Timestamp, Uid};
use km_kinds::Codec;
use km_kinds::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::*;

pub(super) const TASK: &str = "u1.1.1";

pub(super) struct Bench {
    pub(super) now: Timestamp,
    pub(super) machine: Lifecycle,
    pub(super) pod: Value,
    /// Actions that were not answered yet.
    pub(super) open: Vec<Action>,
    pub(super) log: String,
    /// Every action so far.
    pub(super) actions: Vec<Action>,
    next_id: u32,
    last_status: String,
}

impl Bench {
    /// Makes a launched task for a pod with this spec; nothing is bound.
    pub(super) fn new(spec: Value) -> Self {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"namespace": "default", "name": "web", "uid": "u1"}});
        let config = Config { node_name: "n1".into(), host_ip: "10.0.0.1".into() };
        let key = ObjectKey::namespaced("default", "web");
        Self {
            now: Timestamp::from_secs(1_000_000),
            machine: Lifecycle::new(config, key, Uid("u1".into()), TASK.into()),
            pod,
            open: Vec::new(),
            log: String::new(),
            actions: Vec::new(),
            next_id: 0,
            last_status: String::new(),
        }
    }

    /// Launches, binds and answers everything until the pod is as far as it gets by itself.
    pub(super) fn started(spec: Value) -> Self {
        let mut bench = Self::new(spec);
        bench.event(Event::TaskLaunched);
        bench.bind();
        bench.settle();
        bench.log.clear();
        bench
    }

    pub(super) fn event(&mut self, event: Event) {
        let mut out = Vec::new();
        self.machine.step(self.now, event, &mut out);
        for action in out {
            self.note(&action);
            self.actions.push(action.clone());
            self.open.push(action);
        }
    }

    pub(super) fn changed(&mut self) {
        let pod = Pod::decode(self.pod.to_string().as_bytes()).expect("the test's pod is one");
        self.event(Event::PodChanged(Arc::new(pod)));
    }

    pub(super) fn bind(&mut self) {
        self.pod["spec"]["nodeName"] = json!("n1");
        self.pod["metadata"]["annotations"] = json!({ km_podwire::TASK_ID_ANNOTATION: TASK });
        self.changed();
    }

    pub(super) fn delete(&mut self, grace_secs: i64) {
        self.pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace_secs);
        self.changed();
    }

    pub(super) fn exit(&mut self, name: &str, code: i32, reason: &str) {
        let (id, runs) = self.machine.container_id(name).expect("the container was started");
        assert!(runs, "{name} does not run");
        let id = id.to_owned();
        self.exited(name, &id, code, reason);
    }

    pub(super) fn exited(&mut self, name: &str, id: &str, code: i32, reason: &str) {
        let exit = Exit {
            code,
            reason: reason.into(),
            message: String::new(),
            started_at: Some(self.now.saturating_sub(Duration::from_secs(1))),
            finished_at: self.now,
        };
        self.event(Event::ContainerExited { container: name.into(), id: id.into(), exit });
    }

    pub(super) fn probe(&mut self, name: &str, kind: ProbeKind, result: Result<(), &str>) {
        let id = self.machine.container_id(name).expect("the container was started").0.to_owned();
        let result = result.map_err(str::to_owned);
        self.event(Event::ProbeResult { container: name.into(), id, kind, result });
    }

    /// Answers every open action with success until there is none.
    pub(super) fn settle(&mut self) {
        while let Some(action) = (!self.open.is_empty()).then(|| self.open.remove(0)) {
            self.answer(action);
        }
    }

    /// Moves the clock and rings.
    pub(super) fn wait(&mut self, secs: u64) {
        self.now = self.now + Duration::from_secs(secs);
        writeln!(self.log, "-- {secs}s").expect("text");
        self.event(Event::Tick);
        self.settle();
    }

    pub(super) fn answer(&mut self, action: Action) {
        self.answer_with(action, false);
    }

    /// Answers one action, with failure where it can fail.
    pub(super) fn answer_with(&mut self, action: Action, fail: bool) {
        let result = if fail { Err("boom".to_owned()) } else { Ok(()) };
        let outcome = if fail { WriteOutcome::Failed } else { WriteOutcome::Done };
        self.next_id += 1;
        let id = format!("c{}", self.next_id);
        match action {
            Action::PrepareVolumes => {
                let failure = |message| VolumeFailure { volume: "v".into(), message };
                self.event(Event::VolumesPrepared(result.map_err(failure)));
            }
            Action::CleanVolumes => self.event(Event::VolumesCleaned(result)),
            Action::RunSandbox { attempt } => {
                let facts = SandboxFacts { id: format!("s{attempt}"), ips: vec!["10.1.0.2".into()] };
                self.event(Event::SandboxStarted { attempt, result: result.map(|()| facts) });
            }
            Action::StopSandbox { id } => self.event(Event::SandboxStopped { id, result }),
            Action::RemoveSandbox { id } => self.event(Event::SandboxRemoved { id, result }),
            Action::EnsureImage { container, attempt } => {
                let facts = ImageFacts { image_ref: "sha256:1".into(), pulled: None };
                let result = result.map(|()| facts).map_err(ImageFailure::Pull);
                self.event(Event::ImageEnsured { container, attempt, result });
            }
            Action::CreateContainer { container, attempt, .. } => {
                let result = result.map(|()| id).map_err(CreateFailure::Runtime);
                self.event(Event::ContainerCreated { container, attempt, result });
            }
            Action::StartContainer { container, id } => self.event(Event::ContainerStarted { container, id, result }),
            Action::StopContainer { container, id, .. } => {
                if !fail {
                    self.exited(&container, &id, 143, "");
                }
                self.event(Event::StopAnswered { container, id, result });
            }
            Action::RemoveContainer { id } => self.event(Event::ContainerRemoved { id, result }),
            Action::RunHook { container, id, hook, .. } => {
                self.event(Event::HookDone { container, id, hook, result });
            }
            Action::WriteStatus(_) => self.event(Event::StatusWritten(outcome)),
            Action::DeletePod => self.event(Event::PodDeleted(outcome)),
            Action::LookUpPod => self.event(Event::LookUpFailed),
            Action::StartProbe { .. }
            | Action::StopProbe { .. }
            | Action::TaskUpdate(_)
            | Action::Record(_)
            | Action::WakeAt(_)
            | Action::Forget => {}
        }
    }

    fn note(&mut self, action: &Action) {
        let line = match action {
            Action::WakeAt(at) => format!("wake +{}s", at.saturating_since(self.now).as_secs()),
            Action::WriteStatus(status) => {
                let text = format!("status {}", summary(status));
                if text == self.last_status {
                    return;
                }
                self.last_status.clone_from(&text);
                text
            }
            Action::TaskUpdate(update) => format!(
                "task {:?}{}{}",
                update.state,
                update.healthy.map_or(String::new(), |h| format!(" healthy={h}")),
                if update.message.is_empty() { String::new() } else { format!(": {}", update.message) }
            ),
            Action::Record(r) => format!("event {}: {}", r.reason, r.message),
            Action::StopContainer { container, grace, .. } => format!("stop {container} grace={}s", grace.as_secs()),
            Action::EnsureImage { container, attempt } => format!("image {container}#{attempt}"),
            Action::CreateContainer { container, attempt, .. } => format!("create {container}#{attempt}"),
            Action::StartContainer { container, .. } => format!("start {container}"),
            Action::RemoveContainer { id } => format!("remove {id}"),
            Action::RunHook { container, hook, .. } => format!("hook {hook:?} {container}"),
            Action::StartProbe { container, kind, .. } => format!("probe {container} {kind:?}"),
            Action::StopProbe { container, kind } => format!("unprobe {container} {kind:?}"),
            other => format!("{other:?}"),
        };
        writeln!(self.log, "{line}").expect("text");
    }
}

/// Writes a status as phase, conditions that are not met, and containers.
fn summary(status: &Value) -> String {
    let mut text = status["phase"].as_str().unwrap_or_default().to_owned();
    for condition in status["conditions"].as_array().into_iter().flatten() {
        if condition["type"] == "Ready" {
            write!(text, " ready={}", condition["status"].as_str().unwrap_or_default()).expect("text");
        }
    }
    for list in ["initContainerStatuses", "containerStatuses"] {
        for c in status[list].as_array().into_iter().flatten() {
            let state = &c["state"];
            let shown = if let Some(reason) = state["waiting"]["reason"].as_str() {
                reason.to_owned()
            } else if state["running"].is_object() {
                if c["ready"] == true { "ready".to_owned() } else { "running".to_owned() }
            } else {
                format!(
                    "{}({})",
                    state["terminated"]["reason"].as_str().unwrap_or("?"),
                    state["terminated"]["exitCode"]
                )
            };
            let name = c["name"].as_str().unwrap_or_default();
            write!(text, " {name}={shown}/{}", c["restartCount"]).expect("text");
        }
    }
    text
}
