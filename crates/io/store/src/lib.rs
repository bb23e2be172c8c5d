//! io/store: the durable journal of core/mvcc's transactions: group commit, snapshots, recovery.
//!
//! Where it stands in the pod's journey: nothing that kubectl, the framework or an executor wrote is
//! answered with a 2xx, or shown to a watcher, before its record is fsynced here (Events and Leases:
//! written). The API server's driver maps transactions to [`Record`]s; here they are opaque.
//!
//! ```text
//!   dir/lock                     held while open
//!   dir/snapshot-<revision>.snap the whole state at one revision (at most one, two during a crash)
//!   dir/journal-<n>.log          records after it, in segments
//! ```
//!
//! **Invariant:** an acknowledged `Sync` record survives `kill -9` and loss of power; an acknowledged
//! `Batched` one survives `kill -9`, and power loss after `batched_sync_ms`.
//! **Invariant:** revisions in the journal are contiguous, but for skips at the beginning of a segment. So after
//! a refused record all later ones are refused (`OutOfSequence`) until the caller goes back to it.
//! **Invariant:** a refused record is never replayed, unless the refusal left the store read-only.
//! **Invariant:** a revision that may have been shown and lost with the machine is never used again.
//! **Invariant:** answers come in the order of the records.
//!
//! Deliberately absent: reads (they are served from memory), compaction by key, replication, compression,
//! encryption at rest, and when to take a snapshot (the driver looks at [`Store::journal_bytes`]).

mod disk;
mod error;
mod frame;
mod record;
mod recover;
mod segment;
mod snapshot;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use km_base::Revision;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use disk::{Disk, DiskFile, OsDisk};
pub use error::StoreError;
pub use record::{Durability, Record, Replayed, StateEntry};
pub use snapshot::SnapshotReport;
use writer::{Append, Request, Writer};

/// Requests queued for the writer: some seconds of a slow disk at the API server's full rate.
const QUEUE_LEN_MAX: usize = 16_384;

/// Where and how to store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreConfig {
    /// The folder; made (mode 0700) if absent. One process at a time.
    pub dir: PathBuf,
    /// Revision of the first record ever; core/mvcc begins with 2.
    pub first_revision: Revision,
    /// A segment longer than this is followed by a new one.
    pub segment_bytes_max: u64,
    /// Longest time that an acknowledged batched record waits for its fsync.
    pub batched_sync_ms: u64,
    /// After an unclean end this many revisions are skipped: more than could have been acknowledged and
    /// shown, but not fsynced, within `batched_sync_ms`.
    pub revisions_skipped_after_crash: u64,
}

impl StoreConfig {
    /// The usual values for a store in `dir`.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            first_revision: Revision(2),
            segment_bytes_max: 64 << 20,
            batched_sync_ms: 1_000,
            // Ten times what the writer can take in a second.
            revisions_skipped_after_crash: 1_000_000,
        }
    }
}

/// What the store runs on.
pub struct StoreDeps {
    /// The disk; [`OsDisk`] but in tests.
    pub disk: Arc<dyn Disk>,
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Revision of the last record or snapshot; one before `first_revision` in a new store.
    pub last_revision: Revision,
    /// Revision that the next record must have. Tell core/mvcc: `skip_to(next_revision - 1)`.
    pub next_revision: Revision,
    /// Whether the last process closed the store.
    pub clean: bool,
    /// What was cut off the end, never acknowledged as durable.
    pub torn: Option<TornTail>,
}

/// A torn tail that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where the bad bytes began.
    pub offset: u64,
    /// How many there were.
    pub bytes: u64,
}

/// A handle on the open store. Dropping it closes the journal as [`Store::close`] does, and waits for that.
pub struct Store {
    config: StoreConfig,
    /// Taken only by `drop`, to end the writer.
    queue: Option<SyncSender<Request>>,
    writer: Option<JoinHandle<()>>,
    journal_bytes: Arc<AtomicU64>,
    snapshotting: Arc<AtomicBool>,
}

impl Store {
    /// Opens or makes a store; hands everything in it to `replay`, in order, before returning. Blocks.
    ///
    /// # Errors
    /// `Locked`, `Corrupt` (naming file and offset), `Open`, or `Write` where no new segment can be made.
    /// What was handed to `replay` before an error is worth nothing.
    pub fn open(
        config: StoreConfig,
        deps: StoreDeps,
        replay: &mut dyn FnMut(Replayed),
    ) -> Result<(Self, Recovery), StoreError> {
        let lock = lock(&config)?;
        let start = recover::recover(&config, replay)?;
        let journal_bytes = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(config.clone(), deps.disk, &start, lock, Arc::clone(&journal_bytes))?;
        let (queue, requests) = sync_channel(QUEUE_LEN_MAX);
        let writer = std::thread::Builder::new()
            .name("km-store".into())
            .spawn(move || writer.run(&requests))
            .map_err(|e| StoreError::open(&config.dir, e))?;
        let (queue, writer) = (Some(queue), Some(writer));
        let store = Self { config, queue, writer, journal_bytes, snapshotting: Arc::default() };
        Ok((store, start.recovery))
    }

    /// Queues a record at once, in the order of calls; the future waits for its durability. Dropping the
    /// future does not take the record back.
    pub fn append(
        &self,
        record: Record,
        durability: Durability,
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let (answer, done) = oneshot::channel();
        let queued = self.send(Request::Append(Append { record, durability, answer }));
        async move {
            queued?;
            done.await.unwrap_or(Err(StoreError::Closed))
        }
    }

    /// Writes the state at `revision` beside the running journal, on a thread of its own, then removes what
    /// it makes superfluous. `entries` is read there; it need not be in order.
    ///
    /// # Errors
    /// `SnapshotBusy`, `SnapshotAhead`, `Write` (a full disk: the journal goes on), `ReadOnly`, `Closed`.
    pub async fn snapshot(
        &self,
        revision: Revision,
        mut entries: Box<dyn Iterator<Item = StateEntry> + Send>,
    ) -> Result<SnapshotReport, StoreError> {
        let busy = Busy::take(&self.snapshotting)?;
        let (answer, rotated) = oneshot::channel();
        self.send(Request::Rotate(answer))?;
        let last = rotated.await.unwrap_or(Err(StoreError::Closed))?;
        if revision > last {
            return Err(StoreError::SnapshotAhead { given: revision, last });
        }
        let (answer, done) = oneshot::channel();
        let dir = self.config.dir.clone();
        let journal_bytes = Arc::clone(&self.journal_bytes);
        std::thread::Builder::new()
            .name("km-store-snap".into())
            .spawn(move || {
                let written = snapshot::write(&dir, revision, &mut *entries);
                recount(&dir, &journal_bytes);
                drop(busy);
                let _ = answer.send(written);
            })
            .map_err(|e| StoreError::write(&self.config.dir, e))?;
        done.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Returns the bytes of journal that a restart would read: what a snapshot would save.
    #[must_use]
    pub fn journal_bytes(&self) -> u64 {
        self.journal_bytes.load(Ordering::Relaxed)
    }

    /// Writes what is queued, fsyncs, marks the end as clean, lets go of the folder. Later calls answer `Closed`.
    ///
    /// # Errors
    /// `Write`, or `ReadOnly` when the store already was.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (answer, done) = oneshot::channel();
        self.send(Request::Close(answer))?;
        done.await.unwrap_or(Err(StoreError::Closed))
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        self.queue.as_ref().ok_or(StoreError::Closed)?.try_send(request).map_err(|e| match e {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so; its waiters were told `Closed`.
            let _ = writer.join();
        }
    }
}

/// Set while one snapshot is written.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn take(flag: &Arc<AtomicBool>) -> Result<Self, StoreError> {
        if flag.swap(true, Ordering::AcqRel) { Err(StoreError::SnapshotBusy) } else { Ok(Self(Arc::clone(flag))) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The folder's lock. Let go explicitly: a process being forked elsewhere holds a copy of the file until it execs.
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file unlocks as well, only later.
        let _ = self.0.unlock();
    }
}

fn lock(config: &StoreConfig) -> Result<Lock, StoreError> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let dir = &config.dir;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| StoreError::open(dir, e))?;
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(|e| StoreError::open(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.clone() }),
        Err(TryLockError::Error(e)) => Err(StoreError::open(&path, e)),
    }
}

/// After segments were removed. The writer adds meanwhile, so this may be off by a batch; it only advises.
fn recount(dir: &std::path::Path, journal_bytes: &AtomicU64) {
    let lens = segment::list(dir).unwrap_or_default();
    let bytes = lens.iter().filter_map(|(_, path)| std::fs::metadata(path).ok()).map(|m| m.len()).sum();
    journal_bytes.store(bytes, Ordering::Relaxed);
}
