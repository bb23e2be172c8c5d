//! What people are told of the controllers' work, as Events on the object that asked for it.
//!
//! Reasons and texts are upstream's: `kubectl describe` shows them and scripts look for them.

use std::collections::BTreeMap;

use km_api::resource::{DEPLOYMENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS};
use km_api::{Meta, Resource};
use km_base::{ObjectKey, Timestamp};
use km_controllers::{Listers, Write};
use serde_json::{Value, json};

use crate::perform::{Attempt, Written};
use crate::queue::Work;

/// Replicas by replica set.
pub(crate) type Sizes = BTreeMap<ObjectKey, i64>;

/// Returns how large the replica sets are that `writes` scale. Asked before they are performed: the informer may show
/// their new size before the answer comes.
pub(crate) fn sizes(listers: &Listers, writes: &[Write]) -> Sizes {
    let scaled = writes.iter().filter_map(|write| match write {
        Write::Patch { resource, key, patch, .. } if **resource == REPLICA_SETS => {
            patch["spec"]["replicas"].as_i64().map(|_| key.clone())
        }
        _ => None,
    });
    let size =
        |key: &ObjectKey| listers.replica_sets.get(key).and_then(|rs| rs.object.spec.replicas).map_or(0, i64::from);
    scaled.map(|key| (key.clone(), size(&key))).collect()
}

/// Returns the Event that an attempt deserves, with its namespace.
pub(crate) fn of(
    listers: &Listers,
    work: &Work,
    sizes: &Sizes,
    attempt: &Attempt,
    now: Timestamp,
) -> Option<(String, Value)> {
    let (resource, meta, source) = subject(listers, work)?;
    let (kind, reason, message) = match (&attempt.write, &attempt.result) {
        (Write::Create { resource, .. }, Ok(Written::Object(_, created))) if **resource == PODS => {
            ("Normal", "SuccessfulCreate", format!("Created pod: {}", created.meta().name))
        }
        (Write::Create { resource, .. }, Err(status)) if **resource == PODS => {
            ("Warning", "FailedCreate", format!("Error creating: {status}"))
        }
        (Write::Delete { resource, key, .. }, Ok(Written::Object(..) | Written::Gone(..))) if **resource == PODS => {
            ("Normal", "SuccessfulDelete", format!("Deleted pod: {}", key.name))
        }
        (Write::Create { resource, object, .. }, Ok(Written::Object(_, created))) if **resource == REPLICA_SETS => {
            let size = object["spec"]["replicas"].as_i64().filter(|n| *n > 0)?;
            ("Normal", "ScalingReplicaSet", scaled(&created.meta().name, 0, size))
        }
        (Write::Patch { resource, key, patch, .. }, Ok(Written::Object(..))) if **resource == REPLICA_SETS => {
            let to = patch["spec"]["replicas"].as_i64()?;
            let from = sizes.get(key).copied().filter(|from| *from != to)?;
            ("Normal", "ScalingReplicaSet", scaled(&key.name, from, to))
        }
        _ => return None,
    };
    Some((meta.namespace.clone(), event(resource, meta, source, kind, reason, &message, now)))
}

fn subject<'a>(listers: &'a Listers, work: &Work) -> Option<(&'static Resource, &'a Meta, &'static str)> {
    let of = |key: &ObjectKey| key.clone();
    Some(match work {
        Work::Deployment(key) => (&DEPLOYMENTS, &listers.deployments.get(&of(key))?.meta, "deployment-controller"),
        Work::ReplicaSet(key) => (&REPLICA_SETS, &listers.replica_sets.get(&of(key))?.meta, "replicaset-controller"),
        Work::ReplicationController(key) => {
            (&REPLICATION_CONTROLLERS, &listers.replication_controllers.get(&of(key))?.meta, "replication-controller")
        }
        _ => return None,
    })
}

fn scaled(name: &str, from: i64, to: i64) -> String {
    let direction = if to > from { "up" } else { "down" };
    format!("Scaled {direction} replica set {name} from {from} to {to}")
}

fn event(
    resource: &'static Resource,
    meta: &Meta,
    source: &str,
    kind: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Value {
    let time = now.rfc3339();
    json!({
        "apiVersion": "v1", "kind": "Event",
        // Upstream's form: the object's name and the time in hexadecimal nanoseconds.
        "metadata": {"name": format!("{}.{:x}", meta.name, i128::from(now.as_micros()) * 1_000), "namespace": meta.namespace},
        "involvedObject": {"apiVersion": resource.api_version(), "kind": resource.kind, "namespace": meta.namespace,
                           "name": meta.name, "uid": meta.uid, "resourceVersion": meta.resource_version},
        "type": kind, "reason": reason, "message": message, "count": 1,
        "firstTimestamp": time, "lastTimestamp": time,
        "source": {"component": source}, "reportingComponent": source, "reportingInstance": "",
    })
}

#[cfg(test)]
mod tests {
    use km_api::{Object, Status};

    use super::*;
    use crate::delta::Cache;
    use crate::perform::Written;

    fn replica_set(version: u64, replicas: i64) -> Object {
        let json = json!({"metadata": {"name": "web-1", "namespace": "d", "uid": "r", "resourceVersion": version.to_string()},
            "spec": {"replicas": replicas, "selector": {}}});
        Object::parse(json.to_string().into_bytes()).unwrap()
    }

    #[test]
    fn scaling_is_told_from_the_size_that_the_plan_saw() {
        let mut cache = Cache::new(&[&DEPLOYMENTS, &REPLICA_SETS]);
        let deployment = json!({"metadata": {"name": "web", "namespace": "d", "uid": "w", "resourceVersion": "1"},
            "spec": {"selector": {}, "template": {}}});
        cache.written(&DEPLOYMENTS, &Object::parse(deployment.to_string().into_bytes()).unwrap());
        cache.written(&REPLICA_SETS, &replica_set(2, 1));
        let key = ObjectKey::namespaced("d", "web-1");
        let patch = json!({"spec": {"replicas": 3}});
        let write = Write::Patch { resource: &REPLICA_SETS, key, subresource: "", patch };
        let sizes = sizes(&cache.listers, std::slice::from_ref(&write));
        // The informer is faster than the answer.
        cache.written(&REPLICA_SETS, &replica_set(3, 3));
        let work = Work::Deployment(ObjectKey::namespaced("d", "web"));
        let result: Result<Written, Status> = Ok(Written::Object(&REPLICA_SETS, replica_set(3, 3)));
        let attempt = Attempt { write, result };
        let (_, event) = of(&cache.listers, &work, &sizes, &attempt, Timestamp::EPOCH).unwrap();
        assert_eq!(event["message"], "Scaled up replica set web-1 from 1 to 3");
    }
}
