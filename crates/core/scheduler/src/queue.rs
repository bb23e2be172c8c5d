//! The pods that wait: highest priority first, then those bound already (their place must not go to others),
//! then the longest waiting.
//!
//! A pod whose launch failed keeps its place but not before its back-off; a pod that did not fit is looked at
//! again only when something has changed that may help it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use km_api::pod;
use km_base::{Backoff, ObjectKey, Timestamp, Uid};
use km_kinds::api::core::v1::Pod;

use crate::ask::Ask;

/// One waiting pod, as shown to people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// The pod.
    pub key: ObjectKey,
    /// Its UID.
    pub uid: Uid,
    /// Its priority.
    pub priority: i32,
    /// Since when it waits.
    pub since: Timestamp,
    /// Launches that failed.
    pub failures: u32,
    /// Not tried before this time.
    pub not_before: Timestamp,
    /// Why it waits, or empty.
    pub reason: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: ObjectKey,
    pub pod: Arc<Pod>,
    pub ask: Ask,
    pub priority: i32,
    pub order: u64,
    pub since: Timestamp,
    pub failures: u32,
    pub not_before: Timestamp,
    /// Generation of the world in which the pod was last found not to fit.
    pub tried: u64,
    /// Reason last told.
    pub reason: String,
    pub placed: bool,
}

/// Priority (highest first), whether unbound, order of arrival.
type Rank = (std::cmp::Reverse<i32>, bool, u64);

#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    entries: BTreeMap<Uid, Entry>,
    /// Pods that wait (not placed), in order.
    order: BTreeMap<Rank, Uid>,
    next: u64,
}

impl Queue {
    /// Adds a pod or refreshes one that is here; a placed pod stays placed.
    pub(crate) fn upsert(&mut self, now: Timestamp, uid: Uid, pod: Arc<Pod>, ask: Ask) {
        let priority = pod.spec.as_ref().and_then(|s| s.priority).unwrap_or(0);
        let key = ObjectKey::namespaced(
            pod.metadata.namespace.clone().unwrap_or_default(),
            pod.metadata.name.clone().unwrap_or_default(),
        );
        if let Some(entry) = self.entries.get_mut(&uid) {
            if entry.ask != ask || entry.pod.spec != pod.spec {
                entry.tried = 0;
            }
            let before = rank(entry);
            (entry.pod, entry.ask, entry.priority) = (pod, ask, priority);
            let after = rank(entry);
            if !entry.placed && before != after {
                self.order.remove(&before);
                self.order.insert(after, uid);
            }
            return;
        }
        self.next += 1;
        let entry = Entry {
            key,
            pod,
            ask,
            priority,
            order: self.next,
            since: now,
            failures: 0,
            not_before: Timestamp::EPOCH,
            tried: 0,
            reason: String::new(),
            placed: false,
        };
        self.order.insert(rank(&entry), uid.clone());
        self.entries.insert(uid, entry);
    }

    pub(crate) fn remove(&mut self, uid: &Uid) -> bool {
        let Some(entry) = self.entries.remove(uid) else { return false };
        self.order.remove(&rank(&entry));
        true
    }

    pub(crate) fn place(&mut self, uid: &Uid) {
        if let Some(entry) = self.entries.get_mut(uid) {
            entry.placed = true;
            entry.reason.clear();
            self.order.remove(&rank(entry));
        }
    }

    /// Puts a placed pod back to wait for its back-off.
    pub(crate) fn retry(&mut self, now: Timestamp, uid: &Uid, backoff: Backoff) {
        if let Some(entry) = self.entries.get_mut(uid)
            && entry.placed
        {
            entry.placed = false;
            entry.failures += 1;
            entry.not_before = now + backoff.delay(entry.failures);
            entry.tried = 0;
            self.order.insert(rank(entry), uid.clone());
        }
    }

    /// The waiting pods to look at now, best first.
    pub(crate) fn due(&self, now: Timestamp, generation: u64) -> Vec<Uid> {
        self.waiting().filter(|(_, e)| e.not_before <= now && e.tried < generation).map(|(u, _)| u.clone()).collect()
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = (&Uid, &Entry)> {
        self.order.values().filter_map(|uid| Some((uid, self.entries.get(uid)?)))
    }

    pub(crate) fn get(&self, uid: &Uid) -> Option<&Entry> {
        self.entries.get(uid)
    }

    pub(crate) fn get_mut(&mut self, uid: &Uid) -> Option<&mut Entry> {
        self.entries.get_mut(uid)
    }

    /// Roles of the pods that wait and whose back-off is over.
    pub(crate) fn roles(&self, now: Timestamp) -> BTreeSet<String> {
        self.waiting().filter(|(_, e)| e.not_before <= now).flat_map(|(_, e)| e.ask.roles.iter().cloned()).collect()
    }

    /// The earliest end of a back-off after `now`.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.waiting().map(|(_, e)| e.not_before).filter(|t| *t > now).min()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.order.is_empty()
    }
}

fn rank(entry: &Entry) -> Rank {
    (std::cmp::Reverse(entry.priority), pod::node_name(&entry.pod).is_none(), entry.order)
}
