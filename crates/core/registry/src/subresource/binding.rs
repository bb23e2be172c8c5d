//! Binding a pod to a node: the compare-and-set that lets a pod run once.
//!
//! Source: upstream v1.37 `pkg/registry/core/pod/storage/storage.go`, `assignPod`/`setPodHostAndAnnotations`.

use km_api::resource::PODS;
use km_api::{Response, Status};
use serde_json::{Value, json};

use crate::body;
use crate::call::{Call, Decision, Durability};
use crate::decide::{commit, encode};
use crate::field::Errors;
use crate::meta;
use crate::value::{entries, list, object_mut, set, text};
use crate::view::{View, key};

/// Binds the pod that the Binding, or the path, names.
pub(crate) fn bind(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let request = call.request;
    let decoded = body::kind("v1", "Binding", &request.body, &request.options)?;
    let binding = decoded.value;
    let named = text(&binding, "metadata.name");
    if !request.name.is_empty() && !named.is_empty() && named != request.name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let name = if request.name.is_empty() { named } else { request.name.as_str() };
    let node = text(&binding, "target.name");
    let mut errors = Errors::default();
    let kind = text(&binding, "target.kind");
    if !kind.is_empty() && kind != "Node" {
        errors.not_supported("target.kind", kind, &["Node", "<empty>"]);
    }
    if node.is_empty() {
        errors.required("target.name", "");
    }
    errors.into_result(&km_api::resource::BINDINGS, name)?;
    let address = key(&PODS, &request.namespace, name);
    let stored = view.get(&address).ok_or_else(|| Status::not_found(&PODS, name))?;
    let mut pod = stored.to_value();
    meta::check_preconditions(
        &PODS,
        name,
        &pod,
        text(&binding, "metadata.uid"),
        text(&binding, "metadata.resourceVersion"),
    )?;
    if stored.meta().is_terminating() {
        let why = format!("pod {name} is being deleted, cannot be assigned to a host");
        return Err(Status::conflict(&PODS, name, why));
    }
    let bound = text(&pod, "spec.nodeName");
    if !bound.is_empty() {
        let why = format!("pod {name} is already assigned to node {bound:?}");
        return Err(Status::conflict(&PODS, name, why));
    }
    assign(call, &binding, &mut pod);
    meta::stamp(&mut pod, call.revision);
    let response = Response::Status(Status { code: 201, reason: None, message: String::new(), details: None });
    Ok(commit(address, &encode(&pod)?, Durability::Synced, response, decoded.warnings))
}

fn assign(call: &Call<'_>, binding: &Value, pod: &mut Value) {
    set(pod, "spec.nodeName", text(binding, "target.name"));
    if let Some(generation) = crate::value::int(pod, "metadata.generation") {
        set(pod, "metadata.generation", generation + 1);
    }
    for kind in ["annotations", "labels"] {
        for (name, value) in entries(binding, &format!("metadata.{kind}")) {
            object_mut(pod, &format!("metadata.{kind}")).insert(name.clone(), value.clone());
        }
    }
    let mut conditions: Vec<Value> = list(pod, "status.conditions").to_vec();
    let scheduled = json!({"type": "PodScheduled", "status": "True",
        "lastProbeTime": null, "lastTransitionTime": call.now.rfc3339()});
    match conditions.iter_mut().find(|c| text(c, "type") == "PodScheduled") {
        Some(condition) => *condition = scheduled,
        None => conditions.push(scheduled),
    }
    set(pod, "status.conditions", conditions);
}
