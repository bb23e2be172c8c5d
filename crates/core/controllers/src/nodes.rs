//! Nodes that are not ready: their taints, and the eviction of pods that do not tolerate them.
//!
//! Source: k8s pkg/controller/nodelifecycle and pkg/controller/tainteviction. Who says that a node is not ready
//! is the framework (Mesos knows which agents are there); here is only what follows.

use std::time::Duration;

use km_api::lister::Cached;
use km_api::resource::{NODES, PODS};
use km_base::{ObjectKey, Timestamp};
use km_kinds::Codec;
use km_kinds::api::core::v1::{Node, Pod, Taint, Toleration};
use serde_json::{Value, json};

use crate::{Listers, Plan, Write};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NO_EXECUTE: &str = "NoExecute";
const NO_SCHEDULE: &str = "NoSchedule";

/// Keeps the taints of the node under `key` equal to its Ready condition: `False` is not-ready, `Unknown` is
/// unreachable.
#[must_use]
pub fn reconcile_taints(listers: &Listers, key: &ObjectKey, now: Timestamp) -> Plan {
    let mut plan = Plan::done();
    let Some(node) = listers.nodes.get(key) else { return plan };
    let have: Vec<Taint> = node.object.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default();
    let wanted = match ready_status(&node.object) {
        Some("False") => Some(NOT_READY),
        Some("Unknown") => Some(UNREACHABLE),
        _ => None,
    };
    let ours = |t: &Taint| t.key == NOT_READY || t.key == UNREACHABLE;
    let as_wanted = have.iter().filter(|t| ours(t)).all(|t| Some(t.key.as_str()) == wanted)
        && wanted.is_none_or(|key| {
            [NO_EXECUTE, NO_SCHEDULE].iter().all(|effect| have.iter().any(|t| t.key == key && t.effect == *effect))
        });
    if as_wanted {
        return plan;
    }
    let mut taints: Vec<Value> =
        taints_value(&node.object).into_iter().zip(&have).filter(|(_, t)| !ours(t)).map(|(v, _)| v).collect();
    if let Some(key) = wanted {
        taints.push(json!({"key": key, "effect": NO_SCHEDULE}));
        taints.push(json!({"key": key, "effect": NO_EXECUTE, "timeAdded": now.rfc3339()}));
    }
    // A merge patch replaces the list: guarded by the version that it was made of.
    let patch = json!({"metadata": {"resourceVersion": node.meta.resource_version}, "spec": {"taints": taints}});
    plan.patch(&NODES, key.clone(), "", patch);
    plan
}

fn taints_value(node: &Node) -> Vec<Value> {
    let value: Value = serde_json::from_slice(&node.encode()).expect("an encoded node is JSON");
    value["spec"]["taints"].as_array().cloned().unwrap_or_default()
}

fn ready_status(node: &Node) -> Option<&str> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == "Ready").map(|c| c.status.as_str())
}

/// Deletes the pod under `key` once it has been on a node with a NoExecute taint for as long as it tolerates.
#[must_use]
pub fn reconcile_eviction(listers: &Listers, key: &ObjectKey, now: Timestamp) -> Plan {
    let mut plan = Plan::done();
    let Some(pod) = listers.pods.get(key).filter(|p| !p.meta.is_terminating()) else { return plan };
    let node = crate::pods::node_name(&pod.object);
    let Some(node) = listers.nodes.get(&ObjectKey::cluster(node)) else { return plan };
    let taints = node.object.spec.iter().flat_map(|s| s.taints.iter().flatten()).filter(|t| t.effect == NO_EXECUTE);
    for taint in taints {
        match tolerated(pod, taint) {
            Tolerance::Forever => {}
            Tolerance::For(duration) => {
                let since: Timestamp = taint.time_added.as_ref().map_or(now, |t| t.0.into());
                if since + duration <= now {
                    evict(&mut plan, pod);
                    return plan;
                }
                plan.again((since + duration).saturating_since(now));
            }
        }
    }
    plan
}

enum Tolerance {
    Forever,
    For(Duration),
}

/// Returns for how long the pod tolerates the taint: the shortest of its matching tolerations, none at all if none
/// matches.
fn tolerated(pod: &Cached<Pod>, taint: &Taint) -> Tolerance {
    let tolerations = pod.object.spec.iter().flat_map(|s| s.tolerations.iter().flatten());
    let mut matching = tolerations.filter(|t| tolerates(t, taint)).peekable();
    if matching.peek().is_none() {
        return Tolerance::For(Duration::ZERO);
    }
    match matching.filter_map(|t| t.toleration_seconds).min() {
        None => Tolerance::Forever,
        Some(seconds) => Tolerance::For(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let value = match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" | "" => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        _ => false,
    };
    (effect.is_empty() || effect == taint.effect) && (key.is_empty() || key == taint.key) && value
}

fn evict(plan: &mut Plan, pod: &Cached<Pod>) {
    plan.writes.push(Write::Delete {
        resource: &PODS,
        key: pod.meta.key(),
        uid: pod.meta.uid.clone(),
        propagation: None,
        grace_period_seconds: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fill, lines};

    fn node(ready: &str, taints: Value) -> Value {
        json!({"metadata": {"name": "n", "resourceVersion": "7"}, "spec": {"taints": taints},
               "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    #[test]
    fn taints_follow_readiness_and_leave_others_alone() {
        let mut listers = Listers::default();
        let key = ObjectKey::cluster("n");
        fill(&mut listers.nodes, &[node("Unknown", json!([{"key": "mine", "effect": "NoSchedule", "value": "x"}]))]);
        let text = lines(&reconcile_taints(&listers, &key, Timestamp::EPOCH)).join("");
        assert!(
            text.contains("unreachable") && text.contains("mine") && text.contains(r#""resourceVersion":"7""#),
            "{text}"
        );
        fill(&mut listers.nodes, &[node("True", json!([{"key": UNREACHABLE, "effect": "NoExecute"}]))]);
        assert!(lines(&reconcile_taints(&listers, &key, Timestamp::EPOCH))[0].contains(r#""taints":[]"#));
        fill(&mut listers.nodes, &[node("True", json!([]))]);
        assert_eq!(reconcile_taints(&listers, &key, Timestamp::EPOCH), Plan::done());
    }

    #[test]
    fn pods_are_evicted_after_their_toleration() {
        let mut listers = Listers::default();
        fill(
            &mut listers.nodes,
            &[node(
                "Unknown",
                json!([{"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:00Z"}]),
            )],
        );
        let pod = |name: &str, tolerations: Value| json!({"metadata": {"name": name, "namespace": "d"}, "spec": {"nodeName": "n", "containers": [], "tolerations": tolerations}});
        fill(
            &mut listers.pods,
            &[
                pod("none", json!([])),
                pod(
                    "some",
                    json!([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]),
                ),
                pod("ever", json!([{"operator": "Exists"}])),
            ],
        );
        let at = |secs, name: &str| {
            reconcile_eviction(&listers, &ObjectKey::namespaced("d", name), Timestamp::from_secs(secs))
        };
        assert_eq!(lines(&at(0, "none")), ["delete pods d/none"]);
        assert_eq!(at(100, "some").again_after, Some(Duration::from_secs(200)));
        assert_eq!(lines(&at(300, "some")), ["delete pods d/some"]);
        assert_eq!(at(9_999, "ever"), Plan::done());
    }
}
