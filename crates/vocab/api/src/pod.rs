//! What a pod asks for: resource sums, host ports, whether it is over.
//!
//! Several cores share these rules (scheduler, framework, controllers, lifecycle), so that what is charged in
//! Mesos is what the pod shows. Nothing here knows nodes (see [`crate::node`]) or Mesos.

use std::collections::BTreeMap;

use km_kinds::api::core::v1::{Container, Pod, ResourceRequirements};

use crate::Quantity;

/// CPU charged for a container that names neither request nor limit (the original's 0.25 cpu).
pub const DEFAULT_CPU: Quantity = Quantity::from_milli(250);
/// Memory charged for a container that names neither request nor limit (64 MB; Mesos's MB are 2²⁰ bytes).
pub const DEFAULT_MEMORY: Quantity = Quantity::from_units(64 << 20);

/// Amounts by resource name (`cpu`, `memory`, `ephemeral-storage`, extended resources).
pub type Amounts = BTreeMap<String, Quantity>;

/// A port that a container declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredPort {
    /// Container that declares it.
    pub container: String,
    /// Name of the port, or empty.
    pub name: String,
    /// Port inside the pod.
    pub container_port: u16,
    /// Port asked for on the host; `None`: none.
    pub host_port: Option<u16>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

/// Sums what the pod requests, with km's defaults for containers that say nothing.
///
/// Source: k8s `pkg/api/v1/resource` `PodRequests`: containers and sidecars run together; an init container
/// runs beside the sidecars started before it; the larger of both phases counts, plus the overhead; a request
/// at pod level replaces the sum.
#[must_use]
pub fn requests(pod: &Pod) -> Amounts {
    total(pod, container_requests, |r| r.requests.as_ref())
}

/// Sums the limits of the resources that every container limits; a resource that one container leaves open
/// is absent (the pod as a whole is unlimited in it).
#[must_use]
pub fn limits(pod: &Pod) -> Amounts {
    let mut sum = total(pod, container_limits, |r| r.limits.as_ref());
    let Some(spec) = &pod.spec else { return sum };
    let pod_level = amounts(spec.resources.as_ref().and_then(|r| r.limits.as_ref()));
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let open: Vec<String> = sum
        .keys()
        .filter(|name| !pod_level.contains_key(*name))
        .filter(|name| all.clone().any(|c| !container_limits(c).contains_key(*name)))
        .cloned()
        .collect();
    for name in open {
        sum.remove(&name);
    }
    sum
}

/// Returns what one container requests: its request, else its limit, else (cpu, memory) km's default.
#[must_use]
pub fn container_requests(container: &Container) -> Amounts {
    let mut amounts = container_limits(container);
    amounts.extend(self::amounts(container.resources.as_ref().and_then(|r| r.requests.as_ref())));
    amounts.entry("cpu".to_owned()).or_insert(DEFAULT_CPU);
    amounts.entry("memory".to_owned()).or_insert(DEFAULT_MEMORY);
    amounts
}

/// Returns every port that the pod's containers and sidecars declare, in order.
#[must_use]
pub fn ports(pod: &Pod) -> Vec<DeclaredPort> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    let host_network = spec.host_network.unwrap_or(false);
    let mut found = Vec::new();
    for container in sidecars.chain(&spec.containers) {
        for port in container.ports.iter().flatten() {
            let Some(container_port) = u16::try_from(port.container_port).ok().filter(|p| *p > 0) else { continue };
            let asked = port.host_port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0);
            found.push(DeclaredPort {
                container: container.name.clone(),
                name: port.name.clone().unwrap_or_default(),
                container_port,
                host_port: if host_network { asked.or(Some(container_port)) } else { asked },
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            });
        }
    }
    found
}

/// Tells whether the pod is over (phase `Succeeded` or `Failed`).
#[must_use]
pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Returns the pod's phase, or empty text.
#[must_use]
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

/// Returns the node that the pod is bound to, if any.
#[must_use]
pub fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).filter(|n| !n.is_empty())
}

/// Tells whether an init container keeps running beside the containers (restartPolicy `Always`).
#[must_use]
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn container_limits(container: &Container) -> Amounts {
    amounts(container.resources.as_ref().and_then(|r| r.limits.as_ref()))
}

type Raw = BTreeMap<String, km_kinds::apimachinery::pkg::api::resource::Quantity>;

fn total(
    pod: &Pod,
    of: impl Fn(&Container) -> Amounts,
    pod_level: impl Fn(&ResourceRequirements) -> Option<&Raw>,
) -> Amounts {
    let Some(spec) = &pod.spec else { return Amounts::new() };
    let mut together = Amounts::new();
    for container in &spec.containers {
        add(&mut together, &of(container));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        let mut alone = of(container);
        if is_sidecar(container) {
            add(&mut together, &alone);
            add(&mut sidecars, &alone);
        } else {
            add(&mut alone, &sidecars);
            raise(&mut peak, &alone);
        }
    }
    raise(&mut together, &peak);
    together.extend(amounts(spec.resources.as_ref().and_then(pod_level)));
    add(&mut together, &amounts(spec.overhead.as_ref()));
    together
}

fn amounts(raw: Option<&Raw>) -> Amounts {
    // What the API server has accepted parses; anything else asks for nothing.
    raw.into_iter().flatten().filter_map(|(n, q)| Some((n.clone(), Quantity::parse(&q.0).ok()?))).collect()
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let entry = sum.entry(name.clone()).or_default();
        *entry = *entry + *amount;
    }
}

fn raise(sum: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let entry = sum.entry(name.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use km_kinds::Codec;

    use super::*;

    fn pod(spec: &str) -> Pod {
        Pod::decode(format!(r#"{{"metadata":{{"name":"p"}},"spec":{spec}}}"#).as_bytes()).unwrap()
    }

    fn show(amounts: &Amounts) -> String {
        let shown: Vec<String> = amounts
            .iter()
            .map(|(n, q)| format!("{n}={}", if n == "memory" { q.to_binary_string() } else { q.to_string() }))
            .collect();
        shown.join(" ")
    }

    #[test]
    fn requests_follow_the_phases_of_a_pod() {
        for (spec, expected) in [
            (r#"{"containers":[{"name":"a"},{"name":"b"}]}"#, "cpu=500m memory=128Mi"),
            (r#"{"containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"1Gi"}}}]}"#, "cpu=1 memory=1Gi"),
            (
                r#"{"containers":[{"name":"a","resources":{"requests":{"cpu":"100m","memory":"32Mi"}}}],
                "initContainers":[{"name":"i","resources":{"requests":{"cpu":"2","memory":"16Mi"}}}]}"#,
                "cpu=2 memory=32Mi",
            ),
            (
                r#"{"containers":[{"name":"a","resources":{"requests":{"cpu":"1","memory":"1Mi"}}}],
                "initContainers":[
                  {"name":"s","restartPolicy":"Always","resources":{"requests":{"cpu":"1","memory":"1Mi"}}},
                  {"name":"i","resources":{"requests":{"cpu":"3","memory":"1Mi"}}}],
                "overhead":{"cpu":"250m"}}"#,
                "cpu=4250m memory=2Mi",
            ),
        ] {
            assert_eq!(show(&requests(&pod(spec))), expected, "{spec}");
        }
    }

    #[test]
    fn a_pod_is_limited_only_where_every_container_is() {
        let both = pod(r#"{"containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"1Mi"}}},
            {"name":"b","resources":{"limits":{"memory":"1Mi"}}}]}"#);
        assert_eq!(show(&limits(&both)), "memory=2Mi");
    }

    #[test]
    fn host_network_makes_every_port_a_host_port() {
        let spec = r#"{"hostNetwork":HN,"containers":[{"name":"a","ports":[{"containerPort":80},
            {"containerPort":53,"hostPort":5353,"protocol":"UDP"}]}]}"#;
        let of = |hn: &str| -> Vec<Option<u16>> {
            ports(&pod(&spec.replace("HN", hn))).iter().map(|p| p.host_port).collect()
        };
        assert_eq!(of("false"), [None, Some(5353)]);
        assert_eq!(of("true"), [Some(80), Some(5353)]);
    }
}
