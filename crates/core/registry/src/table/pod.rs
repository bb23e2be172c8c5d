//! The cells of a pod: its one-word status is the most telling of its containers' states.
//!
//! Source: upstream v1.37 `pkg/printers/internalversion/printers.go`, `printPod`.

use km_base::Timestamp;
use serde_json::Value;

use super::{age, or_none, since};
use crate::value::{at, int, is_true, list, text, texts};

struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += int(status, "restartCount").unwrap_or(0);
        if let Ok(finished) = Timestamp::parse(text(status, "lastState.terminated.finishedAt")) {
            self.last = self.last.max(Some(finished));
        }
    }

    fn show(&self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count > 0 => format!("{} ({} ago)", self.count, since(&last.rfc3339(), now)),
            _ => self.count.to_string(),
        }
    }
}

/// Returns the cells of a pod.
pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let total = list(pod, "spec.containers").len() + sidecars(pod).count();
    let (status, ready, restarts) = summary(pod);
    let gates = list(pod, "spec.readinessGates");
    let met = gates
        .iter()
        .filter(|gate| {
            let kind = text(gate, "conditionType");
            list(pod, "status.conditions").iter().any(|c| text(c, "type") == kind && text(c, "status") == "True")
        })
        .count();
    let gates = if gates.is_empty() { String::new() } else { format!("{met}/{}", gates.len()) };
    let ip = texts(pod, "status.podIP").first().map_or(text(pod, "status.podIP"), |ip| ip);
    vec![
        text(pod, "metadata.name").into(),
        format!("{ready}/{total}").into(),
        status.into(),
        restarts.show(now).into(),
        age(pod, now),
        or_none(ip),
        or_none(text(pod, "spec.nodeName")),
        or_none(text(pod, "status.nominatedNodeName")),
        or_none(gates),
    ]
}

fn sidecars(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "spec.initContainers").iter().filter(|c| text(c, "restartPolicy") == "Always")
}

fn summary(pod: &Value) -> (String, usize, Restarts) {
    let mut status = match text(pod, "status.reason") {
        "" => text(pod, "status.phase").to_owned(),
        reason => reason.to_owned(),
    };
    let mut restarts = Restarts { count: 0, last: None };
    let mut ready = 0;
    let initializing = initialization(pod, &mut ready, &mut restarts);
    let initialized =
        list(pod, "status.conditions").iter().any(|c| text(c, "type") == "Initialized" && text(c, "status") == "True");
    match initializing {
        Some(text) if !initialized => status = text,
        _ => {
            let mut running = false;
            for container in list(pod, "status.containerStatuses").iter().rev() {
                restarts.add(container);
                let is_ready = is_true(container, "ready") && at(container, "state.running").is_some();
                if let Some(text) = container_status(container) {
                    status = text;
                } else if is_ready {
                    running = true;
                    ready += 1;
                }
            }
            if status == "Completed" && running {
                let ready = list(pod, "status.conditions")
                    .iter()
                    .any(|c| text(c, "type") == "Ready" && text(c, "status") == "True");
                status = if ready { "Running".into() } else { "NotReady".into() };
            }
        }
    }
    if !text(pod, "metadata.deletionTimestamp").is_empty() {
        let over = matches!(text(pod, "status.phase"), "Succeeded" | "Failed");
        if text(pod, "status.reason") == "NodeLost" {
            status = "Unknown".into();
        } else if !over {
            status = "Terminating".into();
        }
    }
    (status, ready, restarts)
}

/// Returns the status of the first init container that is not done, if any.
fn initialization(pod: &Value, ready: &mut usize, restarts: &mut Restarts) -> Option<String> {
    let count = list(pod, "spec.initContainers").len();
    let mut found = None;
    for (i, container) in list(pod, "status.initContainerStatuses").iter().enumerate() {
        restarts.add(container);
        let sidecar = sidecars(pod).any(|c| text(c, "name") == text(container, "name"));
        let terminated = at(container, "state.terminated");
        if terminated.is_some_and(|t| int(t, "exitCode") == Some(0)) {
            continue;
        }
        if sidecar && is_true(container, "started") {
            *ready += usize::from(is_true(container, "ready"));
            continue;
        }
        if found.is_some() {
            continue;
        }
        let waiting = text(container, "state.waiting.reason");
        found = Some(match terminated {
            Some(ended) => format!("Init:{}", ended_status(ended)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
            None => format!("Init:{i}/{count}"),
        });
    }
    found
}

fn container_status(container: &Value) -> Option<String> {
    let waiting = text(container, "state.waiting.reason");
    if !waiting.is_empty() {
        return Some(waiting.to_owned());
    }
    at(container, "state.terminated").map(ended_status)
}

fn ended_status(ended: &Value) -> String {
    match (text(ended, "reason"), int(ended, "signal").unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", int(ended, "exitCode").unwrap_or(0)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
