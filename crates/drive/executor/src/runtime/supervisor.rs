//! The process that outlives an executor by as long as it takes to sweep.
//!
//! Mesos kills an executor's process tree, session and cgroup; containers must not survive that, and a killed executor
//! cannot clean up. So a second process of the same binary, reparented, in a session of its own and at the root of every
//! cgroup hierarchy, waits for the executor's end. It holds no tokio runtime and next to no memory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use super::footprint::Footprint;
use super::process::ProcessId;
use super::{cgroup, sweep};

/// The hidden argument under which `main` calls [`supervise`] with the arguments after it.
pub const SUPERVISOR_COMMAND: &str = "executor-supervisor";

/// This very program, also after its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Starts a supervisor for a runtime unless one is there. `path` is where it finds the programs that it sweeps with:
/// nft and ip are not in the folders that are searched where nothing is said.
pub(super) fn ensure(footprint: &Footprint, path: &OsStr, log: File) -> io::Result<()> {
    if ProcessId::read(&footprint.supervisor_file()).is_some_and(ProcessId::is_alive) {
        return Ok(());
    }
    // The launcher ends at once, so that the supervisor's parent becomes init (or the nearest reaper).
    let status = Command::new(THIS_PROGRAM)
        .args([SUPERVISOR_COMMAND, "launch"])
        .arg(&footprint.socket_dir)
        .current_dir("/")
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("supervisor launcher ended with {status}"))) }
}

/// Runs as supervisor: `launch DIR` detaches one, `run DIR` is one. For `main` only.
pub fn supervise(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let mode = args.next().unwrap_or_default();
    let Some(socket_dir) = args.next().map(PathBuf::from) else {
        eprintln!("{SUPERVISOR_COMMAND} is started by the executor, not by hand");
        return ExitCode::FAILURE;
    };
    let done = if mode == "launch" { launch(&socket_dir) } else { run(&socket_dir) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("supervisor of {}: {error}", socket_dir.display());
            ExitCode::FAILURE
        }
    }
}

fn launch(socket_dir: &Path) -> io::Result<()> {
    let footprint = read(socket_dir)?;
    rustix::process::setsid()?;
    // So that ending the executor's cgroup does not end the supervisor before it has done its one work.
    cgroup::leave().map_err(io::Error::other)?;
    let child = Command::new(THIS_PROGRAM).args([SUPERVISOR_COMMAND, "run"]).arg(socket_dir).spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    match ProcessId::of(pid) {
        Some(supervisor) => supervisor.write(&footprint.supervisor_file()),
        None => Err(io::Error::other("supervisor ended at once")),
    }
}

fn run(socket_dir: &Path) -> io::Result<()> {
    loop {
        let footprint = match Footprint::read(socket_dir) {
            Some(footprint) => footprint,
            // Somebody has swept already.
            None => return Ok(()),
        };
        match ProcessId::read(&footprint.owner_file()).filter(|owner| owner.is_alive()) {
            // Then looks again: the runtime may have been handed to another executor, or swept by this one.
            Some(owner) => {
                owner.wait_ended(None);
            }
            None => return sweep_all(&footprint),
        }
    }
}

fn sweep_all(footprint: &Footprint) -> io::Result<()> {
    let report = sweep(footprint);
    if report.left.is_empty() { Ok(()) } else { Err(io::Error::other(report.left.join("; "))) }
}

fn read(socket_dir: &Path) -> io::Result<Footprint> {
    Footprint::read(socket_dir).ok_or_else(|| io::Error::other("there is no footprint"))
}
