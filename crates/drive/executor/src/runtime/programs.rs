//! Finds the programs that a private containerd needs, and says which Debian package brings a missing one.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Folders searched besides PATH: an agent started by hand often has no sbin in it.
const MORE_FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Folders that hold CNI plugins: Debian's, and upstream's.
const CNI_FOLDERS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];
/// The CNI plugins that the pod network uses.
const CNI_PLUGINS: [&str; 3] = ["bridge", "host-local", "loopback"];

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Programs {
    /// containerd.
    pub containerd: PathBuf,
    /// Its command-line tool, for imports.
    pub ctr: PathBuf,
    /// The OCI runtime.
    pub runc: PathBuf,
    /// The folder of the CNI plugins.
    pub cni: PathBuf,
    /// PATH for containerd, which looks there for its shims and for mount helpers.
    pub path: OsString,
}

/// Programs that are not installed.
#[derive(Debug, thiserror::Error)]
#[error("missing on this machine: {}; on Debian: apt-get install --no-install-recommends {}", names.join(", "), packages.join(" "))]
pub struct ProgramsError {
    /// The programs.
    pub names: Vec<String>,
    /// The Debian packages that bring them.
    pub packages: Vec<&'static str>,
}

impl Programs {
    /// Searches `path` (PATH's value), then the usual folders.
    ///
    /// # Errors
    /// [`ProgramsError`] naming everything that is missing at once.
    pub fn find(path: &OsStr) -> Result<Self, ProgramsError> {
        let mut folders: Vec<PathBuf> = std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
        for folder in MORE_FOLDERS.map(PathBuf::from) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        let cni_folders = CNI_FOLDERS.map(PathBuf::from);
        let mut missing = ProgramsError { names: Vec::new(), packages: Vec::new() };
        let mut program =
            |name: &str, package| missing.or_note(find_in(&folders, &[name]).map(|it| it.join(name)), name, package);
        let containerd = program("containerd", "containerd");
        let ctr = program("ctr", "containerd");
        program("containerd-shim-runc-v2", "containerd");
        let runc = program("runc", "runc");
        program("ip", "iproute2");
        let cni = find_in(&cni_folders, &CNI_PLUGINS);
        let cni = missing.or_note(cni, "CNI plugins bridge, host-local and loopback", "containernetworking-plugins");
        if !missing.names.is_empty() {
            return Err(missing);
        }
        let path = std::env::join_paths(&folders).unwrap_or_else(|_| path.to_owned());
        Ok(Self { containerd, ctr, runc, cni, path })
    }
}

impl ProgramsError {
    /// Passes a found path on, or notes what is missing.
    fn or_note(&mut self, found: Option<PathBuf>, name: &str, package: &'static str) -> PathBuf {
        if found.is_none() {
            self.names.push(name.to_owned());
            if !self.packages.contains(&package) {
                self.packages.push(package);
            }
        }
        found.unwrap_or_default()
    }
}

/// Returns the first folder that has all of `names`.
fn find_in(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    let has_all = |folder: &&PathBuf| names.iter().all(|name| is_executable(&folder.join(name)));
    folders.iter().find(has_all).cloned()
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_named_with_their_packages() {
        let mut missing = ProgramsError { names: Vec::new(), packages: Vec::new() };
        missing.or_note(find_in(&[PathBuf::from("/nowhere")], &["ctr"]), "ctr", "containerd");
        missing.or_note(None, "containerd", "containerd");
        missing.or_note(None, "runc", "runc");
        assert_eq!(
            missing.to_string(),
            "missing on this machine: ctr, containerd, runc; on Debian: apt-get install --no-install-recommends containerd runc"
        );
    }
}
