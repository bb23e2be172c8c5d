//! The state's life on disk: opening it, and the snapshots that keep a restart short.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use km_base::{Revision, chain};
use km_mvcc::{Entry, Limits, Mvcc, Range, RevisionError, Snapshot};
use km_net::Shutdown;
use km_store::{Disk, OsDisk, Recovery, Replayed, StateEntry, Store, StoreConfig, StoreDeps, StoreError};
use tokio::sync::watch;
use tracing::{info, warn};

/// History that watches can be resumed from: minutes at the rates of DESIGN 7.
const HISTORY: Limits = Limits { events_max: 200_000, events_bytes_max: 64 << 20 };
/// A snapshot is written when a restart would read this much journal: about a second of reading.
const JOURNAL_BYTES_MAX: u64 = 128 << 20;
/// How often the journal's size is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Entries copied from the state at once while a snapshot is written.
const CHUNK_LEN: usize = 1_024;

/// The open store and the state that was in it.
pub struct Storage {
    pub(crate) store: Arc<Store>,
    pub(crate) mvcc: Mvcc,
    /// What opening found.
    pub recovery: Recovery,
}

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store refused.
    #[error("failed to open the store")]
    Store(#[from] StoreError),
    /// What it holds is no history.
    #[error("the store's records do not follow each other")]
    History(#[source] RevisionError),
}

impl Storage {
    /// Opens the store in `dir`, or makes one. Blocks while it reads.
    ///
    /// # Errors
    /// [`OpenError`]; another process holding the store is `Locked`.
    pub fn open(dir: PathBuf) -> Result<Self, OpenError> {
        Self::open_on(dir, Arc::new(OsDisk))
    }

    /// Opens the store on another disk than the machine's: for tests of full and broken ones.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub fn open_on(dir: PathBuf, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let mut restore = Restore::default();
        let deps = StoreDeps { disk };
        let (store, recovery) = Store::open(StoreConfig::new(dir), deps, &mut |replayed| restore.add(replayed))?;
        let mut mvcc = restore.finish().map_err(OpenError::History)?;
        let next = Revision(recovery.next_revision.0.saturating_sub(1));
        if next > mvcc.head().revision() {
            mvcc.skip_to(next).map_err(OpenError::History)?;
        }
        if let Some(torn) = &recovery.torn {
            warn!(path = %torn.path.display(), bytes = torn.bytes, "cut off an unfinished write of the last process");
        }
        Ok(Self { store: Arc::new(store), mvcc, recovery })
    }
}

/// Builds the state from what the store hands out: at most one snapshot, then records.
#[derive(Default)]
struct Restore {
    base: Option<Revision>,
    entries: Vec<Entry>,
    mvcc: Option<Mvcc>,
    failed: Option<RevisionError>,
}

impl Restore {
    fn add(&mut self, replayed: Replayed) {
        match replayed {
            Replayed::State(revision) => self.base = Some(revision),
            Replayed::Entry(entry) => self.entries.push(Entry {
                key: entry.key,
                value: entry.value,
                create_revision: entry.create_revision,
                mod_revision: entry.mod_revision,
                version: entry.version,
            }),
            Replayed::Record(record) => {
                let outcome = self.state().and_then(|mvcc| mvcc.replay(record.revision, record.ops));
                if let Err(error) = outcome {
                    self.failed.get_or_insert(error);
                }
            }
        }
    }

    fn state(&mut self) -> Result<&mut Mvcc, RevisionError> {
        if self.mvcc.is_none() {
            let entries = std::mem::take(&mut self.entries);
            let mvcc = match self.base {
                Some(revision) => Mvcc::import(HISTORY, revision, entries)?,
                None => Mvcc::new(HISTORY),
            };
            return Ok(self.mvcc.insert(mvcc));
        }
        Ok(self.mvcc.as_mut().expect("made above, where it was missing"))
    }

    fn finish(mut self) -> Result<Mvcc, RevisionError> {
        self.state()?;
        match (self.failed, self.mvcc) {
            (None, Some(mvcc)) => Ok(mvcc),
            (Some(error), _) => Err(error),
            (None, None) => Ok(Mvcc::new(HISTORY)),
        }
    }
}

/// Writes a snapshot whenever the journal has grown long, until shutdown.
pub(crate) async fn keep_short(store: Arc<Store>, published: watch::Receiver<Snapshot>, shutdown: Shutdown) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            _ = tick.tick() => {}
        }
        if store.journal_bytes() < JOURNAL_BYTES_MAX {
            continue;
        }
        let snapshot = published.borrow().clone();
        let revision = snapshot.revision();
        match store.snapshot(revision, Box::new(Entries::of(snapshot))).await {
            Ok(_) => info!(%revision, "wrote a snapshot of the state"),
            Err(error) => warn!(error = %chain(&error), "no snapshot of the state was written"),
        }
    }
}

/// The entries of a snapshot, read a chunk at a time.
struct Entries {
    snapshot: Snapshot,
    chunk: std::vec::IntoIter<Arc<Entry>>,
    after: Option<String>,
    done: bool,
}

impl Entries {
    fn of(snapshot: Snapshot) -> Self {
        Self { snapshot, chunk: Vec::new().into_iter(), after: None, done: false }
    }
}

impl Iterator for Entries {
    type Item = StateEntry;

    fn next(&mut self) -> Option<StateEntry> {
        loop {
            if let Some(entry) = self.chunk.next() {
                return Some(StateEntry {
                    key: Arc::clone(&entry.key),
                    value: entry.value.clone(),
                    create_revision: entry.create_revision,
                    mod_revision: entry.mod_revision,
                    version: entry.version,
                });
            }
            if self.done {
                return None;
            }
            let range = Range { prefix: "", after: self.after.as_deref(), limit: Some(CHUNK_LEN), at: None };
            let page = self.snapshot.range(range).ok()?;
            self.done = page.remaining == 0;
            self.after = page.entries.last().map(|entry| entry.key.to_string());
            self.chunk = page.entries.into_iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use km_mvcc::{Durability, Expect, Op, Txn};
    use km_store::Record;

    use super::*;

    async fn put(storage: &mut Storage, key: &str, value: &'static str) {
        let ops = vec![Op::put(key, Expect::Any, Bytes::from_static(value.as_bytes()))];
        let committed = storage.mvcc.apply(Txn { ops, durability: Durability::Sync }).unwrap();
        let ops = committed.events.iter().map(|e| (Arc::clone(&e.key), e.value().cloned())).collect();
        let record = Record { revision: committed.revision, ops };
        storage.store.append(record, km_store::Durability::Batched).await.unwrap();
    }

    #[tokio::test]
    async fn state_is_the_same_from_snapshot_and_journal() {
        let dir = tempfile::tempdir().unwrap();
        let mut storage = Storage::open(dir.path().to_owned()).unwrap();
        for n in 0..CHUNK_LEN + 10 {
            put(&mut storage, &format!("/registry/x/{n}"), "early").await;
        }
        put(&mut storage, "/registry/x/1", "changed").await;
        let snapshot = storage.mvcc.snapshot();
        storage.store.snapshot(snapshot.revision(), Box::new(Entries::of(snapshot))).await.unwrap();
        put(&mut storage, "/registry/x/2", "late").await;
        storage.store.close().await.unwrap();
        let before: Vec<_> = storage.mvcc.head().iter("").cloned().collect();
        let revision = storage.mvcc.head().revision();
        drop(storage);
        let again = loop {
            // The last process's lock goes with its writer thread.
            match Storage::open(dir.path().to_owned()) {
                Err(OpenError::Store(StoreError::Locked { .. })) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        assert_eq!(again.mvcc.head().iter("").cloned().collect::<Vec<_>>(), before);
        assert_eq!(again.mvcc.head().revision(), revision);
    }
}
