//! Defaults that depend on other fields of the object: one small function each, in one table.

use serde_json::{Map, Value, json};

/// Fills in what depends on the object's other fields.
pub(crate) type Compute = fn(&mut Map<String, Value>);

/// Definition (below `io.k8s.api.`) and function. Source: the same upstream files as the rows, Kubernetes 1.37.
pub(super) const COMPUTED: &[(&str, Compute)] = &[
    // pkg/apis/core/v1/defaults.go
    ("core.v1.Namespace", namespace),
    ("core.v1.Pod", pod),
    ("core.v1.Volume", volume),
    ("core.v1.Container", image_pull_policy),
    ("core.v1.EphemeralContainer", image_pull_policy),
    ("core.v1.ReplicationController", replication_controller),
    ("core.v1.ServiceSpec", service),
    ("core.v1.ServicePort", service_port),
    ("core.v1.NodeStatus", node_status),
    ("core.v1.LimitRangeItem", limit_range_item),
    // pkg/apis/apps/v1/defaults.go
    ("apps.v1.DeploymentStrategy", rolling_update),
    ("apps.v1.DaemonSetUpdateStrategy", rolling_update),
    ("apps.v1.StatefulSetUpdateStrategy", rolling_update),
    // pkg/apis/batch/v1/defaults.go
    ("batch.v1.Job", labels_of_template),
    ("batch.v1.JobSpec", job),
    // pkg/apis/networking/v1/defaults.go
    ("networking.v1.NetworkPolicySpec", network_policy),
    // pkg/apis/rbac/v1/defaults.go
    ("rbac.v1.Subject", subject),
];

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_set(map: &Map<String, Value>, key: &str) -> bool {
    match map.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::Object(inner)) => !inner.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    }
}

fn set_if_unset(map: &mut Map<String, Value>, key: &str, value: Value) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), value);
    }
}

/// Every namespace carries its name as a label, so that selectors can name it.
fn namespace(map: &mut Map<String, Value>) {
    let Some(Value::Object(meta)) = map.get_mut("metadata") else { return };
    let name = text(meta, "name").to_owned();
    if name.is_empty() {
        return;
    }
    let labels = meta.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    if let Value::Object(labels) = labels {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

/// Of pods, not of pod templates: requests follow limits, host ports follow the host network.
fn pod(map: &mut Map<String, Value>) {
    let Some(Value::Object(spec)) = map.get_mut("spec") else { return };
    set_if_unset(spec, "enableServiceLinks", Value::Bool(true));
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers"] {
        let Some(Value::Array(containers)) = spec.get_mut(list) else { continue };
        for container in containers {
            if let Some(Value::Object(resources)) = container.get_mut("resources") {
                requests_from_limits(resources);
            }
            if let (true, Some(Value::Array(ports))) = (host_network, container.get_mut("ports")) {
                ports.iter_mut().filter_map(Value::as_object_mut).for_each(host_port);
            }
        }
    }
    if let Some(Value::Object(resources)) = spec.get_mut("resources") {
        requests_from_limits(resources);
    }
}

fn requests_from_limits(resources: &mut Map<String, Value>) {
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    if limits.is_empty() {
        return;
    }
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if requests.is_null() {
        *requests = json!({});
    }
    if let Value::Object(requests) = requests {
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    }
}

fn host_port(port: &mut Map<String, Value>) {
    if let (None | Some(0), Some(number)) =
        (port.get("hostPort").and_then(Value::as_i64), port.get("containerPort").cloned())
    {
        port.insert("hostPort".into(), number);
    }
}

/// A volume without a source is an empty directory.
fn volume(map: &mut Map<String, Value>) {
    if map.iter().all(|(key, value)| key == "name" || value.is_null()) {
        map.insert("emptyDir".into(), json!({}));
    }
}

/// `Always` for the tag `latest`, given or implied; `IfNotPresent` for any other tag, and for a digest alone.
fn image_pull_policy(map: &mut Map<String, Value>) {
    if !text(map, "imagePullPolicy").is_empty() {
        return;
    }
    let image = text(map, "image");
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let latest = match tag {
        Some(tag) => tag == "latest",
        None => !digest,
    };
    map.insert("imagePullPolicy".into(), if latest { "Always" } else { "IfNotPresent" }.into());
}

/// A controller without labels or selector takes its template's labels.
fn replication_controller(map: &mut Map<String, Value>) {
    let Some(labels) = template_labels(map) else { return };
    labels_of_template(map);
    if let Some(Value::Object(spec)) = map.get_mut("spec")
        && !is_set(spec, "selector")
    {
        spec.insert("selector".into(), labels);
    }
}

fn template_labels(map: &Map<String, Value>) -> Option<Value> {
    let labels = map.get("spec")?.get("template")?.get("metadata")?.get("labels")?;
    labels.as_object().filter(|labels| !labels.is_empty()).map(|labels| Value::Object(labels.clone()))
}

fn labels_of_template(map: &mut Map<String, Value>) {
    let Some(labels) = template_labels(map) else { return };
    let meta = map.entry("metadata").or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta
        && !is_set(meta, "labels")
    {
        meta.insert("labels".into(), labels);
    }
}

fn service(map: &mut Map<String, Value>) {
    match text(map, "sessionAffinity") {
        "None" => {
            map.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let timeout =
                map.get("sessionAffinityConfig").and_then(|config| config.get("clientIP")?.get("timeoutSeconds"));
            if timeout.is_none_or(Value::is_null) {
                map.insert("sessionAffinityConfig".into(), json!({"clientIP": {"timeoutSeconds": 10_800}}));
            }
        }
        _ => {}
    }
    let kind = text(map, "type").to_owned();
    let outside =
        matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && is_set(map, "externalIPs"));
    if outside && text(map, "externalTrafficPolicy").is_empty() {
        map.insert("externalTrafficPolicy".into(), "Cluster".into());
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        set_if_unset(map, "internalTrafficPolicy", "Cluster".into());
    }
    if kind == "LoadBalancer" {
        set_if_unset(map, "allocateLoadBalancerNodePorts", true.into());
    }
}

fn service_port(map: &mut Map<String, Value>) {
    let unset = match map.get("targetPort") {
        None | Some(Value::Null) => true,
        Some(Value::String(name)) => name.is_empty(),
        Some(value) => value.as_i64() == Some(0),
    };
    if let (true, Some(port)) = (unset, map.get("port").cloned()) {
        map.insert("targetPort".into(), port);
    }
}

fn node_status(map: &mut Map<String, Value>) {
    if !is_set(map, "allocatable") && is_set(map, "capacity") {
        let capacity = map["capacity"].clone();
        map.insert("allocatable".into(), capacity);
    }
}

/// For containers: the default limit follows the maximum, the default request the default limit, else the minimum.
fn limit_range_item(map: &mut Map<String, Value>) {
    if text(map, "type") != "Container" {
        return;
    }
    let mut follow = |field: &str, source: &str| {
        let Some(Value::Object(values)) = map.get(source).cloned() else { return };
        let target = map.entry(field).or_insert_with(|| json!({}));
        if let Value::Object(target) = target {
            for (name, value) in values {
                target.entry(name).or_insert(value);
            }
        }
    };
    follow("default", "max");
    follow("defaultRequest", "default");
    follow("defaultRequest", "min");
}

/// The parameters of a rolling update exist where the strategy is one; their own defaults are rows.
fn rolling_update(map: &mut Map<String, Value>) {
    if text(map, "type") == "RollingUpdate" {
        set_if_unset(map, "rollingUpdate", json!({}));
    }
}

fn job(map: &mut Map<String, Value>) {
    let parallelism = map.get("parallelism").is_some_and(|value| !value.is_null());
    if !parallelism {
        set_if_unset(map, "completions", 1.into());
        map.insert("parallelism".into(), 1.into());
    }
    let per_index = map.get("backoffLimitPerIndex").is_some_and(|value| !value.is_null());
    set_if_unset(map, "backoffLimit", if per_index { i32::MAX.into() } else { 6.into() });
    let failure_policy = map.get("podFailurePolicy").is_some_and(|value| !value.is_null());
    set_if_unset(map, "podReplacementPolicy", if failure_policy { "Failed" } else { "TerminatingOrFailed" }.into());
}

fn network_policy(map: &mut Map<String, Value>) {
    if !is_set(map, "policyTypes") {
        let types = if is_set(map, "egress") { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        map.insert("policyTypes".into(), types);
    }
}

fn subject(map: &mut Map<String, Value>) {
    if text(map, "apiGroup").is_empty() && matches!(text(map, "kind"), "User" | "Group") {
        map.insert("apiGroup".into(), "rbac.authorization.k8s.io".into());
    }
}
