//! The agent's journal: facts appended and synced, read back once, rewritten when it has grown long.
//!
//! RecordIO of JSON, so that a person can read it. A torn last record is the write that a crash cut short: nothing that
//! followed from it has happened, so it is dropped.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use km_core_mesos::agent::Record;
use km_mesos::recordio::{self, Decoder};
use rustix::fs::{FlockOperation, flock};

use crate::config::AgentError;

/// A journal longer than this is rewritten. Replaying it takes some tens of ms.
const JOURNAL_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    len: u64,
    /// The length after the last rewrite: what is live.
    base_len: u64,
    is_dirty: bool,
    /// Held for the life of the process: two agents on one folder would kill each other's executors.
    _lock: File,
}

impl Journal {
    /// Opens the journal in `folder` and reads what is there.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Vec<Record>), AgentError> {
        let used = |path: &Path| {
            let path = path.to_owned();
            move |source| AgentError::WorkDir { path, source }
        };
        std::fs::create_dir_all(folder).map_err(used(folder))?;
        let lock_path = folder.join("lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(used(&lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| AgentError::Locked { path: lock_path })?;
        let path = folder.join("journal");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(AgentError::WorkDir { path, source }),
        };
        let framed = Decoder::default().push(&bytes).unwrap_or_default();
        let mut records = Vec::with_capacity(framed.len());
        for (index, record) in framed.iter().enumerate() {
            let journal = |source| AgentError::Journal { path: path.clone(), record: index, source };
            records.push(serde_json::from_slice(record).map_err(journal)?);
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(used(&path))?;
        let journal = Self { path, file, len: bytes.len() as u64, base_len: 0, is_dirty: false, _lock: lock };
        Ok((journal, records))
    }

    /// Appends a record; not durable before [`Self::sync`].
    pub(crate) fn append(&mut self, record: &Record) -> std::io::Result<()> {
        let framed = recordio::encode(&serde_json::to_vec(record)?);
        self.file.write_all(&framed)?;
        self.len += framed.len() as u64;
        self.is_dirty = true;
        Ok(())
    }

    /// Makes what was appended durable.
    pub(crate) fn sync(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.is_dirty) {
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Tells whether a rewrite pays.
    pub(crate) fn is_long(&self) -> bool {
        self.len > JOURNAL_BYTES_MAX.max(self.base_len * 4)
    }

    /// Replaces the journal by records that make the same state.
    pub(crate) fn rewrite(&mut self, records: &[Record]) -> std::io::Result<()> {
        let next = self.path.with_extension("next");
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend_from_slice(&recordio::encode(&serde_json::to_vec(record)?));
        }
        let mut file = File::create(&next)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.len = bytes.len() as u64;
        self.base_len = self.len;
        self.is_dirty = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use km_mesos::FrameworkId;

    fn fact(name: &str) -> Record {
        Record::FrameworkGone(FrameworkId::new(name))
    }

    #[test]
    fn a_torn_record_is_dropped_and_the_rest_is_read() {
        let folder = tempfile::tempdir().expect("folder");
        let (mut journal, records) = Journal::open(folder.path()).expect("opens");
        assert_eq!(records, []);
        journal.append(&fact("a")).expect("appends");
        journal.append(&fact("b")).expect("appends");
        journal.sync().expect("syncs");
        drop(journal);
        let path = folder.path().join("journal");
        let whole = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &whole[..whole.len() - 3]).expect("writes");
        let (mut journal, records) = Journal::open(folder.path()).expect("opens");
        assert_eq!(records, [fact("a")]);
        journal.rewrite(&[fact("c")]).expect("rewrites");
        journal.append(&fact("d")).expect("appends");
        drop(journal);
        assert_eq!(Journal::open(folder.path()).expect("opens").1, [fact("c"), fact("d")]);
    }

    #[test]
    fn a_folder_has_one_agent() {
        let folder = tempfile::tempdir().expect("folder");
        let first = Journal::open(folder.path()).expect("opens");
        assert!(matches!(Journal::open(folder.path()), Err(AgentError::Locked { .. })));
        drop(first);
        assert!(Journal::open(folder.path()).is_ok());
    }
}
