//! What the debug endpoints show, in the original's text form and as JSON.

use std::fmt::Write as _;

use km_core_framework::{Counters, TaskView};
use km_scheduler::Waiting;
use serde::Serialize;
use tokio::sync::oneshot;

/// A question to the owner.
pub(crate) type Query = oneshot::Sender<Snapshot>;

/// The owner's state, for people.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Snapshot {
    pub framework_id: Option<String>,
    pub ready: bool,
    pub offers_held: usize,
    pub counters: Counters,
    pub tasks: Vec<TaskView>,
    pub waiting: Vec<Waiting>,
}

impl Snapshot {
    /// `/debug/registry/tasks`: the original's form (`task_count=N`, then a line a task).
    pub(crate) fn tasks_text(&self) -> String {
        let mut text = format!("task_count={}\n", self.tasks.len());
        for task in &self.tasks {
            let _ = writeln!(text, "{} {} {} {}", task.task_id, task.key, task.stage, task.node);
        }
        text
    }

    /// `/debug/scheduler/podqueue`: a line a waiting pod, best first.
    pub(crate) fn queue_text(&self) -> String {
        let mut text = format!("pod_count={}\n", self.waiting.len());
        for pod in &self.waiting {
            let _ = writeln!(text, "{} priority={} failures={} {}", pod.key, pod.priority, pod.failures, pod.reason);
        }
        text
    }

    /// `/metrics`, in Prometheus' text form.
    pub(crate) fn metrics(&self) -> String {
        let counters = &self.counters;
        let mut text = String::new();
        for (name, kind, help, value) in [
            ("km_framework_tasks_launched_total", "counter", "Tasks launched.", counters.launched),
            ("km_framework_pods_bound_total", "counter", "Pods bound.", counters.bound),
            (
                "km_framework_launches_failed_total",
                "counter",
                "Launches that ended before the Binding.",
                counters.retried,
            ),
            (
                "km_framework_pods_relaunched_total",
                "counter",
                "Tasks of bound pods that ended first.",
                counters.relaunched,
            ),
            ("km_framework_tasks_killed_total", "counter", "Tasks asked to be killed.", counters.killed),
            ("km_framework_offers_received_total", "counter", "Offers received.", counters.offers),
            ("km_framework_offers_declined_total", "counter", "Offers declined.", counters.declined),
            ("km_framework_revives_total", "counter", "REVIVE calls.", counters.revived),
            ("km_scheduler_offers_held", "gauge", "Offers held now.", self.offers_held as u64),
            ("km_scheduler_pods_waiting", "gauge", "Pods that wait for an agent.", self.waiting.len() as u64),
            ("km_framework_tasks", "gauge", "Tasks known.", self.tasks.len() as u64),
            ("km_framework_ready", "gauge", "1 while subscribed and reconciled.", u64::from(self.ready)),
        ] {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
        text
    }
}
