//! The journal's only way to the disk, as a seam: tests put a disk behind it that is full or broken.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Makes journal files.
pub trait Disk: Send + Sync {
    /// Makes a file with these contents, so that after a crash it is there whole or not at all
    /// (written aside, fsynced, renamed, folder fsynced).
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, path: &Path, contents: &[u8]) -> io::Result<Box<dyn DiskFile>>;
}

/// One journal file being written.
pub trait DiskFile: Send {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The operating system's; part of `bytes` may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits until everything written is on the disk (`fdatasync`).
    ///
    /// # Errors
    /// The operating system's; what is on the disk is then unknown.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

/// The operating system's disk.
pub struct OsDisk;

impl Disk for OsDisk {
    fn create(&self, path: &Path, contents: &[u8]) -> io::Result<Box<dyn DiskFile>> {
        let aside = path.with_extension("tmp");
        let mut file = open_aside(&aside)?;
        file.write_all(contents)?;
        file.sync_all()?;
        publish(&aside, path)?;
        Ok(Box::new(file))
    }
}

impl DiskFile for File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

/// Opens a file that is written aside. The store holds Secrets, so only its owner may read it.
pub(crate) fn open_aside(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Gives a written and fsynced file its name, durably.
pub(crate) fn publish(aside: &Path, path: &Path) -> io::Result<()> {
    std::fs::rename(aside, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
