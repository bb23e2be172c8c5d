//! The list of everything that one runtime leaves on a host, so that any process can remove it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What must be gone when a runtime is gone. Written before any of it exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// The folder of sockets and of this list.
    pub socket_dir: PathBuf,
    /// Folders of containerd (images, state, CNI): unmounted below and removed.
    pub folders: Vec<PathBuf>,
    /// The pods' volumes: unmounted, the files left to whoever owns the work folder.
    pub volumes: PathBuf,
    /// The cgroup of all pods in each hierarchy.
    pub cgroups: Vec<PathBuf>,
    /// The bridge.
    pub bridge: String,
    /// The CNI network's name, by which libcni caches results.
    pub network: String,
}

impl Footprint {
    /// containerd's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join("containerd.sock")
    }

    /// The file that names the executor's process.
    #[must_use]
    pub fn owner_file(&self) -> PathBuf {
        self.socket_dir.join("owner")
    }

    /// The file that names containerd's process.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.socket_dir.join("containerd.pid")
    }

    /// The file that names the supervisor's process.
    #[must_use]
    pub fn supervisor_file(&self) -> PathBuf {
        self.socket_dir.join("supervisor.pid")
    }

    pub(super) fn path_in(socket_dir: &Path) -> PathBuf {
        socket_dir.join("footprint.json")
    }

    /// Reads the list of a socket folder; `None` when there is none, so nothing to remove.
    #[must_use]
    pub fn read(socket_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path_in(socket_dir)).ok()?).ok()
    }

    /// Writes the list into its socket folder, which it makes.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.socket_dir)?;
        write_whole(&Self::path_in(&self.socket_dir), &serde_json::to_vec_pretty(self)?)
    }
}

/// Writes a file that readers see whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    fs::write(&draft, bytes)?;
    fs::rename(&draft, path)
}
