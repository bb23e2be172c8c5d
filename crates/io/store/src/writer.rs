//! The one writer: its thread takes whatever is queued, writes it at once, fsyncs once, then answers.
//!
//! ```text
//!   queue ─▶ batch ─▶ write ──ok──▶ fsync ──ok──▶ answer all, in order
//!                       │             └─failed──▶ refuse all; read-only (what is on the disk is unknown)
//!                       └─failed──▶ cut the file back ──ok──▶ refuse all; go on
//!                                        └─failed──▶ refuse all; read-only
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use km_base::{Revision, chain};
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::disk::{self, Disk, DiskFile};
use crate::error::StoreError;
use crate::frame::{self, Kind, PAYLOAD_BYTES_MAX};
use crate::record::{Durability, Record, encode_record};
use crate::segment::{self, HEADER_BYTES, Header};
use crate::{Lock, StoreConfig, recover::Start};

/// A batch stops growing here: about 10 ms of a slow disk.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Zeros written ahead of the log, so that most fsyncs need not record a new file length.
const AHEAD_BYTES: u64 = 1 << 20;

pub(crate) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

pub(crate) enum Request {
    Append(Append),
    /// Begin a new segment, so that a snapshot can remove the ones before; answers the revision reached.
    Rotate(Answer<Revision>),
    Close(Answer<()>),
}

pub(crate) struct Append {
    pub(crate) record: Record,
    pub(crate) durability: Durability,
    pub(crate) answer: Answer<()>,
}

pub(crate) struct Writer {
    config: StoreConfig,
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    sequence: u64,
    /// End of the last good frame.
    len: u64,
    /// End of the zeros written ahead.
    ahead: u64,
    last: Revision,
    next: Revision,
    synced: Revision,
    unsynced_since: Option<Instant>,
    read_only: Option<Arc<str>>,
    journal_bytes: Arc<AtomicU64>,
    /// Held for as long as anything may be written.
    lock: Lock,
}

impl Writer {
    pub(crate) fn new(
        config: StoreConfig,
        disk: Arc<dyn Disk>,
        start: &Start,
        lock: Lock,
        journal_bytes: Arc<AtomicU64>,
    ) -> Result<Self, StoreError> {
        let (last, next) = (start.follows, start.recovery.next_revision);
        let header = Header { sequence: start.sequence, follows: last, first: next };
        let path = segment::path(&config.dir, start.sequence);
        let file = disk.create(&path, &header.encode()).map_err(|e| StoreError::write(&path, e))?;
        let len = HEADER_BYTES as u64;
        journal_bytes.store(start.journal_bytes + len, Ordering::Relaxed);
        Ok(Self {
            config,
            disk,
            file,
            path,
            sequence: start.sequence,
            len,
            ahead: len,
            last,
            next,
            synced: last,
            unsynced_since: None,
            read_only: None,
            journal_bytes,
            lock,
        })
    }

    /// Serves until closed, or until every handle is gone.
    pub(crate) fn run(mut self, queue: &Receiver<Request>) {
        loop {
            let Some(request) = self.wait(queue) else { break };
            let mut after = self.gather_and_commit(request, queue);
            match after.take() {
                None => {}
                Some(Request::Append(append)) => self.commit(vec![append]),
                Some(Request::Rotate(answer)) => {
                    let _ = answer.send(self.rotate());
                }
                Some(Request::Close(answer)) => {
                    let closed = self.close();
                    drop(self.lock);
                    let _ = answer.send(closed);
                    return;
                }
            }
        }
        if let Err(error) = self.close() {
            warn!(error = %chain(&error), "closed the store without its end mark");
        }
    }

    /// Waits for a request, fsyncing batched records when they are due.
    fn wait(&mut self, queue: &Receiver<Request>) -> Option<Request> {
        loop {
            let Some(since) = self.unsynced_since else { return queue.recv().ok() };
            let due = since + Duration::from_millis(self.config.batched_sync_ms);
            match queue.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Disconnected) => return None,
                // A failure makes the store read-only, which the next append is told.
                Err(RecvTimeoutError::Timeout) => drop(self.sync()),
            }
        }
    }

    /// Commits `first` and what is queued behind it; returns the request that ended the batch, if one did.
    fn gather_and_commit(&mut self, first: Request, queue: &Receiver<Request>) -> Option<Request> {
        let segment_bytes_max = usize::try_from(self.config.segment_bytes_max).unwrap_or(usize::MAX);
        let bytes_max = BATCH_BYTES_MAX.min(segment_bytes_max);
        let (mut batch, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(Request::Append(append)) = next {
            bytes += size(&append.record);
            batch.push(append);
            if bytes >= bytes_max {
                next = None;
                break;
            }
            next = queue.try_recv().ok();
        }
        if !batch.is_empty() {
            self.commit(batch);
        }
        next
    }

    fn commit(&mut self, batch: Vec<Append>) {
        let (mut bytes, mut taken, mut next) = (Vec::new(), Vec::new(), self.next);
        let mut wants_sync = false;
        for append in batch {
            match self.encode(&append.record, next, &mut bytes) {
                Ok(()) => {
                    next = Revision(next.0 + 1);
                    wants_sync |= append.durability == Durability::Sync;
                    taken.push(append.answer);
                }
                Err(error) => drop(append.answer.send(Err(error))),
            }
        }
        if taken.is_empty() {
            return;
        }
        let written = self.write(&bytes, next).and_then(|()| if wants_sync { self.sync() } else { Ok(()) });
        if let Err(error) = &written {
            error!(error = %chain(error), records = taken.len(), "refused changes");
        }
        for answer in taken {
            // A caller that stopped waiting does not undo its record.
            let _ = answer.send(written.clone());
        }
        if written.is_ok()
            && self.len > self.config.segment_bytes_max
            && let Err(error) = self.rotate()
        {
            warn!(error = %chain(&error), "goes on in a journal segment that is over its size");
        }
    }

    fn encode(&self, record: &Record, expected: Revision, out: &mut Vec<u8>) -> Result<(), StoreError> {
        self.check_writable()?;
        if record.revision != expected {
            return Err(StoreError::OutOfSequence { given: record.revision, expected });
        }
        let start = out.len();
        let bytes = frame::encode(Kind::Record, self.synced, out, |body| encode_record(record, body));
        if bytes > PAYLOAD_BYTES_MAX {
            out.truncate(start);
            return Err(StoreError::TooLarge { revision: record.revision, bytes, max: PAYLOAD_BYTES_MAX });
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], next: Revision) -> Result<(), StoreError> {
        if let Err(source) = self.file.write_at(self.len, bytes) {
            let refused = StoreError::write(&self.path, source);
            // Half a batch may stand in the file; cut durably, or a later success would hide it.
            if let Err(source) = self.file.set_len(self.len).and_then(|()| self.file.sync()) {
                self.give_up("the journal could not be cut back after a failed write", &source);
            }
            self.ahead = self.len;
            return Err(refused);
        }
        self.len += bytes.len() as u64;
        self.journal_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.next = next;
        self.last = Revision(next.0 - 1);
        self.unsynced_since.get_or_insert_with(Instant::now);
        self.write_ahead();
        Ok(())
    }

    /// Keeps zeros in front of the log. Only an economy: where it fails, the log grows byte by byte.
    fn write_ahead(&mut self) {
        if self.len + AHEAD_BYTES / 4 <= self.ahead {
            return;
        }
        let from = self.ahead.max(self.len);
        let zeros = vec![0; usize::try_from(self.len + AHEAD_BYTES - from).unwrap_or_default()];
        if self.file.write_at(from, &zeros).is_ok() {
            self.ahead = self.len + AHEAD_BYTES;
        }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.unsynced_since = None;
        if let Err(source) = self.file.sync() {
            // The kernel may have dropped the pages it failed to write; asking again would lie.
            self.give_up("an fsync of the journal failed", &source);
            return Err(StoreError::write(&self.path, source));
        }
        self.synced = self.last;
        Ok(())
    }

    fn rotate(&mut self) -> Result<Revision, StoreError> {
        self.check_writable()?;
        if self.len == HEADER_BYTES as u64 {
            return Ok(Revision(self.next.0 - 1));
        }
        self.finish()?;
        let header = Header { sequence: self.sequence + 1, follows: self.last, first: self.next };
        let path = segment::path(&self.config.dir, header.sequence);
        match self.disk.create(&path, &header.encode()) {
            Ok(file) => self.file = file,
            Err(source) => {
                // It may be there all the same, and would say that nothing follows in the segment that goes on.
                if let Err(source) = remove(&path) {
                    self.give_up("a journal segment that was not begun could not be removed", &source);
                }
                return Err(StoreError::write(&path, source));
            }
        }
        self.path = path;
        self.sequence = header.sequence;
        self.len = HEADER_BYTES as u64;
        self.ahead = self.len;
        self.journal_bytes.fetch_add(self.len, Ordering::Relaxed);
        Ok(Revision(self.next.0 - 1))
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.check_writable()?;
        let mut end = Vec::new();
        frame::encode(Kind::CleanEnd, self.last, &mut end, |_| ());
        // The mark says that everything before it is durable, so that must be so first.
        self.sync()?;
        self.write(&end, self.next)?;
        self.finish()
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.file.set_len(self.len).map_err(|e| StoreError::write(&self.path, e))?;
        self.ahead = self.len;
        self.sync()
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        match &self.read_only {
            Some(reason) => Err(StoreError::ReadOnly { reason: Arc::clone(reason) }),
            None => Ok(()),
        }
    }

    fn give_up(&mut self, what: &str, source: &std::io::Error) {
        let reason = format!("{what} ({}: {source})", self.path.display());
        error!(%reason, "store is read-only until it is restarted");
        self.read_only = Some(reason.into());
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => path.parent().map_or(Ok(()), disk::sync_dir),
    }
}

fn size(record: &Record) -> usize {
    record.ops.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, bytes::Bytes::len)).sum()
}
