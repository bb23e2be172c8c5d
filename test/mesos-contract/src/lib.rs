//! What a framework may expect of a Mesos, as one scenario that runs on the embedded one and on Apache Mesos.
//!
//! [`scenario::run`] talks to any master over HTTP and returns what it saw, one line an observation, without ids, times
//! and addresses. The two Mesoses must give the same lines; where they differ, the real one is right.
//! `src/bin/contract-executor.rs` is the executor it launches; `src/bin/embedded-mesos.rs` is the embedded Mesos as a
//! process, which the tests kill and start again.

pub mod life;
pub mod observe;
pub mod scenario;
