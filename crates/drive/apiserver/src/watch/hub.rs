//! Who follows what. Owned by the publisher's task.
//!
//! Watchers that select one name or one node are found by that value: with five thousand nodes watching
//! their own pods, a change of one pod looks at one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use km_api::resource::{self, Persistence};
use km_api::{EventType, Object, Resource};
use km_mvcc::Event;
use tokio::sync::mpsc;
use tracing::debug;

use super::filter::IndexedField;
use super::{Change, Filter};

/// Events waiting for one slow watcher before it is cut off; the queue allocates as it fills.
pub(crate) const WATCH_QUEUE_LEN: usize = 8_192;

/// One event on its way to one watcher.
pub(crate) type Delivery = (EventType, Arc<Change>);

struct Watcher {
    filter: Arc<Filter>,
    queue: mpsc::Sender<Delivery>,
}

/// The watchers of one resource.
struct Group {
    resource: &'static Resource,
    everyone: Vec<Watcher>,
    indexed: BTreeMap<(IndexedField, String), Vec<Watcher>>,
}

/// All watchers.
pub(crate) struct Hub {
    groups: Vec<Group>,
    /// Keys of one folder may be served as several resources (Events).
    folders: BTreeMap<String, Vec<usize>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let mut hub = Self { groups: Vec::new(), folders: BTreeMap::new() };
        for resource in resource::ALL.iter().filter(|r| r.persistence == Persistence::Stored) {
            hub.folders.entry(km_registry::prefix(resource, "")).or_default().push(hub.groups.len());
            hub.groups.push(Group { resource, everyone: Vec::new(), indexed: BTreeMap::new() });
        }
        hub
    }

    /// Adds a watcher, which will see every change that is dispatched from now on.
    pub(crate) fn subscribe(&mut self, filter: Arc<Filter>) -> mpsc::Receiver<Delivery> {
        let (queue, events) = mpsc::channel(WATCH_QUEUE_LEN);
        if let Some(group) = self.groups.iter_mut().find(|g| std::ptr::eq(g.resource, filter.resource)) {
            let watchers = match &filter.index {
                None => &mut group.everyone,
                Some(index) => group.indexed.entry(index.clone()).or_default(),
            };
            watchers.retain(|w| !w.queue.is_closed());
            watchers.push(Watcher { filter, queue });
        }
        events
    }

    /// Sends one durable change to everyone who selects it.
    pub(crate) fn dispatch(&mut self, event: &Arc<Event>) {
        let Some(indexes) = self.folders.get(folder(&event.key)) else { return };
        for index in indexes {
            let group = &mut self.groups[*index];
            if group.everyone.is_empty() && group.indexed.is_empty() {
                continue;
            }
            let change = Arc::new(Change::new(Arc::clone(event), group.resource));
            group.dispatch(&change);
        }
    }

    /// How many watchers there are, by resource.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static Resource, usize)> {
        self.groups.iter().map(|g| (g.resource, g.everyone.len() + g.indexed.values().map(Vec::len).sum::<usize>()))
    }

    /// Forgets watchers that went away.
    pub(crate) fn sweep(&mut self) {
        for group in &mut self.groups {
            group.everyone.retain(|w| !w.queue.is_closed());
            group.indexed.retain(|_, watchers| {
                watchers.retain(|w| !w.queue.is_closed());
                !watchers.is_empty()
            });
        }
    }
}

impl Group {
    fn dispatch(&mut self, change: &Arc<Change>) {
        send(&mut self.everyone, change);
        if self.indexed.is_empty() {
            return;
        }
        // A change of the indexed value concerns the watchers of both values, each once.
        let mut values: Vec<(IndexedField, String)> = Vec::with_capacity(4);
        for object in [change.before(), change.now()].into_iter().flatten() {
            values.push((IndexedField::Name, object.meta().name.clone()));
            if self.resource.plural == "pods" {
                values.push((IndexedField::NodeName, node_name(object)));
            }
        }
        values.sort();
        values.dedup();
        for value in values {
            if let Some(watchers) = self.indexed.get_mut(&value) {
                send(watchers, change);
                if watchers.is_empty() {
                    self.indexed.remove(&value);
                }
            }
        }
    }
}

fn send(watchers: &mut Vec<Watcher>, change: &Arc<Change>) {
    watchers.retain(|watcher| {
        let Some(event_type) = watcher.filter.event_type(change) else { return true };
        match watcher.queue.try_send((event_type, Arc::clone(change))) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                debug!(prefix = watcher.filter.prefix, "cut off a slow watcher");
                false
            }
        }
    });
}

/// Returns `/registry/<folder>/` of a key.
fn folder(key: &str) -> &str {
    // `services` holds two collections: /registry/services/specs/ and /registry/services/endpoints/.
    let slashes = if key.starts_with("/registry/services/") { 4 } else { 3 };
    key.match_indices('/').nth(slashes - 1).map_or(key, |(at, _)| &key[..=at])
}

fn node_name(pod: &Object) -> String {
    #[derive(serde::Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Spec {
        node_name: String,
    }
    #[derive(serde::Deserialize)]
    struct Pod {
        #[serde(default)]
        spec: Spec,
    }
    serde_json::from_slice::<Pod>(pod.bytes()).map(|p| p.spec.node_name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use km_api::Options;
    use km_api::resource::PODS;
    use km_mvcc::{Durability, Expect, Limits, Mvcc, Op, Txn};

    use super::*;

    fn put(mvcc: &mut Mvcc, name: &str, node: &str) -> Vec<Arc<Event>> {
        let json = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"d"}},"spec":{{"nodeName":"{node}"}}}}"#
        );
        let key = km_registry::key(&PODS, "d", name);
        let ops = vec![Op::put(key, Expect::Any, Bytes::from(json))];
        mvcc.apply(Txn { ops, durability: Durability::Sync }).unwrap().events
    }

    fn follow(hub: &mut Hub, field_selector: &str) -> mpsc::Receiver<Delivery> {
        let options = Options { field_selector: field_selector.into(), ..Options::default() };
        hub.subscribe(Arc::new(Filter::new(&PODS, "", &options).unwrap()))
    }

    fn mvcc() -> Mvcc {
        Mvcc::new(Limits { events_max: 1_000, events_bytes_max: 1 << 30 })
    }

    #[test]
    fn a_node_is_told_of_its_own_pods_only() {
        let (mut hub, mut mvcc) = (Hub::new(), mvcc());
        let (mut one, mut two) = (follow(&mut hub, "spec.nodeName=n1"), follow(&mut hub, "spec.nodeName=n2"));
        for (name, node) in [("a", "n1"), ("b", ""), ("a", "n2"), ("b", "n3")] {
            for event in put(&mut mvcc, name, node) {
                hub.dispatch(&event);
            }
        }
        let seen = |events: &mut mpsc::Receiver<Delivery>| {
            std::iter::from_fn(|| events.try_recv().ok()).map(|(event_type, _)| event_type).collect::<Vec<_>>()
        };
        assert_eq!(seen(&mut one), [EventType::Added, EventType::Deleted]);
        assert_eq!(seen(&mut two), [EventType::Added]);
    }

    #[test]
    fn slow_watcher_is_cut_off_after_what_was_queued() {
        let (mut hub, mut mvcc) = (Hub::new(), mvcc());
        let mut slow = follow(&mut hub, "");
        for n in 0..=WATCH_QUEUE_LEN {
            for event in put(&mut mvcc, "a", &n.to_string()) {
                hub.dispatch(&event);
            }
        }
        assert_eq!(hub.counts().map(|(_, count)| count).sum::<usize>(), 0);
        let mut count = 0;
        while slow.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!((count, slow.is_closed()), (WATCH_QUEUE_LEN, true));
    }

    #[test]
    fn folders_are_those_of_the_registry() {
        for resource in resource::ALL {
            let key = km_registry::key(resource, "default", "x");
            assert_eq!(folder(&key), km_registry::prefix(resource, ""), "{}", resource.plural);
        }
    }
}
