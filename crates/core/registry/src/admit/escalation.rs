//! RBAC escalation: nobody grants what they do not have, unless they may `escalate` or `bind`.
//!
//! Source: upstream v1.37 `pkg/registry/rbac/{role,rolebinding}/policybased`, `pkg/registry/rbac/validation`.

use km_api::identity::SYSTEM_MASTERS;
use km_api::resource::{CLUSTER_ROLES, ROLES};
use km_api::{Resource, Status};
use serde_json::Value;

use crate::admit::Admission;
use crate::rbac::{Asked, Policy, Rule, quoted, role_key, rules_of, uncovered};
use crate::value::{default, text};

/// Checks the rules of a role.
pub(crate) fn role(admission: &Admission<'_>, role: &mut Value) -> Result<(), Status> {
    let same = admission.old.is_some_and(|old| old.get("rules") == role.get("rules"));
    if same {
        return Ok(());
    }
    check(admission, role, &rules_of(role), "escalate", admission.call.request.resource, text(role, "metadata.name"))
}

/// Checks the rules of the role that a binding refers to.
pub(crate) fn binding(admission: &Admission<'_>, binding: &mut Value) -> Result<(), Status> {
    default(binding, "roleRef.apiGroup", CLUSTER_ROLES.group);
    let same = admission.old.is_some_and(|old| {
        old.get("roleRef") == binding.get("roleRef") && old.get("subjects") == binding.get("subjects")
    });
    if same {
        return Ok(());
    }
    let kind = if text(binding, "roleRef.kind") == "Role" { &ROLES } else { &CLUSTER_ROLES };
    let name = text(binding, "roleRef.name").to_owned();
    let rules = admission.view.get(&role_key(binding)).map(|role| rules_of(&role.to_value()));
    let Some(rules) = rules else {
        return match allowed(admission, binding, "bind", kind, &name) {
            true => Ok(()),
            false => Err(Status::not_found(kind, &name)),
        };
    };
    check(admission, binding, &rules, "bind", kind, &name)
}

fn check(
    admission: &Admission<'_>,
    object: &Value,
    rules: &[Rule],
    verb: &str,
    resource: &Resource,
    name: &str,
) -> Result<(), Status> {
    if allowed(admission, object, verb, resource, name) {
        return Ok(());
    }
    let identity = admission.call.identity;
    let own = Policy::of(admission.view).rules(identity, text(object, "metadata.namespace"));
    let missing = uncovered(&own, rules);
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        identity.user,
        quoted(&identity.groups),
        lines.join("\n")
    );
    Err(admission.forbidden(object, why))
}

fn allowed(admission: &Admission<'_>, object: &Value, verb: &str, resource: &Resource, name: &str) -> bool {
    let identity = admission.call.identity;
    if identity.in_group(SYSTEM_MASTERS) {
        return true;
    }
    let asked = Asked { verb, group: resource.group, resource: resource.plural, subresource: "", name, url: "" };
    Policy::of(admission.view).allows(identity, text(object, "metadata.namespace"), asked).is_some()
}
