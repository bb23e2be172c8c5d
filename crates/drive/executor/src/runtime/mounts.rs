//! Mounts below a folder: making one shared for volumes, and taking all of them away.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};

/// Makes a folder a shared mount of its own, so that `mountPropagation` works below it also where `/` is private.
///
/// # Errors
/// The kernel's; calling it again changes nothing.
pub fn share_volumes(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    if !mount_points()?.contains(&folder) {
        mount_bind(&folder, &folder)?;
    }
    mount_change(&folder, MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    Ok(())
}

/// Detaches every mount at or below `folder`, newest first.
pub(crate) fn unmount_below(folder: &Path) -> io::Result<()> {
    // A mount may cover another at the same place, and propagation may have doubled some: look until none is left.
    loop {
        let found: Vec<_> = mount_points()?.into_iter().filter(|point| point.starts_with(folder)).collect();
        if found.is_empty() {
            return Ok(());
        }
        for point in found.iter().rev() {
            match unmount(point, UnmountFlags::DETACH) {
                // Gone already, together with a peer of it.
                Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn mount_points() -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read_to_string("/proc/self/mountinfo")?;
    Ok(text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape).collect())
}

/// Undoes proc(5)'s octal escapes of space, tab, newline and backslash.
pub(super) fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_mount_points_are_read_back() {
        assert_eq!(unescape(r"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(unescape(r"/plain\"), Path::new(r"/plain\"));
    }
}
