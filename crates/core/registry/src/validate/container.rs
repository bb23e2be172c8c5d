//! Containers of pods and templates. Source: upstream v1.37 `pkg/apis/core/validation/validation.go`.

use std::collections::BTreeSet;

use km_api::Quantity;
use serde_json::{Value, json};

use super::{non_negative, port, port_or_name};
use crate::field::Errors;
use crate::names;
use crate::value::{at, entries, int, is_true, list, text};

/// What a container is to its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs as long as the pod.
    Main,
    /// Runs to its end before the main ones.
    Init,
    /// Starts among the init containers and goes on beside the main ones.
    Sidecar,
}

/// Fields of the pod that environment variables may take.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Resources of containers that environment variables may take.
const ENV_RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// Validates one container.
pub(crate) fn validate(container: &Value, path: &str, volumes: &BTreeSet<String>, role: Role, errors: &mut Errors) {
    match text(container, "name") {
        "" => errors.required(format!("{path}.name"), ""),
        name => errors.invalid_all(format!("{path}.name"), name, names::label(name)),
    }
    let image = text(container, "image");
    if image.is_empty() {
        errors.required(format!("{path}.image"), "");
    } else if image.trim() != image {
        errors.invalid(format!("{path}.image"), image, "must not have leading or trailing whitespace");
    }
    one_of(container, "terminationMessagePolicy", path, &["FallbackToLogsOnError", "File"], errors);
    one_of(container, "imagePullPolicy", path, &["Always", "IfNotPresent", "Never"], errors);
    ports(container, path, errors);
    env(container, path, errors);
    mounts(container, path, volumes, errors);
    probes(container, path, role, errors);
    if let Some(resources) = at(container, "resources") {
        self::resources(resources, &format!("{path}.resources"), errors);
    }
    if let Some(context) = at(container, "securityContext") {
        security(context, &format!("{path}.securityContext"), errors);
    }
}

// k8s 1.37 pkg/apis/core/validation/validation.go, ValidateSecurityContext.
fn security(context: &Value, path: &str, errors: &mut Errors) {
    for field in ["runAsUser", "runAsGroup"] {
        id(context, field, &format!("{path}.{field}"), errors);
    }
    if at(context, "allowPrivilegeEscalation") != Some(&Value::Bool(false)) {
        return;
    }
    if is_true(context, "privileged") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.invalid_value(path, context, detail);
    }
    if list(context, "capabilities.add").iter().any(|added| added == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.invalid_value(path, context, detail);
    }
}

/// Checks a field that is a user's or group's number.
pub(crate) fn id(value: &Value, field: &str, path: &str, errors: &mut Errors) {
    if let Some(number) = at(value, field) {
        id_value(number, path, errors);
    }
}

/// Checks a user's or group's number.
pub(crate) fn id_value(number: &Value, path: &str, errors: &mut Errors) {
    let most = i64::from(i32::MAX);
    if number.as_i64().is_some_and(|n| !(0..=most).contains(&n)) {
        errors.invalid_value(path, number, format!("must be between 0 and {most}, inclusive"));
    }
}

fn one_of(container: &Value, field: &str, path: &str, known: &[&str], errors: &mut Errors) {
    let path = format!("{path}.{field}");
    match text(container, field) {
        "" => errors.required(path, ""),
        value if !known.contains(&value) => errors.not_supported(path, value, known),
        _ => {}
    }
}

fn ports(container: &Value, path: &str, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (i, entry) in list(container, "ports").iter().enumerate() {
        let path = format!("{path}.ports[{i}]");
        let name = text(entry, "name");
        if !name.is_empty() {
            let wrong = names::port_name(name);
            if wrong.is_empty() && !seen.insert(name) {
                errors.duplicate(format!("{path}.name"), &json!(name));
            }
            errors.invalid_all(format!("{path}.name"), name, wrong);
        }
        match int(entry, "containerPort").unwrap_or(0) {
            0 => errors.required(format!("{path}.containerPort"), ""),
            number => port(number, &format!("{path}.containerPort"), errors),
        }
        if let Some(number) = int(entry, "hostPort").filter(|n| *n != 0) {
            port(number, &format!("{path}.hostPort"), errors);
        }
        one_of(entry, "protocol", &path, &["SCTP", "TCP", "UDP"], errors);
    }
}

fn env(container: &Value, path: &str, errors: &mut Errors) {
    for (i, entry) in list(container, "env").iter().enumerate() {
        let path = format!("{path}.env[{i}]");
        match text(entry, "name") {
            "" => errors.required(format!("{path}.name"), ""),
            name => errors.invalid_all(format!("{path}.name"), name, names::env_name(name)),
        }
        if let Some(from) = at(entry, "valueFrom") {
            value_from(entry, from, &format!("{path}.valueFrom"), errors);
        }
    }
    for (i, entry) in list(container, "envFrom").iter().enumerate() {
        let path = format!("{path}.envFrom[{i}]");
        let found: Vec<&str> =
            ["configMapRef", "secretRef"].into_iter().filter(|field| at(entry, field).is_some()).collect();
        match found.as_slice() {
            [] => errors.invalid(&path, "", "must specify one of: `configMapRef` or `secretRef`"),
            [one] if text(entry, &format!("{one}.name")).is_empty() => {
                errors.required(format!("{path}.{one}.name"), "")
            }
            [_] => {}
            _ => errors.invalid(&path, "", "may not have more than one field specified at a time"),
        }
    }
}

fn value_from(entry: &Value, from: &Value, path: &str, errors: &mut Errors) {
    let sources = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let found: Vec<&str> = sources.into_iter().filter(|source| at(from, source).is_some()).collect();
    if found.is_empty() {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.invalid(path, "", detail);
    } else if !text(entry, "value").is_empty() {
        errors.invalid(path, "", "may not be specified when `value` is not empty");
    } else if found.len() > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
    for source in found {
        let path = format!("{path}.{source}");
        match source {
            "fieldRef" => field_ref(text(from, "fieldRef.fieldPath"), &path, ENV_FIELDS, errors),
            "resourceFieldRef" => match text(from, "resourceFieldRef.resource") {
                "" => errors.required(format!("{path}.resource"), ""),
                name if !ENV_RESOURCES.contains(&name) && !name.contains("hugepages-") => {
                    errors.not_supported(format!("{path}.resource"), name, ENV_RESOURCES);
                }
                _ => {}
            },
            "configMapKeyRef" | "secretKeyRef" => {
                if text(from, &format!("{source}.name")).is_empty() {
                    errors.required(format!("{path}.name"), "");
                }
                match text(from, &format!("{source}.key")) {
                    "" => errors.required(format!("{path}.key"), ""),
                    key => errors.invalid_all(format!("{path}.key"), key, names::config_key(key)),
                }
            }
            _ => {}
        }
    }
}

/// Checks a `fieldRef` against the fields that may be taken; labels and annotations may be taken by key.
pub(crate) fn field_ref(field: &str, path: &str, known: &[&str], errors: &mut Errors) {
    let path = format!("{path}.fieldPath");
    let subscript = field.split_once("['").filter(|(_, rest)| rest.ends_with("']")).map(|(base, _)| base);
    match (field, subscript) {
        ("", _) => errors.required(path, ""),
        (_, Some("metadata.labels" | "metadata.annotations")) => {}
        (field, None) if known.contains(&field) => {}
        (field, None) if field.starts_with("metadata.") || ENV_FIELDS.contains(&field) => {
            errors.not_supported(path, field, known);
        }
        (field, _) => {
            errors.invalid(path, field, "error converting fieldPath: field label not supported: ".to_owned() + field)
        }
    }
}

fn mounts(container: &Value, path: &str, volumes: &BTreeSet<String>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        let path = format!("{path}.volumeMounts[{i}]");
        match text(mount, "name") {
            "" => errors.required(format!("{path}.name"), ""),
            name if !volumes.contains(name) => errors.not_found(format!("{path}.name"), name),
            _ => {}
        }
        match text(mount, "mountPath") {
            "" => errors.required(format!("{path}.mountPath"), ""),
            target if !seen.insert(target) => errors.invalid(format!("{path}.mountPath"), target, "must be unique"),
            _ => {}
        }
        let sub = text(mount, "subPath");
        if sub.starts_with('/') {
            errors.invalid(format!("{path}.subPath"), sub, "must be a relative path");
        } else if sub.split('/').any(|part| part == "..") {
            errors.invalid(format!("{path}.subPath"), sub, "must not contain '..'");
        }
    }
}

fn probes(container: &Value, path: &str, role: Role, errors: &mut Errors) {
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = at(container, field) else { continue };
        let path = format!("{path}.{field}");
        if role == Role::Init {
            errors.forbidden(&path, "may not be set for init containers without restartPolicy=Always");
            continue;
        }
        handler(probe, &path, errors);
        for number in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            non_negative(probe, number, &format!("{path}.{number}"), errors);
        }
        if field != "readinessProbe"
            && let Some(threshold) = int(probe, "successThreshold").filter(|n| *n != 1)
        {
            errors.invalid_value(format!("{path}.successThreshold"), &json!(threshold), "must be 1");
        }
    }
    let Some(lifecycle) = at(container, "lifecycle") else { return };
    if role == Role::Init {
        let detail = "may not be set for init containers without restartPolicy=Always";
        errors.forbidden(format!("{path}.lifecycle"), detail);
        return;
    }
    for field in ["postStart", "preStop"] {
        if let Some(hook) = at(lifecycle, field) {
            handler(hook, &format!("{path}.lifecycle.{field}"), errors);
        }
    }
}

fn handler(value: &Value, path: &str, errors: &mut Errors) {
    let found: Vec<&str> = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"]
        .into_iter()
        .filter(|kind| at(value, kind).is_some())
        .collect();
    if found.is_empty() {
        errors.required(path, "must specify a handler type");
    }
    for (i, kind) in found.into_iter().enumerate() {
        let path = format!("{path}.{kind}");
        if i > 0 {
            errors.forbidden(path, "may not specify more than 1 handler type");
            continue;
        }
        match kind {
            "exec" if list(value, "exec.command").is_empty() => errors.required(format!("{path}.command"), ""),
            "httpGet" => {
                if text(value, "httpGet.path").is_empty() {
                    errors.required(format!("{path}.path"), "");
                }
                port_or_name(value, "httpGet.port", &format!("{path}.port"), errors);
                let scheme = text(value, "httpGet.scheme");
                if !["HTTP", "HTTPS"].contains(&scheme) {
                    errors.not_supported(format!("{path}.scheme"), scheme, &["HTTP", "HTTPS"]);
                }
            }
            "tcpSocket" => port_or_name(value, "tcpSocket.port", &format!("{path}.port"), errors),
            "grpc" => port(int(value, "grpc.port").unwrap_or(0), &format!("{path}.port"), errors),
            _ => {}
        }
    }
}

fn resources(resources: &Value, path: &str, errors: &mut Errors) {
    for kind in ["limits", "requests"] {
        for (name, amount) in entries(resources, kind) {
            let path = format!("{path}.{kind}");
            let standard =
                ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()) || name.starts_with("hugepages-");
            if !standard && !name.contains('/') {
                let path = format!("{path}[{name}]");
                errors.invalid(&path, name, "must be a standard resource type or fully qualified");
                errors.invalid(&path, name, "must be a standard resource for containers");
            }
            let text = amount.as_str().unwrap_or_default();
            if Quantity::parse(text).is_ok_and(Quantity::is_negative) {
                errors.invalid(format!("{path}[{name}]"), text, "must be greater than or equal to 0");
            }
        }
    }
    for (name, amount) in entries(resources, "requests") {
        let limit = at(resources, "limits").and_then(|l| l.get(name)).and_then(Value::as_str);
        let (Some(limit), Some(request)) = (limit, amount.as_str()) else { continue };
        if let (Ok(most), Ok(asked)) = (Quantity::parse(limit), Quantity::parse(request))
            && asked > most
        {
            let detail = format!("must be less than or equal to {name} limit of {limit}");
            errors.invalid(format!("{path}.requests"), request, detail);
        }
    }
}
