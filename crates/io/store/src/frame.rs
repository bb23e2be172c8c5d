//! Frames: length, checksum, payload; and how a torn tail is told from corruption.
//!
//! ```text
//!   u32 length of payload | u32 CRC-32 of length and payload | payload
//!   payload: u8 kind | u64 synced | body        (kind 1: a record, 2: clean end, empty body)
//! ```
//!
//! `synced` is the last revision known to be fsynced when the frame was encoded. Bad bytes where record R
//! is due are a torn tail as long as no later frame knows R to be synced: then R was never
//! acknowledged as durable (pages of unsynced writes reach the disk in any order). Otherwise they are
//! corruption. A length of zero is space written ahead and ends the log.

use bytes::{Buf, BufMut};
use km_base::Revision;

/// Largest payload. etcd takes requests of 1.5 MiB; this leaves room for transactions of many keys.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 20;
const HEAD_BYTES: usize = 8;
const PAYLOAD_BYTES_MIN: usize = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Record = 1,
    CleanEnd = 2,
}

pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) body: &'a [u8],
    /// Offset behind the frame.
    pub(crate) end: usize,
}

/// What stands at an offset.
pub(crate) enum Found<'a> {
    Frame(Frame<'a>),
    /// The file ends here, or only zeros follow.
    End,
    Bad,
}

/// Appends a frame; returns its payload's length.
pub(crate) fn encode(kind: Kind, synced: Revision, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = out.len();
    out.put_u64_le(0);
    out.put_u8(kind as u8);
    out.put_u64_le(synced.0);
    body(out);
    let len = out.len() - start - HEAD_BYTES;
    let length = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    let crc = checksum(&length, &out[start + HEAD_BYTES..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    len
}

pub(crate) fn find(file: &[u8], offset: usize) -> Found<'_> {
    let rest = file.get(offset..).unwrap_or_default();
    match parse(rest) {
        Some((kind, body, len)) => Found::Frame(Frame { kind, body, end: offset + len }),
        None if rest.iter().all(|byte| *byte == 0) => Found::End,
        None => Found::Bad,
    }
}

/// Returns whether some frame after the bad bytes at `offset` knows `due` to be durable.
pub(crate) fn later_frame_knows(file: &[u8], offset: usize, due: Revision) -> bool {
    (offset + 1..file.len()).any(|at| {
        // The cheap test first: the checksum of every offset would be quadratic.
        let mut head = file.get(at + HEAD_BYTES..at + HEAD_BYTES + PAYLOAD_BYTES_MIN).unwrap_or_default();
        let plausible = matches!(head.try_get_u8(), Ok(1 | 2)) && head.try_get_u64_le().is_ok_and(|s| s >= due.0);
        plausible && parse(&file[at..]).is_some()
    })
}

fn parse(mut rest: &[u8]) -> Option<(Kind, &[u8], usize)> {
    let length = rest.try_get_u32_le().ok()?;
    let crc = rest.try_get_u32_le().ok()?;
    let len = usize::try_from(length).ok()?;
    if !(PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&len) {
        return None;
    }
    let payload = rest.get(..len)?;
    if checksum(&length.to_le_bytes(), payload) != crc {
        return None;
    }
    let mut body = payload;
    let kind = match body.try_get_u8().ok()? {
        1 => Kind::Record,
        2 => Kind::CleanEnd,
        _ => return None,
    };
    let _synced = body.try_get_u64_le().ok()?;
    Some((kind, body, HEAD_BYTES + len))
}

pub(crate) fn checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}
