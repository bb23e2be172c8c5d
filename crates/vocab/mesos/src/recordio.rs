//! RecordIO, the framing of every Mesos event stream: `<decimal length>\n<that many bytes>`, again and again.
//!
//! The decoder is a plain struct: give it bytes as they come, in any cut, and take whole records out. It does no I/O;
//! `io/mesos-client` reads with it and the drivers of the embedded Mesos write with [`encode`].
//! Mesos puts each record in an HTTP chunk of its own, but that is not promised, so nothing here relies on it.

use bytes::{Buf, Bytes, BytesMut};

/// The largest record accepted by default, in bytes. A GET_STATE snapshot of 5,000 agents with 150,000 tasks stays below it.
pub const RECORD_BYTES_MAX: usize = 512 * 1024 * 1024;

/// The longest accepted length line, in digits: `u64::MAX` has 20.
const LENGTH_DIGITS_MAX: usize = 20;

/// Why a stream cannot be decoded any further. The connection is of no more use then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The length line holds something else than decimal digits.
    #[error("record length is not a decimal number")]
    Length,
    /// A record is longer than this decoder accepts.
    #[error("record of {len} bytes exceeds the limit of {max} bytes")]
    TooLong {
        /// Announced length in bytes.
        len: u64,
        /// The decoder's limit in bytes.
        max: usize,
    },
}

/// Frames one record.
pub fn encode(record: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(record.len() + LENGTH_DIGITS_MAX + 1);
    framed.extend_from_slice(record.len().to_string().as_bytes());
    framed.push(b'\n');
    framed.extend_from_slice(record);
    Bytes::from(framed)
}

/// Cuts a byte stream into records.
#[derive(Debug)]
pub struct Decoder {
    buffered: BytesMut,
    record_bytes_max: usize,
    /// Length of the record whose length line is already consumed.
    awaited: Option<usize>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(RECORD_BYTES_MAX)
    }
}

impl Decoder {
    /// Creates a decoder that refuses records longer than `record_bytes_max`.
    pub fn new(record_bytes_max: usize) -> Self {
        Self { buffered: BytesMut::new(), record_bytes_max, awaited: None }
    }

    /// Takes the next bytes of the stream and returns the records that they complete, in order.
    ///
    /// # Errors
    /// [`RecordError`] when the stream is not RecordIO or a record is too long. Records completed by earlier calls stand.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Bytes>, RecordError> {
        self.buffered.extend_from_slice(bytes);
        let mut records = Vec::new();
        while let Some(record) = self.next_record()? {
            records.push(record);
        }
        Ok(records)
    }

    /// Tells whether the stream stands between two records, so that an end here loses nothing.
    pub fn is_between_records(&self) -> bool {
        self.awaited.is_none() && self.buffered.is_empty()
    }

    fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        let len = match self.awaited {
            Some(len) => len,
            None => match self.take_length()? {
                Some(len) => len,
                None => return Ok(None),
            },
        };
        if self.buffered.len() < len {
            self.awaited = Some(len);
            return Ok(None);
        }
        self.awaited = None;
        Ok(Some(self.buffered.split_to(len).freeze()))
    }

    fn take_length(&mut self) -> Result<Option<usize>, RecordError> {
        let Some(end) = self.buffered.iter().take(LENGTH_DIGITS_MAX + 1).position(|byte| *byte == b'\n') else {
            let plausible = self.buffered.len() <= LENGTH_DIGITS_MAX && self.buffered.iter().all(u8::is_ascii_digit);
            return if plausible { Ok(None) } else { Err(RecordError::Length) };
        };
        let digits = &self.buffered[..end];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(RecordError::Length);
        }
        let text = std::str::from_utf8(digits).map_err(|_| RecordError::Length)?;
        let len: u64 = text.parse().map_err(|_| RecordError::Length)?;
        let max = self.record_bytes_max;
        match usize::try_from(len) {
            Ok(fits) if fits <= max => {
                self.buffered.advance(end + 1);
                Ok(Some(fits))
            }
            _ => Err(RecordError::TooLong { len, max }),
        }
    }
}
