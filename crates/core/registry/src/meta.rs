//! The rules that hold for the metadata of every kind.
//!
//! Source: apimachinery `pkg/api/validation/objectmeta.go`, apiserver `pkg/registry/rest/{create,update,meta}.go`.

use km_api::{Resource, Status};
use km_base::Revision;
use serde_json::{Value, json};

use crate::call::Call;
use crate::field::Errors;
use crate::names::{self, NameRule};
use crate::value::{at, copy, entries, int, list, remove, set, text, texts};

/// Most bytes that the annotations of one object may take.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// What only the server writes.
const SERVERS: &[&str] = &["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];

/// Sets what the server decides about a new object.
pub(crate) fn begin(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    if !text(object, "metadata.resourceVersion").is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let request = call.request;
    match text(object, "metadata.namespace") {
        "" if request.resource.is_namespaced() => set(object, "metadata.namespace", request.namespace.as_str()),
        own if own != request.namespace && request.resource.is_namespaced() => {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        _ => {}
    }
    for field in SERVERS.iter().chain(&["selfLink", "managedFields", "resourceVersion"]) {
        remove(object, &format!("metadata.{field}"));
    }
    set(object, "metadata.uid", call.entropy.uid().as_str());
    set(object, "metadata.creationTimestamp", call.now.rfc3339());
    Ok(())
}

/// Makes a name of `generateName`; `salt` tells tries apart.
pub(crate) fn generate_name(call: &Call<'_>, object: &mut Value, salt: u64) {
    // k8s 1.37 apiserver/pkg/storage/names/generate.go: 63 characters, five of them random.
    let mut base: String = text(object, "metadata.generateName").to_owned();
    base.truncate(base.floor_char_boundary(58));
    set(object, "metadata.name", format!("{base}{}", call.entropy.suffix(salt)));
}

/// Carries over what an update cannot change.
pub(crate) fn keep(old: &Value, new: &mut Value) {
    for field in SERVERS {
        copy(old, new, &format!("metadata.{field}"));
    }
    remove(new, "metadata.selfLink");
    remove(new, "metadata.managedFields");
}

/// Writes the revision that the object's commit will get.
pub(crate) fn stamp(object: &mut Value, revision: Revision) {
    set(object, "metadata.resourceVersion", revision.to_string());
}

/// Checks the name and namespace of an update's body against the request's.
pub(crate) fn check_address(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    let request = call.request;
    let name = text(object, "metadata.name").to_owned();
    if name.is_empty() {
        set(object, "metadata.name", request.name.as_str());
    } else if name != request.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            request.name
        )));
    }
    let namespace = text(object, "metadata.namespace").to_owned();
    if request.resource.is_namespaced() && namespace.is_empty() {
        set(object, "metadata.namespace", request.namespace.as_str());
    } else if request.resource.is_namespaced() && namespace != request.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Checks the `uid` and `resourceVersion` that an update names.
pub(crate) fn check_preconditions(
    resource: &Resource,
    name: &str,
    old: &Value,
    uid: &str,
    version: &str,
) -> Result<(), Status> {
    let own = text(old, "metadata.uid");
    if !uid.is_empty() && uid != own {
        return Err(Status::conflict(
            resource,
            name,
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}"),
        ));
    }
    if !version.is_empty() && version != text(old, "metadata.resourceVersion") {
        return Err(Status::modified(resource, name));
    }
    Ok(())
}

/// Validates metadata.
pub(crate) fn validate(resource: &Resource, rule: NameRule, object: &Value, errors: &mut Errors) {
    let generate = text(object, "metadata.generateName");
    if !generate.is_empty() {
        errors.invalid_all("metadata.generateName", generate, rule.check(generate, true));
    }
    match text(object, "metadata.name") {
        "" => errors.required("metadata.name", "name or generateName is required"),
        name => errors.invalid_all("metadata.name", name, rule.check(name, false)),
    }
    match (resource.is_namespaced(), text(object, "metadata.namespace")) {
        (true, "") => errors.required("metadata.namespace", ""),
        (true, namespace) => errors.invalid_all("metadata.namespace", namespace, names::label(namespace)),
        (false, "") => {}
        (false, _) => errors.forbidden("metadata.namespace", "not allowed on this type"),
    }
    labels(object, "metadata.labels", errors);
    annotations(object, errors);
    owner_references(object, errors);
    let finalizers = texts(object, "metadata.finalizers");
    for finalizer in &finalizers {
        errors.invalid_all("metadata.finalizers", finalizer, names::qualified_name(finalizer));
    }
    if finalizers.contains(&"orphan") && finalizers.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid_value("metadata.finalizers", &json!(finalizers), detail);
    }
}

/// Validates what an update changes in metadata.
pub(crate) fn validate_update(old: &Value, new: &Value, errors: &mut Errors) {
    if text(old, "metadata.deletionTimestamp").is_empty() {
        return;
    }
    let before = texts(old, "metadata.finalizers");
    let extra: Vec<&str> = texts(new, "metadata.finalizers").into_iter().filter(|f| !before.contains(f)).collect();
    if !extra.is_empty() {
        let shown: Vec<String> = extra.iter().map(|f| format!("{f:?}")).collect();
        errors.forbidden(
            "metadata.finalizers",
            format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                shown.join(", ")
            ),
        );
    }
}

/// Validates a map of labels at `path`.
pub(crate) fn labels(object: &Value, path: &str, errors: &mut Errors) {
    for (key, value) in entries(object, path) {
        errors.invalid_all(path, key, names::qualified_name(key));
        let value = value.as_str().unwrap_or_default();
        errors.invalid_all(path, value, names::label_value(value));
    }
}

fn annotations(object: &Value, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in entries(object, "metadata.annotations") {
        bytes += key.len() + value.as_str().map_or(0, str::len);
        errors.invalid_all("metadata.annotations", key, names::qualified_name(&key.to_ascii_lowercase()));
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.too_long("metadata.annotations", ANNOTATIONS_BYTES_MAX);
    }
}

fn owner_references(object: &Value, errors: &mut Errors) {
    let owners = list(object, "metadata.ownerReferences");
    let mut controller: Option<String> = None;
    for (i, owner) in owners.iter().enumerate() {
        let path = format!("metadata.ownerReferences[{i}]");
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                errors.required(format!("{path}.{field}"), "must not be empty");
            }
        }
        if at(owner, "controller").and_then(Value::as_bool) != Some(true) {
            continue;
        }
        let this = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
        match &controller {
            None => controller = Some(this),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                );
                errors.invalid_value("metadata.ownerReferences", &json!(owners), detail);
            }
        }
    }
}

/// Sets the generation of a changed object: one more when the desired state differs.
pub(crate) fn bump_generation(old: &Value, new: &mut Value) {
    if desired(old) != desired(new) {
        set(new, "metadata.generation", int(old, "metadata.generation").unwrap_or(0) + 1);
    }
}

/// Returns the fields that say what is wanted: `spec`, or in kinds without one all but metadata and status.
fn desired(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status")).collect()
}
