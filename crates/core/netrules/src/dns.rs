//! Answers of the cluster's DNS.
//!
//! Source: the Kubernetes DNS-based service discovery specification, version 1.1.0.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use km_api::lister::Lister;
use km_base::ObjectKey;
use km_kinds::api::core::v1::Service;
use km_kinds::api::discovery::v1::EndpointSlice;

use crate::ruleset::Protocol;

/// Time to live of every answer, in seconds (CoreDNS's default for cluster names).
pub const TTL_SECS: u32 = 5;

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// An address.
    A(Ipv4Addr),
    /// A host and port.
    Srv {
        /// Port.
        port: u16,
        /// Name of the host.
        target: String,
    },
    /// A name, for a reverse query or an ExternalName Service.
    Name(String),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryType {
    /// Addresses.
    A,
    /// Hosts and ports.
    Srv,
    /// The name of an address.
    Ptr,
    /// Anything else.
    Other,
}

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These records; none means: the name exists, but not with this type.
    Records(Vec<Record>),
    /// The name of another Service or host, to be looked up instead (ExternalName).
    Alias(String),
    /// The name is the cluster's to answer, and does not exist.
    NoSuchName,
    /// Not the cluster's name: ask the host's own resolvers.
    NotOurs,
}

/// The names of a cluster: an index of Services and endpoints, rebuilt when they change.
#[derive(Clone, Debug, Default)]
pub struct Names {
    domain: String,
    services: BTreeMap<ObjectKey, ServiceNames>,
    namespaces: BTreeSet<String>,
    reverse: BTreeMap<Ipv4Addr, String>,
}

#[derive(Clone, Debug, Default)]
struct ServiceNames {
    cluster_ip: Option<Ipv4Addr>,
    external_name: Option<String>,
    /// Named ports of the Service: (protocol, name) and number.
    ports: BTreeMap<(Protocol, String), u16>,
    /// Endpoints by host label; the label is the pod's hostname, or its address with dashes.
    hosts: BTreeMap<String, BTreeSet<Ipv4Addr>>,
}

impl Names {
    /// Indexes these Services and slices under `domain`, e.g. `cluster.local`.
    #[must_use]
    pub fn new(domain: &str, services: &Lister<Service>, slices: &Lister<EndpointSlice>) -> Self {
        let mut names = Self { domain: domain.trim_end_matches('.').to_ascii_lowercase(), ..Self::default() };
        for cached in services.iter() {
            let key = cached.meta.key();
            names.namespaces.insert(key.namespace.clone());
            names.services.insert(key, service_names(&cached.object));
        }
        for cached in slices.iter().filter(|c| c.object.address_type == "IPv4") {
            let Some(service) = cached.meta.labels.get("kubernetes.io/service-name") else { continue };
            let key = ObjectKey::namespaced(cached.meta.namespace.as_str(), service.as_str());
            let Some(entry) = names.services.get_mut(&key) else { continue };
            for endpoint in cached.object.endpoints.iter().flatten() {
                if endpoint.conditions.as_ref().and_then(|c| c.ready) == Some(false) {
                    continue;
                }
                for ip in endpoint.addresses.iter().filter_map(|a| a.parse::<Ipv4Addr>().ok()) {
                    let host = endpoint.hostname.clone().unwrap_or_else(|| dashed(ip));
                    entry.hosts.entry(host).or_default().insert(ip);
                }
            }
        }
        names.index_reverse();
        names
    }

    fn index_reverse(&mut self) {
        for (key, service) in &self.services {
            let name = format!("{}.{}.svc.{}.", key.name, key.namespace, self.domain);
            if let Some(ip) = service.cluster_ip {
                self.reverse.insert(ip, name);
            } else {
                for (host, ips) in &service.hosts {
                    for ip in ips {
                        self.reverse.insert(*ip, format!("{host}.{name}"));
                    }
                }
            }
        }
    }

    /// Answers one question; `name` may end in a dot, and its case does not matter.
    #[must_use]
    pub fn answer(&self, name: &str, query: QueryType) -> Answer {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(reversed) = name.strip_suffix(".in-addr.arpa") {
            return self.answer_reverse(reversed);
        }
        let Some(within) = name.strip_suffix(&self.domain).and_then(|n| n.strip_suffix('.')) else {
            return if name == self.domain { Answer::Records(vec![]) } else { Answer::NotOurs };
        };
        let labels: Vec<&str> = within.split('.').collect();
        match labels.as_slice() {
            ["svc"] => Answer::Records(vec![]),
            [namespace, "svc"] if self.namespaces.contains(*namespace) => Answer::Records(vec![]),
            [service, namespace, "svc"] => {
                self.of_service(service, namespace, |s| self.service_records(s, query, service, namespace))
            }
            [host, service, namespace, "svc"] if !host.starts_with('_') => {
                self.of_service(service, namespace, |s| host_records(s, host, query))
            }
            [port, protocol, service, namespace, "svc"] => {
                self.of_service(service, namespace, |s| self.srv_records(s, port, protocol, query, service, namespace))
            }
            [ip, namespace, "pod"] if self.namespaces.contains(*namespace) => match ip.replace('-', ".").parse() {
                Ok(ip) if query == QueryType::A => Answer::Records(vec![Record::A(ip)]),
                Ok(_) => Answer::Records(vec![]),
                Err(_) => Answer::NoSuchName,
            },
            _ => Answer::NoSuchName,
        }
    }

    fn of_service(&self, service: &str, namespace: &str, answer: impl FnOnce(&ServiceNames) -> Answer) -> Answer {
        self.services.get(&ObjectKey::namespaced(namespace, service)).map_or(Answer::NoSuchName, answer)
    }

    fn service_records(&self, service: &ServiceNames, query: QueryType, name: &str, namespace: &str) -> Answer {
        if let Some(external) = &service.external_name {
            return Answer::Alias(external.clone());
        }
        match (query, service.cluster_ip) {
            (QueryType::A, Some(ip)) => Answer::Records(vec![Record::A(ip)]),
            (QueryType::A, None) => {
                let ips: BTreeSet<Ipv4Addr> = service.hosts.values().flatten().copied().collect();
                Answer::Records(ips.into_iter().map(Record::A).collect())
            }
            (QueryType::Srv, _) => {
                let ports = service.ports.values().copied();
                Answer::Records(ports.flat_map(|p| self.targets(service, p, name, namespace)).collect())
            }
            (QueryType::Ptr | QueryType::Other, _) => Answer::Records(vec![]),
        }
    }

    fn srv_records(
        &self,
        service: &ServiceNames,
        port: &str,
        protocol: &str,
        query: QueryType,
        name: &str,
        namespace: &str,
    ) -> Answer {
        let protocol = match protocol {
            "_tcp" => Protocol::Tcp,
            "_udp" => Protocol::Udp,
            _ => return Answer::NoSuchName,
        };
        let Some(port_name) = port.strip_prefix('_') else { return Answer::NoSuchName };
        match service.ports.get(&(protocol, port_name.to_owned())) {
            None => Answer::NoSuchName,
            Some(number) if query == QueryType::Srv => Answer::Records(self.targets(service, *number, name, namespace)),
            Some(_) => Answer::Records(vec![]),
        }
    }

    /// The SRV targets of one port: the Service itself, or each host of a headless one.
    fn targets(&self, service: &ServiceNames, port: u16, name: &str, namespace: &str) -> Vec<Record> {
        let base = format!("{name}.{namespace}.svc.{}.", self.domain);
        if service.cluster_ip.is_some() {
            vec![Record::Srv { port, target: base }]
        } else {
            service.hosts.keys().map(|host| Record::Srv { port, target: format!("{host}.{base}") }).collect()
        }
    }

    fn answer_reverse(&self, reversed: &str) -> Answer {
        let mut octets: Vec<&str> = reversed.split('.').collect();
        octets.reverse();
        match octets.join(".").parse::<Ipv4Addr>().ok().and_then(|ip| self.reverse.get(&ip)) {
            Some(name) => Answer::Records(vec![Record::Name(name.clone())]),
            None => Answer::NotOurs,
        }
    }
}

fn host_records(service: &ServiceNames, host: &str, query: QueryType) -> Answer {
    match service.hosts.get(host) {
        None => Answer::NoSuchName,
        Some(ips) if query == QueryType::A => Answer::Records(ips.iter().copied().map(Record::A).collect()),
        Some(_) => Answer::Records(vec![]),
    }
}

fn service_names(service: &Service) -> ServiceNames {
    let Some(spec) = &service.spec else { return ServiceNames::default() };
    let external_name = (spec.type_.as_deref() == Some("ExternalName")).then(|| spec.external_name.clone()).flatten();
    let named = |p: &km_kinds::api::core::v1::ServicePort| {
        let key = (Protocol::parse(p.protocol.as_deref())?, p.name.clone().unwrap_or_default());
        Some((key, u16::try_from(p.port).ok()?))
    };
    ServiceNames {
        cluster_ip: spec.cluster_ip.as_deref().and_then(|ip| ip.parse().ok()),
        external_name,
        ports: spec.ports.iter().flatten().filter_map(named).collect(),
        hosts: BTreeMap::new(),
    }
}

fn dashed(ip: Ipv4Addr) -> String {
    ip.to_string().replace('.', "-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ruleset::tests::{lister, service, slice};

    fn names() -> Names {
        let services = lister(&[
            service("default", "web", "10.96.0.7", json!([{"name": "http", "port": 80}])),
            service("default", "db", "None", json!([{"name": "sql", "port": 5432}])),
            json!({"metadata": {"name": "out", "namespace": "default"}, "spec": {"type": "ExternalName", "externalName": "example.org"}}),
        ]);
        let slices = lister(&[slice(
            "db",
            json!([{"addresses": ["10.244.1.5"], "hostname": "db-0"}, {"addresses": ["10.244.1.6"], "conditions": {"ready": true}},
                   {"addresses": ["10.244.1.7"], "conditions": {"ready": false}}]),
        )]);
        Names::new("cluster.local", &services, &slices)
    }

    fn a(ips: &[[u8; 4]]) -> Answer {
        Answer::Records(ips.iter().map(|ip| Record::A((*ip).into())).collect())
    }

    #[test]
    fn names_resolve_as_the_specification_says() {
        let names = names();
        for (name, query, expected) in [
            ("web.default.svc.cluster.local.", QueryType::A, a(&[[10, 96, 0, 7]])),
            ("WEB.default.svc.cluster.local", QueryType::A, a(&[[10, 96, 0, 7]])),
            ("web.default.svc.cluster.local", QueryType::Other, Answer::Records(vec![])),
            ("db.default.svc.cluster.local", QueryType::A, a(&[[10, 244, 1, 5], [10, 244, 1, 6]])),
            ("db-0.db.default.svc.cluster.local", QueryType::A, a(&[[10, 244, 1, 5]])),
            ("10-244-1-6.db.default.svc.cluster.local", QueryType::A, a(&[[10, 244, 1, 6]])),
            ("10-244-9-9.default.pod.cluster.local", QueryType::A, a(&[[10, 244, 9, 9]])),
            ("nobody.default.svc.cluster.local", QueryType::A, Answer::NoSuchName),
            ("web.nowhere.svc.cluster.local", QueryType::A, Answer::NoSuchName),
            ("out.default.svc.cluster.local", QueryType::A, Answer::Alias("example.org".into())),
            ("example.org", QueryType::A, Answer::NotOurs),
            ("notcluster.local", QueryType::A, Answer::NotOurs),
            ("default.svc.cluster.local", QueryType::A, Answer::Records(vec![])),
            (
                "_http._tcp.web.default.svc.cluster.local",
                QueryType::Srv,
                Answer::Records(vec![Record::Srv { port: 80, target: "web.default.svc.cluster.local.".into() }]),
            ),
            (
                "7.0.96.10.in-addr.arpa",
                QueryType::Ptr,
                Answer::Records(vec![Record::Name("web.default.svc.cluster.local.".into())]),
            ),
            ("1.1.1.1.in-addr.arpa", QueryType::Ptr, Answer::NotOurs),
        ] {
            assert_eq!(names.answer(name, query), expected, "{name}");
        }
    }

    #[test]
    fn a_headless_port_lists_every_host() {
        let Answer::Records(records) = names().answer("_sql._tcp.db.default.svc.cluster.local", QueryType::Srv) else {
            panic!("no records")
        };
        let targets: Vec<String> = records
            .into_iter()
            .map(|r| match r {
                Record::Srv { port, target } => format!("{target}{port}"),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(targets, ["10-244-1-6.db.default.svc.cluster.local.5432", "db-0.db.default.svc.cluster.local.5432"]);
    }
}
