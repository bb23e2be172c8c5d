//! What controllers ask of a pod, and the collection of pods whose node is gone.

use std::time::Duration;

use km_api::lister::Cached;
use km_api::resource::PODS;
use km_base::{ObjectKey, Timestamp};
use km_kinds::api::core::v1::Pod;

use crate::{Listers, Plan};

/// Tells whether the pod's Ready condition is true.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    ready_since(pod).is_some()
}

/// Returns since when the pod is ready.
#[must_use]
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let condition = pod.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == "Ready")?;
    (condition.status == "True")
        .then(|| condition.last_transition_time.as_ref().map_or(Timestamp::EPOCH, |t| t.0.into()))
}

/// Tells whether the pod has been ready for `min_ready_seconds`.
#[must_use]
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    let wait = Duration::from_secs(u64::try_from(min_ready_seconds).unwrap_or(0));
    ready_since(pod).is_some_and(|since| wait.is_zero() || since + wait <= now)
}

/// Tells whether the pod has ended for good.
#[must_use]
pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Tells whether the pod counts as one of its owner's replicas: it has neither ended nor been asked to.
#[must_use]
pub fn is_active(pod: &Cached<Pod>) -> bool {
    !is_finished(&pod.object) && !pod.meta.is_terminating()
}

/// Returns the pod's phase, or empty.
#[must_use]
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

/// Returns the node that the pod is bound to, or empty.
#[must_use]
pub fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default()
}

/// How long a node may be missing before its pods are collected: its informer may be behind the pod's.
const NODE_MISSING_GRACE: Duration = Duration::from_secs(40);

/// Deletes a pod whose node no longer exists, and a pod that was being deleted before it was ever bound.
///
/// Source: k8s pkg/controller/podgc, "orphaned" and "unscheduled terminating" pods.
#[must_use]
pub fn reconcile(listers: &Listers, key: &ObjectKey, now: Timestamp) -> Plan {
    let mut plan = Plan::done();
    let Some(pod) = listers.pods.get(key) else { return plan };
    let node = node_name(&pod.object);
    let orphaned = !node.is_empty() && listers.nodes.get(&ObjectKey::cluster(node)).is_none();
    let age = pod.meta.creation_timestamp.map_or(Duration::ZERO, |t| now.saturating_since(t));
    if orphaned && age < NODE_MISSING_GRACE {
        plan.again(NODE_MISSING_GRACE - age);
    } else if orphaned || (node.is_empty() && pod.meta.is_terminating()) {
        plan.writes.push(crate::Write::Delete {
            resource: &PODS,
            key: key.clone(),
            uid: pod.meta.uid.clone(),
            propagation: None,
            grace_period_seconds: Some(0),
        });
    }
    plan
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{fill, lines};

    #[test]
    fn a_pod_of_a_node_that_is_gone_is_collected_after_a_grace() {
        let mut listers = Listers::default();
        fill(&mut listers.nodes, &[json!({"metadata": {"name": "here"}})]);
        let pod = |name: &str, node: &str| {
            json!({"metadata": {"name": name, "namespace": "d", "creationTimestamp": "1970-01-01T00:01:00Z"},
                   "spec": {"nodeName": node, "containers": []}})
        };
        fill(&mut listers.pods, &[pod("kept", "here"), pod("orphan", "gone")]);
        let at =
            |secs: i64, name: &str| reconcile(&listers, &ObjectKey::namespaced("d", name), Timestamp::from_secs(secs));
        assert_eq!(at(200, "kept"), Plan::done());
        assert_eq!(at(61, "orphan").again_after, Some(Duration::from_secs(39)));
        assert_eq!(lines(&at(200, "orphan")), ["delete pods d/orphan"]);
    }
}
