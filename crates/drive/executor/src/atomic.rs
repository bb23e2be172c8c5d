//! Writes the files of a volume so that a reader sees the old ones or the new ones, never a mixture.
//!
//! The layout is upstream's, because programs watch it: files are links through `..data`, which is switched by a
//! rename. (k8s 1.33 pkg/volume/util/atomic_writer.go.)

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Component, Path};

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

/// The files of a volume by their path in it.
pub(crate) type Files = BTreeMap<String, File>;

const DATA: &str = "..data";

/// Makes the volume at `dir` hold exactly `files`; changes nothing when it does already.
pub(crate) fn write(dir: &Path, files: &Files, group: Option<u32>) -> io::Result<()> {
    for path in files.keys() {
        let safe = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !safe || path.starts_with("..") {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} leaves the volume")));
        }
    }
    std::fs::create_dir_all(dir)?;
    if holds(dir, files) {
        return Ok(());
    }
    let stamp = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_nanos());
    let name = format!("..{stamp}");
    let fresh = dir.join(&name);
    std::fs::create_dir(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755))?;
    for (path, file) in files {
        let target = fresh.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&target, &file.bytes)?;
        let mode = if group.is_some() { file.mode | 0o440 } else { file.mode };
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))?;
        if group.is_some() {
            chown(&target, None, group)?;
        }
    }
    let old = std::fs::read_link(dir.join(DATA)).ok();
    let aside = dir.join("..data_tmp");
    let _ = std::fs::remove_file(&aside);
    symlink(&name, &aside)?;
    std::fs::rename(&aside, dir.join(DATA))?;
    link_entries(dir, files)?;
    if let Some(old) = old {
        // A leftover is removed with the pod; it is never seen through `..data`.
        let _ = std::fs::remove_dir_all(dir.join(old));
    }
    Ok(())
}

/// Links every first part of a path through `..data` and removes links that lead nowhere any more.
fn link_entries(dir: &Path, files: &Files) -> io::Result<()> {
    let wanted: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &wanted {
        let link = dir.join(name);
        if link.symlink_metadata().is_err() {
            symlink(Path::new(DATA).join(name), &link)?;
        }
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(name.as_ref()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn holds(dir: &Path, files: &Files) -> bool {
    let data = dir.join(DATA);
    let mut found = Vec::new();
    if collect(&data, "", &mut found).is_err() {
        return false;
    }
    found.len() == files.len()
        && found.iter().all(|path| {
            let same = |file: &File| std::fs::read(data.join(path)).is_ok_and(|bytes| bytes == file.bytes);
            files.get(path).is_some_and(same)
        })
}

fn collect(dir: &Path, prefix: &str, out: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), out)?;
        } else {
            out.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter()
            .map(|(path, text)| ((*path).to_owned(), File { bytes: text.as_bytes().to_vec(), mode: 0o644 }))
            .collect()
    }

    #[test]
    fn content_is_switched_whole_and_stale_files_go() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files(&[("a", "1"), ("sub/b", "2")]), None).unwrap();
        let first = std::fs::read_link(dir.path().join("..data")).unwrap();
        write(dir.path(), &files(&[("a", "1"), ("sub/b", "2")]), None).unwrap();
        assert_eq!(std::fs::read_link(dir.path().join("..data")).unwrap(), first, "nothing changed, nothing written");
        assert_eq!(std::fs::read_to_string(dir.path().join("sub/b")).unwrap(), "2");

        write(dir.path(), &files(&[("c", "3")]), None).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("c")).unwrap(), "3");
        assert!(dir.path().join("a").symlink_metadata().is_err() && !dir.path().join(first).exists());
    }

    #[test]
    fn paths_cannot_leave_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../x", "/etc/x", "..data/x", "a/../../x"] {
            assert!(write(dir.path(), &files(&[(path, "1")]), None).is_err(), "{path}");
        }
    }
}
