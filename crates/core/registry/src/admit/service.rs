//! Cluster IPs and node ports: given out by looking at the Services that are there.
//!
//! Source: upstream v1.37 `pkg/registry/core/service/storage/{storage,alloc}.go`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;

use km_api::resource::SERVICES;
use km_api::{Cause, Status};
use serde_json::{Value, json};

use crate::admit::Admission;
use crate::value::{at, default, int, list, list_mut, remove, set, text, texts};
use crate::view::prefix;

struct Taken {
    addresses: BTreeSet<Ipv4Addr>,
    ports: BTreeSet<u16>,
}

/// Gives the Service what its type needs, and checks what it asks for.
pub(crate) fn allocate(admission: &Admission<'_>, service: &mut Value) -> Result<(), Status> {
    let old = admission.old;
    if let Some(old) = old
        && text(service, "spec.clusterIP").is_empty()
        && text(service, "spec.type") != "ExternalName"
        && text(old, "spec.type") != "ExternalName"
    {
        crate::value::copy(old, service, "spec.clusterIP");
        crate::value::copy(old, service, "spec.clusterIPs");
    }
    let kind = text(service, "spec.type").to_owned();
    if kind == "ExternalName" {
        for path in [
            "spec.clusterIP",
            "spec.clusterIPs",
            "spec.ipFamilies",
            "spec.ipFamilyPolicy",
            "spec.internalTrafficPolicy",
        ] {
            remove(service, path);
        }
        return Ok(());
    }
    let name = (text(service, "metadata.namespace").to_owned(), text(service, "metadata.name").to_owned());
    let mut taken = taken(admission, &name);
    cluster_ip(admission, service, &taken)?;
    default(service, "spec.ipFamilyPolicy", "SingleStack");
    if at(service, "spec.ipFamilies").is_none() {
        set(service, "spec.ipFamilies", json!(["IPv4"]));
    }
    default(service, "spec.internalTrafficPolicy", "Cluster");
    if kind == "NodePort" || kind == "LoadBalancer" {
        default(service, "spec.externalTrafficPolicy", "Cluster");
        if kind == "LoadBalancer" && at(service, "spec.allocateLoadBalancerNodePorts").is_none() {
            set(service, "spec.allocateLoadBalancerNodePorts", true);
        }
        node_ports(admission, service, &mut taken)?;
    } else if old.is_some_and(|old| text(old, "spec.type") != kind) {
        for port in list_mut(service, "spec.ports") {
            remove(port, "nodePort");
        }
        remove(service, "spec.externalTrafficPolicy");
    }
    Ok(())
}

fn taken(admission: &Admission<'_>, own: &(String, String)) -> Taken {
    let mut taken = Taken { addresses: BTreeSet::new(), ports: BTreeSet::new() };
    admission.view.range(&prefix(&SERVICES, ""), &mut |_, object| {
        if object.meta().namespace == own.0 && object.meta().name == own.1 {
            return ControlFlow::Continue(());
        }
        let service = object.to_value();
        taken.addresses.extend(text(&service, "spec.clusterIP").parse::<Ipv4Addr>().ok());
        let ports = list(&service, "spec.ports").iter().filter_map(|p| int(p, "nodePort"));
        taken.ports.extend(ports.filter_map(|p| u16::try_from(p).ok()));
        ControlFlow::Continue(())
    });
    taken
}

fn cluster_ip(admission: &Admission<'_>, service: &mut Value, taken: &Taken) -> Result<(), Status> {
    let range = admission.call.config.service_cidr;
    let mut asked = text(service, "spec.clusterIP").to_owned();
    if asked.is_empty()
        && let Some(first) = texts(service, "spec.clusterIPs").first()
    {
        (*first).clone_into(&mut asked);
    }
    let address = match asked.as_str() {
        "" => {
            let start = u32::try_from(admission.call.entropy.number(7) % u64::from(range.size())).unwrap_or(0);
            // The lower part is left to Services that ask for an address, as upstream leaves it.
            let reserved = (range.size() / 16).clamp(16, 256).min(range.size() / 2);
            let span = range.size() - reserved;
            let free = (0..span)
                .map(|i| range.address(reserved + (start + i) % span))
                .chain((1..reserved).map(|i| range.address(i)))
                .find(|address| range.contains(*address) && !taken.addresses.contains(address));
            let Some(address) = free else {
                return Err(Status::internal("failed to allocate a serviceIP: range is full"));
            };
            address.to_string()
        }
        "None" => "None".to_owned(),
        text => {
            let why = match text.parse::<Ipv4Addr>() {
                Err(_) => None, // validation says it
                Ok(ip) if !range.contains(ip) => Some(format!(
                    "failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. The range of valid IPs is {range}"
                )),
                Ok(ip) if taken.addresses.contains(&ip) => {
                    Some(format!("failed to allocate IP {ip}: provided IP is already allocated"))
                }
                Ok(_) => None,
            };
            if let Some(why) = why {
                return Err(invalid(service, "spec.clusterIPs", format!("Invalid value: [{text:?}]: {why}")));
            }
            text.to_owned()
        }
    };
    set(service, "spec.clusterIP", address.as_str());
    set(service, "spec.clusterIPs", json!([address]));
    Ok(())
}

fn node_ports(admission: &Admission<'_>, service: &mut Value, taken: &mut Taken) -> Result<(), Status> {
    let range = admission.call.config.node_ports;
    let size = u64::from(range.last.saturating_sub(range.first)) + 1;
    let ports: Vec<Value> = list(service, "spec.ports").to_vec();
    let before: Vec<Value> = admission.old.map(|old| list(old, "spec.ports").to_vec()).unwrap_or_default();
    let mut given = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let known =
            before.iter().find(|b| b.get("port") == port.get("port") && b.get("protocol") == port.get("protocol"));
        let asked = int(port, "nodePort").filter(|p| *p != 0).or_else(|| known.and_then(|b| int(b, "nodePort")));
        let number = match asked.and_then(|p| u16::try_from(p).ok()) {
            Some(number) => {
                let path = format!("spec.ports[{i}].nodePort");
                if number < range.first || number > range.last {
                    let why = format!(
                        "provided port is not in the valid range. The range of valid ports is {}-{}",
                        range.first, range.last
                    );
                    return Err(invalid(service, &path, format!("Invalid value: {number}: {why}")));
                }
                if taken.ports.contains(&number) {
                    return Err(invalid(
                        service,
                        &path,
                        format!("Invalid value: {number}: provided port is already allocated"),
                    ));
                }
                number
            }
            None => {
                let start = admission.call.entropy.number(11 + i as u64);
                let free = (0..size)
                    .filter_map(|n| u16::try_from(u64::from(range.first) + (start.wrapping_add(n)) % size).ok())
                    .find(|p| !taken.ports.contains(p));
                let Some(free) = free else {
                    return Err(Status::internal("failed to allocate a nodePort: range is full"));
                };
                free
            }
        };
        taken.ports.insert(number);
        given.push(number);
    }
    for (port, number) in list_mut(service, "spec.ports").iter_mut().zip(given) {
        set(port, "nodePort", number);
    }
    Ok(())
}

fn invalid(service: &Value, field: &str, message: String) -> Status {
    let cause = Cause { reason: "FieldValueInvalid".into(), message, field: field.to_owned() };
    Status::invalid(&SERVICES, text(service, "metadata.name"), vec![cause])
}
