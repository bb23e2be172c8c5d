//! Waiting for the end of a process that is not our child any more: an executor from before a restart.
//!
//! Its exit status is lost with its parent, so none is given.

// JUSTIFICATION: tokio 1.54 registers a file descriptor only through an unsafe function, and the kernel tells the end of a
// stranger's process only through one.
#![allow(unsafe_code)]

use km_core_mesos::agent::Process;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

use crate::procs;

/// Waits until a process has ended; returns at once when it has already.
pub(crate) async fn ended(process: Process) {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::NONBLOCK) else { return };
    // Opened first and compared then: the number cannot change hands in between.
    if !procs::is_alive(process) {
        return;
    }
    // SAFETY: `OwnedFd` is open, always answers with the same descriptor, and moves into the `AsyncFd`, which closes it.
    let registered = unsafe { AsyncFd::register(pidfd) };
    if let Ok(exit) = registered {
        // An error means that the runtime ends, and this wait with it.
        let _ = exit.readable().await;
    }
}
