//! Mesos's own words: the v1 messages, RecordIO and resource arithmetic.
//!
//! Everything that talks Mesos stands on this crate: `io/mesos-client` and `core/framework` on the
//! scheduler's side, `drive/executor` on the executor's, `core/mesos` and its two drivers on the other
//! end of the wire. One definition of each message serves both encodings: protobuf by `prost`, and
//! Mesos JSON (proto2 names as they are, enums as strings, bytes in base64, integers and doubles as numbers) by `serde`.
//!
//! **Invariant:** field numbers and names are those of Mesos 1.11 `include/mesos/v1`; nothing is renumbered or renamed.
//! **Invariant:** a value that this crate does not know never fails a whole message: unknown JSON fields and
//! unknown enum names are passed over, unknown enum numbers are kept as they are.
//! **Invariant:** resource amounts are compared and summed in thousandths, never as floating point.
//!
//! Deliberately absent: images, nested containers, resource providers, CSI, statistics (km runs containers through
//! CRI); transport, sessions and retries (`io/mesos-client`); any behaviour over time (`core/mesos`).
//!
//! A message `Outer.Inner` is `outer::Inner`, as prost names it; the four APIs have modules of their own.

pub mod agent;
mod agents;
pub mod allocator;
mod commands;
mod containers;
pub mod executor;
mod frameworks;
mod id_impls;
mod ids;
pub mod json;
pub mod maintenance;
pub mod master;
mod offers;
pub mod quota;
pub mod ranges;
pub mod recordio;
mod resource_message;
pub mod resources;
pub mod scheduler;
mod states;
mod tasks;
pub mod text;
mod values;

pub use agents::*;
pub use commands::*;
pub use containers::*;
pub use frameworks::*;
pub use ids::*;
pub use offers::*;
pub use resource_message::*;
pub use tasks::*;
pub use values::*;
