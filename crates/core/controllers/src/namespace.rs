//! Deletion of namespaces: all their content goes, then the namespace.
//!
//! Source: k8s pkg/controller/namespace.

use std::time::Duration;

use km_api::resource::{ALL, EVENTS_V1, Persistence};
use km_base::ObjectKey;

use crate::{Listers, Plan, Write};

/// The finalizer that this controller serves (`spec.finalizers`).
const KUBERNETES: &str = "kubernetes";

/// Content that is still ending is looked at again after this long; its deletion also wakes the controller.
const AGAIN: Duration = Duration::from_secs(5);

/// Plans for the namespace under `key`.
#[must_use]
pub fn reconcile(listers: &Listers, key: &ObjectKey) -> Plan {
    let mut plan = Plan::done();
    let Some(namespace) = listers.namespaces.get(key).filter(|n| n.meta.is_terminating()) else { return plan };
    let finalizers = namespace.object.spec.as_ref().and_then(|s| s.finalizers.clone()).unwrap_or_default();
    if !finalizers.iter().any(|f| f == KUBERNETES) {
        return plan;
    }
    let mut content = false;
    // The two groups of events are one set of objects.
    for resource in
        ALL.iter().filter(|r| r.is_namespaced() && r.persistence == Persistence::Stored && **r != &EVENTS_V1)
    {
        let Some(lister) = listers.metadata.get(&(resource.plural, resource.group)) else { continue };
        let mut left = lister.in_namespace(&key.name).peekable();
        if left.peek().is_none() {
            continue;
        }
        content = true;
        if left.any(|o| !o.meta.is_terminating()) {
            plan.writes.push(Write::DeleteAll { resource, namespace: key.name.clone() });
        }
    }
    if content {
        plan.again(AGAIN);
    } else {
        let rest = finalizers.into_iter().filter(|f| f != KUBERNETES).collect();
        plan.writes.push(Write::Finalize { namespace: key.name.clone(), finalizers: rest });
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use km_api::Object;
    use serde_json::json;

    use super::*;
    use crate::testing::{fill, lines};

    #[test]
    fn content_goes_first_and_only_then_the_namespace() {
        let mut listers = Listers::default();
        fill(
            &mut listers.namespaces,
            &[json!({"metadata": {"name": "old", "deletionTimestamp": "2026-11-21T00:00:00Z"},
            "spec": {"finalizers": ["kubernetes", "example.org/other"]}})],
        );
        let pod = Object::parse(&br#"{"metadata":{"name":"p","namespace":"old"}}"#[..]).unwrap();
        let pods = listers.metadata.entry(("pods", "")).or_default();
        pods.upsert(pod.shared_meta(), Arc::new(()));
        let key = ObjectKey::cluster("old");
        assert_eq!(lines(&reconcile(&listers, &key)), ["delete-all pods old"]);
        listers.metadata.get_mut(&("pods", "")).unwrap().remove(&pod.key());
        assert_eq!(lines(&reconcile(&listers, &key)), [r#"finalize old ["example.org/other"]"#]);
    }

    #[test]
    fn a_namespace_in_use_is_left_alone() {
        let mut listers = Listers::default();
        fill(&mut listers.namespaces, &[json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}})]);
        assert_eq!(reconcile(&listers, &ObjectKey::cluster("n")), Plan::done());
    }
}
