//! Container logs as CRI runtimes write them, and a reader for `kubectl logs`.
//!
//! [`line`] is the format alone, pure; [`LogReader`] is the file: where to begin, what to leave out, when to wait.
//! It writes the bytes that a client sees; it does not know HTTP, and does not rotate.

pub mod line;
mod reader;

pub use line::{LogLine, Stream};
pub use reader::{LogError, LogOptions, LogReader};
