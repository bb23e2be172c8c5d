//! Services, Endpoints, EndpointSlices. Source: upstream v1.37 `pkg/apis/{core,discovery}/validation`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::{immutable, port, port_or_name};
use crate::field::Errors;
use crate::names;
use crate::value::{at, int, list, text, texts};

const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// Validates a Service.
pub(crate) fn service(object: &Value, errors: &mut Errors) {
    let kind = text(object, "spec.type");
    let kinds = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        errors.not_supported("spec.type", kind, kinds);
    }
    let headless = text(object, "spec.clusterIP") == "None";
    if list(object, "spec.ports").is_empty() && !headless && kind != "ExternalName" {
        errors.required("spec.ports", "");
    }
    if kind == "ExternalName" {
        match text(object, "spec.externalName") {
            "" => errors.required("spec.externalName", ""),
            name => errors.invalid_all("spec.externalName", name, names::subdomain(name.trim_end_matches('.'))),
        }
    }
    if headless && (kind == "NodePort" || kind == "LoadBalancer") {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.invalid_value("spec.clusterIPs[0]", &json!(["None"]), detail);
    }
    for (i, ip) in texts(object, "spec.clusterIPs").into_iter().enumerate() {
        if ip != "None" && ip.parse::<IpAddr>().is_err() {
            errors.invalid(format!("spec.clusterIPs[{i}]"), ip, NOT_AN_IP);
        }
    }
    service_ports(object, kind, errors);
    let mut selector = json!({});
    crate::value::set(&mut selector, "spec.selector", at(object, "spec.selector").cloned().unwrap_or_default());
    crate::meta::labels(&selector, "spec.selector", errors);
    let affinity = text(object, "spec.sessionAffinity");
    if !["ClientIP", "None"].contains(&affinity) {
        errors.not_supported("spec.sessionAffinity", affinity, &["ClientIP", "None"]);
    }
    for (i, ip) in texts(object, "spec.externalIPs").into_iter().enumerate() {
        if ip.parse::<IpAddr>().is_err() {
            errors.invalid(format!("spec.externalIPs[{i}]"), ip, NOT_AN_IP);
        }
    }
}

fn service_ports(object: &Value, kind: &str, errors: &mut Errors) {
    let ports = list(object, "spec.ports");
    let mut named = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    let mut node_ports = BTreeSet::new();
    for (i, entry) in ports.iter().enumerate() {
        let path = format!("spec.ports[{i}]");
        match text(entry, "name") {
            "" if ports.len() > 1 => errors.required(format!("{path}.name"), ""),
            "" => {}
            name => {
                errors.invalid_all(format!("{path}.name"), name, names::label(name));
                if !named.insert(name) {
                    errors.duplicate(format!("{path}.name"), &json!(name));
                }
            }
        }
        port(int(entry, "port").unwrap_or(0), &format!("{path}.port"), errors);
        let protocol = text(entry, "protocol");
        if !["SCTP", "TCP", "UDP"].contains(&protocol) {
            errors.not_supported(format!("{path}.protocol"), protocol, &["SCTP", "TCP", "UDP"]);
        }
        if at(entry, "targetPort").is_some() {
            port_or_name(entry, "targetPort", &format!("{path}.targetPort"), errors);
        }
        let node_port = int(entry, "nodePort").unwrap_or(0);
        if node_port != 0 && kind == "ClusterIP" {
            errors.forbidden(format!("{path}.nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
        if !numbers.insert((protocol, int(entry, "port"))) {
            errors.duplicate(&path, &json!({"protocol": protocol, "port": int(entry, "port"), "targetPort": 0}));
        }
        if node_port != 0 && !node_ports.insert((protocol, node_port)) {
            errors.duplicate(format!("{path}.nodePort"), &json!(node_port));
        }
    }
}

/// Validates a change of a Service.
pub(crate) fn service_update(old: &Value, new: &Value, errors: &mut Errors) {
    let external = |service: &Value| text(service, "spec.type") == "ExternalName";
    let before = text(old, "spec.clusterIP");
    let after = text(new, "spec.clusterIP");
    if !before.is_empty() && before != after && !external(old) && !external(new) {
        let shown = at(new, "spec.clusterIPs").cloned().unwrap_or_else(|| json!([after]));
        errors.invalid_value("spec.clusterIPs[0]", &shown, "may not change once set");
    }
}

/// Validates Endpoints.
pub(crate) fn endpoints(object: &Value, errors: &mut Errors) {
    for (i, subset) in list(object, "subsets").iter().enumerate() {
        let path = format!("subsets[{i}]");
        if list(subset, "addresses").is_empty() && list(subset, "notReadyAddresses").is_empty() {
            errors.required(&path, "must specify `addresses` or `notReadyAddresses`");
        }
        for kind in ["addresses", "notReadyAddresses"] {
            for (j, address) in list(subset, kind).iter().enumerate() {
                let ip = text(address, "ip");
                if ip.parse::<IpAddr>().is_err() {
                    errors.invalid(format!("{path}.{kind}[{j}].ip"), ip, NOT_AN_IP);
                }
            }
        }
        let ports = list(subset, "ports");
        for (j, entry) in ports.iter().enumerate() {
            let path = format!("{path}.ports[{j}]");
            if ports.len() > 1 && text(entry, "name").is_empty() {
                errors.required(format!("{path}.name"), "");
            }
            port(int(entry, "port").unwrap_or(0), &format!("{path}.port"), errors);
        }
    }
}

/// Validates an EndpointSlice.
pub(crate) fn endpoint_slice(object: &Value, errors: &mut Errors) {
    let kinds = &["FQDN", "IPv4", "IPv6"];
    let kind = text(object, "addressType");
    match kind {
        "" => errors.required("addressType", ""),
        other if !kinds.contains(&other) => errors.not_supported("addressType", other, kinds),
        _ => {}
    }
    for (i, endpoint) in list(object, "endpoints").iter().enumerate() {
        let addresses = texts(endpoint, "addresses");
        if addresses.is_empty() {
            errors.required(format!("endpoints[{i}].addresses"), "must contain at least 1 address");
        }
        for (j, address) in addresses.into_iter().enumerate() {
            let fits = match (kind, address.parse::<IpAddr>()) {
                ("IPv4", Ok(ip)) => ip.is_ipv4(),
                ("IPv6", Ok(ip)) => ip.is_ipv6(),
                ("FQDN", _) => true,
                _ => false,
            };
            if !fits {
                let detail =
                    if kind == "IPv6" { "must be a valid IPv6 address" } else { "must be a valid IPv4 address" };
                errors.invalid(format!("endpoints[{i}].addresses[{j}]"), address, detail);
            }
        }
    }
    let mut named = BTreeSet::new();
    for (i, entry) in list(object, "ports").iter().enumerate() {
        if !named.insert(text(entry, "name")) {
            errors.duplicate(format!("ports[{i}].name"), &json!(text(entry, "name")));
        }
    }
}

/// Validates a change of an EndpointSlice.
pub(crate) fn endpoint_slice_update(old: &Value, new: &Value, errors: &mut Errors) {
    immutable(old, new, "addressType", errors);
}
