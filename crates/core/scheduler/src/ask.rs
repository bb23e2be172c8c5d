//! What a pod asks for, in Mesos's words and units.
//!
//! Kubernetes names and units become Mesos's: cpu → `cpus` in thousandths; memory and ephemeral storage →
//! `mem` and `disk` in MB (2²⁰ bytes), rounded up; extended resources keep their name.

use std::collections::BTreeMap;

use km_api::pod::{self, DeclaredPort};
use km_api::{Quantity, pod::Amounts};
use km_kinds::api::core::v1::Pod;
use km_mesos::ranges::RangeSet;
use km_mesos::resources::Milli;

use crate::{PORT_MAPPING_LABEL, PortMapping, ROLES_ANNOTATION};

/// What must be found in an offer for one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Amounts by Mesos name.
    pub scalars: BTreeMap<String, Milli>,
    /// Ports asked for by number.
    pub fixed: RangeSet,
    /// Declared ports that are to be on the host, in order; those without host port get any.
    pub ports: Vec<DeclaredPort>,
    /// Roles that the pod may draw on, in order.
    pub roles: Vec<String>,
}

impl Ask {
    pub(crate) fn of(pod: &Pod, framework_roles: &[String], default_mapping: PortMapping) -> Self {
        let labels = pod.metadata.labels.as_ref();
        let mapping = match labels.and_then(|l| l.get(PORT_MAPPING_LABEL)).map(String::as_str) {
            Some("fixed") => PortMapping::Fixed,
            Some("wildcard") => PortMapping::Wildcard,
            _ => default_mapping,
        };
        let mut ports = pod::ports(pod);
        if mapping == PortMapping::Fixed {
            ports.retain(|p| p.host_port.is_some());
        }
        let mut fixed = RangeSet::new();
        for number in ports.iter().filter_map(|p| p.host_port) {
            fixed.add(&RangeSet::from_range(number.into(), number.into()));
        }
        Self { scalars: scalars(&pod::requests(pod)), fixed, ports, roles: roles(pod, framework_roles) }
    }

    /// How many ports are asked for without number.
    pub(crate) fn wildcards(&self) -> u64 {
        self.ports.iter().filter(|p| p.host_port.is_none()).map(|_| 1).sum()
    }
}

/// Turns Kubernetes amounts into Mesos ones; zero amounts are left out.
pub(crate) fn scalars(amounts: &Amounts) -> BTreeMap<String, Milli> {
    amounts.iter().map(|(name, q)| convert(name, *q)).filter(|(_, amount)| amount.0 > 0).collect()
}

fn convert(name: &str, amount: Quantity) -> (String, Milli) {
    let megabytes = || Milli((amount.units_ceil().max(0).saturating_add((1 << 20) - 1) >> 20).saturating_mul(1_000));
    match name {
        "cpu" => ("cpus".to_owned(), Milli(amount.milli_ceil())),
        "memory" => ("mem".to_owned(), megabytes()),
        "ephemeral-storage" => ("disk".to_owned(), megabytes()),
        "nvidia.com/gpu" => ("gpus".to_owned(), Milli(amount.milli_ceil())),
        other => (other.to_owned(), Milli(amount.milli_ceil())),
    }
}

fn roles(pod: &Pod, framework_roles: &[String]) -> Vec<String> {
    let Some(text) = pod.metadata.annotations.as_ref().and_then(|a| a.get(ROLES_ANNOTATION)) else {
        return framework_roles.to_vec();
    };
    let mut roles: Vec<String> = Vec::new();
    for role in text.split(',').map(str::trim) {
        if framework_roles.iter().any(|r| r == role) && !roles.iter().any(|r| r == role) {
            roles.push(role.to_owned());
        }
    }
    roles
}
