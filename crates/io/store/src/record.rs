//! What the store keeps: records (one per transaction) and state entries (in snapshots), and their bytes.
//!
//! Opaque to the store but for the revision. All integers are little-endian; lengths are u32.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use km_base::Revision;

/// One transaction: what each key holds after it (`None`: removed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its revision; each record's is one more than the one before.
    pub revision: Revision,
    /// Keys and their new values.
    pub ops: Vec<(Arc<str>, Option<Bytes>)>,
}

/// One key of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// The key.
    pub key: Arc<str>,
    /// The value.
    pub value: Bytes,
    /// Revision that created the key.
    pub create_revision: Revision,
    /// Revision that last changed it.
    pub mod_revision: Revision,
    /// Changes since it was created.
    pub version: u64,
}

/// How long an append's acknowledgement waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// For the fsync.
    Sync,
    /// For the write only; the fsync follows within `StoreConfig::batched_sync_ms`.
    Batched,
}

/// What `Store::open` finds, in this order: at most one `State` with its entries, then the records after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// A snapshot of this revision follows.
    State(Revision),
    /// One of its keys.
    Entry(StateEntry),
    /// A record after the snapshot.
    Record(Record),
}

const REMOVED: u8 = 0;
const PRESENT: u8 = 1;

pub(crate) fn encode_record(record: &Record, out: &mut Vec<u8>) {
    out.put_u64_le(record.revision.0);
    put_len(out, record.ops.len());
    for (key, value) in &record.ops {
        put_bytes(out, key.as_bytes());
        match value {
            None => out.put_u8(REMOVED),
            Some(value) => {
                out.put_u8(PRESENT);
                put_bytes(out, value);
            }
        }
    }
}

/// Returns `None` where the bytes are not a record.
pub(crate) fn decode_record(mut bytes: &[u8]) -> Option<Record> {
    let bytes = &mut bytes;
    let revision = Revision(bytes.try_get_u64_le().ok()?);
    let count = bytes.try_get_u32_le().ok()?;
    let mut ops = Vec::new();
    for _ in 0..count {
        let key = take_key(bytes)?;
        let value = match bytes.try_get_u8().ok()? {
            REMOVED => None,
            PRESENT => Some(Bytes::copy_from_slice(take_bytes(bytes)?)),
            _ => return None,
        };
        ops.push((key, value));
    }
    bytes.is_empty().then_some(Record { revision, ops })
}

pub(crate) fn encode_entry(entry: &StateEntry, out: &mut Vec<u8>) {
    out.put_u64_le(entry.create_revision.0);
    out.put_u64_le(entry.mod_revision.0);
    out.put_u64_le(entry.version);
    put_bytes(out, entry.key.as_bytes());
    put_bytes(out, &entry.value);
}

/// Takes one entry off the front.
pub(crate) fn decode_entry(bytes: &mut &[u8]) -> Option<StateEntry> {
    let create_revision = Revision(bytes.try_get_u64_le().ok()?);
    let mod_revision = Revision(bytes.try_get_u64_le().ok()?);
    let version = bytes.try_get_u64_le().ok()?;
    let key = take_key(bytes)?;
    let value = Bytes::copy_from_slice(take_bytes(bytes)?);
    Some(StateEntry { key, value, create_revision, mod_revision, version })
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    // Longer ones are cut here, found too large by the frame's bound, and never written.
    out.put_u32_le(u32::try_from(len).unwrap_or(u32::MAX));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.put_slice(bytes);
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn take_key(bytes: &mut &[u8]) -> Option<Arc<str>> {
    Some(Arc::from(std::str::from_utf8(take_bytes(bytes)?).ok()?))
}
