//! Creating, updating and patching: the one pipeline of all kinds.
//!
//! ```text
//! body ─▶ decode, prune ─▶ prepare (status, server fields) ─▶ defaults ─▶ admission ─▶ name ─▶ validation ─▶ write
//! ```
//! Source of the order: apiserver `pkg/endpoints/handlers`, `pkg/registry/rest/{create,update}.go`, v1.37.

use km_api::resource::{NAMESPACES, PODS};
use km_api::{Response, Status, Verb};
use serde_json::Value;

use crate::admit::{self, Admission};
use crate::authorize::{Attributes, authorize};
use crate::body::{self, Decoded};
use crate::call::{Call, Commit, Decision, Write};
use crate::decide::{answer, commit, encode};
use crate::field::Errors;
use crate::meta;
use crate::strategy::{self, Strategy};
use crate::subresource::event;
use crate::validate::pod_update::validate_status;
use crate::value::{copy, int, list, remove, set, text};
use crate::view::{View, key};

/// Which part of an object an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The object without its status.
    Main,
    /// The status.
    Status,
    /// `spec.finalizers` of a namespace.
    Finalize,
    /// The conditions of a certificate signing request that say whether it is approved.
    Approval,
}

/// How often a generated name is tried before giving up, as upstream does.
const NAME_TRIES: u64 = 8;

/// Creates the object in the request's body.
pub(crate) fn create(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let decoded = body::object(call.request.resource, &call.request.body, &call.request.options)?;
    create_object(view, call, decoded)
}

fn create_object(view: &dyn View, call: &Call<'_>, decoded: Decoded) -> Result<Decision, Status> {
    let resource = call.request.resource;
    let row = row(call)?;
    let Decoded { value: mut object, warnings } = decoded;
    meta::begin(call, &mut object)?;
    if row.status && !row.status_at_creation {
        remove(&mut object, "status");
    }
    if row.generation {
        set(&mut object, "metadata.generation", 1);
    }
    (row.prepare)(&mut object);
    body::default(resource, &mut object)?;
    let generated = text(&object, "metadata.name").is_empty() && !text(&object, "metadata.generateName").is_empty();
    if generated {
        meta::generate_name(call, &mut object, 0);
    }
    let admission = Admission { view, call, old: None };
    admit::namespace(&admission, &object)?;
    row.admit(&admission, &mut object)?;
    let mut tries = 1;
    let mut address = object_key(call, &object);
    while generated && view.get(&address).is_some() && tries < NAME_TRIES {
        meta::generate_name(call, &mut object, tries);
        address = object_key(call, &object);
        tries += 1;
    }
    body::default(resource, &mut object)?;
    let mut errors = Errors::default();
    meta::validate(resource, row.names, &object, &mut errors);
    (row.validate)(&object, &mut errors);
    let name = text(&object, "metadata.name").to_owned();
    errors.into_result(resource, &name)?;
    if let Some(present) = view.get(&address) {
        let mut status = Status::already_exists(resource, &name);
        if present.meta().is_terminating() {
            status.message = format!("object is being deleted: {}", status.message);
        }
        return Err(status);
    }
    meta::stamp(&mut object, call.revision);
    let shown = encode(&object)?;
    let stored = if resource.group == "events.k8s.io" { encode(&event::store(object))? } else { shown.clone() };
    Ok(commit(address, &stored, row.durability, Response::Created(shown), warnings))
}

/// Updates or patches a part of an object.
pub(crate) fn update(view: &dyn View, call: &Call<'_>, part: Part) -> Result<Decision, Status> {
    let request = call.request;
    let resource = request.resource;
    let row = row(call)?;
    let address = key(resource, &request.namespace, &request.name);
    let old = view.get(&address).map(|stored| crate::read::present(resource, stored));
    let Some(old_object) = old else {
        if request.verb == Verb::Update && part == Part::Main && row.create_on_update {
            let mut decoded = body::object(resource, &request.body, &request.options)?;
            meta::check_address(call, &mut decoded.value)?;
            if !text(&decoded.value, "metadata.resourceVersion").is_empty() {
                return Err(Status::not_found(resource, &request.name));
            }
            // The request was authorized as an update; k8s 1.37 apiserver/pkg/endpoints/handlers/update.go,
            // withAuthorization.
            let create = Attributes { verb: Verb::Create.as_str().to_owned(), ..Attributes::of(request) };
            authorize(view, call.identity, &create)?;
            return create_object(view, call, decoded);
        }
        return Err(Status::not_found(resource, &request.name));
    };
    let old = old_object.to_value();
    let Decoded { value: mut new, warnings } = match request.verb {
        Verb::Patch => body::patched(resource, &old, &request.body, &request.options)?,
        _ => body::object(resource, &request.body, &request.options)?,
    };
    meta::check_address(call, &mut new)?;
    let version = text(&new, "metadata.resourceVersion");
    meta::check_preconditions(resource, &request.name, &old, text(&new, "metadata.uid"), version)?;
    if version.is_empty() && row.versioned_update {
        let mut errors = Errors::default();
        errors.invalid_value("metadata.resourceVersion", &Value::from(0), "must be specified for an update");
        errors.into_result(resource, &request.name)?;
    }
    meta::keep(&old, &mut new);
    take_part(row, part, &old, &mut new);
    body::default(resource, &mut new)?;
    let admission = Admission { view, call, old: Some(&old) };
    row.admit(&admission, &mut new)?;
    if row.generation && part == Part::Main {
        meta::bump_generation(&old, &mut new);
    }
    let mut errors = Errors::default();
    meta::validate(resource, row.names, &new, &mut errors);
    meta::validate_update(&old, &new, &mut errors);
    if part == Part::Main {
        (row.validate_update)(&old, &new, &mut errors);
        if errors.is_empty() {
            (row.validate)(&new, &mut errors);
        }
    }
    if part == Part::Status && row.resource == &PODS {
        validate_status(&old, &new, &mut errors);
    }
    errors.into_result(resource, &request.name)?;
    copy(&old, &mut new, "metadata.resourceVersion");
    if new == old {
        return Ok(answer(Response::Object(old_object), warnings));
    }
    meta::stamp(&mut new, call.revision);
    let shown = encode(&new)?;
    if is_gone(&new, resource == &NAMESPACES) {
        let write = Write { key: address, value: None, durability: row.durability };
        return Ok(Decision::Commit(Commit { writes: vec![write], response: Response::Object(shown), warnings }));
    }
    let stored = if resource.group == "events.k8s.io" { encode(&event::store(new))? } else { shown.clone() };
    Ok(commit(address, &stored, row.durability, Response::Object(shown), warnings))
}

/// Puts back what the part at hand may not change.
fn take_part(row: &Strategy, part: Part, old: &Value, new: &mut Value) {
    match part {
        Part::Main => {
            if row.status {
                copy(old, new, "status");
            }
            if row.resource == &NAMESPACES {
                copy(old, new, "spec.finalizers");
            }
        }
        Part::Status => {
            copy(old, new, "spec");
            copy(old, new, "metadata.ownerReferences");
            copy(old, new, "metadata.finalizers");
            if row.resource == &PODS {
                copy(old, new, "status.qosClass");
            }
            if row.resource == &km_api::resource::CERTIFICATE_SIGNING_REQUESTS {
                keep_approval(old, new);
            }
        }
        Part::Finalize => {
            copy(old, new, "status");
        }
        Part::Approval => {
            let conditions = list(new, "status.conditions").to_vec();
            copy(old, new, "spec");
            copy(old, new, "status");
            if !conditions.is_empty() {
                set(new, "status.conditions", conditions);
            }
        }
    }
}

/// The status subresource of a request may not approve or deny it (k8s 1.37 pkg/registry/certificates, statusStrategy).
fn keep_approval(old: &Value, new: &mut Value) {
    let decided = |c: &&Value| matches!(text(c, "type"), "Approved" | "Denied");
    let own: Vec<Value> = list(old, "status.conditions").iter().filter(decided).cloned().collect();
    let others = list(new, "status.conditions").iter().filter(|c| !decided(c)).cloned();
    let all: Vec<Value> = own.into_iter().chain(others).collect();
    if !all.is_empty() {
        set(new, "status.conditions", all);
    }
}

/// Tells whether nothing holds up the deletion of an object any longer.
pub(crate) fn is_gone(object: &Value, namespace: bool) -> bool {
    !text(object, "metadata.deletionTimestamp").is_empty()
        && int(object, "metadata.deletionGracePeriodSeconds").unwrap_or(0) == 0
        && list(object, "metadata.finalizers").is_empty()
        && (!namespace || list(object, "spec.finalizers").is_empty())
}

fn row(call: &Call<'_>) -> Result<&'static Strategy, Status> {
    strategy::of(call.request.resource).ok_or_else(|| crate::decide::not_allowed(call))
}

fn object_key(call: &Call<'_>, object: &Value) -> String {
    key(call.request.resource, text(object, "metadata.namespace"), text(object, "metadata.name"))
}
