//! What goes into the state and what comes out: transactions, entries, events, and why they are refused.
//!
//! Plain data. The values are opaque bytes; this crate never looks inside.

use std::sync::Arc;

use bytes::Bytes;
use km_base::Revision;

/// A key in etcd's layout, such as `/registry/pods/default/web`.
pub type Key = Arc<str>;

/// One key's present value and its history in numbers; as etcd's `KeyValue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value, opaque.
    pub value: Bytes,
    /// Revision of the put that made the key exist.
    pub create_revision: Revision,
    /// Revision of the last put.
    pub mod_revision: Revision,
    /// Number of puts since the key exists; the first is 1.
    pub version: u64,
}

/// One key's change in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The transaction.
    pub revision: Revision,
    /// The key that changed.
    pub key: Key,
    /// What the key holds since then; `None` when it was deleted.
    pub now: Option<Arc<Entry>>,
    /// What the key held before; `None` when it was absent.
    pub prev: Option<Arc<Entry>>,
}

/// Whether an event sets or removes its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The key was created or changed.
    Put,
    /// The key was removed.
    Delete,
}

impl Event {
    /// Returns whether the key was set or removed.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        if self.now.is_some() { EventKind::Put } else { EventKind::Delete }
    }

    /// Returns the new value, or `None` for a delete.
    #[must_use]
    pub fn value(&self) -> Option<&Bytes> {
        self.now.as_ref().map(|entry| &entry.value)
    }

    /// Returns the value that was replaced or removed.
    #[must_use]
    pub fn prev_value(&self) -> Option<&Bytes> {
        self.prev.as_ref().map(|entry| &entry.value)
    }

    /// Bytes that the event keeps alive, roughly: its own value, or for a delete the removed one.
    pub(crate) fn size(&self) -> usize {
        let value = self.value().or(self.prev_value()).map_or(0, Bytes::len);
        EVENT_OVERHEAD_BYTES + self.key.len() + value
    }
}

/// Two nodes' share, the event, its entry and their reference counts.
const EVENT_OVERHEAD_BYTES: usize = 200;

/// How long a transaction's acknowledgement waits for the disk. Only carried here; the store obeys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Acknowledged after the fsync.
    Sync,
    /// Acknowledged when written; up to one second may be lost with the machine (Events, Leases).
    Batched,
}

/// What must be true of a key for its transaction to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing is asked.
    Any,
    /// The key does not exist.
    Absent,
    /// The key exists.
    Present,
    /// The key exists and was last changed at this revision.
    At(Revision),
}

/// What a transaction does to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets the value.
    Put(Bytes),
    /// Removes the key; removing an absent one changes nothing.
    Delete,
    /// Changes nothing: the key is only compared (a decision has read it).
    Check,
}

/// One line of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// The key.
    pub key: Key,
    /// Its guard.
    pub expect: Expect,
    /// What to do.
    pub change: Change,
}

impl Op {
    /// Sets `key` if `expect` holds.
    #[must_use]
    pub fn put(key: impl Into<Key>, expect: Expect, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), expect, change: Change::Put(value.into()) }
    }

    /// Removes `key` if `expect` holds.
    #[must_use]
    pub fn delete(key: impl Into<Key>, expect: Expect) -> Self {
        Self { key: key.into(), expect, change: Change::Delete }
    }

    /// Compares `key` without changing it.
    #[must_use]
    pub fn check(key: impl Into<Key>, expect: Expect) -> Self {
        Self { key: key.into(), expect, change: Change::Check }
    }
}

/// Changes that happen together, at one revision, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    /// The lines; each key at most once.
    pub ops: Vec<Op>,
    /// For the store.
    pub durability: Durability,
}

/// A transaction that took place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its revision; the current one when nothing changed.
    pub revision: Revision,
    /// What changed, in the order of the transaction's lines. Empty when nothing did: then no revision
    /// was spent and there is nothing to store.
    pub events: Vec<Arc<Event>>,
    /// As asked.
    pub durability: Durability,
}

/// Why a transaction did not take place. The state is untouched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    /// A guard did not hold; the present entry says what is there instead.
    #[error("{key} is not as expected ({expect:?})")]
    Conflict {
        /// The first key whose guard failed.
        key: Key,
        /// The guard.
        expect: Expect,
        /// What is there.
        actual: Option<Arc<Entry>>,
    },
    /// One key stands on two lines.
    #[error("{key} stands twice in one transaction")]
    DuplicateKey {
        /// The key.
        key: Key,
    },
}

/// Why a read at a revision, or a replay, is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// The history that the read needs is gone: list again.
    #[error("revision {asked} is compacted, the oldest readable is {oldest}")]
    Compacted {
        /// The revision asked for.
        asked: Revision,
        /// The oldest revision that can be read or watched from.
        oldest: Revision,
    },
    /// The revision has not happened yet.
    #[error("revision {asked} is in the future, the current is {current}")]
    Future {
        /// The revision asked for.
        asked: Revision,
        /// The current one.
        current: Revision,
    },
    /// A record or a skip that does not lie ahead of the current revision.
    #[error("revision {asked} does not follow the current revision {current}")]
    Backwards {
        /// The revision given.
        asked: Revision,
        /// The current one.
        current: Revision,
    },
}
