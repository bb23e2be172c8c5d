//! Snapshot files: the whole state at one revision, after which older segments can go.
//!
//! `snapshot-<revision>.snap`: magic, revision, then chunks (length, CRC-32, entries), ended by an empty chunk
//! with the number of entries. Written aside and renamed, so a file with that name is whole; one that
//! does not check is corruption, never skipped, because the segments before it may be gone.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BufMut;
use km_base::Revision;

use crate::disk;
use crate::error::StoreError;
use crate::frame::checksum;
use crate::record::{StateEntry, decode_entry, encode_entry};
use crate::segment::{self, corrupt};

const MAGIC: &[u8; 8] = b"kmsnap01";
/// Entries are gathered to chunks of this size; one entry may exceed it.
const CHUNK_BYTES: usize = 256 << 10;

/// What a snapshot did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Keys written.
    pub entries: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Journal segments that it made superfluous, removed.
    pub segments_removed: usize,
}

pub(crate) fn path(dir: &Path, revision: Revision) -> PathBuf {
    dir.join(format!("snapshot-{:020}.snap", revision.0))
}

pub(crate) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    segment::numbered(dir, "snapshot-", ".snap")
}

/// Writes the snapshot, then removes older ones and the segments whose records it covers.
pub(crate) fn write(
    dir: &Path,
    revision: Revision,
    entries: &mut dyn Iterator<Item = StateEntry>,
) -> Result<SnapshotReport, StoreError> {
    let target = path(dir, revision);
    let aside = target.with_extension("tmp");
    let written = write_file(&aside, revision, entries).and_then(|done| {
        disk::publish(&aside, &target)?;
        Ok(done)
    });
    let (entries, bytes) = written.map_err(|source| {
        // What was written is useless, and the disk may be full because of it.
        let _ = std::fs::remove_file(&aside);
        StoreError::Write { path: target.clone(), source: Arc::new(source) }
    })?;
    for (older, path) in list(dir)? {
        if older < revision.0 {
            std::fs::remove_file(&path).map_err(|e| StoreError::open(&path, e))?;
        }
    }
    Ok(SnapshotReport { entries, bytes, segments_removed: remove_covered_segments(dir, revision)? })
}

fn write_file(
    aside: &Path,
    revision: Revision,
    entries: &mut dyn Iterator<Item = StateEntry>,
) -> std::io::Result<(u64, u64)> {
    let mut out = BufWriter::with_capacity(CHUNK_BYTES, disk::open_aside(aside)?);
    let mut head = MAGIC.to_vec();
    head.put_u64_le(revision.0);
    out.write_all(&head)?;
    let (mut chunk, mut count, mut bytes) = (Vec::new(), 0u64, head.len() as u64);
    for entry in entries {
        encode_entry(&entry, &mut chunk);
        count += 1;
        if chunk.len() >= CHUNK_BYTES {
            bytes += write_chunk(&mut out, &chunk)?;
            chunk.clear();
        }
    }
    if !chunk.is_empty() {
        bytes += write_chunk(&mut out, &chunk)?;
    }
    bytes += write_chunk(&mut out, &[])?;
    out.write_all(&count.to_le_bytes())?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok((count, bytes + 8))
}

fn write_chunk(out: &mut impl Write, chunk: &[u8]) -> std::io::Result<u64> {
    let len = u32::try_from(chunk.len()).map_err(std::io::Error::other)?.to_le_bytes();
    out.write_all(&len)?;
    out.write_all(&checksum(&len, chunk).to_le_bytes())?;
    out.write_all(chunk)?;
    Ok(8 + chunk.len() as u64)
}

/// Removes each segment whose successor begins at or before the snapshot. Only the writer's last segment
/// changes, and it has no successor, so this may run beside the writer.
fn remove_covered_segments(dir: &Path, revision: Revision) -> Result<usize, StoreError> {
    let segments = segment::list(dir)?;
    let mut removed = 0;
    for pair in segments.windows(2) {
        let [(_, path), (_, next)] = pair else { break };
        if segment::read_header(next)?.follows > revision {
            break;
        }
        std::fs::remove_file(path).map_err(|e| StoreError::open(path, e))?;
        removed += 1;
    }
    if removed > 0 {
        disk::sync_dir(dir).map_err(|e| StoreError::open(dir, e))?;
    }
    Ok(removed)
}

/// Reads a snapshot, handing each entry on.
pub(crate) fn read(path: &Path, revision: Revision, on_entry: &mut dyn FnMut(StateEntry)) -> Result<(), StoreError> {
    let mut file = std::io::BufReader::new(File::open(path).map_err(|e| StoreError::open(path, e))?);
    let mut offset = 0;
    let head: [u8; 16] = read_array(&mut file, path, &mut offset)?;
    let stated = u64::from_le_bytes(*head.last_chunk().expect("16 bytes end in 8"));
    if head[..8] != MAGIC[..] || stated != revision.0 {
        return Err(corrupt(path, 0, "the header is damaged"));
    }
    let mut count = 0u64;
    loop {
        let at = offset;
        let len: [u8; 4] = read_array(&mut file, path, &mut offset)?;
        let crc: [u8; 4] = read_array(&mut file, path, &mut offset)?;
        let len_bytes = u32::from_le_bytes(len);
        let mut chunk = Vec::new();
        let read = (&mut file).take(len_bytes.into()).read_to_end(&mut chunk).map_err(|e| StoreError::open(path, e))?;
        offset += read;
        if checksum(&len, &chunk) != u32::from_le_bytes(crc) {
            return Err(corrupt(path, at, "the checksum does not match"));
        }
        if chunk.is_empty() {
            break;
        }
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let entry = decode_entry(&mut rest).ok_or_else(|| corrupt(path, at, "not a state entry"))?;
            count += 1;
            on_entry(entry);
        }
    }
    if u64::from_le_bytes(read_array(&mut file, path, &mut offset)?) != count {
        return Err(corrupt(path, offset, "entries are missing"));
    }
    Ok(())
}

fn read_array<const N: usize>(file: &mut impl Read, path: &Path, offset: &mut usize) -> Result<[u8; N], StoreError> {
    let mut array = [0; N];
    file.read_exact(&mut array).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => corrupt(path, *offset, "the file ends too early"),
        _ => StoreError::open(path, e),
    })?;
    *offset += N;
    Ok(array)
}
