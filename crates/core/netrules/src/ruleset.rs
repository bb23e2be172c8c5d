//! From Services and EndpointSlices to a rule set.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use km_api::lister::Lister;
use km_base::ObjectKey;
use km_kinds::api::core::v1::{Service, ServicePort};
use km_kinds::api::discovery::v1::EndpointSlice;

/// Label of an EndpointSlice that names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// A transport protocol that Services can have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Reads the API's spelling; absent means TCP, and SCTP is not served.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("TCP" | "") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Protocol {
    /// Writes nftables' spelling.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Where a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontend {
    /// Cluster IP.
    pub ip: Ipv4Addr,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the Service.
    pub port: u16,
}

/// Where the connection ends up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Address of the endpoint.
    pub ip: Ipv4Addr,
    /// Port of the endpoint.
    pub port: u16,
}

/// A Service that this node itself serves, whatever its endpoints say: the cluster's DNS, and the way to an
/// API server that listens on loopback only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalService {
    /// The Service.
    pub service: ObjectKey,
    /// Protocol of the port.
    pub protocol: Protocol,
    /// Port of the Service.
    pub port: u16,
    /// Where this node serves it.
    pub backend: Backend,
}

/// What a node's rules depend on besides API objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// Name of the nftables table, unique on the host.
    pub table: String,
    /// Name of the pods' bridge.
    pub bridge: String,
    /// The node's pod range, e.g. `10.244.3.0/24`.
    pub pod_cidr: String,
    /// All pods' range, e.g. `10.244.0.0/16`: traffic within it keeps its source address.
    pub cluster_cidr: String,
    /// Services that the node itself serves.
    pub local_services: Vec<LocalService>,
}

/// The rules of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// Endpoints of every cluster IP and port; none means: refuse.
    pub services: BTreeMap<Frontend, BTreeSet<Backend>>,
    /// Endpoints of every node port.
    pub node_ports: BTreeMap<(Protocol, u16), BTreeSet<Backend>>,
    /// The pod behind every host port of this node.
    pub host_ports: BTreeMap<(Protocol, u16), Backend>,
}

impl RuleSet {
    /// Returns every endpoint address. A pod that reaches itself through a Service needs its source rewritten,
    /// or its own answer would look foreign to it.
    #[must_use]
    pub fn endpoint_ips(&self) -> BTreeSet<Ipv4Addr> {
        let services = self.services.values().chain(self.node_ports.values()).flatten();
        services.chain(self.host_ports.values()).map(|b| b.ip).collect()
    }
}

/// Computes the rules for these Services, slices and host ports.
///
/// An endpoint is used while it is ready; when a Service has none that is ready, those that are terminating but
/// still serve are used (k8s KEP-1669).
#[must_use]
pub fn compute(
    services: &Lister<Service>,
    slices: &Lister<EndpointSlice>,
    host_ports: &BTreeMap<(Protocol, u16), Backend>,
    config: &NetConfig,
) -> RuleSet {
    let mut rules = RuleSet { host_ports: host_ports.clone(), ..RuleSet::default() };
    let by_service = endpoints_by_port(slices);
    for cached in services.iter() {
        let Some(spec) = &cached.object.spec else { continue };
        let Some(ip) = spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<Ipv4Addr>().ok()) else { continue };
        let key = cached.meta.key();
        for port in spec.ports.iter().flatten() {
            let (Some(protocol), Ok(number)) = (Protocol::parse(port.protocol.as_deref()), u16::try_from(port.port))
            else {
                continue;
            };
            let backends = local_backend(config, &key, protocol, number)
                .map(|b| BTreeSet::from([b]))
                .or_else(|| by_service.get(&(key.clone(), port_name(port))).map(Candidates::chosen))
                .unwrap_or_default();
            if let Some(node_port) = port.node_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p != 0) {
                rules.node_ports.insert((protocol, node_port), backends.clone());
            }
            rules.services.insert(Frontend { ip, protocol, port: number }, backends);
        }
    }
    rules
}

fn port_name(port: &ServicePort) -> String {
    port.name.clone().unwrap_or_default()
}

fn local_backend(config: &NetConfig, service: &ObjectKey, protocol: Protocol, port: u16) -> Option<Backend> {
    let is_it = |l: &&LocalService| l.service == *service && l.protocol == protocol && l.port == port;
    config.local_services.iter().find(is_it).map(|l| l.backend)
}

/// The endpoints of one port of one Service.
#[derive(Default)]
struct Candidates {
    ready: BTreeSet<Backend>,
    serving: BTreeSet<Backend>,
}

impl Candidates {
    fn chosen(&self) -> BTreeSet<Backend> {
        if self.ready.is_empty() { self.serving.clone() } else { self.ready.clone() }
    }
}

fn endpoints_by_port(slices: &Lister<EndpointSlice>) -> BTreeMap<(ObjectKey, String), Candidates> {
    let mut all: BTreeMap<(ObjectKey, String), Candidates> = BTreeMap::new();
    for cached in slices.iter().filter(|c| c.object.address_type == "IPv4") {
        let Some(service) = cached.meta.labels.get(SERVICE_NAME_LABEL) else { continue };
        let service = ObjectKey::namespaced(cached.meta.namespace.as_str(), service.as_str());
        for port in cached.object.ports.iter().flatten() {
            let Some(number) = port.port.and_then(|p| u16::try_from(p).ok()) else { continue };
            let candidates = all.entry((service.clone(), port.name.clone().unwrap_or_default())).or_default();
            for endpoint in cached.object.endpoints.iter().flatten() {
                let conditions = endpoint.conditions.clone().unwrap_or_default();
                let ready = conditions.ready.unwrap_or(true);
                let serving = conditions.serving.unwrap_or(ready);
                for ip in endpoint.addresses.iter().filter_map(|a| a.parse().ok()) {
                    let backend = Backend { ip, port: number };
                    if ready {
                        candidates.ready.insert(backend);
                    } else if serving {
                        candidates.serving.insert(backend);
                    }
                }
            }
        }
    }
    all
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use km_api::Object;
    use km_kinds::Codec;

    use super::*;

    pub(crate) fn lister<T: Codec>(objects: &[serde_json::Value]) -> Lister<T> {
        let mut lister = Lister::default();
        for value in objects {
            let object = Object::parse(value.to_string().into_bytes()).unwrap();
            lister.upsert(object.shared_meta(), Arc::new(object.decode().unwrap()));
        }
        lister
    }

    pub(crate) fn config() -> NetConfig {
        NetConfig {
            table: "km-a1".into(),
            bridge: "km-a1".into(),
            pod_cidr: "10.244.1.0/24".into(),
            cluster_cidr: "10.244.0.0/16".into(),
            local_services: vec![LocalService {
                service: ObjectKey::namespaced("kube-system", "kube-dns"),
                protocol: Protocol::Udp,
                port: 53,
                backend: Backend { ip: Ipv4Addr::new(10, 244, 1, 1), port: 53 },
            }],
        }
    }

    pub(crate) fn service(namespace: &str, name: &str, ip: &str, ports: serde_json::Value) -> serde_json::Value {
        serde_json::json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports}})
    }

    pub(crate) fn slice(service: &str, endpoints: serde_json::Value) -> serde_json::Value {
        serde_json::json!({
            "metadata": {"name": format!("{service}-x"), "namespace": "default", "labels": {SERVICE_NAME_LABEL: service}},
            "addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints,
        })
    }

    fn ips(rules: &RuleSet, ip: &str) -> Vec<String> {
        let found = rules.services.iter().find(|(f, _)| f.ip.to_string() == ip).expect("frontend");
        found.1.iter().map(|b| format!("{}:{}", b.ip, b.port)).collect()
    }

    #[test]
    fn ready_endpoints_serve_and_terminating_ones_only_when_nobody_else_does() {
        let services = lister::<Service>(&[service(
            "default",
            "web",
            "10.96.0.7",
            serde_json::json!([{"port": 80, "nodePort": 32080}]),
        )]);
        let ready = serde_json::json!({"addresses": ["10.244.1.2"], "conditions": {"ready": true}});
        let leaving = serde_json::json!({"addresses": ["10.244.1.3"], "conditions": {"ready": false, "serving": true, "terminating": true}});
        let broken = serde_json::json!({"addresses": ["10.244.1.4"], "conditions": {"ready": false, "serving": false}});
        let both = compute(
            &services,
            &lister(&[slice("web", serde_json::json!([ready, leaving, broken]))]),
            &BTreeMap::new(),
            &config(),
        );
        assert_eq!(ips(&both, "10.96.0.7"), ["10.244.1.2:8080"]);
        assert_eq!(both.node_ports.keys().collect::<Vec<_>>(), [&(Protocol::Tcp, 32080)]);
        let last = compute(
            &services,
            &lister(&[slice("web", serde_json::json!([leaving, broken]))]),
            &BTreeMap::new(),
            &config(),
        );
        assert_eq!(ips(&last, "10.96.0.7"), ["10.244.1.3:8080"]);
        let none = compute(&services, &Lister::default(), &BTreeMap::new(), &config());
        assert!(ips(&none, "10.96.0.7").is_empty());
    }

    #[test]
    fn a_service_of_the_node_itself_needs_no_endpoints_and_a_headless_one_no_rules() {
        let services = lister::<Service>(&[
            service(
                "kube-system",
                "kube-dns",
                "10.96.0.10",
                serde_json::json!([{"name": "dns", "port": 53, "protocol": "UDP"}]),
            ),
            service("default", "db", "None", serde_json::json!([{"port": 5432}])),
        ]);
        let rules = compute(&services, &Lister::default(), &BTreeMap::new(), &config());
        assert_eq!(ips(&rules, "10.96.0.10"), ["10.244.1.1:53"]);
        assert_eq!(rules.services.len(), 1);
    }
}
