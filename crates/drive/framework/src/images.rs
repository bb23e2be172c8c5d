//! Which images the artifact server has: every archive in its folder, read once as long as it does not change.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use serde::Serialize;
use tracing::warn;

/// One line of `/images/index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Indexed {
    /// Name of the image.
    pub reference: String,
    /// Its digest, as the archive has it.
    pub digest: String,
    /// Bytes of the file.
    pub size: u64,
    /// Name of the file below `/images/`.
    pub file: String,
}

type Stamp = (u64, Option<SystemTime>);

/// The folder, and what was read of it.
pub(crate) struct Images {
    folder: PathBuf,
    /// Of each file: its size and time when read, and what is in it. Locked only while the folder is listed.
    read: Mutex<BTreeMap<String, (Stamp, Vec<Indexed>)>>,
}

impl Images {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, read: Mutex::default() }
    }

    /// Returns the file of that name, if it is a plain name in the folder.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        is_plain(name).then(|| self.folder.join(name))
    }

    /// Lists the images; blocks on the disk. A file that is no archive is logged and left out.
    pub(crate) fn index(&self) -> Vec<Indexed> {
        let mut read = self.read.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut now = BTreeMap::new();
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            if !metadata.is_file() || !is_plain(&name) || !name.ends_with(".tar") {
                continue;
            }
            let stamp = (metadata.len(), metadata.modified().ok());
            let known = read.remove(&name).filter(|(before, _)| *before == stamp);
            let images = known.map_or_else(|| read_archive(&entry.path(), &name, metadata.len()), |(_, images)| images);
            now.insert(name, (stamp, images));
        }
        *read = now;
        read.values().flat_map(|(_, images)| images.clone()).collect()
    }
}

fn read_archive(path: &Path, name: &str, size: u64) -> Vec<Indexed> {
    let references = File::open(path).map_err(|error| error.to_string()).and_then(|file| {
        km_cri::image::archive::references(BufReader::new(file)).map_err(|e| km_base::chain(&e).to_string())
    });
    match references {
        Ok(images) => images
            .into_iter()
            .map(|image| Indexed { reference: image.reference, digest: image.digest, size, file: name.to_owned() })
            .collect(),
        Err(error) => {
            warn!(path = %path.display(), %error, "left out a file that is not an image archive");
            Vec::new()
        }
    }
}

/// A file's own name: no folder, nothing hidden.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._+@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_served() {
        for (name, plain) in
            [("demo.tar", true), ("a@b-1_2+3.tar", true), ("../km", false), ("a/b", false), (".x", false), ("", false)]
        {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }

    #[test]
    fn archives_are_listed_and_other_files_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pause.tar"), km_cri::image::pause::archive().unwrap()).unwrap();
        std::fs::write(folder.path().join("broken.tar"), "no").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "no").unwrap();
        let images = Images::new(folder.path().to_owned());
        let first = images.index();
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].file, "pause.tar");
        assert!(!first[0].reference.is_empty() && first[0].size > 0);
        assert_eq!(images.index(), first);
    }
}
