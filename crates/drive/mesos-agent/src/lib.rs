//! The embedded Mesos agent: the v1 executor and operator APIs, containers and their journal around `core/mesos`'s agent.
//!
//! A task that the master sends comes through here to its executor: fetched into a sandbox, forked into a session and
//! cgroups of its own, told LAUNCH over its stream. One task owns the state; fetching, forking, waiting for exits and
//! destroying are tasks whose results come back as events.
//!
//! **Invariant:** a forked process runs nothing before its pid is in the journal: it waits at a gate that closes with us.
//! **Invariant:** executors outlive this process; after `kill -9` and restart their tasks go on, under the same agent id.
//! **Invariant:** a container is reported destroyed only when no process of its cgroups or session is left.
//!
//! Deliberately absent: any decision (`core/mesos`), images, nested containers, the built-in command and default
//! executors, disk quota, garbage collection of sandboxes, and a connection to a master over the network.

mod cgroups;
mod config;
mod containers;
mod environment;
mod fetch;
mod http;
mod journal;
mod pidfd;
mod procs;
mod run;
mod streams;

pub use config::{AgentConfig, AgentDeps, AgentError, Isolation, MasterLink};
pub use run::{MesosAgent, destroy_all};
