//! End-to-end tests: the real `km` binary, real kubectl, real containerd, and two Mesoses (embedded, Apache's).
//!
//! ```text
//!   suite (inherits orphans, reaps them)
//!     └─ tests, one at a time ─▶ Cluster::start(Flavour) ─▶ network namespace · km up · Apache Mesos
//!           ├─ scenario: plays a transcript of shell commands and compares what they print
//!           └─ footprint: nothing may be left when the cluster is gone
//! ```
//!
//! **Invariant:** each cluster lives in a network namespace and a folder of its own; what it started is ended by pid.
//! **Invariant:** nothing sleeps for luck: what takes time is polled until a deadline ([`eventually`]).
//!
//! Deliberately absent: retries of failed tests, and expectations that differ from one Mesos to the other.

mod apache;
mod cluster;
mod footprint;
mod network;
mod process;
pub mod scenario;
mod shell;
mod suite;
mod tree;

pub use apache::{Launcher, Part};
pub use cluster::{Cluster, Flavour};
pub use process::{ProcessId, descendants};
pub use shell::{Finished, Shell, eventually};
pub use suite::{Suite, Test};
pub use tree::{repository, target_file};
