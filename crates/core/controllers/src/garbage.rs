//! Garbage collection: an object goes when all its owners are gone; foreground and orphaning deletion.
//!
//! Source: k8s pkg/controller/garbagecollector. It works on the metadata of all stored resources, so an owner is
//! looked up by its kind; an owner of a kind that this server does not store is never taken for gone.

use km_api::lister::Cached;
use km_api::resource::{Persistence, find_kind};
use km_api::{OwnerReference, Propagation, Resource};
use km_base::ObjectKey;
use serde_json::{Value, json};

use crate::{Listers, Plan, Write};

/// Finalizer that holds an object until its dependents are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer that holds an object until its dependents have been released.
pub const ORPHAN: &str = "orphan";

/// What became of an owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Present,
    /// Being deleted in the foreground: it waits for its dependents.
    Waiting,
    Gone,
}

/// Plans for the object `key` of `resource`.
#[must_use]
pub fn reconcile(listers: &Listers, resource: &'static Resource, key: &ObjectKey) -> Plan {
    let mut plan = Plan::done();
    let Some(object) = lister(listers, resource).and_then(|l| l.get(key)) else { return plan };
    if object.meta.is_terminating() {
        finish(&mut plan, listers, resource, object);
        return plan;
    }
    if object.meta.owner_references.is_empty() {
        return plan;
    }
    let owners: Vec<Owner> =
        object.meta.owner_references.iter().map(|o| state(listers, &object.meta.namespace, o)).collect();
    let any = |state| owners.contains(&state);
    if any(Owner::Present) {
        if any(Owner::Gone) || any(Owner::Waiting) {
            drop_owners(&mut plan, resource, object, &owners);
        }
        return plan;
    }
    // No owner keeps it: it goes, itself in the foreground when an owner waits for it and for what hangs on it.
    let propagation = if any(Owner::Waiting) && has_dependents(listers, object) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    plan.writes.push(Write::Delete {
        resource,
        key: key.clone(),
        uid: object.meta.uid.clone(),
        propagation: Some(propagation),
        grace_period_seconds: None,
    });
    plan
}

/// Returns the owners, as resource and key, whose plans may change when this object changes or goes.
#[must_use]
pub fn owners_of(meta: &km_api::Meta) -> Vec<(&'static Resource, ObjectKey)> {
    meta.owner_references
        .iter()
        .filter_map(|o| {
            let resource = find_kind(&o.api_version, &o.kind)?;
            let namespace = if resource.is_namespaced() { meta.namespace.as_str() } else { "" };
            Some((resource, ObjectKey::namespaced(namespace, o.name.as_str())))
        })
        .collect()
}

/// Returns everything that names `uid` as an owner.
pub fn dependents<'a>(
    listers: &'a Listers,
    uid: &'a km_base::Uid,
) -> impl Iterator<Item = (&'static Resource, &'a Cached<()>)> {
    km_api::resource::ALL
        .iter()
        .copied()
        .filter(|r| r.persistence == Persistence::Stored)
        .filter_map(|r| Some((r, lister(listers, r)?)))
        .flat_map(|(r, l)| l.iter().map(move |c| (r, c)))
        .filter(move |(_, c)| c.meta.owner_references.iter().any(|o| o.uid == *uid))
}

fn lister<'a>(listers: &'a Listers, resource: &Resource) -> Option<&'a km_api::lister::Lister<()>> {
    listers.metadata.get(&(resource.plural, resource.group))
}

fn state(listers: &Listers, namespace: &str, owner: &OwnerReference) -> Owner {
    let Some(resource) = find_kind(&owner.api_version, &owner.kind) else { return Owner::Present };
    let Some(known) = lister(listers, resource) else { return Owner::Present };
    let namespace = if resource.is_namespaced() { namespace } else { "" };
    match known.get(&ObjectKey::namespaced(namespace, owner.name.as_str())) {
        Some(found) if found.meta.uid == owner.uid => {
            let waits = found.meta.is_terminating() && found.meta.finalizers.iter().any(|f| f == FOREGROUND);
            if waits { Owner::Waiting } else { Owner::Present }
        }
        _ => Owner::Gone,
    }
}

fn has_dependents(listers: &Listers, object: &Cached<()>) -> bool {
    dependents(listers, &object.meta.uid).next().is_some()
}

/// Lifts the collector's own finalizers from an object that is being deleted, once they have done their work.
fn finish(plan: &mut Plan, listers: &Listers, resource: &'static Resource, object: &Cached<()>) {
    let holds = |finalizer: &str| object.meta.finalizers.iter().any(|f| f == finalizer);
    if holds(ORPHAN) {
        let mut released = true;
        for (kind, dependent) in dependents(listers, &object.meta.uid) {
            released = false;
            let keep = |o: &&OwnerReference| o.uid != object.meta.uid;
            let owners: Vec<Value> = dependent.meta.owner_references.iter().filter(keep).map(owner_value).collect();
            let patch = json!({"metadata": {"uid": dependent.meta.uid, "ownerReferences": owners}});
            plan.patch(kind, dependent.meta.key(), "", patch);
        }
        if released {
            lift(plan, resource, object, ORPHAN);
        }
    } else if holds(FOREGROUND) {
        let blocks = |(_, d): &(&Resource, &Cached<()>)| {
            d.meta.owner_references.iter().any(|o| o.uid == object.meta.uid && o.block_owner_deletion == Some(true))
        };
        if !dependents(listers, &object.meta.uid).any(|d| blocks(&d)) {
            lift(plan, resource, object, FOREGROUND);
        }
    }
}

fn lift(plan: &mut Plan, resource: &'static Resource, object: &Cached<()>, finalizer: &str) {
    let rest: Vec<&String> = object.meta.finalizers.iter().filter(|f| *f != finalizer).collect();
    plan.patch(resource, object.meta.key(), "", json!({"metadata": {"uid": object.meta.uid, "finalizers": rest}}));
}

fn drop_owners(plan: &mut Plan, resource: &'static Resource, object: &Cached<()>, owners: &[Owner]) {
    let kept: Vec<Value> = object
        .meta
        .owner_references
        .iter()
        .zip(owners)
        .filter(|(_, state)| **state == Owner::Present)
        .map(|(owner, _)| owner_value(owner))
        .collect();
    let patch = json!({"metadata": {"uid": object.meta.uid, "ownerReferences": kept}});
    plan.patch(resource, object.meta.key(), "", patch);
}

fn owner_value(owner: &OwnerReference) -> Value {
    let mut value = json!({"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid});
    if let Some(controller) = owner.controller {
        value["controller"] = controller.into();
    }
    if let Some(block) = owner.block_owner_deletion {
        value["blockOwnerDeletion"] = block.into();
    }
    value
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use km_api::Object;
    use km_api::resource::{DEPLOYMENTS, PODS, REPLICA_SETS};

    use super::*;
    use crate::testing::lines;

    fn add(listers: &mut Listers, resource: &'static Resource, object: Value) {
        let object = Object::parse(object.to_string().into_bytes()).unwrap();
        listers
            .metadata
            .entry((resource.plural, resource.group))
            .or_default()
            .upsert(object.shared_meta(), Arc::new(()));
    }

    fn meta(name: &str, owner: Option<(&str, &str)>, finalizers: &[&str], deleting: bool) -> Value {
        let owners: Vec<Value> = owner
            .iter()
            .map(|(kind, uid)| json!({"apiVersion": "apps/v1", "kind": kind, "name": uid, "uid": uid, "controller": true, "blockOwnerDeletion": true}))
            .collect();
        let mut object = json!({"metadata": {"name": name, "namespace": "d", "uid": name, "finalizers": finalizers, "ownerReferences": owners}});
        if deleting {
            object["metadata"]["deletionTimestamp"] = "2026-11-21T00:00:00Z".into();
        }
        object
    }

    fn base() -> Listers {
        let mut listers = Listers::default();
        for resource in [&DEPLOYMENTS, &REPLICA_SETS, &PODS] {
            listers.metadata.entry((resource.plural, resource.group)).or_default();
        }
        listers
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::namespaced("d", name)
    }

    #[test]
    fn an_object_goes_with_its_last_owner() {
        let mut listers = base();
        add(&mut listers, &REPLICA_SETS, meta("rs", None, &[], false));
        add(&mut listers, &PODS, meta("owned", Some(("ReplicaSet", "rs")), &[], false));
        add(&mut listers, &PODS, meta("lost", Some(("ReplicaSet", "gone")), &[], false));
        add(&mut listers, &PODS, meta("foreign", Some(("Job", "j")), &[], false));
        assert!(reconcile(&listers, &PODS, &key("owned")).writes.is_empty());
        assert!(reconcile(&listers, &PODS, &key("foreign")).writes.is_empty());
        assert_eq!(lines(&reconcile(&listers, &PODS, &key("lost"))), ["delete pods d/lost"]);
    }

    #[test]
    fn foreground_deletion_goes_from_the_leaves_up() {
        let mut listers = base();
        add(&mut listers, &DEPLOYMENTS, meta("dep", None, &[FOREGROUND], true));
        add(&mut listers, &REPLICA_SETS, meta("rs", Some(("Deployment", "dep")), &[], false));
        add(&mut listers, &PODS, meta("pod", Some(("ReplicaSet", "rs")), &[], false));
        let plan = reconcile(&listers, &REPLICA_SETS, &key("rs"));
        assert!(matches!(&plan.writes[0], Write::Delete { propagation: Some(Propagation::Foreground), .. }));
        assert!(reconcile(&listers, &DEPLOYMENTS, &key("dep")).writes.is_empty());
        listers.metadata.get_mut(&("replicasets", "apps")).unwrap().remove(&key("rs"));
        assert!(lines(&reconcile(&listers, &DEPLOYMENTS, &key("dep")))[0].contains(r#""finalizers":[]"#));
    }

    #[test]
    fn orphaning_releases_dependents_before_the_owner_goes() {
        let mut listers = base();
        add(&mut listers, &REPLICA_SETS, meta("rs", None, &[ORPHAN], true));
        add(&mut listers, &PODS, meta("pod", Some(("ReplicaSet", "rs")), &[], false));
        let plan = lines(&reconcile(&listers, &REPLICA_SETS, &key("rs")));
        assert!(
            plan.len() == 1 && plan[0].starts_with("patch pods d/pod") && plan[0].contains(r#""ownerReferences":[]"#)
        );
        add(&mut listers, &PODS, meta("pod", None, &[], false));
        assert!(lines(&reconcile(&listers, &REPLICA_SETS, &key("rs")))[0].starts_with("patch replicasets d/rs"));
    }
}
