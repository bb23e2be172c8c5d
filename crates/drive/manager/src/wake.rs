//! Which keys a change may concern. Too many is harmless, for a plan takes no hint; too few would be a bug.

use km_api::resource::{
    CONFIG_MAPS, DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, NODES, PODS, REPLICA_SETS,
    REPLICATION_CONTROLLERS, SECRETS, SERVICE_ACCOUNTS, SERVICES,
};
use km_api::selector::LabelSelector;
use km_api::{Meta, Resource};
use km_base::ObjectKey;
use km_controllers::{Listers, garbage};

use crate::delta::{Cache, Effect};
use crate::queue::{Queue, Work};

/// Queues everything that a change of an object of `resource` may concern.
pub(crate) fn wake(queue: &mut Queue, cache: &Cache, resource: &'static Resource, effect: &Effect) {
    let Some(meta) = effect.after.as_ref().or(effect.before.as_ref()) else { return };
    let key = meta.key();
    let both = || effect.before.iter().chain(&effect.after).map(|m| &**m);

    wake_garbage(queue, cache, resource, effect, &key);
    if !key.namespace.is_empty() && is_terminating(&cache.listers, &key.namespace) {
        queue.add(Work::Namespace(ObjectKey::cluster(key.namespace.as_str())));
    }
    match resource {
        r if *r == PODS => wake_for_pod(queue, &cache.listers, both(), &key),
        r if *r == NODES => wake_for_node(queue, &cache.listers, &key),
        r if *r == REPLICA_SETS => {
            for owner in both().filter_map(Meta::controller).filter(|o| o.kind == DEPLOYMENTS.kind) {
                queue.add(Work::Deployment(ObjectKey::namespaced(key.namespace.as_str(), owner.name.as_str())));
            }
            queue.add(Work::ReplicaSet(key));
        }
        r if *r == REPLICATION_CONTROLLERS => queue.add(Work::ReplicationController(key)),
        r if *r == DEPLOYMENTS => queue.add(Work::Deployment(key)),
        r if *r == SERVICES || *r == ENDPOINTS => queue.add(Work::Endpoints(key)),
        r if *r == ENDPOINT_SLICES => {
            for service in both().filter_map(|m| m.labels.get("kubernetes.io/service-name")) {
                queue.add(Work::Endpoints(ObjectKey::namespaced(key.namespace.as_str(), service.as_str())));
            }
        }
        r if *r == NAMESPACES => {
            queue.add(Work::Namespace(key.clone()));
            queue.add(Work::ServiceAccounts(key));
        }
        r if *r == SERVICE_ACCOUNTS || *r == CONFIG_MAPS => {
            queue.add(Work::ServiceAccounts(ObjectKey::cluster(key.namespace.as_str())));
        }
        r if *r == SECRETS => queue.add(Work::BootstrapToken(key)),
        _ => {}
    }
}

fn is_terminating(listers: &Listers, namespace: &str) -> bool {
    listers.namespaces.get(&ObjectKey::cluster(namespace)).is_some_and(|n| n.meta.is_terminating())
}

fn wake_garbage(queue: &mut Queue, cache: &Cache, resource: &'static Resource, effect: &Effect, key: &ObjectKey) {
    match &effect.after {
        Some(after) if after.is_terminating() || !after.owner_references.is_empty() => {
            queue.add(Work::garbage(resource, key.clone()));
        }
        _ => {}
    }
    // An owner that waits for its dependents looks again when one goes or is released.
    for meta in effect.before.iter().chain(&effect.after) {
        for (owner, owner_key) in garbage::owners_of(meta) {
            let waits = cache.metadata(owner).and_then(|l| l.get(&owner_key)).is_some_and(|o| o.meta.is_terminating());
            if waits {
                queue.add(Work::garbage(owner, owner_key));
            }
        }
    }
    // Dependents look again when their owner goes, or starts to wait for them.
    let ends = effect.after.as_ref().is_none_or(|m| m.is_terminating());
    if ends
        && let Some(meta) = effect.before.as_ref().or(effect.after.as_ref())
        && cache.has_dependents(&meta.uid)
    {
        for (kind, dependent) in garbage::dependents(&cache.listers, &meta.uid) {
            queue.add(Work::garbage(kind, dependent.meta.key()));
        }
    }
}

fn wake_for_pod<'a>(queue: &mut Queue, listers: &Listers, both: impl Iterator<Item = &'a Meta>, key: &ObjectKey) {
    queue.add(Work::PodCollection(key.clone()));
    queue.add(Work::Eviction(key.clone()));
    for meta in both {
        let namespace = key.namespace.as_str();
        if let Some(owner) = meta.controller() {
            let owner_key = ObjectKey::namespaced(namespace, owner.name.as_str());
            if owner.kind == REPLICATION_CONTROLLERS.kind {
                queue.add(Work::ReplicationController(owner_key));
            } else if owner.kind == REPLICA_SETS.kind {
                // A Deployment that recreates waits for its last pod.
                let deployment = listers.replica_sets.get(&owner_key).and_then(|rs| rs.meta.controller());
                if let Some(deployment) = deployment {
                    queue.add(Work::Deployment(ObjectKey::namespaced(namespace, deployment.name.as_str())));
                }
                queue.add(Work::ReplicaSet(owner_key));
            }
        } else {
            // Nobody's pod: any set of the namespace may adopt it.
            for set in listers.replica_sets.in_namespace(namespace) {
                queue.add(Work::ReplicaSet(set.meta.key()));
            }
            for set in listers.replication_controllers.in_namespace(namespace) {
                queue.add(Work::ReplicationController(set.meta.key()));
            }
        }
        for service in listers.services.in_namespace(namespace) {
            let selector = service.object.spec.as_ref().and_then(|s| s.selector.as_ref()).filter(|s| !s.is_empty());
            if selector.is_some_and(|s| LabelSelector::from_labels(s).matches(&meta.labels)) {
                queue.add(Work::Endpoints(service.meta.key()));
            }
        }
    }
}

fn wake_for_node(queue: &mut Queue, listers: &Listers, key: &ObjectKey) {
    queue.add(Work::Taints(key.clone()));
    let node = listers.nodes.get(key);
    let tainted = node
        .is_some_and(|n| n.object.spec.iter().flat_map(|s| s.taints.iter().flatten()).any(|t| t.effect == "NoExecute"));
    // A node's heartbeat concerns no pod; its taints and its end do.
    if node.is_none() || tainted {
        for pod in listers.pods.iter() {
            if pod.object.spec.as_ref().and_then(|s| s.node_name.as_ref()) == Some(&key.name) {
                queue.add(Work::Eviction(pod.meta.key()));
                queue.add(Work::PodCollection(pod.meta.key()));
            }
        }
    }
}
