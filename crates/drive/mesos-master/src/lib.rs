//! The embedded Mesos master: the v1 scheduler and operator APIs over HTTP around `core/mesos`'s master.
//!
//! The framework's ACCEPT comes in here and the agent's status updates go out. One task owns the state: it waits for a
//! call, an agent's message or the clock, steps the core, and performs what follows. HTTP handlers only decode, ask and
//! encode. An agent is a pair of channels ([`AgentLink`]).
//!
//! **Invariant:** nothing is answered without credentials, on loopback too: who may launch here runs as root there.
//! **Invariant:** the loop never waits for a reader: a stream that falls too far behind is closed, and its client comes back.
//!
//! Deliberately absent: any decision (`core/mesos`), ZooKeeper and standby masters, TLS, agents over the network.

mod config;
mod http;
mod legacy;
mod run;
mod streams;

pub use config::{AgentLink, MasterConfig, MasterDeps, MasterError};
pub use run::MesosMaster;
