//! Pods and pod templates. Source: upstream v1.37 `pkg/apis/core/validation/validation.go`.

use std::collections::BTreeSet;

use km_api::Quantity;
use serde_json::{Value, json};

pub(crate) use super::pod_update::validate_update;
use super::{container, non_negative, volume};
use crate::field::Errors;
use crate::meta;
use crate::names;
use crate::value::{at, entries, int, is_true, list, text};

/// Validates a pod.
pub(crate) fn validate(pod: &Value, errors: &mut Errors) {
    match at(pod, "spec") {
        Some(spec) => spec_at(spec, "spec", errors),
        None => errors.required("spec.containers", ""),
    }
}

/// Validates a pod template below `path`.
pub(crate) fn template(template: &Value, path: &str, errors: &mut Errors) {
    let mut wrapped = json!({});
    crate::value::set(&mut wrapped, &format!("{path}.metadata"), template.get("metadata").cloned().unwrap_or_default());
    meta::labels(&wrapped, &format!("{path}.metadata.labels"), errors);
    match at(template, "spec") {
        Some(spec) => spec_at(spec, &format!("{path}.spec"), errors),
        None => errors.required(format!("{path}.spec.containers"), ""),
    }
}

fn spec_at(spec: &Value, path: &str, errors: &mut Errors) {
    let volumes = volume::validate(spec, path, errors);
    let containers = list(spec, "containers");
    if containers.is_empty() {
        errors.required(format!("{path}.containers"), "");
    }
    let host_network = is_true(spec, "hostNetwork");
    let mut seen = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        container::validate(container, &format!("{path}.containers[{i}]"), &volumes, container::Role::Main, errors);
        unique_name(container, &format!("{path}.containers[{i}]"), &mut seen, errors);
    }
    for (i, container) in list(spec, "initContainers").iter().enumerate() {
        let role =
            if text(container, "restartPolicy") == "Always" { container::Role::Sidecar } else { container::Role::Init };
        container::validate(container, &format!("{path}.initContainers[{i}]"), &volumes, role, errors);
        unique_name(container, &format!("{path}.initContainers[{i}]"), &mut seen, errors);
    }
    host_ports(containers, path, host_network, errors);
    policies(spec, path, errors);
    placement(spec, path, errors);
    names_of(spec, path, errors);
}

fn unique_name(container: &Value, path: &str, seen: &mut BTreeSet<String>, errors: &mut Errors) {
    let name = text(container, "name");
    if !name.is_empty() && !seen.insert(name.to_owned()) {
        errors.duplicate(format!("{path}.name"), &json!(name));
    }
}

fn host_ports(containers: &[Value], path: &str, host_network: bool, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (i, container) in containers.iter().enumerate() {
        for (j, port) in list(container, "ports").iter().enumerate() {
            let host = int(port, "hostPort").unwrap_or(0);
            let path = format!("{path}.containers[{i}].ports[{j}]");
            if host_network && host != int(port, "containerPort").unwrap_or(0) {
                errors.invalid_value(
                    format!("{path}.hostPort"),
                    &json!(host),
                    "must match `containerPort` when `hostNetwork` is true",
                );
            }
            let key = format!("{}/{}/{host}", text(port, "protocol"), text(port, "hostIP"));
            if host != 0 && !seen.insert(key.clone()) {
                errors.duplicate(format!("{path}.hostPort"), &json!(key));
            }
        }
    }
}

fn policies(spec: &Value, path: &str, errors: &mut Errors) {
    let restart = &["Always", "OnFailure", "Never"];
    match text(spec, "restartPolicy") {
        "" => errors.required(format!("{path}.restartPolicy"), ""),
        policy if !restart.contains(&policy) => errors.not_supported(format!("{path}.restartPolicy"), policy, restart),
        _ => {}
    }
    let dns = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    match text(spec, "dnsPolicy") {
        "" => errors.required(format!("{path}.dnsPolicy"), ""),
        "None" if at(spec, "dnsConfig").is_none() => {
            errors.required(format!("{path}.dnsConfig"), "must provide `dnsConfig` when `dnsPolicy` is None")
        }
        policy if !dns.contains(&policy) => errors.not_supported(format!("{path}.dnsPolicy"), policy, dns),
        _ => {}
    }
    for field in ["runAsUser", "runAsGroup", "fsGroup"] {
        container::id(spec, &format!("securityContext.{field}"), &format!("{path}.securityContext.{field}"), errors);
    }
    for (i, group) in list(spec, "securityContext.supplementalGroups").iter().enumerate() {
        container::id_value(group, &format!("{path}.securityContext.supplementalGroups[{i}]"), errors);
    }
    non_negative(spec, "terminationGracePeriodSeconds", &format!("{path}.terminationGracePeriodSeconds"), errors);
    if let Some(seconds) = int(spec, "activeDeadlineSeconds")
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.invalid_value(format!("{path}.activeDeadlineSeconds"), &json!(seconds), detail);
    }
}

fn placement(spec: &Value, path: &str, errors: &mut Errors) {
    for (key, value) in entries(spec, "nodeSelector") {
        let path = format!("{path}.nodeSelector");
        errors.invalid_all(&path, key, names::qualified_name(key));
        let value = value.as_str().unwrap_or_default();
        errors.invalid_all(&path, value, names::label_value(value));
    }
    for (i, toleration) in list(spec, "tolerations").iter().enumerate() {
        let path = format!("{path}.tolerations[{i}]");
        let (key, operator, effect) =
            (text(toleration, "key"), text(toleration, "operator"), text(toleration, "effect"));
        if !key.is_empty() {
            errors.invalid_all(format!("{path}.key"), key, names::qualified_name(key));
        }
        if key.is_empty() && operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(format!("{path}.operator"), operator, detail);
        }
        match operator {
            "" | "Equal" => errors.invalid_all(
                format!("{path}.operator"),
                text(toleration, "value"),
                names::label_value(text(toleration, "value")),
            ),
            "Exists" if !text(toleration, "value").is_empty() => errors.invalid_value(
                format!("{path}.operator"),
                toleration,
                "value must be empty when `operator` is 'Exists'",
            ),
            "Exists" => {}
            other => errors.not_supported(format!("{path}.operator"), other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() && !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
            let known = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
            errors.not_supported(format!("{path}.effect"), effect, known);
        }
        if int(toleration, "tolerationSeconds").is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid(format!("{path}.effect"), effect, detail);
        }
    }
}

fn names_of(spec: &Value, path: &str, errors: &mut Errors) {
    for (field, check) in [
        ("serviceAccountName", names::subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::subdomain),
        ("priorityClassName", names::subdomain),
        ("hostname", names::label),
        ("subdomain", names::label),
    ] {
        let value = text(spec, field);
        if !value.is_empty() {
            errors.invalid_all(format!("{path}.{field}"), value, check(value));
        }
    }
}

/// Returns the quality of service class that requests and limits put a pod into.
pub(crate) fn qos_class(pod: &Value) -> &'static str {
    let mut guaranteed = true;
    let mut asks = false;
    let all = ["spec.containers", "spec.initContainers"];
    for container in all.iter().flat_map(|path| list(pod, path)) {
        for name in ["cpu", "memory"] {
            let amount = |kind: &str| {
                Quantity::parse(text(container, &format!("resources.{kind}.{name}"))).ok().filter(|q| !q.is_zero())
            };
            let (request, limit) = (amount("requests"), amount("limits"));
            asks |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|r| Some(r) == limit);
        }
    }
    match (asks, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
