//! Deletion: preconditions, grace, finalizers, propagation.
//!
//! ```text
//!  delete ─▶ finalizers left?    ─▶ deletionTimestamp set, removed by the update that takes the last one away
//!         ─▶ pod bound, running? ─▶ deletionTimestamp + grace, removed by the executor's delete with grace 0
//!         ─▶ else                ─▶ removed
//! ```
//! Source: apiserver `pkg/registry/rest/delete.go`, `pkg/registry/generic/registry/store.go`, pod and namespace
//! strategies, v1.37.

use std::ops::ControlFlow;
use std::time::Duration;

use km_api::resource::{NAMESPACES, PODS};
use km_api::{List, Object, Options, Propagation, Resource, Response, Status};
use km_base::Timestamp;
use serde_json::{Value, json};

use crate::admit::node;
use crate::body;
use crate::call::{Call, Commit, Decision, Write};
use crate::decide::{answer, encode};
use crate::select::selection;
use crate::strategy;
use crate::value::{int, set, text, texts};
use crate::view::{View, key, prefix};
use crate::write::is_gone;

/// Namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// Bytes that one commit of a collection's deletion writes, and one object more: half of what the store takes at once.
const COMMIT_BYTES_MAX: usize = 8 << 20;

enum Step {
    /// Nothing to do: it is being deleted already.
    Nothing,
    /// Marked as being deleted.
    Mark(Value),
    /// Removed; the last state.
    Remove(Value),
}

/// Deletes the object that the request names.
pub(crate) fn delete(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let options = body::delete_options(&call.request.body, &call.request.options)?;
    delete_named(view, call, call.request.resource, &call.request.name, &options)
}

/// Deletes one object with options that were read before.
pub(crate) fn delete_named(
    view: &dyn View,
    call: &Call<'_>,
    resource: &'static Resource,
    name: &str,
    options: &Options,
) -> Result<Decision, Status> {
    let address = key(resource, &call.request.namespace, name);
    let object = view.get(&address).ok_or_else(|| Status::not_found(resource, name))?;
    let step = step(call, resource, &object, options)?;
    let durability = strategy::of(resource).map_or(crate::Durability::Synced, |row| row.durability);
    let (value, response) = match step {
        Step::Nothing => return Ok(answer(Response::Object(object), Vec::new())),
        Step::Mark(value) => {
            let marked = encode(&value)?;
            (Some(marked.bytes().clone()), Response::Object(marked))
        }
        Step::Remove(value) if strategy::of(resource).is_some_and(|row| row.returns_deleted) => {
            (None, Response::Object(encode(&value)?))
        }
        Step::Remove(value) => (None, Response::Status(Status::deleted(resource, name, text(&value, "metadata.uid")))),
    };
    let writes = vec![Write { key: address, value, durability }];
    let commit = Commit { writes, response, warnings: Vec::new() };
    Ok(if options.dry_run { answer(commit.response, commit.warnings) } else { Decision::Commit(commit) })
}

/// Deletes every object that the request selects, at one revision. Where that is more than one commit holds, the
/// answer says how many objects `remaining`: the driver asks again before it answers.
pub(crate) fn collection(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let resource = call.request.resource;
    let options = body::delete_options(&call.request.body, &call.request.options)?;
    let selection = selection(resource, &options)?;
    let mut found: Vec<(String, Object)> = Vec::new();
    view.range(&prefix(resource, &call.request.namespace), &mut |key, object| {
        if selection.matches(object) {
            found.push((key.to_owned(), object.clone()));
        }
        ControlFlow::Continue(())
    });
    let durability = strategy::of(resource).map_or(crate::Durability::Synced, |row| row.durability);
    let mut writes = Vec::new();
    let mut items = Vec::new();
    let (mut bytes, mut left) = (0, found.len());
    for (key, object) in found {
        if bytes > COMMIT_BYTES_MAX && !options.dry_run {
            break;
        }
        left -= 1;
        let (value, shown) = match step(call, resource, &object, &options)? {
            Step::Nothing => {
                items.push(object);
                continue;
            }
            Step::Mark(value) => {
                let marked = encode(&value)?;
                (Some(marked.bytes().clone()), marked)
            }
            Step::Remove(value) => (None, encode(&value)?),
        };
        bytes += key.len() + value.as_ref().map_or(0, bytes::Bytes::len);
        writes.push(Write { key, value, durability });
        items.push(shown);
    }
    let remaining = u64::try_from(left).ok().filter(|left| *left > 0);
    let response = Response::List(List { revision: view.revision(), items, remaining, ..List::default() });
    if writes.is_empty() || options.dry_run {
        return Ok(answer(response, Vec::new()));
    }
    Ok(Decision::Commit(Commit { writes, response, warnings: Vec::new() }))
}

fn step(call: &Call<'_>, resource: &'static Resource, object: &Object, options: &Options) -> Result<Step, Status> {
    let mut value = object.to_value();
    let name = object.meta().name.as_str();
    check_preconditions(resource, name, &value, options)?;
    if resource == &NAMESPACES && IMMORTAL.contains(&name) {
        return Err(Status::forbidden(resource, name, "this namespace may not be deleted"));
    }
    node::restrict_delete(call, resource, &value)?;
    let namespace = resource == &NAMESPACES;
    let finalizers: Vec<String> = finalizers_after(&value, options).into_iter().map(str::to_owned).collect();
    let changed = texts(&value, "metadata.finalizers") != finalizers;
    let held = !finalizers.is_empty() || (namespace && !crate::value::list(&value, "spec.finalizers").is_empty());
    let grace = grace_seconds(resource, &value, options);
    set_finalizers(&mut value, &finalizers);
    if object.meta().is_terminating() {
        let shortened = shorten(call, &mut value, options.grace_period_seconds.map(|_| grace));
        return Ok(finish(call, resource, value, held, shortened || changed));
    }
    if grace == 0 && !held {
        set(&mut value, "metadata.resourceVersion", call.revision.to_string());
        return Ok(Step::Remove(value));
    }
    let until = call.now + Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    set(&mut value, "metadata.deletionTimestamp", until.rfc3339());
    set(&mut value, "metadata.deletionGracePeriodSeconds", grace);
    if let Some(generation) = int(&value, "metadata.generation") {
        set(&mut value, "metadata.generation", generation + 1);
    }
    if namespace {
        set(&mut value, "status.phase", "Terminating");
    }
    Ok(finish(call, resource, value, held, true))
}

/// Ends a step on an object that carries a deletion timestamp.
fn finish(call: &Call<'_>, resource: &Resource, mut value: Value, held: bool, changed: bool) -> Step {
    if !held && is_gone(&value, resource == &NAMESPACES) {
        set(&mut value, "metadata.resourceVersion", call.revision.to_string());
        return Step::Remove(value);
    }
    if !changed {
        return Step::Nothing;
    }
    set(&mut value, "metadata.resourceVersion", call.revision.to_string());
    Step::Mark(value)
}

fn check_preconditions(resource: &Resource, name: &str, object: &Value, options: &Options) -> Result<(), Status> {
    for (what, asked, own) in [
        ("UID", &options.precondition_uid, text(object, "metadata.uid")),
        ("ResourceVersion", &options.precondition_resource_version, text(object, "metadata.resourceVersion")),
    ] {
        if let Some(asked) = asked
            && asked != own
        {
            let why = format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {own}");
            return Err(Status::conflict(resource, name, why));
        }
    }
    Ok(())
}

/// Returns how many seconds the object may take to end; only pods take any.
fn grace_seconds(resource: &Resource, object: &Value, options: &Options) -> i64 {
    if resource != &PODS {
        return 0;
    }
    let asked =
        options.grace_period_seconds.or_else(|| int(object, "spec.terminationGracePeriodSeconds")).unwrap_or(30);
    let unbound = text(object, "spec.nodeName").is_empty();
    let ended = matches!(text(object, "status.phase"), "Succeeded" | "Failed");
    match asked {
        _ if unbound || ended => 0,
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

/// Brings the end of an object that is being deleted forward; a later end is not granted.
fn shorten(call: &Call<'_>, value: &mut Value, grace: Option<i64>) -> bool {
    let before = int(value, "metadata.deletionGracePeriodSeconds").unwrap_or(0);
    let Some(grace) = grace.filter(|grace| *grace < before) else { return false };
    let started = Timestamp::parse(text(value, "metadata.deletionTimestamp")).unwrap_or(call.now);
    let seconds = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0));
    let until = started.saturating_sub(seconds(before)) + seconds(grace);
    set(value, "metadata.deletionTimestamp", until.rfc3339());
    set(value, "metadata.deletionGracePeriodSeconds", grace);
    true
}

/// Returns the finalizers that the propagation policy leaves or adds.
fn finalizers_after<'a>(object: &'a Value, options: &Options) -> Vec<&'a str> {
    let own = texts(object, "metadata.finalizers");
    let Some(policy) = options.propagation else { return own };
    let mut finalizers: Vec<&str> =
        own.into_iter().filter(|f| !matches!(*f, "orphan" | "foregroundDeletion")).collect();
    match policy {
        Propagation::Orphan => finalizers.push("orphan"),
        Propagation::Foreground => finalizers.push("foregroundDeletion"),
        Propagation::Background => {}
    }
    finalizers
}

fn set_finalizers(value: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        crate::value::remove(value, "metadata.finalizers");
    } else {
        set(value, "metadata.finalizers", json!(finalizers));
    }
}
