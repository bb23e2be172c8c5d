//! Processes named so that a reused pid is never taken for the old one, and waited for by pidfd.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process: its pid, and when it began in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: i32,
    /// Field 22 of /proc/PID/stat.
    pub start_ticks: u64,
}

impl ProcessId {
    /// Names this process.
    ///
    /// # Errors
    /// When /proc is not readable.
    pub fn of_self() -> std::io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_pid();
        Self::of(pid).ok_or_else(|| std::io::Error::other("/proc/self/stat is not readable"))
    }

    /// Names a running process; `None` when there is none, or only its zombie.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc(5): the second field is the name in parentheses and may hold anything; the third is the state.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let start_ticks = fields.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { pid, start_ticks })
    }

    /// Returns whether this very process still runs.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Reads a name that [`Self::write`] wrote; `None` when there is none or it is unreadable.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes the name to a file, whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(self, path: &Path) -> std::io::Result<()> {
        let text = format!("{{\"pid\":{},\"start_ticks\":{}}}\n", self.pid, self.start_ticks);
        super::footprint::write_whole(path, text.as_bytes())
    }

    /// Returns a handle that becomes readable when the process ends; `None` when it has.
    pub(super) fn open(self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        // The pid may have passed to another process before the handle was opened, not after.
        self.is_alive().then_some(handle)
    }

    /// Kills the process if it is still this one.
    pub(super) fn kill(self) {
        if let Some(handle) = self.open() {
            // It may end by itself in between, which is as good.
            let _ = pidfd_send_signal(handle, Signal::KILL);
        }
    }

    /// Blocks until the process has ended or the time is over; returns whether it has ended.
    pub fn wait_ended(self, limit: Option<Duration>) -> bool {
        let Some(handle) = self.open() else { return true };
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        loop {
            match poll(&mut [PollFd::new(&handle, PollFlags::IN)], limit.as_ref()) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return !self.is_alive(),
            }
        }
    }
}

/// Returns all processes with their command lines.
pub(super) fn all() -> Vec<(ProcessId, Vec<String>)> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named = |pid: i32| {
        let process = ProcessId::of(pid)?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Some((process, words))
    };
    pids.filter_map(named).collect()
}
