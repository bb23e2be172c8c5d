//! core/mvcc: the API server's state in memory: keys, revisions, and the recent history that watches read.
//!
//! Where it stands in the pod's journey: every object that kubectl, the framework or an executor writes
//! passes through [`Mvcc::apply`] in the API server's one state task, then through io/store, and only then
//! becomes visible. Readers and watchers hold a [`Snapshot`].
//!
//! ```text
//!   Txn ──apply──▶ Committed{revision, events} ──▶ journal ──durable──▶ publish snapshot(), wake watchers
//!                        │                            └──failed──▶ rollback_to(last durable snapshot)
//! ```
//!
//! **Invariant:** one transaction is one revision, and revisions only grow; a transaction that changes
//! nothing spends none.
//! **Invariant:** a snapshot never changes, and taking or holding one never blocks the writer.
//! **Invariant:** events from `since` are complete or the answer is `Compacted`; never a gap.
//! **Invariant:** the state equals the fold of all committed transactions (the property tests' model).
//!
//! Deliberately absent: durability, clocks (compaction by age is the driver's), JSON, continue tokens,
//! waiting, leases, and any notion of what a value means.

mod snapshot;
mod tree;
mod txn;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use km_base::Revision;

pub use snapshot::{Page, Range, Snapshot};
use tree::Tree;
pub use txn::{Change, Committed, Durability, Entry, Event, EventKind, Expect, Key, Op, RevisionError, Txn, TxnError};

/// The revision of an empty state, as etcd's: the first write is 2, and a list of nothing can be watched from.
pub const FIRST_REVISION: Revision = Revision(1);

/// Bounds of the event ring; whichever is reached first drops the oldest whole revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most events kept.
    pub events_max: usize,
    /// Most bytes of keys and values kept by events.
    pub events_bytes_max: usize,
}

/// The state and its one writer.
pub struct Mvcc {
    limits: Limits,
    head: Snapshot,
}

impl Mvcc {
    /// Makes an empty state at [`FIRST_REVISION`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let head = Snapshot {
            revision: FIRST_REVISION,
            compacted: FIRST_REVISION,
            state: Tree::new(),
            history: Tree::new(),
            history_bytes: 0,
            skipped: Arc::default(),
        };
        Self { limits, head }
    }

    /// Makes the state that [`Snapshot::iter`] with an empty prefix showed at `revision`. It has no history:
    /// reads and watches before `revision` are compacted.
    ///
    /// # Errors
    /// `Future` when an entry is newer than `revision` (the snapshot is not of that revision).
    pub fn import(
        limits: Limits,
        revision: Revision,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Self, RevisionError> {
        let mut mvcc = Self::new(limits);
        mvcc.head.revision = revision.max(FIRST_REVISION);
        mvcc.head.compacted = mvcc.head.revision;
        for entry in entries {
            if entry.mod_revision > revision {
                return Err(RevisionError::Future { asked: entry.mod_revision, current: revision });
            }
            mvcc.head.state.insert(Key::clone(&entry.key), Arc::new(entry));
        }
        Ok(mvcc)
    }

    /// Returns the current version, borrowed.
    #[must_use]
    pub fn head(&self) -> &Snapshot {
        &self.head
    }

    /// Returns the current version, to keep; three reference counts.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.head.clone()
    }

    /// Returns the revision that the next transaction will have, for values that carry it.
    #[must_use]
    pub fn next_revision(&self) -> Revision {
        Revision(self.head.revision.0 + 1)
    }

    /// Commits a transaction, or changes nothing.
    ///
    /// # Errors
    /// `Conflict` with the present entry for the first guard that fails; `DuplicateKey`.
    pub fn apply(&mut self, txn: Txn) -> Result<Committed, TxnError> {
        self.check(&txn.ops)?;
        let changes = txn.ops.into_iter().filter_map(|op| match op.change {
            Change::Put(value) => Some((op.key, Some(value))),
            Change::Delete => Some((op.key, None)),
            Change::Check => None,
        });
        let events = self.commit(self.next_revision(), changes);
        Ok(Committed { revision: self.head.revision, events, durability: txn.durability })
    }

    /// Repeats a journal record: no guards, its own revision. A record further ahead than the next one
    /// means that revisions were skipped there, as by [`Mvcc::skip_to`].
    ///
    /// # Errors
    /// `Backwards` when the record is not newer than the state.
    pub fn replay(
        &mut self,
        revision: Revision,
        changes: impl IntoIterator<Item = (Key, Option<Bytes>)>,
    ) -> Result<(), RevisionError> {
        self.skip_to(Revision(revision.0.saturating_sub(1)))?;
        self.commit(revision, changes.into_iter());
        // A delete of what is not there is no change, but the record spent the revision.
        self.head.revision = revision;
        Ok(())
    }

    /// Moves the revision forward without a transaction. After a crash that may have taken back
    /// acknowledged batched records, their revisions are not used again, and who has seen one
    /// of them is told `Compacted`.
    ///
    /// # Errors
    /// `Backwards` when `revision` lies behind the current one.
    pub fn skip_to(&mut self, revision: Revision) -> Result<(), RevisionError> {
        let current = self.head.revision;
        if revision < current {
            return Err(RevisionError::Backwards { asked: revision, current });
        }
        if revision > current {
            let mut skipped = (*self.head.skipped).clone();
            skipped.push((current, revision));
            self.head.skipped = Arc::new(skipped);
            self.head.revision = revision;
        }
        Ok(())
    }

    /// Takes back everything after `snapshot`, which must be an earlier version of this state: for
    /// transactions that the store refused. Their revisions are used again, so none of their
    /// events may have been shown to anyone.
    ///
    /// # Panics
    /// When `snapshot` is ahead of the state.
    pub fn rollback_to(&mut self, snapshot: Snapshot) {
        let (to, from) = (snapshot.revision, self.head.revision);
        assert!(to <= from, "rollback goes from {from} forward to {to}");
        self.head = snapshot;
    }

    /// Drops the events at and below `revision`; older reads and watches are then `Compacted`.
    ///
    /// # Errors
    /// `Future` when `revision` has not happened.
    pub fn compact(&mut self, revision: Revision) -> Result<(), RevisionError> {
        let current = self.head.revision;
        if revision > current {
            return Err(RevisionError::Future { asked: revision, current });
        }
        while let Some(oldest) = self.oldest_event().filter(|oldest| *oldest <= revision) {
            self.drop_revision(oldest);
        }
        self.raise_compacted(revision);
        Ok(())
    }

    fn check(&self, ops: &[Op]) -> Result<(), TxnError> {
        let mut seen = BTreeSet::new();
        for op in ops {
            if !seen.insert(&*op.key) {
                return Err(TxnError::DuplicateKey { key: Key::clone(&op.key) });
            }
            let actual = self.head.get(&op.key);
            let holds = match op.expect {
                Expect::Any => true,
                Expect::Absent => actual.is_none(),
                Expect::Present => actual.is_some(),
                Expect::At(revision) => actual.is_some_and(|entry| entry.mod_revision == revision),
            };
            if !holds {
                return Err(TxnError::Conflict {
                    key: Key::clone(&op.key),
                    expect: op.expect,
                    actual: actual.cloned(),
                });
            }
        }
        Ok(())
    }

    fn commit(&mut self, revision: Revision, changes: impl Iterator<Item = (Key, Option<Bytes>)>) -> Vec<Arc<Event>> {
        let mut events = Vec::new();
        for (key, value) in changes {
            if let Some(event) = self.change(revision, key, value) {
                let event = Arc::new(event);
                let line = u32::try_from(events.len()).expect("a transaction has fewer than 2^32 lines");
                self.head.history_bytes += event.size();
                self.head.history.insert((revision, line), Arc::clone(&event));
                events.push(event);
            }
        }
        if !events.is_empty() {
            self.head.revision = revision;
            self.trim(revision);
        }
        events
    }

    fn change(&mut self, revision: Revision, key: Key, value: Option<Bytes>) -> Option<Event> {
        let Some(value) = value else {
            let prev = self.head.state.remove(&*key)?;
            return Some(Event { revision, key, now: None, prev: Some(prev) });
        };
        let prev = self.head.get(&key).cloned();
        let entry = Arc::new(Entry {
            // One allocation of the key serves all versions.
            key: prev.as_ref().map_or(key, |prev| Key::clone(&prev.key)),
            value,
            create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
            mod_revision: revision,
            version: prev.as_ref().map_or(1, |prev| prev.version + 1),
        });
        let key = Key::clone(&entry.key);
        self.head.state.insert(Key::clone(&key), Arc::clone(&entry));
        Some(Event { revision, key, now: Some(entry), prev })
    }

    /// Keeps the ring within its bounds, but never drops `newest`: its watchers have not read it yet.
    fn trim(&mut self, newest: Revision) {
        while self.head.history.len() > self.limits.events_max || self.head.history_bytes > self.limits.events_bytes_max
        {
            let Some(oldest) = self.oldest_event().filter(|oldest| *oldest < newest) else { return };
            self.drop_revision(oldest);
        }
    }

    fn oldest_event(&self) -> Option<Revision> {
        self.head.history.iter().next().map(|((revision, _), _)| *revision)
    }

    fn drop_revision(&mut self, revision: Revision) {
        let mut line = 0;
        while let Some(event) = self.head.history.remove(&(revision, line)) {
            self.head.history_bytes -= event.size();
            line += 1;
        }
        self.raise_compacted(revision);
    }

    fn raise_compacted(&mut self, revision: Revision) {
        self.head.compacted = self.head.compacted.max(revision);
        let compacted = self.head.compacted;
        if self.head.skipped.iter().any(|(_, usable)| *usable <= compacted) {
            self.head.skipped =
                Arc::new(self.head.skipped.iter().filter(|(_, usable)| *usable > compacted).copied().collect());
        }
    }
}

#[cfg(test)]
mod tests;
