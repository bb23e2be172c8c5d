//! The framework's driver: one task that owns both cores and performs what they decide.
//!
//! In the pod's journey it stands between the API server (informers, Bindings) and the Mesos master (offers,
//! launches); its artifact server gives the agents the `km` binary and the executors their images.
//!
//! **Invariant:** all state is in the owner's task; whatever takes time runs beside it and comes back as an event.
//! **Invariant:** a reply of an earlier subscription never reaches the core.
//! Deliberately absent: decisions (`core/scheduler`, `core/framework`), leader election between frameworks
//! (Mesos's "failed over" settles it), TEARDOWN (pods outlive their framework; `km down` stops them by [`stop_executors`]).

mod artifacts;
mod config;
mod debug;
pub mod glue;
mod images;
mod mesos;
mod owner;
mod performer;
pub mod status;
mod stop;

pub use config::{ClusterNetwork, ConfigError, FrameworkConfig, FrameworkDeps, Timings};
pub use mesos::{Caller, Mesos, NetworkMesos, Subscription};
pub use owner::{Framework, FrameworkError};
pub use stop::{StopError, stop_executors};
