//! Everything that can be read: one consistent version of keys and history.
//!
//! A `Snapshot` is cheap to clone (three reference counts) and never changes: a list of 150,000 pods or
//! the replay of a watch reads it in its own task while the writer goes on. It copies no values: entries
//! and events are handed out by reference count.
//!
//! It deliberately does not wait for a future revision and knows nothing of continue *tokens*: a
//! page names the last key it holds, how that travels to a client is the API server's.

use std::collections::BTreeMap;
use std::sync::Arc;

use km_base::Revision;

use crate::tree::Tree;
use crate::txn::{Entry, Event, Key, RevisionError};

/// Position of an event in the history: its transaction and its line.
pub(crate) type EventId = (Revision, u32);

/// One version of the whole state, at one revision.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) revision: Revision,
    /// Events at and below this revision are gone.
    pub(crate) compacted: Revision,
    pub(crate) state: Tree<Key, Arc<Entry>>,
    pub(crate) history: Tree<EventId, Arc<Event>>,
    pub(crate) history_bytes: usize,
    /// Ranges (last real, first usable) of revisions that were skipped: see `Mvcc::skip_to`.
    pub(crate) skipped: Arc<Vec<(Revision, Revision)>>,
}

/// Which keys a list wants.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Keys that start with this; `/registry/pods/default/` with the slash, or it also finds `defaults`.
    pub prefix: &'a str,
    /// Only keys after this one (the last key of the page before).
    pub after: Option<&'a str>,
    /// Most entries returned; `None` is all.
    pub limit: Option<usize>,
    /// Read at this revision instead of the current one.
    pub at: Option<Revision>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The revision the page was read at; the next page asks for the same.
    pub revision: Revision,
    /// In key order.
    pub entries: Vec<Arc<Entry>>,
    /// How many more keys follow after the last entry; 0 ends the list.
    pub remaining: usize,
}

impl Snapshot {
    /// Returns the revision of the last transaction.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Returns the oldest revision that can be read at or watched from.
    #[must_use]
    pub fn oldest_readable(&self) -> Revision {
        self.compacted
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Returns whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of events in the ring, and the bytes they are charged with.
    #[must_use]
    pub fn history_size(&self) -> (usize, usize) {
        (self.history.len(), self.history_bytes)
    }

    /// Returns a key's entry; O(log n).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.state.get(key)
    }

    /// Iterates over the entries under `prefix` in key order; copies nothing.
    pub fn iter<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.iter_after(prefix, None)
    }

    /// Returns the number of keys under `prefix`; O(log n).
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        self.count_after(prefix, None)
    }

    /// Reads a page of keys. The current revision costs O(log n + page); an older one also O(events since).
    ///
    /// # Errors
    /// `Compacted` or `Future` when `range.at` cannot be read.
    pub fn range(&self, range: Range<'_>) -> Result<Page, RevisionError> {
        let at = range.at.unwrap_or(self.revision);
        self.check_readable(at)?;
        let limit = range.limit.unwrap_or(usize::MAX);
        if at == self.revision {
            let entries: Vec<_> = self.iter_after(range.prefix, range.after).take(limit).cloned().collect();
            let remaining = self.count_after(range.prefix, range.after) - entries.len();
            return Ok(Page { revision: at, entries, remaining });
        }
        let past = self.changed_since(at, range);
        let present = self.count_after(range.prefix, range.after);
        let gone = past.iter().filter(|(key, then)| then.is_some() && self.get(key).is_none()).count();
        let new = past.iter().filter(|(key, then)| then.is_none() && self.get(key).is_some()).count();
        let entries = self.merge(range, &past, limit);
        Ok(Page { revision: at, remaining: present + gone - new - entries.len(), entries })
    }

    /// Returns a key's entry as it was at a revision.
    ///
    /// # Errors
    /// `Compacted` or `Future` when the revision cannot be read.
    pub fn get_at(&self, key: &str, at: Revision) -> Result<Option<Arc<Entry>>, RevisionError> {
        self.check_readable(at)?;
        let first_after = self.events_after(at).find(|event| &*event.key == key);
        Ok(match first_after {
            Some(event) => event.prev.clone(),
            None => self.get(key).cloned(),
        })
    }

    /// Returns the events under `prefix` after revision `since`, oldest first, in transaction order.
    ///
    /// # Errors
    /// `Compacted` when events after `since` are gone (the reader must list again), `Future` when `since`
    /// has not happened.
    pub fn events_since<'a>(
        &'a self,
        since: Revision,
        prefix: &'a str,
    ) -> Result<impl Iterator<Item = &'a Arc<Event>>, RevisionError> {
        self.check_readable(since)?;
        Ok(self.events_after(since).filter(move |event| event.key.starts_with(prefix)))
    }

    fn check_readable(&self, at: Revision) -> Result<(), RevisionError> {
        if at > self.revision {
            return Err(RevisionError::Future { asked: at, current: self.revision });
        }
        if at < self.compacted {
            return Err(RevisionError::Compacted { asked: at, oldest: self.compacted });
        }
        // A revision inside a skip may have been shown before a crash took it back.
        match self.skipped.iter().find(|(last, usable)| *last < at && at < *usable) {
            Some((_, usable)) => Err(RevisionError::Compacted { asked: at, oldest: *usable }),
            None => Ok(()),
        }
    }

    fn events_after(&self, since: Revision) -> impl Iterator<Item = &Arc<Event>> {
        self.history.seek(move |(revision, _)| *revision <= since).map(|(_, event)| event)
    }

    fn iter_after<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.state
            .seek(move |key| comes_before(key, prefix, after))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(_, entry)| entry)
    }

    fn count_after(&self, prefix: &str, after: Option<&str>) -> usize {
        let start = self.state.rank(|key| comes_before(key, prefix, after));
        let end = self.state.rank(|key| **key < *prefix || key.starts_with(prefix));
        // `after` may lie past the prefix's last key.
        end.saturating_sub(start)
    }

    /// What the keys that changed after `at` held at `at`.
    fn changed_since<'a>(&'a self, at: Revision, range: Range<'_>) -> BTreeMap<&'a str, Option<&'a Arc<Entry>>> {
        let mut past = BTreeMap::new();
        for event in self.events_after(at) {
            if event.key.starts_with(range.prefix) && !comes_before(&event.key, range.prefix, range.after) {
                past.entry(&*event.key).or_insert(event.prev.as_ref());
            }
        }
        past
    }

    fn merge(&self, range: Range<'_>, past: &BTreeMap<&str, Option<&Arc<Entry>>>, limit: usize) -> Vec<Arc<Entry>> {
        let mut unchanged =
            self.iter_after(range.prefix, range.after).filter(|entry| !past.contains_key(&*entry.key)).peekable();
        let mut then = past.values().flatten().copied().peekable();
        let mut entries = Vec::new();
        while entries.len() < limit {
            let next = match (unchanged.peek(), then.peek()) {
                (Some(a), Some(b)) if a.key < b.key => unchanged.next(),
                (_, Some(_)) => then.next(),
                (_, None) => unchanged.next(),
            };
            match next {
                Some(entry) => entries.push(Arc::clone(entry)),
                None => break,
            }
        }
        entries
    }
}

fn comes_before(key: &str, prefix: &str, after: Option<&str>) -> bool {
    key < prefix || after.is_some_and(|after| key <= after)
}
