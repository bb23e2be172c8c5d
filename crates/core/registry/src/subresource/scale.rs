//! The `scale` subresource (`autoscaling/v1` Scale) of workloads.

use km_api::resource::REPLICATION_CONTROLLERS;
use km_api::{Object, Response, Status, Verb};
use serde_json::{Value, json};

use crate::body;
use crate::call::{Call, Decision, Durability};
use crate::decide::{answer, commit, encode};
use crate::field::Errors;
use crate::meta;
use crate::value::{at, entries, int, list, set, text, texts};
use crate::view::{View, key};

/// Shows the scale of a workload.
pub(crate) fn get(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let (_, owner) = owner(view, call)?;
    Ok(answer(Response::Object(encode(&scale_of(call, &owner.to_value()))?), Vec::new()))
}

/// Replaces or patches the scale of a workload: only `spec.replicas` is taken.
pub(crate) fn update(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let request = call.request;
    let (address, stored) = owner(view, call)?;
    let mut owner = stored.to_value();
    let old = scale_of(call, &owner);
    let decoded = match request.verb {
        Verb::Patch => {
            let ty = body::schema("autoscaling/v1", "Scale")?;
            body::patched_kind(&ty, &old, &request.body, &request.options)?
        }
        _ => body::kind("autoscaling/v1", "Scale", &request.body, &request.options)?,
    };
    let scale = decoded.value;
    meta::check_preconditions(
        request.resource,
        &request.name,
        &owner,
        text(&scale, "metadata.uid"),
        text(&scale, "metadata.resourceVersion"),
    )?;
    let replicas = int(&scale, "spec.replicas").unwrap_or(0);
    if replicas < 0 {
        let mut errors = Errors::default();
        errors.invalid_value("spec.replicas", &json!(replicas), "must be greater than or equal to 0");
        errors.into_result(request.resource, &request.name)?;
    }
    let before = owner.clone();
    set(&mut owner, "spec.replicas", replicas);
    if owner == before {
        return Ok(answer(Response::Object(encode(&old)?), decoded.warnings));
    }
    meta::bump_generation(&before, &mut owner);
    meta::stamp(&mut owner, call.revision);
    let shown = encode(&scale_of(call, &owner))?;
    Ok(commit(address, &encode(&owner)?, Durability::Synced, Response::Object(shown), decoded.warnings))
}

fn owner(view: &dyn View, call: &Call<'_>) -> Result<(String, Object), Status> {
    let request = call.request;
    let address = key(request.resource, &request.namespace, &request.name);
    let object = view.get(&address).ok_or_else(|| Status::not_found(request.resource, &request.name))?;
    Ok((address, object))
}

fn scale_of(call: &Call<'_>, owner: &Value) -> Value {
    let metadata: serde_json::Map<String, Value> = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]
        .into_iter()
        .filter_map(|field| Some((field.to_owned(), at(owner, &format!("metadata.{field}"))?.clone())))
        .collect();
    let simple = call.request.resource == &REPLICATION_CONTROLLERS;
    json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": metadata,
        "spec": {"replicas": int(owner, "spec.replicas").unwrap_or(0)},
        "status": {
            "replicas": int(owner, "status.replicas").unwrap_or(0),
            "selector": selector(owner, if simple { "spec.selector" } else { "spec.selector.matchLabels" }),
        },
    })
}

/// Writes a selector in query form.
fn selector(owner: &Value, labels: &str) -> String {
    let mut terms: Vec<String> =
        entries(owner, labels).map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    for expression in list(owner, "spec.selector.matchExpressions") {
        let (key, values) = (text(expression, "key"), texts(expression, "values").join(","));
        terms.push(match text(expression, "operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    terms.join(",")
}
