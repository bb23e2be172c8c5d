//! The cells of every kind but pods.
//!
//! Source: upstream v1.37 `pkg/printers/internalversion/printers.go`.

use km_base::Timestamp;
use serde_json::{Value, json};

use super::{age, human, or_none, since};
use crate::value::{at, entries, int, is_true, list, text, texts};

fn name(object: &Value) -> Value {
    text(object, "metadata.name").into()
}

fn count(object: &Value, path: &str) -> Value {
    int(object, path).unwrap_or(0).into()
}

pub(super) fn plain(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), age(object, now)]
}

pub(super) fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut status: Vec<String> = list(object, "status.conditions")
        .iter()
        .filter(|c| text(c, "type") == "Ready")
        .map(|c| if text(c, "status") == "True" { "Ready".to_owned() } else { "NotReady".to_owned() })
        .collect();
    if status.is_empty() {
        status.push("Unknown".into());
    }
    if is_true(object, "spec.unschedulable") {
        status.push("SchedulingDisabled".into());
    }
    let mut roles: Vec<String> = entries(object, "metadata.labels")
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) if !role.is_empty() => Some(role.to_owned()),
            _ if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
            _ => None,
        })
        .collect();
    roles.sort();
    roles.dedup();
    let address = |kind: &str| {
        list(object, "status.addresses").iter().find(|a| text(a, "type") == kind).map_or("", |a| text(a, "address"))
    };
    let info = |field: &str| match text(object, &format!("status.nodeInfo.{field}")) {
        "" => json!("<unknown>"),
        text => json!(text),
    };
    vec![
        name(object),
        status.join(",").into(),
        or_none(roles.join(",")),
        age(object, now),
        text(object, "status.nodeInfo.kubeletVersion").into(),
        or_none(address("InternalIP")),
        or_none(address("ExternalIP")),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

pub(super) fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "status.phase").into(), age(object, now)]
}

pub(super) fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let kind = text(object, "spec.type");
    let mut external = texts(object, "spec.externalIPs").join(",");
    match kind {
        "ExternalName" => external = text(object, "spec.externalName").to_owned(),
        "LoadBalancer" => {
            let given = list(object, "status.loadBalancer.ingress").iter().map(|i| match text(i, "ip") {
                "" => text(i, "hostname"),
                ip => ip,
            });
            let all: Vec<&str> = given.chain(texts(object, "spec.externalIPs")).collect();
            external = if all.is_empty() { "<pending>".into() } else { all.join(",") };
        }
        _ => {}
    }
    let ports: Vec<String> = list(object, "spec.ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (int(port, "port").unwrap_or(0), text(port, "protocol"));
            match int(port, "nodePort") {
                Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
                _ => format!("{number}/{protocol}"),
            }
        })
        .collect();
    vec![
        name(object),
        kind.into(),
        or_none(text(object, "spec.clusterIP")),
        or_none(external),
        or_none(ports.join(",")),
        age(object, now),
        or_none(labels(object, "spec.selector")),
    ]
}

pub(super) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready =
        format!("{}/{}", int(object, "status.readyReplicas").unwrap_or(0), int(object, "spec.replicas").unwrap_or(0));
    let mut cells = vec![
        name(object),
        ready.into(),
        count(object, "status.updatedReplicas"),
        count(object, "status.availableReplicas"),
        age(object, now),
    ];
    cells.extend(template(object));
    cells.push(or_none(selector(object)));
    cells
}

pub(super) fn replicas(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        count(object, "spec.replicas"),
        count(object, "status.replicas"),
        count(object, "status.readyReplicas"),
        age(object, now),
    ];
    cells.extend(template(object));
    cells.push(or_none(selector(object)));
    cells
}

pub(super) fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let data = entries(object, "data").count() + entries(object, "binaryData").count();
    vec![name(object), data.into(), age(object, now)]
}

pub(super) fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "type").into(), entries(object, "data").count().into(), age(object, now)]
}

pub(super) fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), list(object, "secrets").len().into(), age(object, now)]
}

pub(super) fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut shown = Vec::new();
    for subset in list(object, "subsets") {
        let ips = list(subset, "addresses").iter().map(|a| text(a, "ip"));
        for ip in ips {
            if list(subset, "ports").is_empty() {
                shown.push(ip.to_owned());
            }
            shown.extend(list(subset, "ports").iter().map(|p| format!("{ip}:{}", int(p, "port").unwrap_or(0))));
        }
    }
    vec![name(object), or_none(shorten(shown)), age(object, now)]
}

pub(super) fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = list(object, "ports").iter().filter_map(|p| Some(int(p, "port")?.to_string())).collect();
    let ips = list(object, "endpoints").iter().flat_map(|e| texts(e, "addresses")).map(str::to_owned).collect();
    let unset = |text: String| if text.is_empty() { json!("<unset>") } else { json!(text) };
    vec![name(object), text(object, "addressType").into(), unset(shorten(ports)), unset(shorten(ips)), age(object, now)]
}

pub(super) fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let first = match text(object, "firstTimestamp") {
        "" => text(object, "eventTime"),
        time => time,
    };
    let series = text(object, "series.lastObservedTime");
    let last = match (series, text(object, "lastTimestamp")) {
        ("", "") => first,
        ("", last) => last,
        (series, _) => series,
    };
    let source = match (text(object, "source.component"), text(object, "source.host")) {
        ("", "") => text(object, "reportingComponent").to_owned(),
        (component, "") => component.to_owned(),
        (component, host) => format!("{component}, {host}"),
    };
    let about = match text(object, "involvedObject.name") {
        "" => text(object, "involvedObject.kind").to_lowercase(),
        name => format!("{}/{name}", text(object, "involvedObject.kind").to_lowercase()),
    };
    let number = int(object, "series.count").or_else(|| int(object, "count")).unwrap_or(1);
    vec![
        since(last, now).into(),
        text(object, "type").into(),
        text(object, "reason").into(),
        about.into(),
        text(object, "involvedObject.fieldPath").into(),
        source.into(),
        text(object, "message").trim().into(),
        since(first, now).into(),
        number.to_string().into(),
        name(object),
    ]
}

pub(super) fn event_v1(object: &Value, now: Timestamp) -> Vec<Value> {
    event(&crate::subresource::event::store(object.clone()), now)
}

pub(super) fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "spec.holderIdentity").into(), age(object, now)]
}

pub(super) fn role(object: &Value, _: Timestamp) -> Vec<Value> {
    vec![name(object), text(object, "metadata.creationTimestamp").into()]
}

pub(super) fn role_binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let role = format!("{}/{}", text(object, "roleRef.kind"), text(object, "roleRef.name"));
    let subjects = |kind: &str| {
        let names: Vec<String> = list(object, "subjects")
            .iter()
            .filter(|s| text(s, "kind") == kind)
            .map(|s| match text(s, "namespace") {
                "" => text(s, "name").to_owned(),
                namespace => format!("{namespace}/{}", text(s, "name")),
            })
            .collect();
        names.join(", ")
    };
    vec![
        name(object),
        role.into(),
        age(object, now),
        subjects("User").into(),
        subjects("Group").into(),
        subjects("ServiceAccount").into(),
    ]
}

pub(super) fn csr(object: &Value, now: Timestamp) -> Vec<Value> {
    let has = |kind: &str| list(object, "status.conditions").iter().any(|c| text(c, "type") == kind);
    let mut condition = if has("Denied") {
        "Denied".to_owned()
    } else if has("Approved") {
        "Approved".to_owned()
    } else {
        "Pending".to_owned()
    };
    if has("Failed") {
        condition.push_str(",Failed");
    }
    if !text(object, "status.certificate").is_empty() {
        condition.push_str(",Issued");
    }
    let seconds = int(object, "spec.expirationSeconds").and_then(|s| u64::try_from(s).ok());
    vec![
        name(object),
        age(object, now),
        or_none(text(object, "spec.signerName")),
        text(object, "spec.username").into(),
        or_none(seconds.map(|s| human(std::time::Duration::from_secs(s))).unwrap_or_default()),
        condition.into(),
    ]
}

/// Returns the names and images of a template's containers.
fn template(object: &Value) -> [Value; 2] {
    let all = |field: &str| {
        let values: Vec<&str> = list(object, "spec.template.spec.containers").iter().map(|c| text(c, field)).collect();
        Value::from(values.join(","))
    };
    [all("name"), all("image")]
}

fn selector(object: &Value) -> String {
    let path =
        if at(object, "spec.selector.matchLabels").is_some() { "spec.selector.matchLabels" } else { "spec.selector" };
    labels(object, path)
}

fn labels(object: &Value, path: &str) -> String {
    let terms: Vec<String> = entries(object, path).filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?))).collect();
    terms.join(",")
}

/// Shows the first three of many.
fn shorten(mut values: Vec<String>) -> String {
    let more = values.len().saturating_sub(3);
    values.truncate(3);
    let text = values.join(",");
    if more > 0 { format!("{text} + {more} more...") } else { text }
}
