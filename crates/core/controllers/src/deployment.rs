//! Deployments: one ReplicaSet per pod template, and rolling from one to the next.
//!
//! Source: k8s pkg/controller/deployment (rolling update arithmetic, conditions, revision annotation).

use std::collections::BTreeMap;
use std::time::Duration;

use km_api::lister::Cached;
use km_api::resource::{DEPLOYMENTS, REPLICA_SETS};
use km_base::{ObjectKey, Timestamp};
use km_kinds::Codec;
use km_kinds::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet};
use km_kinds::api::core::v1::{Pod, PodTemplateSpec};
use km_kinds::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::pods::is_active;
use crate::{Listers, Plan};

/// Label that tells the pods of one template from those of another.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Annotation that numbers a Deployment's templates.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Annotation with the Deployment's size when the ReplicaSet was last scaled.
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// Annotation with the largest number of pods at that time.
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// `progressDeadlineSeconds` when absent.
const PROGRESS_DEADLINE_DEFAULT_SECS: i32 = 600;

/// A Deployment with its ReplicaSets.
struct View<'a> {
    cached: &'a Cached<Deployment>,
    spec: &'a DeploymentSpec,
    template: &'a PodTemplateSpec,
    /// The ReplicaSet of today's template.
    new: Option<&'a Cached<ReplicaSet>>,
    /// All others, oldest first.
    old: Vec<&'a Cached<ReplicaSet>>,
}

/// Plans for the Deployment under `key`.
#[must_use]
pub fn reconcile(listers: &Listers, key: &ObjectKey, now: Timestamp) -> Plan {
    let mut plan = Plan::done();
    let Some(cached) = listers.deployments.get(key) else { return plan };
    let spec = &cached.object.spec;
    let template = &spec.template;
    let mut owned: Vec<&Cached<ReplicaSet>> = listers.replica_sets.controlled_by(&cached.meta.uid).collect();
    owned.sort_by_key(|rs| (rs.meta.creation_timestamp, rs.meta.name.clone()));
    let (new, old): (Vec<_>, Vec<_>) = owned.into_iter().partition(|rs| is_of_template(rs, template));
    let mut new = new.into_iter();
    let view = View { cached, spec, template, new: new.next(), old: old.into_iter().chain(new).collect() };
    if !cached.meta.is_terminating() {
        if spec.paused == Some(true) {
            scale_proportionally(&mut plan, &view);
        } else if spec.strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("Recreate") {
            recreate(&mut plan, listers, &view);
        } else {
            roll(&mut plan, &view);
        }
        if is_complete(&view) {
            trim_history(&mut plan, &view);
        }
    }
    write_status(&mut plan, &view, now);
    plan
}

/// Compares a ReplicaSet's template with the Deployment's, leaving out the hash label.
fn is_of_template(rs: &Cached<ReplicaSet>, template: &PodTemplateSpec) -> bool {
    let Some(mut theirs) = rs.object.spec.template.clone() else { return false };
    if let Some(labels) = theirs.metadata.as_mut().and_then(|m| m.labels.as_mut()) {
        labels.remove(TEMPLATE_HASH);
    }
    let labels = |t: &PodTemplateSpec| t.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    let annotations = |t: &PodTemplateSpec| t.metadata.as_ref().and_then(|m| m.annotations.clone()).unwrap_or_default();
    theirs.spec == template.spec && labels(&theirs) == labels(template) && annotations(&theirs) == annotations(template)
}

fn desired(spec: &DeploymentSpec) -> i32 {
    spec.replicas.unwrap_or(1)
}

fn size(rs: &Cached<ReplicaSet>) -> i32 {
    rs.object.spec.replicas.unwrap_or(1)
}

fn available(rs: &Cached<ReplicaSet>) -> i32 {
    rs.object.status.as_ref().and_then(|s| s.available_replicas).unwrap_or(0)
}

/// Returns how many pods may be added above and be missing below the desired number.
///
/// Percentages round up for the surge and down for the missing; both zero would never move, so one may be missing.
fn bounds(spec: &DeploymentSpec) -> (i32, i32) {
    let rolling = spec.strategy.as_ref().and_then(|s| s.rolling_update.as_ref());
    let surge = resolve(rolling.and_then(|r| r.max_surge.as_ref()), desired(spec), Round::Up);
    let missing = resolve(rolling.and_then(|r| r.max_unavailable.as_ref()), desired(spec), Round::Down);
    if surge == 0 && missing == 0 { (0, 1) } else { (surge, missing.min(desired(spec))) }
}

#[derive(Clone, Copy)]
enum Round {
    Up,
    Down,
}

fn resolve(value: Option<&IntOrString>, total: i32, round: Round) -> i32 {
    let percent = match value {
        Some(IntOrString::Int(n)) => return *n,
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse::<i64>().unwrap_or(25),
        None => 25,
    };
    let scaled = i64::from(total) * percent;
    let whole = match round {
        Round::Up => (scaled + 99).div_euclid(100),
        Round::Down => scaled.div_euclid(100),
    };
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// One step of a rolling update: grow the new ReplicaSet as far as the surge allows, shrink the old ones as far
/// as availability allows.
fn roll(plan: &mut Plan, view: &View<'_>) {
    let (surge, missing) = bounds(view.spec);
    let want = desired(view.spec);
    let old_total: i32 = view.old.iter().map(|rs| size(rs)).sum();
    let Some(new) = view.new else {
        let start = (want + surge - old_total).clamp(0, want);
        return create_replica_set(plan, view, start);
    };
    annotate_revision(plan, view, new);
    let new_size = size(new);
    let grown =
        if new_size > want { want } else { new_size + (want + surge - new_size - old_total).clamp(0, want - new_size) };
    if grown != new_size {
        resize(plan, view, new, grown);
        return;
    }
    // What may go: pods above the minimum that must be available, counting only what the new set has available;
    // pods that are not available anyway may always go.
    let new_unavailable = new_size - available(new);
    let mut may_go = (old_total + new_size) - (want - missing) - new_unavailable;
    let mut cleaned = false;
    for rs in &view.old {
        let go = (size(rs) - available(rs)).min(may_go);
        if go > 0 {
            resize(plan, view, rs, size(rs) - go);
            may_go -= go;
            cleaned = true;
        }
    }
    if cleaned {
        return;
    }
    let all_available: i32 = view.old.iter().map(|rs| available(rs)).sum::<i32>() + available(new);
    let mut may_go = all_available - (want - missing);
    for rs in view.old.iter().filter(|rs| size(rs) > 0) {
        let go = size(rs).min(may_go);
        if go > 0 {
            resize(plan, view, rs, size(rs) - go);
            may_go -= go;
        }
    }
}

/// Recreate: first all old pods go, and only when none is left does the new ReplicaSet start.
fn recreate(plan: &mut Plan, listers: &Listers, view: &View<'_>) {
    let stopping = view.old.iter().any(|rs| size(rs) > 0);
    for rs in view.old.iter().filter(|rs| size(rs) > 0) {
        resize(plan, view, rs, 0);
    }
    let lives = |rs: &&Cached<ReplicaSet>| {
        listers.pods.controlled_by(&rs.meta.uid).any(|p| is_active(p) || p.meta.is_terminating())
    };
    if stopping || view.old.iter().any(lives) {
        return;
    }
    match view.new {
        None => create_replica_set(plan, view, desired(view.spec)),
        Some(new) => {
            annotate_revision(plan, view, new);
            if size(new) != desired(view.spec) {
                resize(plan, view, new, desired(view.spec));
            }
        }
    }
}

/// While paused only the Deployment's size is followed: the largest ReplicaSet takes the difference.
fn scale_proportionally(plan: &mut Plan, view: &View<'_>) {
    let mut all: Vec<&Cached<ReplicaSet>> = view.old.iter().copied().chain(view.new).collect();
    all.sort_by_key(|rs| std::cmp::Reverse(size(rs)));
    let total: i32 = all.iter().map(|rs| size(rs)).sum();
    let mut difference = desired(view.spec) - total;
    for rs in all {
        let change = if difference > 0 { difference } else { difference.max(-size(rs)) };
        if change != 0 {
            resize(plan, view, rs, size(rs) + change);
            difference -= change;
        }
    }
}

fn create_replica_set(plan: &mut Plan, view: &View<'_>, replicas: i32) {
    let meta = &view.cached.meta;
    let hash = template_hash(view);
    let mut template = template_value(view.template);
    template["metadata"]["labels"][TEMPLATE_HASH] = hash.as_str().into();
    let mut selector = selector_value(view.spec);
    selector["matchLabels"][TEMPLATE_HASH] = hash.as_str().into();
    let mut labels = view.template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    labels.insert(TEMPLATE_HASH.to_owned(), hash.clone());
    let mut annotations = inherited_annotations(view);
    annotations.insert(REVISION.to_owned(), next_revision(view).to_string());
    let object = json!({
        "metadata": {
            "name": format!("{}-{hash}", meta.name), "namespace": meta.namespace, "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": meta.name, "uid": meta.uid,
                                 "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {"replicas": replicas, "minReadySeconds": view.spec.min_ready_seconds.unwrap_or(0),
                 "selector": selector, "template": template},
    });
    plan.create(&REPLICA_SETS, &meta.namespace, object);
    let patch = json!({"metadata": {"annotations": {REVISION: next_revision(view).to_string()}}});
    plan.patch(&DEPLOYMENTS, meta.key(), "", patch);
}

/// Annotations that a ReplicaSet takes over from its Deployment, and the sizes it was last scaled for.
fn inherited_annotations(view: &View<'_>) -> BTreeMap<String, String> {
    let mut annotations = view.cached.meta.annotations.clone();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    annotations.insert(DESIRED_REPLICAS.to_owned(), desired(view.spec).to_string());
    annotations.insert(MAX_REPLICAS.to_owned(), (desired(view.spec) + bounds(view.spec).0).to_string());
    annotations
}

fn revision_of(rs: &Cached<ReplicaSet>) -> u64 {
    rs.meta.annotations.get(REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

fn next_revision(view: &View<'_>) -> u64 {
    view.old.iter().map(|rs| revision_of(rs)).max().unwrap_or(0) + 1
}

/// Gives a ReplicaSet that has become the newest again (a rollback) the newest number, and the Deployment too.
fn annotate_revision(plan: &mut Plan, view: &View<'_>, new: &Cached<ReplicaSet>) {
    let revision = revision_of(new).max(next_revision(view));
    let patch = json!({"metadata": {"annotations": {REVISION: revision.to_string()}}});
    if revision_of(new) != revision {
        plan.patch(&REPLICA_SETS, new.meta.key(), "", patch.clone());
    }
    if view.cached.meta.annotations.get(REVISION) != Some(&revision.to_string()) {
        plan.patch(&DEPLOYMENTS, view.cached.meta.key(), "", patch);
    }
}

fn resize(plan: &mut Plan, view: &View<'_>, rs: &Cached<ReplicaSet>, replicas: i32) {
    let (surge, _) = bounds(view.spec);
    let annotations = json!({
        DESIRED_REPLICAS: desired(view.spec).to_string(), MAX_REPLICAS: (desired(view.spec) + surge).to_string(),
    });
    let patch = json!({"metadata": {"uid": rs.meta.uid, "annotations": annotations}, "spec": {"replicas": replicas}});
    plan.patch(&REPLICA_SETS, rs.meta.key(), "", patch);
}

fn trim_history(plan: &mut Plan, view: &View<'_>) {
    let keep = usize::try_from(view.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    let mut idle: Vec<&&Cached<ReplicaSet>> =
        view.old.iter().filter(|rs| size(rs) == 0 && status_replicas(rs) == 0 && !rs.meta.is_terminating()).collect();
    idle.sort_by_key(|rs| revision_of(rs));
    for rs in idle.iter().take(idle.len().saturating_sub(keep)) {
        plan.delete(&REPLICA_SETS, &rs.meta);
    }
}

fn status_replicas(rs: &Cached<ReplicaSet>) -> i32 {
    rs.object.status.as_ref().map_or(0, |s| s.replicas)
}

/// Tells whether every pod is of the new template and available.
fn is_complete(view: &View<'_>) -> bool {
    let want = desired(view.spec);
    view.new.is_some_and(|new| status_replicas(new) == want && available(new) >= want)
        && view.old.iter().all(|rs| status_replicas(rs) == 0)
}

fn write_status(plan: &mut Plan, view: &View<'_>, now: Timestamp) {
    let old_status = view.cached.object.status.clone().unwrap_or_default();
    let all = || view.old.iter().copied().chain(view.new);
    let ready = all().map(|rs| rs.object.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0)).sum::<i32>();
    let total = all().map(status_replicas).sum::<i32>();
    let available_total = all().map(available).sum::<i32>();
    let updated = view.new.map_or(0, status_replicas);
    let mut status = json!({
        "observedGeneration": view.cached.meta.generation, "replicas": total, "updatedReplicas": updated,
        "readyReplicas": ready, "availableReplicas": available_total,
        "unavailableReplicas": (desired(view.spec) - available_total).max(0),
    });
    let numbers_changed = old_status.observed_generation != Some(view.cached.meta.generation)
        || old_status.replicas.unwrap_or(0) != total
        || old_status.updated_replicas.unwrap_or(0) != updated
        || old_status.ready_replicas.unwrap_or(0) != ready
        || old_status.available_replicas.unwrap_or(0) != available_total;
    let wanted = [available_condition(view, available_total), progressing_condition(plan, view, numbers_changed, now)];
    let mut conditions_changed = false;
    let conditions: Vec<Value> = wanted
        .into_iter()
        .map(|wanted| {
            let before = old_status.conditions.iter().flatten().find(|c| c.type_.as_deref() == Some(wanted.kind));
            let same_status = before.is_some_and(|c| c.status.as_deref() == Some(wanted.status));
            let same = same_status && before.is_some_and(|c| c.reason.as_deref() == Some(wanted.reason));
            conditions_changed |= !same;
            let kept = |t: Option<&km_kinds::apimachinery::pkg::apis::meta::v1::Time>| t.map(|t| Timestamp::from(t.0));
            let transition = before.filter(|_| same_status).and_then(|c| kept(c.last_transition_time.as_ref()));
            let update = before.filter(|_| same && !numbers_changed).and_then(|c| kept(c.last_update_time.as_ref()));
            json!({
                "type": wanted.kind, "status": wanted.status, "reason": wanted.reason, "message": wanted.message,
                "lastTransitionTime": transition.unwrap_or(now).rfc3339(),
                "lastUpdateTime": update.unwrap_or(now).rfc3339(),
            })
        })
        .collect();
    if numbers_changed || conditions_changed {
        status["conditions"] = conditions.into();
        plan.patch(&DEPLOYMENTS, view.cached.meta.key(), "status", json!({"status": status}));
    }
}

struct Condition {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

fn available_condition(view: &View<'_>, available_total: i32) -> Condition {
    let (_, missing) = bounds(view.spec);
    let enough = available_total >= desired(view.spec) - missing;
    Condition {
        kind: "Available",
        status: if enough { "True" } else { "False" },
        reason: if enough { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" },
        message: format!("Deployment {} minimum availability.", if enough { "has" } else { "does not have" }),
    }
}

fn progressing_condition(plan: &mut Plan, view: &View<'_>, moved: bool, now: Timestamp) -> Condition {
    let name = view.new.map_or_else(|| view.cached.meta.name.clone(), |rs| rs.meta.name.clone());
    let condition = |status, reason, message| Condition { kind: "Progressing", status, reason, message };
    if view.spec.paused == Some(true) {
        return condition("Unknown", "DeploymentPaused", "Deployment is paused".to_owned());
    }
    if is_complete(view) {
        let message = format!("ReplicaSet {name:?} has successfully progressed.");
        return condition("True", "NewReplicaSetAvailable", message);
    }
    let before = view
        .cached
        .object
        .status
        .as_ref()
        .and_then(|s| s.conditions.as_ref()?.iter().find(|c| c.type_.as_deref() == Some("Progressing")));
    let deadline =
        u64::try_from(view.spec.progress_deadline_seconds.unwrap_or(PROGRESS_DEADLINE_DEFAULT_SECS)).unwrap_or(0);
    let deadline = Duration::from_secs(deadline);
    let last = before.and_then(|c| c.last_update_time.as_ref()).map_or(now, |t| t.0.into());
    let was_complete = before.is_some_and(|c| c.reason.as_deref() == Some("NewReplicaSetAvailable"));
    // Told once, it stays until something moves: its own writing would else begin a new deadline.
    let was_late = before.is_some_and(|c| c.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    if !moved && (was_late || (!was_complete && last + deadline <= now)) {
        let message = format!("ReplicaSet {name:?} has timed out progressing.");
        return condition("False", "ProgressDeadlineExceeded", message);
    }
    plan.again((last + deadline).saturating_since(now).max(Duration::from_secs(1)));
    if view.new.is_none() {
        return condition("True", "NewReplicaSetCreated", format!("Created new replica set {name:?}"));
    }
    condition("True", "ReplicaSetUpdated", format!("ReplicaSet {name:?} is progressing."))
}

fn template_value(template: &PodTemplateSpec) -> Value {
    let pod =
        Pod { spec: template.spec.clone(), metadata: template.metadata.clone().unwrap_or_default(), ..Pod::default() };
    let value: Value = serde_json::from_slice(&pod.encode()).expect("an encoded pod is JSON");
    json!({"metadata": value["metadata"], "spec": value["spec"]})
}

fn selector_value(spec: &DeploymentSpec) -> Value {
    let mut value = json!({"matchLabels": spec.selector.match_labels.clone().unwrap_or_default()});
    if let Some(expressions) = &spec.selector.match_expressions {
        value["matchExpressions"] =
            expressions.iter().map(|e| json!({"key": e.key, "operator": e.operator, "values": e.values})).collect();
    }
    value
}

/// Returns ten characters that stand for the template: FNV-1a over its encoding, and `collisionCount` so that a
/// name that is taken by another template can be left. The alphabet has no vowels, as upstream's.
fn template_hash(view: &View<'_>) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let text = template_value(view.template).to_string();
    let collisions = view.cached.object.status.as_ref().and_then(|s| s.collision_count).unwrap_or(0);
    let bytes = text.bytes().chain(collisions.to_le_bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut out = String::new();
    for _ in 0..10 {
        let index = usize::try_from(hash % 27).expect("below 27");
        out.push(char::from(ALPHABET[index]));
        hash /= 27;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fill, lines};

    const WEB: &str = "web";

    fn deployment(replicas: i32, image: &str, strategy: Value) -> Value {
        json!({"metadata": {"name": WEB, "namespace": "d", "uid": "dep", "generation": 1},
               "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": WEB}}, "strategy": strategy,
                        "template": {"metadata": {"labels": {"app": WEB}}, "spec": {"containers": [{"name": "c", "image": image}]}}}})
    }

    fn replica_set(name: &str, image: &str, replicas: i32, available: i32, revision: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "d", "uid": name, "annotations": {REVISION: revision},
                            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": WEB, "uid": "dep", "controller": true}]},
               "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": WEB}},
                        "template": {"metadata": {"labels": {"app": WEB, TEMPLATE_HASH: name}}, "spec": {"containers": [{"name": "c", "image": image}]}}},
               "status": {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}})
    }

    fn sizes(listers: &Listers) -> Vec<String> {
        lines(&reconcile(listers, &ObjectKey::namespaced("d", WEB), Timestamp::from_secs(100)))
            .into_iter()
            .filter_map(|line| {
                let (head, patch) = line.split_once("  {").unwrap_or((&line, ""));
                let at = patch.find(r#""replicas":"#)?;
                let number: String = patch[at + 11..].chars().take_while(char::is_ascii_digit).collect();
                head.starts_with("patch replicasets")
                    .then(|| format!("{}={number}", head.trim_start_matches("patch replicasets d/")))
            })
            .collect()
    }

    fn rolling() -> Value {
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    }

    #[test]
    fn a_new_template_gets_a_replica_set_of_its_own_within_the_surge() {
        let mut listers = Listers::default();
        fill(&mut listers.deployments, &[deployment(3, "b", rolling())]);
        fill(&mut listers.replica_sets, &[replica_set("old", "a", 3, 3, "1")]);
        let plan = reconcile(&listers, &ObjectKey::namespaced("d", WEB), Timestamp::from_secs(100));
        let crate::Write::Create { object, .. } = &plan.writes[0] else { panic!("{plan:?}") };
        assert_eq!(object["spec"]["replicas"], 1);
        assert_eq!(object["metadata"]["annotations"][REVISION], "2");
        let hash = object["spec"]["selector"]["matchLabels"][TEMPLATE_HASH].as_str().unwrap();
        assert_eq!(object["metadata"]["name"], format!("web-{hash}"));
    }

    #[test]
    fn rolling_never_goes_below_what_must_be_available() {
        let mut listers = Listers::default();
        fill(&mut listers.deployments, &[deployment(3, "b", rolling())]);
        fill(&mut listers.replica_sets, &[replica_set("old", "a", 3, 3, "1"), replica_set("new", "b", 1, 0, "2")]);
        assert_eq!(sizes(&listers), Vec::<String>::new());
        fill(&mut listers.replica_sets, &[replica_set("new", "b", 1, 1, "2")]);
        assert_eq!(sizes(&listers), ["old=2"]);
        fill(&mut listers.replica_sets, &[replica_set("old", "a", 2, 2, "1")]);
        assert_eq!(sizes(&listers), ["new=2"]);
    }

    #[test]
    fn pods_that_never_became_available_go_first() {
        let mut listers = Listers::default();
        fill(&mut listers.deployments, &[deployment(3, "c", rolling())]);
        fill(
            &mut listers.replica_sets,
            &[
                replica_set("good", "a", 3, 3, "1"),
                replica_set("bad", "b", 1, 0, "2"),
                replica_set("new", "c", 0, 0, "3"),
            ],
        );
        assert_eq!(sizes(&listers), ["bad=0"]);
    }

    #[test]
    fn recreate_waits_until_every_old_pod_is_gone() {
        let mut listers = Listers::default();
        fill(&mut listers.deployments, &[deployment(2, "b", json!({"type": "Recreate"}))]);
        fill(&mut listers.replica_sets, &[replica_set("old", "a", 2, 2, "1"), replica_set("new", "b", 0, 0, "2")]);
        assert_eq!(sizes(&listers), ["old=0"]);
        fill(&mut listers.replica_sets, &[replica_set("old", "a", 0, 0, "1")]);
        fill(
            &mut listers.pods,
            &[json!({"metadata": {"name": "p", "namespace": "d", "deletionTimestamp": "2026-11-21T00:00:00Z",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "old", "uid": "old", "controller": true}]}, "spec": {"containers": []}})],
        );
        assert_eq!(sizes(&listers), Vec::<String>::new());
        listers.pods = Default::default();
        assert_eq!(sizes(&listers), ["new=2"]);
    }

    #[test]
    fn percentages_round_for_safety() {
        let spec = |surge: &str, missing: &str| {
            let strategy = json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": missing}});
            let mut listers = Listers::default();
            fill(&mut listers.deployments, &[deployment(3, "a", strategy)]);
            listers.deployments.iter().next().unwrap().object.spec.clone()
        };
        assert_eq!(bounds(&spec("25%", "25%")), (1, 0));
        assert_eq!(bounds(&spec("0%", "0%")), (0, 1));
        assert_eq!(bounds(&spec("50%", "50%")), (2, 1));
    }

    #[test]
    fn a_stuck_rollout_says_so_after_its_deadline() {
        let mut listers = Listers::default();
        let mut stuck = deployment(1, "b", rolling());
        stuck["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 0, "availableReplicas": 0,
            "conditions": [{"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "lastUpdateTime": "1970-01-01T00:00:00Z"}]});
        fill(&mut listers.deployments, &[stuck]);
        fill(&mut listers.replica_sets, &[replica_set("new", "b", 1, 0, "1")]);
        let at = |secs| reconcile(&listers, &ObjectKey::namespaced("d", WEB), Timestamp::from_secs(secs));
        assert!(!lines(&at(599)).iter().any(|l| l.contains("ProgressDeadlineExceeded")));
        assert!(lines(&at(601)).iter().any(|l| l.contains("ProgressDeadlineExceeded")));
    }

    #[test]
    fn a_rollout_that_is_late_stays_late_until_it_moves() {
        let mut listers = Listers::default();
        let mut late = deployment(1, "b", rolling());
        late["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 0, "availableReplicas": 0,
            "conditions": [
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": "1970-01-01T00:10:01Z"},
                {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}]});
        fill(&mut listers.deployments, &[late]);
        fill(&mut listers.replica_sets, &[replica_set("new", "b", 1, 0, "1")]);
        let plan = reconcile(&listers, &ObjectKey::namespaced("d", WEB), Timestamp::from_secs(602));
        assert!(!lines(&plan).iter().any(|l| l.contains("ReplicaSetUpdated")), "{:?}", lines(&plan));
    }
}
