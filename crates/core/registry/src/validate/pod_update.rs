//! What an update of a pod may change. Source: upstream v1.37 `ValidatePodUpdate`.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::value::{copy, int, list, list_mut, set, text};

const ONLY: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Validates a change of a pod's status: what has ended does not come alive. A write that an executor sent before it
/// died may arrive when the next one has run the pod to its end.
pub(crate) fn validate_status(old: &Value, new: &Value, errors: &mut Errors) {
    let (before, after) = (text(old, "status.phase"), text(new, "status.phase"));
    if matches!(before, "Succeeded" | "Failed") && before != after {
        errors.forbidden("status.phase", format!("a pod that has {before} may not become {after}"));
    }
}

/// Validates a change of a pod's spec. Upstream adds a diff to the text about other fields; this does not.
pub(crate) fn validate_update(old: &Value, new: &Value, errors: &mut Errors) {
    for (field, word) in [("containers", "containers"), ("initContainers", "init containers")] {
        let path = format!("spec.{field}");
        if list(old, &path).len() != list(new, &path).len() {
            errors.forbidden(path, format!("pod updates may not add or remove {word}"));
            return;
        }
    }
    deadline(old, new, errors);
    tolerations(old, new, errors);
    let mut allowed = new.clone();
    for path in ["spec.containers", "spec.initContainers"] {
        for (container, before) in list_mut(&mut allowed, path).iter_mut().zip(list(old, path)) {
            copy(before, container, "image");
        }
    }
    for path in ["spec.activeDeadlineSeconds", "spec.tolerations"] {
        copy(old, &mut allowed, path);
    }
    let grace = "spec.terminationGracePeriodSeconds";
    if int(old, grace).is_some_and(|n| n < 0) && int(new, grace) == Some(1) {
        copy(old, &mut allowed, grace);
    }
    // The scheduling gate: a pod that is bound keeps its node.
    if allowed.get("spec") != old.get("spec") {
        errors.forbidden("spec", ONLY);
    }
    for (i, container) in list(new, "spec.containers").iter().enumerate() {
        if text(container, "image").trim().is_empty() {
            errors.required(format!("spec.containers[{i}].image"), "");
        }
    }
}

fn deadline(old: &Value, new: &Value, errors: &mut Errors) {
    let path = "spec.activeDeadlineSeconds";
    match (int(old, path), int(new, path)) {
        (Some(before), Some(after)) if after > before => {
            errors.invalid_value(path, &json!(after), "must be less than or equal to previous value");
        }
        (Some(before), None) => {
            errors.invalid_value(path, &json!(before), "must not update from a positive integer to nil value");
        }
        _ => {}
    }
}

fn tolerations(old: &Value, new: &Value, errors: &mut Errors) {
    let bare = |toleration: &Value| {
        let mut toleration = toleration.clone();
        set(&mut toleration, "tolerationSeconds", 0);
        toleration
    };
    let after: Vec<Value> = list(new, "spec.tolerations").iter().map(bare).collect();
    if list(old, "spec.tolerations").iter().any(|before| !after.contains(&bare(before))) {
        errors.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds");
    }
}
