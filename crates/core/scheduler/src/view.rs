//! What the scheduler knows of nodes and of the pods that run on them.
//!
//! Kept up to date event by event, so that a cycle lists nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use km_api::Quantity;
use km_base::Uid;
use km_kinds::api::core::v1::{Node, Pod, Taint};
use km_mesos::AgentId;
use km_mesos::ranges::RangeSet;
use km_mesos::resources::Milli;
use km_podwire::AGENT_ID_ANNOTATION;

use crate::{PORTS_ANNOTATION, ask};

/// Pods per node where the Node does not say (the kubelet's own default).
const PODS_MAX: i64 = 110;

#[derive(Clone, Debug)]
pub(crate) struct NodeView {
    pub name: String,
    pub agent_id: Option<AgentId>,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub unschedulable: bool,
    /// What pods may use in all, by Mesos name.
    pub allocatable: BTreeMap<String, Milli>,
    pub pods_max: i64,
    /// Every port that the agent may offer; `None`: unknown.
    pub ports: Option<RangeSet>,
}

impl NodeView {
    pub(crate) fn of(node: &Node) -> Self {
        let annotations = node.metadata.annotations.as_ref();
        let annotation = |key: &str| annotations.and_then(|a| a.get(key));
        let spec = node.spec.as_ref();
        let raw = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
        let mut amounts: BTreeMap<String, Quantity> =
            raw.into_iter().flatten().filter_map(|(n, q)| Some((n.clone(), Quantity::parse(&q.0).ok()?))).collect();
        let pods_max = amounts.remove("pods").map_or(PODS_MAX, Quantity::units_ceil);
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            agent_id: annotation(AGENT_ID_ANNOTATION).map(|id| AgentId::new(id.as_str())),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|s| s.taints.clone()).unwrap_or_default(),
            unschedulable: spec.and_then(|s| s.unschedulable).unwrap_or(false),
            allocatable: ask::scalars(&amounts),
            pods_max,
            ports: annotation(PORTS_ANNOTATION).map(|text| parse_ranges(text)),
        }
    }
}

/// What the pods of one node take together.
#[derive(Clone, Debug, Default)]
struct Taken {
    pods: BTreeSet<Uid>,
    scalars: BTreeMap<String, Milli>,
}

/// Nodes, and which pods are where.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub nodes: BTreeMap<String, NodeView>,
    /// Pods that are bound, or placed and not yet bound.
    pub located: BTreeMap<Uid, (String, Arc<Pod>)>,
    on_node: BTreeMap<String, Taken>,
    /// Name of the node where the next search begins, on clusters too large to look at whole for each pod.
    pub search_from: String,
}

impl View {
    pub(crate) fn locate(&mut self, uid: Uid, node: &str, pod: Arc<Pod>) {
        self.remove(&uid);
        let taken = self.on_node.entry(node.to_owned()).or_default();
        taken.pods.insert(uid.clone());
        for (name, amount) in ask::scalars(&km_api::pod::requests(&pod)) {
            let sum = taken.scalars.entry(name).or_default();
            *sum = *sum + amount;
        }
        self.located.insert(uid, (node.to_owned(), pod));
    }

    pub(crate) fn remove(&mut self, uid: &Uid) -> bool {
        let Some((node, pod)) = self.located.remove(uid) else { return false };
        if let Some(taken) = self.on_node.get_mut(&node) {
            taken.pods.remove(uid);
            for (name, amount) in ask::scalars(&km_api::pod::requests(&pod)) {
                let sum = taken.scalars.entry(name).or_default();
                *sum = *sum - amount;
            }
            if taken.pods.is_empty() {
                self.on_node.remove(&node);
            }
        }
        true
    }

    pub(crate) fn pods_on(&self, node: &str) -> i64 {
        self.on_node.get(node).map_or(0, |taken| i64::try_from(taken.pods.len()).unwrap_or(i64::MAX))
    }

    /// Returns a host port of `fixed` that a pod of the node has: its place is kept like that of its scalars.
    pub(crate) fn port_taken(&self, node: &str, fixed: &RangeSet) -> Option<u16> {
        if fixed.is_empty() {
            return None;
        }
        let pods = self.on_node.get(node).into_iter().flat_map(|taken| &taken.pods);
        let ports = pods.filter_map(|uid| self.located.get(uid)).flat_map(|(_, pod)| km_api::pod::ports(pod));
        ports.filter_map(|port| port.host_port).find(|port| fixed.contains(u64::from(*port)))
    }

    /// What the node's pods take of a scalar, those included whose task has ended and is to be launched again:
    /// their place is kept.
    pub(crate) fn taken(&self, node: &str, name: &str) -> Milli {
        self.on_node.get(node).and_then(|taken| taken.scalars.get(name)).copied().unwrap_or_default()
    }
}

fn parse_ranges(text: &str) -> RangeSet {
    let mut set = RangeSet::new();
    for part in text.split(',').map(str::trim) {
        let (begin, end) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(begin), Ok(end)) = (begin.parse(), end.parse()) {
            set.add(&RangeSet::from_range(begin, end));
        }
    }
    set
}
