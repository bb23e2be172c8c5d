//! Required affinity and anti-affinity between pods.
//!
//! Worked out once per pod and cycle: which topology domains are forbidden, and which one is required.
//! Source: k8s `pkg/scheduler/framework/plugins/interpodaffinity`. Namespace selectors other than the empty
//! one (all namespaces) are absent: the scheduler does not watch Namespaces.

use std::collections::{BTreeMap, BTreeSet};

use km_api::selector::LabelSelector;
use km_kinds::api::core::v1::{Pod, PodAffinityTerm};

use crate::reason::Misfit;
use crate::view::{NodeView, View};

/// What the pods that run mean for one that waits.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    /// Topology key and value that must not be the node's.
    forbidden: BTreeSet<(String, String)>,
    /// Per affinity term: topology key and the values of which the node must have one; `None`: any value.
    required: Vec<(String, Option<BTreeSet<String>>)>,
}

impl Relations {
    pub(crate) fn of(pod: &Pod, view: &View) -> Self {
        let (affinity, anti) = (affinity(pod), anti_affinity(pod));
        let mut relations = Self::default();
        for (node, other) in view.located.values() {
            let Some(labels) = view.nodes.get(node).map(|n| &n.labels) else { continue };
            let mut forbid = |term: &PodAffinityTerm| {
                if let Some(value) = labels.get(&term.topology_key) {
                    relations.forbidden.insert((term.topology_key.clone(), value.clone()));
                }
            };
            anti.iter().filter(|t| term_selects(t, pod, other)).for_each(&mut forbid);
            anti_affinity(other).iter().filter(|t| term_selects(t, other, pod)).for_each(&mut forbid);
        }
        for term in affinity {
            let domains: BTreeSet<String> = view
                .located
                .values()
                .filter(|(_, other)| term_selects(term, pod, other))
                .filter_map(|(node, _)| view.nodes.get(node)?.labels.get(&term.topology_key).cloned())
                .collect();
            // The first pod of a group that wants to be beside its own kind may go anywhere.
            let first_of_its_kind = domains.is_empty() && term_selects(term, pod, pod);
            relations.required.push((term.topology_key.clone(), (!first_of_its_kind).then_some(domains)));
        }
        relations
    }

    pub(crate) fn check(&self, node: &NodeView) -> Result<(), Misfit> {
        if self.forbidden.iter().any(|(key, value)| node.labels.get(key) == Some(value)) {
            return Err(Misfit::AntiAffinity);
        }
        let met = |(key, values): &(String, Option<BTreeSet<String>>)| {
            node.labels.get(key).is_some_and(|v| values.as_ref().is_none_or(|values| values.contains(v)))
        };
        if self.required.iter().all(met) { Ok(()) } else { Err(Misfit::Affinity) }
    }
}

fn affinity(pod: &Pod) -> &[PodAffinityTerm] {
    pod.spec
        .as_ref()
        .and_then(|s| s.affinity.as_ref()?.pod_affinity.as_ref())
        .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_deref())
        .unwrap_or_default()
}

fn anti_affinity(pod: &Pod) -> &[PodAffinityTerm] {
    pod.spec
        .as_ref()
        .and_then(|s| s.affinity.as_ref()?.pod_anti_affinity.as_ref())
        .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_deref())
        .unwrap_or_default()
}

/// Tells whether a term of `owner` selects `other`.
fn term_selects(term: &PodAffinityTerm, owner: &Pod, other: &Pod) -> bool {
    let namespace = other.metadata.namespace.as_ref();
    let listed = term.namespaces.as_deref().unwrap_or_default();
    let in_namespace = if term.namespace_selector.is_some() {
        true
    } else if listed.is_empty() {
        owner.metadata.namespace.as_ref() == namespace
    } else {
        namespace.is_some_and(|n| listed.contains(n))
    };
    let no_labels = BTreeMap::new();
    let labels = other.metadata.labels.as_ref().unwrap_or(&no_labels);
    // An absent selector selects no pod; one that cannot be read was refused by the API server.
    let selected = term.label_selector.as_ref().and_then(|s| LabelSelector::from_typed(s).ok());
    in_namespace && selected.is_some_and(|s| s.matches(labels))
}
