//! Opening: read the snapshot and the segments after it, cut a torn tail, decide where writing goes on.

use std::path::Path;

use km_base::Revision;

use crate::error::StoreError;
use crate::record::Replayed;
use crate::segment::{self, Read, Tail, corrupt};
use crate::snapshot;
use crate::{Recovery, StoreConfig, TornTail};

/// Where the writer begins.
pub(crate) struct Start {
    pub(crate) recovery: Recovery,
    /// Last revision in the segments before.
    pub(crate) follows: Revision,
    pub(crate) sequence: u64,
    /// Bytes in the segments before the new one.
    pub(crate) journal_bytes: u64,
}

pub(crate) fn recover(config: &StoreConfig, replay: &mut dyn FnMut(Replayed)) -> Result<Start, StoreError> {
    remove_unfinished(&config.dir)?;
    let base = read_snapshot(&config.dir, replay)?;
    let segments = segment::list(&config.dir)?;
    let mut last = base.unwrap_or(Revision(config.first_revision.0.saturating_sub(1)));
    let (mut torn, mut journal_bytes, mut newest) = (None, 0, None::<Read>);
    for (at, (sequence, path)) in segments.iter().enumerate() {
        let read = segment::read(path, &mut |record| {
            if base.is_none_or(|base| record.revision > base) {
                replay(Replayed::Record(record));
            }
        })?;
        check_follows(path, *sequence, &read, newest.as_ref(), base)?;
        if matches!(read.tail, Tail::Torn) {
            if at + 1 < segments.len() {
                return Err(corrupt(
                    path,
                    usize::try_from(read.len).unwrap_or(usize::MAX),
                    "a finished segment is damaged",
                ));
            }
            torn = Some(TornTail { path: path.clone(), offset: read.len, bytes: read.file_len - read.len });
        }
        last = last.max(read.last.unwrap_or(read.header.follows));
        journal_bytes += read.len;
        newest = Some(read);
    }
    if let (Some(read), Some((_, path))) = (&newest, segments.last()) {
        finish_segment(path, read)?;
    }
    let clean = newest.as_ref().is_none_or(|read| matches!(read.tail, Tail::Closed));
    let (sequence, next) = continuation(config, newest.as_ref(), last, clean);
    // Not `last`: a snapshot may lie ahead of the journal where revisions were skipped.
    let follows = newest.as_ref().map_or(last, |read| read.last.unwrap_or(read.header.follows));
    let recovery = Recovery { last_revision: last, next_revision: next, clean, torn };
    Ok(Start { recovery, follows, sequence, journal_bytes })
}

/// Files written aside and never given their name.
fn remove_unfinished(dir: &Path) -> Result<(), StoreError> {
    for file in std::fs::read_dir(dir).map_err(|e| StoreError::open(dir, e))? {
        let path = file.map_err(|e| StoreError::open(dir, e))?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            std::fs::remove_file(&path).map_err(|e| StoreError::open(&path, e))?;
        }
    }
    Ok(())
}

fn read_snapshot(dir: &Path, replay: &mut dyn FnMut(Replayed)) -> Result<Option<Revision>, StoreError> {
    let mut snapshots = snapshot::list(dir)?;
    let Some((revision, path)) = snapshots.pop() else { return Ok(None) };
    let revision = Revision(revision);
    replay(Replayed::State(revision));
    snapshot::read(&path, revision, &mut |entry| replay(Replayed::Entry(entry)))?;
    // A crash came between the rename and the removal of the ones before.
    for (_, older) in snapshots {
        std::fs::remove_file(&older).map_err(|e| StoreError::open(&older, e))?;
    }
    Ok(Some(revision))
}

fn check_follows(
    path: &Path,
    sequence: u64,
    read: &Read,
    before: Option<&Read>,
    base: Option<Revision>,
) -> Result<(), StoreError> {
    let header = read.header;
    if header.sequence != sequence || header.first <= header.follows {
        return Err(corrupt(path, 0, "the header does not fit the file's name"));
    }
    let follows = match before {
        Some(before) => {
            let last = before.last.unwrap_or(before.header.follows);
            before.header.sequence + 1 == sequence && last == header.follows
        }
        None => base.map_or(header.sequence == 1, |base| header.follows <= base),
    };
    if follows { Ok(()) } else { Err(corrupt(path, 0, "the segment before this one is missing or shortened")) }
}

/// Cuts what lies behind the last good frame: a torn tail, or space written ahead.
fn finish_segment(path: &Path, read: &Read) -> Result<(), StoreError> {
    if read.file_len == read.len {
        return Ok(());
    }
    let file = std::fs::OpenOptions::new().write(true).open(path).map_err(|e| StoreError::open(path, e))?;
    file.set_len(read.len).and_then(|()| file.sync_all()).map_err(|e| StoreError::open(path, e))
}

/// A new segment is begun at each opening; one in which nothing was written is replaced. After an unclean
/// end, revisions are skipped even if the last segment is empty: its records may all have been lost.
fn continuation(config: &StoreConfig, newest: Option<&Read>, last: Revision, clean: bool) -> (u64, Revision) {
    let follows = Revision(last.0 + 1);
    let Some(read) = newest else { return (1, follows) };
    let (sequence, next) = match read.last {
        Some(_) => (read.header.sequence + 1, follows),
        None => (read.header.sequence, read.header.first.max(follows)),
    };
    let skipped = if clean { 0 } else { config.revisions_skipped_after_crash };
    (sequence, Revision(next.0 + skipped))
}
