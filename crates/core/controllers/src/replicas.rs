//! ReplicaSets and ReplicationControllers: as many pods as are asked for, no more.
//!
//! Source: k8s pkg/controller/replicaset (counting, adoption, ranking of pods to delete, status).

use std::time::Duration;

use km_api::lister::Cached;
use km_api::resource::{PODS, REPLICA_SETS, REPLICATION_CONTROLLERS};
use km_api::selector::LabelSelector;
use km_api::{Meta, Resource};
use km_base::{ObjectKey, Timestamp};
use km_kinds::Codec;
use km_kinds::api::core::v1::{Pod, PodTemplateSpec};
use serde_json::{Value, json};

use crate::pods::{is_active, is_available, is_ready, node_name, phase, ready_since};
use crate::{Listers, Plan};

/// Pods created or deleted in one plan; the next one continues (k8s: `BurstReplicas`).
const BURST: usize = 500;

/// One ReplicaSet or ReplicationController, in the words that they share.
struct Set<'a> {
    resource: &'static Resource,
    meta: &'a Meta,
    replicas: usize,
    min_ready_seconds: i32,
    selector: LabelSelector,
    template: Option<&'a PodTemplateSpec>,
    status: Counts,
    observed_generation: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    replicas: i32,
    fully_labeled: i32,
    ready: i32,
    available: i32,
}

/// Plans for the ReplicaSet under `key`.
#[must_use]
pub fn reconcile_replica_set(listers: &Listers, key: &ObjectKey, now: Timestamp) -> Plan {
    let Some(cached) = listers.replica_sets.get(key) else { return Plan::done() };
    let spec = &cached.object.spec;
    let Ok(selector) = LabelSelector::from_typed(&spec.selector) else { return Plan::done() };
    let status = cached.object.status.clone().unwrap_or_default();
    let set = Set {
        resource: &REPLICA_SETS,
        meta: &cached.meta,
        replicas: usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0),
        min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
        selector,
        template: spec.template.as_ref(),
        status: Counts {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
        },
        observed_generation: status.observed_generation.unwrap_or(0),
    };
    reconcile(listers, &set, now)
}

/// Plans for the ReplicationController under `key`.
#[must_use]
pub fn reconcile_replication_controller(listers: &Listers, key: &ObjectKey, now: Timestamp) -> Plan {
    let Some(cached) = listers.replication_controllers.get(key) else { return Plan::done() };
    let Some(spec) = &cached.object.spec else { return Plan::done() };
    let status = cached.object.status.clone().unwrap_or_default();
    let set = Set {
        resource: &REPLICATION_CONTROLLERS,
        meta: &cached.meta,
        replicas: usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0),
        min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
        selector: LabelSelector::from_labels(&spec.selector.clone().unwrap_or_default()),
        template: spec.template.as_ref(),
        status: Counts {
            replicas: status.replicas,
            fully_labeled: status.fully_labeled_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
        },
        observed_generation: status.observed_generation.unwrap_or(0),
    };
    reconcile(listers, &set, now)
}

fn reconcile(listers: &Listers, set: &Set<'_>, now: Timestamp) -> Plan {
    let mut plan = Plan::done();
    if set.selector.is_empty() {
        return plan;
    }
    let mut owned: Vec<&Cached<Pod>> = Vec::new();
    for pod in listers.pods.in_namespace(&set.meta.namespace) {
        let matches = set.selector.matches(&pod.meta.labels);
        match pod.meta.controller() {
            Some(owner) if owner.uid == set.meta.uid && matches => owned.push(pod),
            Some(owner) if owner.uid == set.meta.uid => release(&mut plan, pod, set),
            None if matches && is_active(pod) && !set.meta.is_terminating() => {
                adopt(&mut plan, pod, set);
                owned.push(pod);
            }
            _ => {}
        }
    }
    let active: Vec<&Cached<Pod>> = owned.into_iter().filter(|p| is_active(p)).collect();
    if !set.meta.is_terminating() {
        scale(&mut plan, set, &active);
    }
    write_status(&mut plan, set, &active, now);
    plan
}

fn scale(plan: &mut Plan, set: &Set<'_>, active: &[&Cached<Pod>]) {
    if active.len() < set.replicas {
        let Some(template) = set.template else { return };
        for _ in 0..(set.replicas - active.len()).min(BURST) {
            plan.create(&PODS, &set.meta.namespace, pod_from(template, set));
        }
    } else {
        let mut ranked = active.to_vec();
        ranked.sort_by_key(|pod| deletion_rank(pod));
        for pod in ranked.iter().take((active.len() - set.replicas).min(BURST)) {
            plan.delete(&PODS, &pod.meta);
        }
    }
}

/// Orders pods by how little is lost with them: not bound, not running, not ready, ready for the shortest
/// time, youngest (k8s pkg/controller `ActivePodsWithRanks`, without the ranks by node).
fn deletion_rank(
    pod: &Cached<Pod>,
) -> (i64, bool, u8, bool, std::cmp::Reverse<Timestamp>, std::cmp::Reverse<Option<Timestamp>>) {
    let running = match phase(&pod.object) {
        "Running" => 2,
        "Pending" | "" => 0,
        _ => 1,
    };
    let cost = pod.meta.annotations.get("controller.kubernetes.io/pod-deletion-cost").and_then(|c| c.parse().ok());
    (
        cost.unwrap_or(0),
        !node_name(&pod.object).is_empty(),
        running,
        is_ready(&pod.object),
        std::cmp::Reverse(ready_since(&pod.object).unwrap_or_default()),
        std::cmp::Reverse(pod.meta.creation_timestamp),
    )
}

fn owner_reference(set: &Set<'_>) -> Value {
    json!({
        "apiVersion": set.resource.api_version(), "kind": set.resource.kind, "name": set.meta.name,
        "uid": set.meta.uid, "controller": true, "blockOwnerDeletion": true,
    })
}

fn pod_from(template: &PodTemplateSpec, set: &Set<'_>) -> Value {
    let meta = template.metadata.clone().unwrap_or_default();
    // The template goes through the typed Pod, so that what a pod is encoded as stays in one place.
    let pod = Pod { spec: template.spec.clone(), ..Pod::default() };
    let mut object: Value = serde_json::from_slice(&pod.encode()).expect("an encoded pod is JSON");
    object["metadata"] = json!({
        "generateName": format!("{}-", set.meta.name),
        "labels": meta.labels.unwrap_or_default(),
        "annotations": meta.annotations.unwrap_or_default(),
        "finalizers": meta.finalizers.unwrap_or_default(),
        "ownerReferences": [owner_reference(set)],
    });
    object
}

/// Takes over a pod that matches and has no controller.
fn adopt(plan: &mut Plan, pod: &Cached<Pod>, set: &Set<'_>) {
    let mut owners: Vec<Value> = other_owners(&pod.meta, set);
    owners.push(owner_reference(set));
    let patch = json!({"metadata": {"uid": pod.meta.uid, "ownerReferences": owners}});
    plan.patch(&PODS, pod.meta.key(), "", patch);
}

/// Lets go of a pod whose labels no longer match.
fn release(plan: &mut Plan, pod: &Cached<Pod>, set: &Set<'_>) {
    let patch = json!({"metadata": {"uid": pod.meta.uid, "ownerReferences": other_owners(&pod.meta, set)}});
    plan.patch(&PODS, pod.meta.key(), "", patch);
}

fn other_owners(meta: &Meta, set: &Set<'_>) -> Vec<Value> {
    meta.owner_references
        .iter()
        .filter(|o| o.uid != set.meta.uid)
        .map(|o| {
            json!({"apiVersion": o.api_version, "kind": o.kind, "name": o.name, "uid": o.uid,
                        "controller": o.controller, "blockOwnerDeletion": o.block_owner_deletion})
        })
        .collect()
}

fn write_status(plan: &mut Plan, set: &Set<'_>, active: &[&Cached<Pod>], now: Timestamp) {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let labels = set.template.and_then(|t| t.metadata.as_ref()?.labels.clone()).unwrap_or_default();
    let template_labels = LabelSelector::from_labels(&labels);
    let counts = Counts {
        replicas: count(active.len()),
        fully_labeled: count(active.iter().filter(|p| template_labels.matches(&p.meta.labels)).count()),
        ready: count(active.iter().filter(|p| is_ready(&p.object)).count()),
        available: count(active.iter().filter(|p| is_available(&p.object, set.min_ready_seconds, now)).count()),
    };
    if counts.ready > counts.available {
        plan.again(Duration::from_secs(u64::try_from(set.min_ready_seconds).unwrap_or(0).max(1)));
    }
    if counts == set.status && set.observed_generation == set.meta.generation {
        return;
    }
    let patch = json!({"status": {
        "replicas": counts.replicas, "fullyLabeledReplicas": counts.fully_labeled, "readyReplicas": counts.ready,
        "availableReplicas": counts.available, "observedGeneration": set.meta.generation,
    }});
    plan.patch(set.resource, set.meta.key(), "status", patch);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fill, lines};

    fn set(replicas: i32) -> Listers {
        let mut listers = Listers::default();
        fill(
            &mut listers.replica_sets,
            &[json!({
            "metadata": {"name": "web", "namespace": "d", "uid": "rs", "generation": 1},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                     "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
            "status": {"replicas": 0, "observedGeneration": 1}})],
        );
        listers
    }

    fn pod(name: &str, owner: Option<&str>, phase: &str, ready: bool) -> Value {
        let owners: Vec<Value> = owner.iter().map(|uid| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": true})).collect();
        json!({"metadata": {"name": name, "namespace": "d", "uid": name, "labels": {"app": "web"}, "ownerReferences": owners},
               "spec": {"nodeName": "n", "containers": []},
               "status": {"phase": phase, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
    }

    fn plan(listers: &Listers) -> Vec<String> {
        lines(&reconcile_replica_set(listers, &ObjectKey::namespaced("d", "web"), Timestamp::from_secs(100)))
    }

    #[test]
    fn missing_pods_are_created_and_ended_ones_do_not_count() {
        let mut listers = set(2);
        fill(&mut listers.pods, &[pod("a", Some("rs"), "Failed", false), pod("b", Some("rs"), "Running", true)]);
        let plan = plan(&listers);
        assert_eq!(plan[0], "create pods d/web-");
        assert!(plan[1].contains(r#""readyReplicas":1"#) && plan.len() == 2, "{plan:?}");
    }

    #[test]
    fn surplus_pods_that_do_least_go_first() {
        let mut listers = set(1);
        fill(&mut listers.pods, &[pod("a", Some("rs"), "Running", true), pod("b", Some("rs"), "Pending", false)]);
        assert_eq!(plan(&listers)[0], "delete pods d/b");
    }

    #[test]
    fn a_matching_orphan_is_adopted_and_a_foreign_pod_is_not() {
        let mut listers = set(1);
        fill(&mut listers.pods, &[pod("mine", None, "Running", true), pod("theirs", Some("other"), "Running", true)]);
        let plan = plan(&listers);
        assert!(plan[0].starts_with("patch pods d/mine") && plan[0].contains(r#""uid":"rs""#), "{plan:?}");
        assert!(!plan.iter().any(|l| l.contains("theirs") || l.starts_with("create")), "{plan:?}");
    }

    #[test]
    fn nothing_is_done_when_nothing_differs() {
        let mut listers = set(1);
        fill(&mut listers.pods, &[pod("a", Some("rs"), "Running", true)]);
        let first = reconcile_replica_set(&listers, &ObjectKey::namespaced("d", "web"), Timestamp::from_secs(100));
        let [crate::Write::Patch { patch, .. }] = first.writes.as_slice() else { panic!("{first:?}") };
        let mut seen = listers.replica_sets.iter().next().unwrap().object.as_ref().clone();
        let status: km_kinds::api::apps::v1::ReplicaSetStatus =
            serde_json::from_value(patch["status"].clone()).unwrap();
        seen.status = Some(status);
        let meta = listers.replica_sets.iter().next().unwrap().meta.clone();
        listers.replica_sets.upsert(meta, std::sync::Arc::new(seen));
        assert_eq!(plan(&listers), Vec::<String>::new());
    }
}
