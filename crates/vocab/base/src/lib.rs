//! The smallest words of km: time, revisions, object keys, back-off and error chains.
//!
//! Everything above uses these, so nothing here knows of Kubernetes, Mesos, sockets or files.
//!
//! **Invariant:** nothing in this crate reads a clock. A [`Timestamp`] is made by a driver and handed down.
//! Deliberately absent: sleeping and clocks (drivers own them), random numbers, helpers without a subject.

pub mod backoff;
pub mod chain;
pub mod key;
pub mod time;

pub use backoff::Backoff;
pub use chain::chain;
pub use key::{ObjectKey, Revision, Uid};
pub use time::Timestamp;
