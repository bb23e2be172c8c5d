//! Roles and bindings. Source: upstream v1.37 `pkg/apis/rbac/validation/validation.go`.

use serde_json::Value;

use crate::field::Errors;
use crate::value::{at, list, text, texts};

/// Validates a Role or ClusterRole.
pub(crate) fn role(object: &Value, errors: &mut Errors) {
    let namespaced = !text(object, "metadata.namespace").is_empty();
    for (i, rule) in list(object, "rules").iter().enumerate() {
        let path = format!("rules[{i}]");
        if list(rule, "verbs").is_empty() {
            errors.required(format!("{path}.verbs"), "verbs must contain at least one value");
        }
        if !list(rule, "nonResourceURLs").is_empty() {
            if namespaced {
                let shown = at(rule, "nonResourceURLs").unwrap_or(&Value::Null);
                errors.invalid_value(
                    format!("{path}.nonResourceURLs"),
                    shown,
                    "namespaced rules cannot apply to non-resource URLs",
                );
            }
            let mixed = ["apiGroups", "resources", "resourceNames"].iter().any(|f| !list(rule, f).is_empty());
            if mixed {
                let shown = at(rule, "nonResourceURLs").unwrap_or(&Value::Null);
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.invalid_value(format!("{path}.nonResourceURLs"), shown, detail);
            }
            continue;
        }
        if texts(rule, "apiGroups").is_empty() {
            errors.required(format!("{path}.apiGroups"), "resource rules must supply at least one api group");
        }
        if texts(rule, "resources").is_empty() {
            errors.required(format!("{path}.resources"), "resource rules must supply at least one resource");
        }
    }
}

/// Validates a RoleBinding or ClusterRoleBinding.
pub(crate) fn binding(object: &Value, errors: &mut Errors) {
    let namespaced = !text(object, "metadata.namespace").is_empty();
    let group = text(object, "roleRef.apiGroup");
    if group != "rbac.authorization.k8s.io" {
        errors.not_supported("roleRef.apiGroup", group, &["rbac.authorization.k8s.io"]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    let kind = text(object, "roleRef.kind");
    if !kinds.contains(&kind) {
        errors.not_supported("roleRef.kind", kind, kinds);
    }
    if text(object, "roleRef.name").is_empty() {
        errors.required("roleRef.name", "");
    }
    for (i, subject) in list(object, "subjects").iter().enumerate() {
        let path = format!("subjects[{i}]");
        if text(subject, "name").is_empty() {
            errors.required(format!("{path}.name"), "");
        }
        match text(subject, "kind") {
            "ServiceAccount" => {
                if !namespaced && text(subject, "namespace").is_empty() {
                    errors.required(format!("{path}.namespace"), "");
                }
            }
            "User" | "Group" => {
                let group = text(subject, "apiGroup");
                if group != "rbac.authorization.k8s.io" {
                    errors.not_supported(format!("{path}.apiGroup"), group, &["rbac.authorization.k8s.io"]);
                }
            }
            other => errors.not_supported(format!("{path}.kind"), other, &["Group", "ServiceAccount", "User"]),
        }
    }
}

/// Validates a change of a binding.
pub(crate) fn binding_update(old: &Value, new: &Value, errors: &mut Errors) {
    if old.get("roleRef") != new.get("roleRef") {
        errors.invalid_value("roleRef", new.get("roleRef").unwrap_or(&Value::Null), "cannot change roleRef");
    }
}
