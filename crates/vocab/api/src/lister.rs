//! An index of objects as plain data: what an informer's events build and what reconcilers read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use km_base::{ObjectKey, Uid};

use crate::Meta;
use crate::selector::LabelSelector;

/// A cached object: its metadata and the typed projection that its reader declared.
#[derive(Clone, Debug)]
pub struct Cached<T> {
    /// Metadata.
    pub meta: Arc<Meta>,
    /// Projection.
    pub object: Arc<T>,
}

/// Objects of one resource by key, with indexes by namespace (the key's order) and by controlling owner.
#[derive(Clone, Debug)]
pub struct Lister<T> {
    by_key: BTreeMap<ObjectKey, Cached<T>>,
    by_owner: BTreeMap<Uid, BTreeSet<ObjectKey>>,
}

impl<T> Default for Lister<T> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_owner: BTreeMap::new() }
    }
}

impl<T> Lister<T> {
    /// Adds or replaces an object; returns the one it replaces.
    pub fn upsert(&mut self, meta: Arc<Meta>, object: Arc<T>) -> Option<Cached<T>> {
        let key = meta.key();
        let old = self.remove(&key);
        if let Some(owner) = meta.controller() {
            self.by_owner.entry(owner.uid.clone()).or_default().insert(key.clone());
        }
        self.by_key.insert(key, Cached { meta, object });
        old
    }

    /// Removes an object; returns it if it was there.
    pub fn remove(&mut self, key: &ObjectKey) -> Option<Cached<T>> {
        let old = self.by_key.remove(key)?;
        if let Some(owner) = old.meta.controller()
            && let Some(keys) = self.by_owner.get_mut(&owner.uid)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_owner.remove(&owner.uid);
            }
        }
        Some(old)
    }

    /// Returns the object under `key`.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Cached<T>> {
        self.by_key.get(key)
    }

    /// Returns all objects, ordered by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &Cached<T>> {
        self.by_key.values()
    }

    /// Returns the objects of one namespace, ordered by name.
    pub fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Cached<T>> {
        let first = ObjectKey::namespaced(namespace, "");
        self.by_key.range(first..).take_while(move |(k, _)| k.namespace == namespace).map(|(_, v)| v)
    }

    /// Returns the objects of one namespace whose labels match.
    pub fn select<'a>(
        &'a self,
        namespace: &'a str,
        selector: &'a LabelSelector,
    ) -> impl Iterator<Item = &'a Cached<T>> {
        self.in_namespace(namespace).filter(|c| selector.matches(&c.meta.labels))
    }

    /// Returns the objects whose managing controller has this UID.
    pub fn controlled_by<'a>(&'a self, owner: &Uid) -> impl Iterator<Item = &'a Cached<T>> {
        self.by_owner.get(owner).into_iter().flatten().filter_map(|k| self.by_key.get(k))
    }

    /// Returns how many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Tells whether there are no objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnerReference;

    fn meta(namespace: &str, name: &str, owner: Option<&str>) -> Arc<Meta> {
        let owner_references = owner
            .map(|uid| OwnerReference { uid: Uid(uid.into()), controller: Some(true), ..OwnerReference::default() })
            .into_iter()
            .collect();
        Arc::new(Meta { namespace: namespace.into(), name: name.into(), owner_references, ..Meta::default() })
    }

    #[test]
    fn indexes_follow_changes_of_owner() {
        let mut lister = Lister::default();
        lister.upsert(meta("a", "x", Some("o1")), Arc::new(1));
        lister.upsert(meta("b", "y", None), Arc::new(2));
        lister.upsert(meta("a", "x", Some("o2")), Arc::new(3));
        assert_eq!(lister.controlled_by(&Uid("o1".into())).count(), 0);
        let found: Vec<i32> = lister.controlled_by(&Uid("o2".into())).map(|c| *c.object).collect();
        assert_eq!(found, [3]);
        assert_eq!(lister.in_namespace("a").count(), 1);
        lister.remove(&ObjectKey::namespaced("a", "x"));
        assert_eq!((lister.len(), lister.controlled_by(&Uid("o2".into())).count()), (1, 0));
    }
}
