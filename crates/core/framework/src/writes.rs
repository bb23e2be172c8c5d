//! The API requests that the framework makes about pods: Binding, conditions, Events, tokens, deletions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use km_api::resource::{EVENTS, PODS, SECRETS};
use km_api::{ContentType, Request, Verb};
use km_base::{ObjectKey, Timestamp, Uid};
use km_kinds::api::core::v1::Pod;
use km_mesos::{AgentId, TaskId};
use km_podwire::{AGENT_ID_ANNOTATION, BINDING_HOST_ANNOTATION, EXECUTOR_ID_ANNOTATION, TASK_ID_ANNOTATION};
use serde_json::{Map, Value, json};

use crate::OFFER_ID_ANNOTATION;
use crate::attempt::Attempt;

const NAMESPACE_SYSTEM: &str = "kube-system";
/// Life of a bootstrap token: DESIGN 9.
const TOKEN_SECS: u64 = 300;

/// Writes the pod's place and task: a Binding, or for a pod that is bound already a patch of its annotations.
/// Both carry the UID as precondition.
pub(crate) fn bind(task_id: &TaskId, attempt: &Attempt, pod: &Pod) -> Request {
    let annotations = annotations(task_id, attempt, pod);
    let (namespace, name) = (&attempt.key.namespace, &attempt.key.name);
    if km_api::pod::node_name(pod).is_some() {
        let body = json!({ "metadata": { "uid": attempt.uid, "annotations": annotations } });
        return Request::new(Verb::Patch, &PODS, namespace, name).body(ContentType::MergePatch, body.to_string());
    }
    let body = json!({ "apiVersion": "v1", "kind": "Binding",
        "metadata": { "name": name, "namespace": namespace, "uid": attempt.uid, "annotations": annotations },
        "target": { "apiVersion": "v1", "kind": "Node", "name": attempt.node } });
    Request::new(Verb::Create, &PODS, namespace, name).subresource("binding").body(ContentType::Json, body.to_string())
}

fn annotations(task_id: &TaskId, attempt: &Attempt, pod: &Pod) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |key: String, value: String| all.insert(key, Value::String(value));
    put(TASK_ID_ANNOTATION.to_owned(), task_id.value.clone());
    put(AGENT_ID_ANNOTATION.to_owned(), attempt.agent_id.value.clone());
    put(BINDING_HOST_ANNOTATION.to_owned(), attempt.node.clone());
    if let Some(executor) = &attempt.executor_id {
        put(EXECUTOR_ID_ANNOTATION.to_owned(), executor.value.clone());
    }
    if let Some(offer) = &attempt.offer_id {
        put(OFFER_ID_ANNOTATION.to_owned(), offer.value.clone());
    }
    let declared = km_api::pod::ports(pod);
    for port in &attempt.ports {
        let number = port.host_port.to_string();
        put(format!("k8s.mesosphere.io/port_{}_{}", port.protocol, port.container_port), number.clone());
        let named = declared
            .iter()
            .find(|d| d.container == port.container && d.container_port == port.container_port && !d.name.is_empty());
        if let Some(named) = named {
            put(format!("k8s.mesosphere.io/portName_{}_{}", port.protocol, named.name), number);
        }
    }
    all
}

/// Writes PodScheduled=False with the reason in words.
pub(crate) fn unschedulable(now: Timestamp, key: &ObjectKey, uid: &Uid, pod: &Pod, reason: &str) -> Request {
    let old = pod.status.as_ref().and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    // The time is that of the change of status, not of words.
    let since = old
        .filter(|c| c.type_ == "PodScheduled" && c.status == "False")
        .find_map(|c| c.last_transition_time.as_ref())
        .map_or_else(|| now.rfc3339(), |time| Timestamp::from(time.0).rfc3339());
    let body = json!({ "metadata": { "uid": uid }, "status": { "conditions": [{ "type": "PodScheduled",
        "status": "False", "reason": "Unschedulable", "message": reason, "lastTransitionTime": since }] } });
    Request::new(Verb::Patch, &PODS, &key.namespace, &key.name)
        .subresource("status")
        .body(ContentType::StrategicMergePatch, body.to_string())
}

/// What an Event says.
pub(crate) struct Record<'a> {
    pub kind: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
}

/// Records an Event about a pod. Its name is upstream's (the pod's and the time in hexadecimal nanoseconds), so a list
/// by name is in order of time beside the node's Events; `serial` tells two of one microsecond apart.
pub(crate) fn record(
    now: Timestamp,
    key: &ObjectKey,
    uid: &Uid,
    component: &str,
    serial: u64,
    what: &Record<'_>,
) -> Request {
    let time = now.rfc3339();
    let name = format!("{}.{:x}", key.name, i128::from(now.as_micros()) * 1_000 + i128::from(serial % 1_000));
    let body = json!({ "apiVersion": "v1", "kind": "Event",
        "metadata": { "name": name, "namespace": key.namespace },
        "involvedObject": { "apiVersion": "v1", "kind": "Pod", "namespace": key.namespace, "name": key.name, "uid": uid },
        "type": what.kind, "reason": what.reason, "message": what.message, "count": 1,
        "firstTimestamp": time, "lastTimestamp": time,
        "source": { "component": component }, "reportingComponent": component, "reportingInstance": "" });
    Request::new(Verb::Create, &EVENTS, &key.namespace, "").body(ContentType::Json, body.to_string())
}

/// Deletes a pod at once: nothing is left that could end it gracefully.
pub(crate) fn delete(key: &ObjectKey, uid: &Uid) -> Request {
    let mut request = Request::new(Verb::Delete, &PODS, &key.namespace, &key.name);
    request.options.grace_period_seconds = Some(0);
    request.options.precondition_uid = Some(uid.0.clone());
    request
}

/// Makes a bootstrap token out of `entropy`, good for one node and agent; returns the request and the token.
pub(crate) fn token(now: Timestamp, agent_id: &AgentId, node: &str, entropy: &[u8; 32]) -> (Request, String) {
    // k8s: a token is `[a-z0-9]{6}.[a-z0-9]{16}`. 22 of 36 letters from 22 bytes; the modulo's bias is 0.2 bits.
    let letters: String = entropy
        .iter()
        .take(22)
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[usize::from(*byte) % 36]))
        .collect();
    let (id, secret) = letters.split_at(6);
    let encode = |text: &str| STANDARD.encode(text);
    let expiration = (now + std::time::Duration::from_secs(TOKEN_SECS)).rfc3339();
    let body = json!({ "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": { "name": format!("bootstrap-token-{id}"), "namespace": NAMESPACE_SYSTEM },
        "data": { "token-id": encode(id), "token-secret": encode(secret), "expiration": encode(&expiration),
            "usage-bootstrap-authentication": encode("true"),
            "auth-extra-groups": encode("system:bootstrappers:km"),
            "node-name": encode(node), "agent-id": encode(&agent_id.value) } });
    let request = Request::new(Verb::Create, &SECRETS, NAMESPACE_SYSTEM, "").body(ContentType::Json, body.to_string());
    (request, format!("{id}.{secret}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_pod_sort_by_time() {
        let key = ObjectKey::namespaced("default", "web");
        let what = Record { kind: "Normal", reason: "Scheduled", message: "" };
        let name = |micros: i64, serial: u64| {
            let now = Timestamp::EPOCH + std::time::Duration::from_micros(micros.unsigned_abs());
            let request = record(now, &key, &Uid("u".into()), "default-scheduler", serial, &what);
            let body: serde_json::Value = serde_json::from_slice(&request.body.bytes).unwrap();
            body["metadata"]["name"].as_str().unwrap().to_owned()
        };
        let day = 20_000 * 86_400 * 1_000_000;
        assert!(name(day, 77) < name(day + 1, 5));
        assert_ne!(name(day, 1), name(day, 2));
    }
}
