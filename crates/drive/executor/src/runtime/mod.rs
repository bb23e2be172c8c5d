//! A private containerd for one executor: started, kept running, adopted again, and torn down to nothing.
//!
//! Stands below the pod driver: it hands out an endpoint and a cgroup parent, and does not know pods. An executor that
//! was told to use an existing containerd needs only [`cgroup`] and [`capabilities`] from here.
//!
//! ```text
//!   executor ── starts ──▶ containerd ── starts ──▶ shims ──▶ containers     (all but the supervisor below
//!      │                       ▲                                              the cgroup that Mesos gave)
//!      └─ starts, detached ─▶ supervisor: waits for the executor's end, then sweeps
//! ```
//!
//! Three files in the socket folder tie them together: `footprint.json` (everything that must be gone in the end,
//! written before any of it exists), `owner` (the executor's process) and `containerd.pid`.
//!
//! **Invariant:** a process is named by pid *and* start time; a reused pid is never signalled.
//! **Invariant:** [`sweep()`] needs the footprint alone, may run twice, at any point, from any process.
//! Deliberately absent: pods, images, CNI calls (containerd's), log rotation, systemd cgroups.

pub mod capabilities;
pub mod cgroup;
mod config;
mod containerd;
mod footprint;
mod mounts;
mod process;
mod programs;
mod supervisor;
mod sweep;

pub use config::{PodNetwork, RuntimeConfig};
pub use containerd::{Runtime, RuntimeError};
pub use footprint::Footprint;
pub use mounts::share_volumes;
pub(crate) use mounts::unmount_below;
pub use process::ProcessId;
pub use programs::{Programs, ProgramsError};
pub use supervisor::{SUPERVISOR_COMMAND, supervise};
pub use sweep::{SweepReport, sweep, sweep_dead};
