//! What an agent needs: configuration as plain data, and the doors that `main` opens for it.

use std::path::PathBuf;

use km_core_mesos::link::{ToAgent, ToMaster};
use km_mesos::{Attribute, Credential, DomainInfo, Resource};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What contains an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Sessions only; nothing is limited. Mesos: `--launcher=posix --isolation=posix/cpu,posix/mem`.
    Posix,
    /// Cgroups of its own. Mesos: `--launcher=linux --isolation=cgroups/cpu,cgroups/mem`.
    Cgroups,
}

/// Configuration of the embedded agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentConfig {
    /// The name of this machine, as offers show it.
    pub hostname: String,
    /// Sandboxes and the journal; created when missing.
    pub work_dir: PathBuf,
    /// Total resources: cpus, mem (MB), disk (MB), ports.
    pub resources: Vec<Resource>,
    /// What frameworks may choose agents by.
    pub attributes: Vec<Attribute>,
    /// Region and zone, if any.
    pub domain: Option<DomainInfo>,
    /// Who may call the operator API. Never empty.
    pub credentials: Vec<Credential>,
    /// How executors are contained.
    pub isolation: Isolation,
    /// Name of the cgroup under which each container gets its own. Mesos's default is `mesos`.
    pub cgroups_root: String,
    /// From launch to SUBSCRIBE, fetching included, in ms. Mesos's default is 1 min.
    pub executor_registration_timeout_ms: u64,
    /// From a restart of the agent to SUBSCRIBE, in ms. Mesos allows 15 s at most and 2 s by default.
    pub executor_reregistration_timeout_ms: u64,
    /// From SHUTDOWN to being killed, in ms, where ExecutorInfo does not say. Mesos's default is 5 s.
    pub executor_shutdown_grace_period_ms: u64,
    /// How long executors are told to wait for an agent that went away, in ms. Mesos's default is 15 min.
    pub recovery_timeout_ms: u64,
    /// `PATH` of executors.
    pub executor_path: String,
}

impl AgentConfig {
    /// Mesos's own defaults, with these resources and credentials.
    pub fn usual(hostname: String, work_dir: PathBuf, resources: Vec<Resource>, credentials: Vec<Credential>) -> Self {
        Self {
            hostname,
            work_dir,
            resources,
            attributes: Vec::new(),
            domain: None,
            credentials,
            isolation: Isolation::Cgroups,
            cgroups_root: "mesos".to_owned(),
            executor_registration_timeout_ms: 60_000,
            executor_reregistration_timeout_ms: 15_000,
            executor_shutdown_grace_period_ms: 5_000,
            recovery_timeout_ms: 900_000,
            executor_path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        }
    }
}

/// The agent's end of its connection to the master. Closed channels are a lost connection.
#[derive(Debug)]
pub struct MasterLink {
    /// What the master is told.
    pub to_master: mpsc::Sender<ToMaster>,
    /// What the master says.
    pub from_master: mpsc::Receiver<ToAgent>,
}

/// What `main` gives the agent.
#[derive(Debug)]
pub struct AgentDeps {
    /// Bound already, so that a taken port is `main`'s error.
    pub listener: TcpListener,
    /// The connection to the master.
    pub master: MasterLink,
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nobody could call it.
    #[error("the embedded Mesos agent has no credentials")]
    NoCredentials,
    /// Nothing could run on it.
    #[error("the embedded Mesos agent has no cpus or no mem")]
    NoResources,
    /// A folder or file cannot be used.
    #[error("failed to use {path}")]
    WorkDir {
        /// What was tried.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What another agent of this machine may still be writing to.
    #[error("{path} is in use by another agent")]
    Locked {
        /// The journal's lock.
        path: PathBuf,
    },
    /// The journal is not one.
    #[error("failed to read the journal {path} at record {record}")]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Which record, from 0.
        record: usize,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Cgroups were asked for and are not there.
    #[error("cgroups are not usable: {message}")]
    Cgroups {
        /// What is missing, and what to do.
        message: String,
    },
    /// The listener has no address.
    #[error("failed to read the listener's address")]
    Listener(#[source] std::io::Error),
    /// The client that fetches URIs cannot be made.
    #[error("failed to set up the fetcher")]
    Fetcher(#[source] km_net::ClientError),
}
