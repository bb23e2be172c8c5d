//! The state that a decision reads, and where in it each object lies.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use km_api::{Object, Resource};
use km_base::Revision;

/// Read-only state at one revision.
pub trait View {
    /// Returns the object under `key`.
    fn get(&self, key: &str) -> Option<Object>;

    /// Visits the objects whose keys start with `prefix`, in key order, until told to stop.
    fn range(&self, prefix: &str, visit: &mut dyn FnMut(&str, &Object) -> ControlFlow<()>);

    /// Returns the revision of the state.
    fn revision(&self) -> Revision;
}

/// Returns the key of an object, in etcd's layout as kube-apiserver uses it.
#[must_use]
pub fn key(resource: &Resource, namespace: &str, name: &str) -> String {
    let mut key = prefix(resource, namespace);
    key.push_str(name);
    key
}

/// Returns the prefix of a collection's keys; an empty namespace means all.
#[must_use]
pub fn prefix(resource: &Resource, namespace: &str) -> String {
    // k8s 1.37 pkg/registry/core/rest/storage_core.go and the storage prefixes of SpecialDefaultResourcePrefixes.
    let folder = match (resource.group, resource.plural) {
        ("", "nodes") => "minions",
        ("", "services") => "services/specs",
        ("", "endpoints") => "services/endpoints",
        ("", "replicationcontrollers") => "controllers",
        (_, plural) => plural,
    };
    if namespace.is_empty() || !resource.is_namespaced() {
        format!("/registry/{folder}/")
    } else {
        format!("/registry/{folder}/{namespace}/")
    }
}

/// A view over a map: for tests, simulations and the first start of an empty store.
#[derive(Clone, Debug, Default)]
pub struct MapView {
    /// Objects by key.
    pub objects: BTreeMap<String, Object>,
    /// Revision of the state.
    pub revision: Revision,
}

impl View for MapView {
    fn get(&self, key: &str) -> Option<Object> {
        self.objects.get(key).cloned()
    }

    fn range(&self, prefix: &str, visit: &mut dyn FnMut(&str, &Object) -> ControlFlow<()>) {
        let from = self.objects.range(prefix.to_owned()..);
        for (key, object) in from.take_while(|(key, _)| key.starts_with(prefix)) {
            if visit(key, object).is_break() {
                return;
            }
        }
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}
