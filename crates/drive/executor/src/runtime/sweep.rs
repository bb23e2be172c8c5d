//! Removes everything that a runtime left behind: processes first, then mounts, cgroups, the bridge and files.
//!
//! Needs nothing but the footprint, so that the executor, its supervisor and a later executor can all do it. Each part
//! is tried even when another fails; the footprint itself goes last, so whoever comes next can finish.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::footprint::Footprint;
use super::process::{self, ProcessId};
use super::{cgroup, mounts};

/// How long a killed process may take to be gone; more means that the kernel holds it.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// How often the processes are looked for anew: each round may meet children that were started during it.
const ROUNDS_MAX: usize = 20;
/// Where libcni remembers results; containerd 1.6 offers no other place.
const CNI_CACHE: &str = "/var/lib/cni/results";

/// What a sweep could not remove, as sentences; empty when nothing is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// One for each part that is still there.
    pub left: Vec<String>,
}

impl SweepReport {
    fn note<E: Display>(&mut self, what: impl Display, result: Result<(), E>) {
        if let Err(error) = result {
            self.left.push(format!("{what}: {error}"));
        }
    }
}

/// Removes everything in the footprint. Blocks for as long as the kernel takes; may run again.
#[must_use]
pub fn sweep(footprint: &Footprint) -> SweepReport {
    let mut report = SweepReport::default();
    // Paths are read before what names them is removed.
    let shim_sockets = shim_sockets(footprint);
    let sandboxes = sandbox_ids(footprint);

    report.note("processes", end_processes(footprint));
    for folder in footprint.folders.iter().chain([&footprint.volumes, &footprint.socket_dir]) {
        report.note(format_args!("mounts below {}", folder.display()), mounts::unmount_below(folder));
    }
    for folder in &footprint.cgroups {
        report.note("cgroup", cgroup::remove(folder));
    }
    report.note(format_args!("nftables table {}", footprint.bridge), remove_table(&footprint.bridge));
    report.note(format_args!("bridge {}", footprint.bridge), remove_link(&footprint.bridge));
    for socket in shim_sockets {
        report.note(socket.display(), gone(fs::remove_file(&socket)));
    }
    report.note("CNI results", remove_cni_results(&footprint.network, &sandboxes));
    for folder in &footprint.folders {
        report.note(folder.display(), gone(fs::remove_dir_all(folder)));
    }
    if report.left.is_empty() {
        report.note(footprint.socket_dir.display(), remove_socket_dir(footprint));
    }
    report
}

/// Sweeps every runtime below `run_dir` whose executor and supervisor are dead, and returns what remained of each.
#[must_use]
pub fn sweep_dead(run_dir: &Path) -> Vec<(PathBuf, SweepReport)> {
    let folders = fs::read_dir(run_dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let dead = |footprint: &Footprint| {
        let lives = |file: PathBuf| ProcessId::read(&file).is_some_and(ProcessId::is_alive);
        // An executor that is just starting has written its footprint but not yet that it owns it.
        ProcessId::read(&footprint.owner_file()).is_some()
            && !lives(footprint.owner_file())
            && !lives(footprint.supervisor_file())
    };
    let footprints = folders.filter_map(|folder| Footprint::read(&folder)).filter(dead);
    footprints.map(|footprint| (footprint.socket_dir.clone(), sweep(&footprint))).collect()
}

/// Removes the table that the service proxy beside the executor made, which has the bridge's name.
fn remove_table(table: &str) -> Result<(), String> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = match nft.spawn() {
        Ok(child) => child,
        // Without nft there was no table.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if let Some(mut stdin) = child.stdin.take() {
        // Adding first makes the deletion succeed whether or not the table is there.
        let script = format!("add table ip {table}\ndelete table ip {table}\n");
        std::io::Write::write_all(&mut stdin, script.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// Ends containerd, then shims and containers, until none is found.
fn end_processes(footprint: &Footprint) -> Result<(), String> {
    let mut last = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let found = ours(footprint);
        if found.is_empty() {
            return Ok(());
        }
        for process in &found {
            process.kill();
        }
        last = found.iter().filter(|process| !process.wait_ended(Some(GONE_WITHIN))).map(|it| it.pid).collect();
    }
    Err(format!("still running: {last:?}"))
}

/// Returns every process of this runtime: whose command line names its socket or configuration (containerd, shims),
/// and who lives in its cgroups (containers).
fn ours(footprint: &Footprint) -> Vec<ProcessId> {
    let this = std::process::id();
    let marks =
        [footprint.socket().display().to_string(), footprint.socket_dir.join("containerd.toml").display().to_string()];
    let named = |words: &[String]| {
        let program = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        program.starts_with("containerd") && words.iter().any(|word| marks.contains(word))
    };
    let all = process::all().into_iter();
    let mut found: Vec<_> = all.filter(|(_, words)| named(words)).map(|(process, _)| process).collect();
    let contained: BTreeSet<i32> = footprint.cgroups.iter().flat_map(|folder| cgroup::pids_below(folder)).collect();
    found.extend(contained.into_iter().filter_map(ProcessId::of));
    found.retain(|process| u32::try_from(process.pid).ok() != Some(this));
    found
}

/// Returns the sockets of the shims, which containerd puts outside its own folders (/run/containerd/s/<hash>).
fn shim_sockets(footprint: &Footprint) -> Vec<PathBuf> {
    let bundles = footprint.folders.iter().map(|folder| folder.join("state/io.containerd.runtime.v2.task"));
    let bundles = bundles.flat_map(|folder| entries(&folder)).flat_map(|namespace| entries(&namespace));
    let address = |bundle: PathBuf| fs::read_to_string(bundle.join("address")).ok();
    let mut sockets: Vec<_> = bundles
        .filter_map(address)
        .filter_map(|text| Some(PathBuf::from(text.trim().strip_prefix("unix://")?)))
        .collect();
    sockets.sort();
    sockets.dedup();
    sockets
}

fn sandbox_ids(footprint: &Footprint) -> Vec<String> {
    let kinds = ["root", "state"].into_iter();
    let folders = kinds.flat_map(|kind| {
        footprint.folders.iter().map(move |folder| folder.join(kind).join("io.containerd.grpc.v1.cri/sandboxes"))
    });
    let names = folders.flat_map(|folder| entries(&folder));
    names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

/// libcni's files are called `<network>-<sandbox>-<interface>`; containerd's loopback is a network of its own.
fn remove_cni_results(network: &str, sandboxes: &[String]) -> io::Result<()> {
    for path in entries(Path::new(CNI_CACHE)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ours = name.starts_with(&format!("{network}-"))
            || sandboxes.iter().any(|sandbox| name.starts_with(&format!("cni-loopback-{sandbox}-")));
        if is_ours {
            gone(fs::remove_file(&path))?;
        }
    }
    Ok(())
}

fn remove_link(name: &str) -> Result<(), String> {
    if !Path::new("/sys/class/net").join(name).exists() && !link_exists(name) {
        return Ok(());
    }
    let output = Command::new("ip").args(["link", "delete", name]).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() || !link_exists(name) => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("failed to run ip (Debian package iproute2): {error}")),
    }
}

/// /sys may show another network namespace than ours; /proc/self/net does not.
fn link_exists(name: &str) -> bool {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    table.lines().filter_map(|line| line.split_once(':')).any(|(link, _)| link.trim() == name)
}

/// Removes the footprint last: as long as it is there, somebody can finish the work.
fn remove_socket_dir(footprint: &Footprint) -> io::Result<()> {
    let list = Footprint::path_in(&footprint.socket_dir);
    for path in entries(&footprint.socket_dir).into_iter().filter(|path| *path != list) {
        gone(if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) })?;
    }
    gone(fs::remove_file(&list))?;
    gone(fs::remove_dir(&footprint.socket_dir))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
