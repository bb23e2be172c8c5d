//! Endpoints and EndpointSlices of Services with selectors.
//!
//! Source: k8s pkg/controller/endpointslice and pkg/controller/endpoint. A slice holds at most 100 endpoints; here
//! a Service has as many slices as it needs, named by position, so that writing them again changes nothing.

use km_api::lister::Cached;
use km_api::resource::{ENDPOINT_SLICES, ENDPOINTS};
use km_api::selector::LabelSelector;
use km_base::ObjectKey;
use km_kinds::Codec;
use km_kinds::api::core::v1::{Pod, Service, ServicePort, ServiceSpec};
use km_kinds::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::pods::{is_finished, is_ready};
use crate::{Listers, Plan};

/// Endpoints per slice (k8s: `--max-endpoints-per-slice`).
const ENDPOINTS_PER_SLICE: usize = 100;
/// Label that ties a slice to its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label that says who writes a slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The writer.
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// Label that says who writes an Endpoints object.
const ENDPOINTS_MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// The writer.
const ENDPOINTS_MANAGER: &str = "endpoint-controller";

/// Plans for the Service under `key`: its Endpoints object and its slices.
#[must_use]
pub fn reconcile(listers: &Listers, key: &ObjectKey) -> Plan {
    let mut plan = Plan::done();
    let mine = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get(SERVICE_NAME) == Some(&key.name) && labels.get(MANAGED_BY).map(String::as_str) == Some(MANAGER)
    };
    let slices: Vec<_> =
        listers.endpoint_slices.in_namespace(&key.namespace).filter(|s| mine(&s.meta.labels)).collect();
    // A service that is only another name has no endpoints: k8s 1.37 endpointslice_controller.go, syncService.
    let is_alias =
        |s: &Cached<Service>| s.object.spec.as_ref().is_some_and(|s| s.type_.as_deref() == Some("ExternalName"));
    let service = listers.services.get(key).filter(|s| !s.meta.is_terminating() && !is_alias(s));
    let Some((service, spec)) = service.and_then(|s| Some((s, s.object.spec.as_ref()?))) else {
        for slice in slices {
            plan.delete(&ENDPOINT_SLICES, &slice.meta);
        }
        let ours = |labels: &std::collections::BTreeMap<String, String>| {
            labels.get(ENDPOINTS_MANAGED_BY).map(String::as_str) == Some(ENDPOINTS_MANAGER)
        };
        if let Some(endpoints) = listers.endpoints.get(key).filter(|e| ours(&e.meta.labels)) {
            plan.delete(&ENDPOINTS, &endpoints.meta);
        }
        return plan;
    };
    // Without a selector the endpoints are somebody else's to write.
    let Some(labels) = spec.selector.as_ref().filter(|s| !s.is_empty()) else { return plan };
    let selector = LabelSelector::from_labels(labels);
    let pods: Vec<&Cached<Pod>> = listers
        .pods
        .select(&key.namespace, &selector)
        .filter(|p| address(p).is_some() && !is_finished(&p.object))
        .collect();

    let wanted = slices_of(service, spec, &pods);
    for object in &wanted {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match slices.iter().find(|s| s.meta.name == name) {
            None => plan.create(&ENDPOINT_SLICES, &key.namespace, object.clone()),
            Some(slice) if !same_slice(&slice.object.encode(), object) => {
                let patch = json!({"endpoints": object["endpoints"], "ports": object["ports"]});
                plan.patch(&ENDPOINT_SLICES, slice.meta.key(), "", patch);
            }
            Some(_) => {}
        }
    }
    for slice in &slices {
        if !wanted.iter().any(|w| w["metadata"]["name"] == slice.meta.name.as_str()) {
            plan.delete(&ENDPOINT_SLICES, &slice.meta);
        }
    }
    write_endpoints(&mut plan, listers, service, spec, &pods);
    plan
}

fn address(pod: &Cached<Pod>) -> Option<&str> {
    pod.object.status.as_ref()?.pod_ip.as_deref().filter(|ip| !ip.is_empty())
}

fn owner(service: &Cached<Service>) -> Value {
    json!([{"apiVersion": "v1", "kind": "Service", "name": service.meta.name, "uid": service.meta.uid,
            "controller": true, "blockOwnerDeletion": true}])
}

/// Returns the Service's ports as this pod has them; a named target port may differ from pod to pod.
fn ports_for(spec: &ServiceSpec, pod: &Pod) -> Vec<Value> {
    spec.ports.iter().flatten().filter_map(|port| Some(port_value(port, target(port, pod)?))).collect()
}

fn port_value(port: &ServicePort, number: i32) -> Value {
    let mut value = json!({
        "name": port.name.clone().unwrap_or_default(), "port": number,
        "protocol": port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
    });
    if let Some(protocol) = &port.app_protocol {
        value["appProtocol"] = protocol.as_str().into();
    }
    value
}

fn target(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let containers = pod.spec.iter().flat_map(|s| &s.containers);
            containers
                .flat_map(|c| c.ports.iter().flatten())
                .find(|p| p.name.as_deref() == Some(name) && p.protocol.as_deref().unwrap_or("TCP") == protocol)
                .map(|p| p.container_port)
        }
    }
}

/// Groups the pods by the ports they offer and cuts each group into slices.
fn slices_of(service: &Cached<Service>, spec: &ServiceSpec, pods: &[&Cached<Pod>]) -> Vec<Value> {
    let publish = spec.publish_not_ready_addresses == Some(true);
    let mut groups: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for pod in pods {
        let ports = ports_for(spec, &pod.object);
        let endpoint = endpoint_value(service, pod, publish);
        match groups.iter_mut().find(|(p, _)| *p == ports) {
            Some((_, endpoints)) => endpoints.push(endpoint),
            None => groups.push((ports, vec![endpoint])),
        }
    }
    if groups.is_empty() {
        // One empty slice says that the Service is looked after, as upstream's placeholder.
        groups.push((vec![], vec![]));
    }
    let mut slices = Vec::new();
    for (ports, endpoints) in groups {
        let chunks: Vec<&[Value]> =
            if endpoints.is_empty() { vec![&[]] } else { endpoints.chunks(ENDPOINTS_PER_SLICE).collect() };
        for chunk in chunks {
            slices.push(json!({
                "metadata": {
                    "name": format!("{}-{}", service.meta.name, slices.len()), "namespace": service.meta.namespace,
                    "labels": {SERVICE_NAME: service.meta.name, MANAGED_BY: MANAGER}, "ownerReferences": owner(service),
                },
                "addressType": "IPv4", "ports": ports, "endpoints": chunk,
            }));
        }
    }
    slices
}

fn endpoint_value(service: &Cached<Service>, pod: &Cached<Pod>, publish_not_ready: bool) -> Value {
    let terminating = pod.meta.is_terminating();
    let serving = is_ready(&pod.object) || publish_not_ready;
    let mut value = json!({
        "addresses": [address(pod)],
        "conditions": {"ready": serving && (!terminating || publish_not_ready), "serving": serving, "terminating": terminating},
        "nodeName": crate::pods::node_name(&pod.object),
        "targetRef": {"kind": "Pod", "namespace": pod.meta.namespace, "name": pod.meta.name, "uid": pod.meta.uid},
    });
    let spec = pod.object.spec.as_ref();
    if let Some(hostname) = spec.and_then(|s| s.hostname.as_deref())
        && spec.and_then(|s| s.subdomain.as_deref()) == Some(&service.meta.name)
    {
        value["hostname"] = hostname.into();
    }
    value
}

/// Compares what the server has with what is wanted, in the server's own encoding.
fn same_slice(have: &[u8], wanted: &Value) -> bool {
    let have: Value = serde_json::from_slice(have).expect("an encoded slice is JSON");
    let typed = |v: &Value| {
        km_kinds::api::discovery::v1::EndpointSlice::decode(v.to_string().as_bytes()).map(|s| (s.endpoints, s.ports))
    };
    matches!((typed(&have), typed(wanted)), (Ok(a), Ok(b)) if a == b)
}

/// Writes the Endpoints object, the older form of the same facts, which some clients still read.
fn write_endpoints(
    plan: &mut Plan,
    listers: &Listers,
    service: &Cached<Service>,
    spec: &ServiceSpec,
    pods: &[&Cached<Pod>],
) {
    let mut subsets: Vec<Value> = Vec::new();
    let publish = spec.publish_not_ready_addresses == Some(true);
    for pod in pods.iter().filter(|p| !p.meta.is_terminating() || publish) {
        let list = if is_ready(&pod.object) || publish { "addresses" } else { "notReadyAddresses" };
        let address = json!({
            "ip": address(pod), "nodeName": crate::pods::node_name(&pod.object),
            "targetRef": {"kind": "Pod", "namespace": pod.meta.namespace, "name": pod.meta.name, "uid": pod.meta.uid},
        });
        let ports = Value::from(ports_for(spec, &pod.object));
        let index = subsets.iter().position(|s| s["ports"] == ports).unwrap_or_else(|| {
            subsets.push(json!({"ports": ports}));
            subsets.len() - 1
        });
        match subsets[index][list].as_array_mut() {
            Some(addresses) => addresses.push(address),
            None => subsets[index][list] = json!([address]),
        }
    }
    let key = service.meta.key();
    let headless = spec.cluster_ip.as_deref() == Some("None");
    match listers.endpoints.get(&key) {
        None => {
            let mut labels = service.meta.labels.clone();
            labels.insert(ENDPOINTS_MANAGED_BY.to_owned(), ENDPOINTS_MANAGER.to_owned());
            if headless {
                labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
            }
            let object = json!({
                "metadata": {"name": key.name, "namespace": key.namespace, "labels": labels}, "subsets": subsets,
            });
            plan.create(&ENDPOINTS, &key.namespace, object);
        }
        Some(have) => {
            let wanted = json!({"metadata": {}, "subsets": subsets});
            let wanted_typed = km_kinds::api::core::v1::Endpoints::decode(wanted.to_string().as_bytes());
            let same = wanted_typed
                .is_ok_and(|w| w.subsets.unwrap_or_default() == have.object.subsets.clone().unwrap_or_default());
            if !same {
                plan.patch(&ENDPOINTS, key, "", json!({"subsets": subsets}));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fill, lines};

    fn pod(name: &str, ip: &str, ready: bool, port: u16) -> Value {
        json!({"metadata": {"name": name, "namespace": "d", "uid": name, "labels": {"app": "web"}},
               "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": port}]}]},
               "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}})
    }

    fn listers(pods: &[Value]) -> Listers {
        let mut listers = Listers::default();
        fill(
            &mut listers.services,
            &[json!({"metadata": {"name": "web", "namespace": "d", "uid": "s"},
            "spec": {"clusterIP": "10.96.0.7", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}})],
        );
        fill(&mut listers.pods, pods);
        listers
    }

    fn created(listers: &Listers, resource: &str) -> Vec<Value> {
        reconcile(listers, &ObjectKey::namespaced("d", "web"))
            .writes
            .into_iter()
            .filter_map(|w| match w {
                crate::Write::Create { resource: r, object, .. } if r.plural == resource => Some(object),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn named_ports_are_each_pods_own_and_readiness_is_told() {
        let listers = listers(&[pod("a", "10.0.0.1", true, 8080), pod("b", "10.0.0.2", false, 9090)]);
        let slices = created(&listers, "endpointslices");
        assert_eq!(slices.len(), 2);
        assert_eq!(slices[0]["ports"][0]["port"], 8080);
        assert_eq!(slices[1]["endpoints"][0]["conditions"]["ready"], false);
        let endpoints = &created(&listers, "endpoints")[0];
        assert_eq!(endpoints["subsets"][0]["addresses"][0]["ip"], "10.0.0.1");
        assert_eq!(endpoints["subsets"][1]["notReadyAddresses"][0]["ip"], "10.0.0.2");
    }

    #[test]
    fn what_was_written_is_not_written_again() {
        let mut listers = listers(&[pod("a", "10.0.0.1", true, 8080)]);
        let (slices, endpoints) = (created(&listers, "endpointslices"), created(&listers, "endpoints"));
        fill(&mut listers.endpoint_slices, &slices);
        fill(&mut listers.endpoints, &endpoints);
        assert_eq!(lines(&reconcile(&listers, &ObjectKey::namespaced("d", "web"))), Vec::<String>::new());
        fill(&mut listers.pods, &[pod("a", "10.0.0.1", false, 8080)]);
        assert_eq!(lines(&reconcile(&listers, &ObjectKey::namespaced("d", "web"))).len(), 2);
    }

    #[test]
    fn slices_and_endpoints_of_a_service_that_is_gone_are_deleted() {
        let mut listers = listers(&[]);
        let (slices, endpoints) = (created(&listers, "endpointslices"), created(&listers, "endpoints"));
        fill(&mut listers.endpoint_slices, &slices);
        fill(&mut listers.endpoints, &endpoints);
        fill(&mut listers.endpoints, &[json!({"metadata": {"name": "somebodys", "namespace": "d"}})]);
        listers.services = Default::default();
        assert_eq!(
            lines(&reconcile(&listers, &ObjectKey::namespaced("d", "web"))),
            ["delete endpointslices d/web-0", "delete endpoints d/web"]
        );
        assert_eq!(reconcile(&listers, &ObjectKey::namespaced("d", "somebodys")), Plan::done());
    }

    #[test]
    fn a_service_that_is_another_name_has_no_endpoints() {
        let mut listers = listers(&[pod("a", "10.0.0.1", true, 8080)]);
        fill(
            &mut listers.services,
            &[json!({"metadata": {"name": "web", "namespace": "d", "uid": "s"},
            "spec": {"type": "ExternalName", "externalName": "example.com", "selector": {"app": "web"}}})],
        );
        assert_eq!(lines(&reconcile(&listers, &ObjectKey::namespaced("d", "web"))), Vec::<String>::new());
    }
}
