//! The controllers: what each kind's desired state asks of the others, as pure functions.
//!
//! `reconcile(&listers, key, now)` reads what the informers know and answers with a [`Plan`]: the writes that
//! bring one object nearer to what it asks for. It takes a key, never the change that woke it, so restart and
//! steady state are one path. `drive/manager` owns the listers, queues keys and performs plans.
//!
//! **Invariant:** a plan is idempotent: performed twice, or by two managers, it does no harm, because creations
//! carry names or owners that are looked up again, and deletions carry UIDs.
//! **Invariant:** nothing is written back whole: plans create new objects or patch named fields.
//! Deliberately absent: Jobs, DaemonSets, StatefulSets, autoscaling (docs/status.md).

pub mod bootstrap_tokens;
pub mod deployment;
pub mod endpoints;
pub mod garbage;
mod listers;
pub mod namespace;
pub mod nodes;
mod plan;
pub mod pods;
pub mod replicas;
pub mod service_accounts;
#[cfg(test)]
mod testing;

pub use listers::Listers;
pub use plan::{Plan, Write};
