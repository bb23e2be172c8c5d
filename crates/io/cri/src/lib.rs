//! Talks to a container runtime: CRI v1, container logs, images as files.
//!
//! Stands at the end of a pod's journey: the executor decides with `km-lifecycle` and performs through this crate.
//!
//! * [`Cri`]: the calls a kubelet makes; [`CriClient`] makes them on a unix socket, [`fake::FakeCri`] in memory.
//! * [`logs`]: the CRI log file format, and a reader that tails, limits and follows.
//! * [`image`]: OCI image layouts, written from bytes and read for their names; the pause image; import.
//!
//! **Invariant:** no policy. Nothing is retried, cached, labelled or named here; the caller decides.
//! **Invariant:** no build-time generator: [`pb`] is generated code kept in the tree.
//!
//! Deliberately absent: starting containerd and cgroups (drive/executor), streaming bytes of exec and attach
//! (io/net: the runtime only hands out a URL), pulling (the runtime's own), CRI's evented PLEG and pod stats RPCs
//! (containerd 1.6 does not have them).

mod client;
mod cri;
mod error;
pub mod fake;
pub mod image;
pub mod logs;
pub mod pb;

pub use client::{CriClient, CriTimeouts, socket_path};
pub use cri::{Cri, CriFuture, ExecOutput};
pub use error::{CriError, Result};
