//! Reads a container's log file the way `kubectl logs` asks.
//!
//! The file may be renamed and opened anew under the reader (rotation) and may still grow; both are noticed by
//! looking again every [`POLL`], which costs one `stat` and is what a person at a terminal does not feel.

use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use km_base::Timestamp;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;

use crate::logs::line::{LogLine, Stream};

/// How often a followed file is looked at.
const POLL: Duration = Duration::from_millis(200);
/// How much is read at once, and about how much one chunk of output holds.
const BLOCK_BYTES: usize = 64 << 10;
/// The longest entry believed: containerd cuts lines at 16 KiB, so more is a broken file.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What to show of a log: `PodLogOptions`, as far as it concerns the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogOptions {
    /// Only the last so many lines of the file.
    pub tail_lines: Option<u64>,
    /// Nothing older.
    pub since: Option<Timestamp>,
    /// At most so many bytes of output.
    pub limit_bytes: Option<u64>,
    /// Begin each line with its time.
    pub timestamps: bool,
    /// Only one of the two outputs.
    pub stream: Option<Stream>,
    /// Wait for more until the container has ended.
    pub follow: bool,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file is missing, or reading it failed.
    #[error("failed to read container log {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// An entry without an end: not a CRI log.
    #[error("container log {} has an entry longer than {LINE_BYTES_MAX} bytes", path.display())]
    Overlong {
        /// The file.
        path: PathBuf,
    },
}

/// Reads one log file from where the options say to where they say.
pub struct LogReader {
    path: PathBuf,
    options: LogOptions,
    ended: watch::Receiver<bool>,
    file: File,
    /// Bytes of the file not yet rendered: at most one unfinished entry between calls.
    unparsed: BytesMut,
    /// Whether the next entry begins a line of the container (so gets a time in front).
    at_line_start: bool,
    left_bytes: u64,
    /// Entries still to show. Who asks for the last lines without following gets no more than that many, also when
    /// the file grows meanwhile.
    left_entries: u64,
    /// Whether the container had ended before the file was last seen at its end.
    last_look: bool,
}

impl LogReader {
    /// Opens `path` and finds the place to begin.
    ///
    /// `ended` becomes true when the container has ended: a follower then reads what is left and stops. It also
    /// stops when the sender is dropped.
    ///
    /// # Errors
    /// [`LogError::Read`].
    pub async fn open(path: &Path, options: LogOptions, ended: watch::Receiver<bool>) -> Result<Self, LogError> {
        let failed = |source| LogError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).await.map_err(failed)?;
        if let Some(lines) = options.tail_lines {
            let start = tail_start(&mut file, lines).await.map_err(failed)?;
            file.seek(SeekFrom::Start(start)).await.map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            options,
            ended,
            file,
            unparsed: BytesMut::new(),
            at_line_start: true,
            left_bytes: options.limit_bytes.unwrap_or(u64::MAX),
            left_entries: options.tail_lines.filter(|_| !options.follow).unwrap_or(u64::MAX),
            last_look: false,
        })
    }

    /// Returns the next piece of output, or `None` at the end.
    ///
    /// # Errors
    /// [`LogError`]; the reader is then of no more use.
    pub async fn next(&mut self) -> Result<Option<Bytes>, LogError> {
        loop {
            if self.left_bytes == 0 || self.left_entries == 0 {
                return Ok(None);
            }
            if self.read_block().await? > 0 || self.unparsed.contains(&b'\n') {
                let output = self.render()?;
                if !output.is_empty() {
                    return Ok(Some(output));
                }
                continue;
            }
            if self.reopen_if_rotated().await? {
                continue;
            }
            if !self.options.follow || self.last_look {
                return Ok(None);
            }
            self.wait().await;
        }
    }

    async fn read_block(&mut self) -> Result<usize, LogError> {
        self.unparsed.reserve(BLOCK_BYTES);
        let read = (&mut self.file).take(BLOCK_BYTES as u64).read_buf(&mut self.unparsed).await;
        read.map_err(|source| LogError::Read { path: self.path.clone(), source })
    }

    /// Turns the whole entries read so far into output.
    fn render(&mut self) -> Result<Bytes, LogError> {
        let Some(end) = self.unparsed.iter().rposition(|byte| *byte == b'\n') else {
            if self.unparsed.len() > LINE_BYTES_MAX {
                return Err(LogError::Overlong { path: self.path.clone() });
            }
            return Ok(Bytes::new());
        };
        let whole = self.unparsed.split_to(end + 1);
        let mut output = Vec::with_capacity(whole.len());
        for line in whole.split_inclusive(|byte| *byte == b'\n').filter_map(LogLine::parse) {
            if self.left_entries == 0 {
                break;
            }
            self.left_entries -= 1;
            self.render_line(&line, &mut output);
        }
        let left = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
        output.truncate(left);
        self.left_bytes -= output.len() as u64;
        Ok(Bytes::from(output))
    }

    fn render_line(&mut self, line: &LogLine<'_>, output: &mut Vec<u8>) {
        if self.options.stream.is_some_and(|wanted| wanted != line.stream) {
            return;
        }
        if self.options.since.is_some_and(|since| line.timestamp().is_some_and(|time| time < since)) {
            return;
        }
        if self.options.timestamps && self.at_line_start {
            output.extend_from_slice(line.fixed_time().as_bytes());
            output.push(b' ');
        }
        output.extend_from_slice(line.content);
        if !line.partial {
            output.push(b'\n');
        }
        self.at_line_start = !line.partial;
    }

    /// At the end of the file: goes on with a new file of the same name, if there is one.
    async fn reopen_if_rotated(&mut self) -> Result<bool, LogError> {
        let failed = |source| LogError::Read { path: self.path.clone(), source };
        let open = self.file.metadata().await.map_err(failed)?;
        let named = match tokio::fs::metadata(&self.path).await {
            Ok(named) => named,
            // Between the rename and the runtime's opening a new file; or the pod is being removed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(failed(source)),
        };
        if (open.dev(), open.ino()) == (named.dev(), named.ino()) {
            return Ok(false);
        }
        if !self.options.follow {
            return Ok(false);
        }
        // The runtime may have written to the old file after our last read and before it opened the new one.
        if self.read_block().await? > 0 {
            return Ok(true);
        }
        match File::open(&self.path).await {
            Ok(file) => self.file = file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(LogError::Read { path: self.path.clone(), source }),
        }
        self.unparsed.clear();
        Ok(true)
    }

    async fn wait(&mut self) {
        if *self.ended.borrow() {
            self.last_look = true;
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            changed = self.ended.changed() => {
                if changed.is_err() || *self.ended.borrow() {
                    self.last_look = true;
                }
            }
        }
    }
}

/// Returns where the last `lines` entries of the file begin, reading backwards.
async fn tail_start(file: &mut File, lines: u64) -> std::io::Result<u64> {
    let mut position = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(position);
    }
    let mut newlines = 0;
    let mut block = vec![0; BLOCK_BYTES];
    while position > 0 {
        let size = position.min(BLOCK_BYTES as u64);
        position -= size;
        file.seek(SeekFrom::Start(position)).await?;
        let block = &mut block[..usize::try_from(size).unwrap_or(BLOCK_BYTES)];
        file.read_exact(block).await?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            // The newline that ends the last line counts too, so one more than asked marks the place before.
            newlines += 1;
            if newlines > lines {
                return Ok(position + at as u64 + 1);
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
