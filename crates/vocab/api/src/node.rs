//! Which nodes a pod admits: node selector, node affinity, taints and tolerations.
//!
//! Pure predicates shared by scheduler, framework and controllers. Deliberately absent: resources (the
//! scheduler compares offers, not Nodes) and relations between pods.

use std::collections::BTreeMap;

use km_kinds::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration};

use crate::selector::{Operator, Requirement};

/// Key of the taint on nodes whose agent is unreachable.
pub const TAINT_UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Key of the taint on nodes that are not ready.
pub const TAINT_NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Key of the taint on cordoned nodes.
pub const TAINT_UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Tells whether the node carries what the pod's `nodeSelector` and required node affinity ask for.
#[must_use]
pub fn selector_matches(pod: &Pod, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref())
        .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    selected && required.is_none_or(|r| r.node_selector_terms.iter().any(|t| term_matches(t, name, labels)))
}

/// Sums the weights of the preferred node affinity terms that the node meets.
#[must_use]
pub fn preference(pod: &Pod, name: &str, labels: &BTreeMap<String, String>) -> i64 {
    pod.spec
        .as_ref()
        .and_then(|s| s.affinity.as_ref())
        .and_then(|a| a.node_affinity.as_ref())
        .and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref())
        .into_iter()
        .flatten()
        .filter(|p| term_matches(&p.preference, name, labels))
        .map(|p| i64::from(p.weight))
        .sum()
}

/// Returns the first taint that keeps the pod off (`NoSchedule`, `NoExecute`) and that it does not tolerate.
#[must_use]
pub fn untolerated<'a>(pod: &Pod, taints: &'a [Taint]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|t| matches!(t.effect.as_str(), "NoSchedule" | "NoExecute"))
        .find(|taint| !tolerations(pod).any(|t| tolerates(t, taint)))
}

/// Returns for how many seconds the pod stays on a node with this `NoExecute` taint: 0 when it does not
/// tolerate it, `None` when it stays for good.
#[must_use]
pub fn toleration_seconds(pod: &Pod, taint: &Taint) -> Option<i64> {
    let mut matching = tolerations(pod).filter(|t| tolerates(t, taint)).peekable();
    if matching.peek().is_none() {
        return Some(0);
    }
    matching.filter_map(|t| t.toleration_seconds).map(|s| s.max(0)).min()
}

/// Tells whether one toleration covers one taint.
#[must_use]
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if (!effect.is_empty() && effect != taint.effect) || (!key.is_empty() && key != taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "" | "Equal" => {
            !key.is_empty()
                && toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        _ => false,
    }
}

/// Tells whether the node's `Ready` condition is true.
#[must_use]
pub fn is_ready(node: &Node) -> bool {
    ready_condition(node).is_some_and(|c| c.status == "True")
}

/// Returns the node's `Ready` condition.
#[must_use]
pub fn ready_condition(node: &Node) -> Option<&km_kinds::api::core::v1::NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == "Ready")
}

fn tolerations(pod: &Pod) -> impl Iterator<Item = &Toleration> {
    pod.spec.iter().flat_map(|s| s.tolerations.iter().flatten())
}

fn term_matches(term: &NodeSelectorTerm, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    // An empty term matches nothing (k8s component-helpers nodeaffinity: "nil or empty term matches no objects").
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let labels_match =
        expressions.iter().all(|e| requirement(e).is_some_and(|r| r.matches(labels.get(&e.key).map(String::as_str))));
    let fields_match =
        fields.iter().all(|f| f.key == "metadata.name" && requirement(f).is_some_and(|r| r.matches(Some(name))));
    labels_match && fields_match
}

fn requirement(from: &NodeSelectorRequirement) -> Option<Requirement> {
    let values = from.values.clone().unwrap_or_default();
    let number = || values.first().and_then(|v| v.parse().ok());
    let operator = match from.operator.as_str() {
        "In" => Operator::In(values),
        "NotIn" => Operator::NotIn(values),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan(number()?),
        "Lt" => Operator::LessThan(number()?),
        _ => return None,
    };
    Some(Requirement { key: from.key.clone(), operator })
}

#[cfg(test)]
mod tests {
    use km_kinds::Codec;

    use super::*;

    fn pod(spec: &str) -> Pod {
        Pod::decode(format!(r#"{{"metadata":{{"name":"p"}},"spec":{spec}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn node_selectors_and_affinity_are_conjunctions_of_alternatives() {
        let labels = BTreeMap::from([("disk".to_owned(), "ssd".to_owned()), ("gen".to_owned(), "5".to_owned())]);
        let affinity = |terms: &str| {
            format!(
                r#"{{"containers":[],"affinity":{{"nodeAffinity":{{
                "requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{terms}]}}}}}}}}"#
            )
        };
        for (spec, expected) in [
            (r#"{"containers":[]}"#.to_owned(), true),
            (r#"{"containers":[],"nodeSelector":{"disk":"ssd"}}"#.to_owned(), true),
            (r#"{"containers":[],"nodeSelector":{"disk":"hdd"}}"#.to_owned(), false),
            (affinity(r#"{"matchExpressions":[{"key":"gen","operator":"Gt","values":["4"]}]}"#), true),
            (affinity(r#"{"matchExpressions":[{"key":"gen","operator":"Lt","values":["4"]}]}"#), false),
            (affinity(r#"{},{"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}"#), true),
            (affinity("{}"), false),
        ] {
            assert_eq!(selector_matches(&pod(&spec), "n1", &labels), expected, "{spec}");
        }
    }

    #[test]
    fn a_taint_needs_a_toleration_of_its_key_value_and_effect() {
        let taint = Taint { key: "k".into(), value: Some("v".into()), effect: "NoExecute".into(), time_added: None };
        for (tolerations, seconds) in [
            ("[]", Some(0)),
            (r#"[{"operator":"Exists"}]"#, None),
            (r#"[{"key":"k","value":"v","tolerationSeconds":300}]"#, Some(300)),
            (r#"[{"key":"k","value":"other"}]"#, Some(0)),
            (r#"[{"key":"k","operator":"Exists","effect":"NoSchedule"}]"#, Some(0)),
        ] {
            let pod = pod(&format!(r#"{{"containers":[],"tolerations":{tolerations}}}"#));
            assert_eq!(toleration_seconds(&pod, &taint), seconds, "{tolerations}");
            assert_eq!(untolerated(&pod, std::slice::from_ref(&taint)).is_some(), seconds == Some(0), "{tolerations}");
        }
    }
}
