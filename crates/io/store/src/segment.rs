//! Journal segments: names, headers, and reading one back.
//!
//! A segment is `journal-<sequence>.log`: a header, then frames. The header says which revision came
//! last before it (`follows`) and which comes first in it (`first`, larger than `follows` + 1 where
//! revisions were skipped after a crash), so that a missing file is noticed.

use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};
use km_base::Revision;

use crate::error::StoreError;
use crate::frame::{self, Found, Kind};
use crate::record::{Record, decode_record};

const MAGIC: &[u8; 8] = b"kmjrnl01";
pub(crate) const HEADER_BYTES: usize = 36;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sequence: u64,
    pub(crate) follows: Revision,
    pub(crate) first: Revision,
}

/// What reading a segment found behind its last good frame.
pub(crate) enum Tail {
    /// The log simply stops.
    Open,
    /// The store was closed there.
    Closed,
    /// Bytes that never became durable begin at `len`.
    Torn,
}

pub(crate) struct Read {
    pub(crate) header: Header,
    /// The last record's revision, if there is a record.
    pub(crate) last: Option<Revision>,
    /// Length of the good part.
    pub(crate) len: u64,
    pub(crate) file_len: u64,
    pub(crate) tail: Tail,
}

impl Header {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.put_slice(MAGIC);
        out.put_u64_le(self.sequence);
        out.put_u64_le(self.follows.0);
        out.put_u64_le(self.first.0);
        let crc = frame::checksum(&[], &out);
        out.put_u32_le(crc);
        out
    }

    pub(crate) fn decode(file: &[u8]) -> Option<Self> {
        let (body, mut crc) = file.get(..HEADER_BYTES)?.split_at(HEADER_BYTES - 4);
        let mut fields = body.strip_prefix(MAGIC)?;
        if crc.try_get_u32_le().ok()? != frame::checksum(&[], body) {
            return None;
        }
        let sequence = fields.try_get_u64_le().ok()?;
        let follows = Revision(fields.try_get_u64_le().ok()?);
        let first = Revision(fields.try_get_u64_le().ok()?);
        Some(Self { sequence, follows, first })
    }
}

pub(crate) fn path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("journal-{sequence:016}.log"))
}

/// Lists the segments in order.
pub(crate) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    numbered(dir, "journal-", ".log")
}

/// Lists files named `<prefix><number><suffix>`, by number.
pub(crate) fn numbered(dir: &Path, prefix: &str, suffix: &str) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).map_err(|e| StoreError::open(dir, e))? {
        let file = file.map_err(|e| StoreError::open(dir, e))?;
        let name = file.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix(prefix)).and_then(|n| n.strip_suffix(suffix));
        if let Some(number) = number.and_then(|n| n.parse().ok()) {
            found.push((number, file.path()));
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn read_header(path: &Path) -> Result<Header, StoreError> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| StoreError::open(path, e))?;
    file.take(HEADER_BYTES as u64).read_to_end(&mut head).map_err(|e| StoreError::open(path, e))?;
    Header::decode(&head).ok_or_else(|| corrupt(path, 0, "the header is damaged"))
}

/// Reads a segment, handing each record on. A torn tail is only reported; the caller knows whether
/// this is the last segment, the only one that may have one.
pub(crate) fn read(path: &Path, on_record: &mut dyn FnMut(Record)) -> Result<Read, StoreError> {
    let file = std::fs::read(path).map_err(|e| StoreError::open(path, e))?;
    let header = Header::decode(&file).ok_or_else(|| corrupt(path, 0, "the header is damaged"))?;
    let (mut offset, mut due, mut last) = (HEADER_BYTES, header.first, None);
    let tail = loop {
        let found = match frame::find(&file, offset) {
            Found::Frame(found) => found,
            Found::End => break Tail::Open,
            Found::Bad if frame::later_frame_knows(&file, offset, due) => {
                return Err(corrupt(path, offset, "later records are intact, so this one was once durable"));
            }
            Found::Bad => break Tail::Torn,
        };
        if found.kind == Kind::CleanEnd {
            offset = found.end;
            break Tail::Closed;
        }
        let record = decode_record(found.body).ok_or_else(|| corrupt(path, offset, "not a record"))?;
        if record.revision != due {
            return Err(corrupt(path, offset, "a revision is missing or out of order"));
        }
        last = Some(due);
        due = Revision(due.0 + 1);
        offset = found.end;
        on_record(record);
    };
    Ok(Read { header, last, len: offset as u64, file_len: file.len() as u64, tail })
}

pub(crate) fn corrupt(path: &Path, offset: usize, reason: &'static str) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), offset: offset as u64, reason }
}
