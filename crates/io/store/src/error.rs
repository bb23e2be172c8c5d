//! Why the store refuses, and whether asking again can help.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use km_base::Revision;

/// A refused operation. Nothing that was acknowledged before is touched by any of these.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open.
    #[error("store {dir} is in use by another process: stop it, or choose another data folder", dir = dir.display())]
    Locked {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The store's files cannot be opened, read or made.
    #[error("failed to open store file {path}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Arc<io::Error>,
    },
    /// Bytes that were once durable are not what was written.
    #[error(
        "store file {path} is corrupt at byte {offset} ({reason}): restore the folder from a backup; or, to go on with what \
         lies before that byte and lose what lies after, move this file and all later ones away",
        path = path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the bad bytes begin.
        offset: u64,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The journal could not be written (a full disk, usually); the record is not in it.
    #[error("failed to write store file {path}, the change is refused", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Arc<io::Error>,
    },
    /// An earlier failure left the journal in doubt: reads go on, writes need a restart.
    #[error("store is read-only since {reason}; repair the disk and restart")]
    ReadOnly {
        /// What happened.
        reason: Arc<str>,
    },
    /// The record does not follow the last one, usually because the one before it was just refused.
    #[error("record {given} does not follow, {expected} is next")]
    OutOfSequence {
        /// The record's revision.
        given: Revision,
        /// The next one the journal takes.
        expected: Revision,
    },
    /// The writer's queue is full; the record is not in it.
    #[error("store has too many unwritten changes queued")]
    Overloaded,
    /// The record is larger than a frame may be.
    #[error("record {revision} has {bytes} bytes, at most {max} can be stored")]
    TooLarge {
        /// The record.
        revision: Revision,
        /// Its encoded length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The snapshot is of a revision that the journal has not reached.
    #[error("snapshot of revision {given} is ahead of the journal, which is at {last}")]
    SnapshotAhead {
        /// The snapshot's revision.
        given: Revision,
        /// The journal's last.
        last: Revision,
    },
    /// One snapshot at a time.
    #[error("another snapshot is being written")]
    SnapshotBusy,
    /// The store is closed.
    #[error("store is closed")]
    Closed,
}

impl StoreError {
    /// Returns whether the same call may succeed later without anyone's help but free space on the disk.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Write { .. } | Self::OutOfSequence { .. } | Self::Overloaded | Self::SnapshotBusy => true,
            Self::Locked { .. }
            | Self::Open { .. }
            | Self::Corrupt { .. }
            | Self::ReadOnly { .. }
            | Self::TooLarge { .. }
            | Self::SnapshotAhead { .. }
            | Self::Closed => false,
        }
    }

    pub(crate) fn open(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Open { path: path.into(), source: Arc::new(source) }
    }

    pub(crate) fn write(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Write { path: path.into(), source: Arc::new(source) }
    }
}
