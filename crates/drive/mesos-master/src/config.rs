//! What a master needs: configuration as plain data, and the doors that `main` opens for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use km_core_mesos::link::{ToAgent, ToMaster};
use km_mesos::Credential;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Configuration of the embedded master.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MasterConfig {
    /// The name under which this master is shown; the listener's address is what clients connect to.
    pub hostname: String,
    /// Where it remembers which agents it knows; created when missing.
    pub work_dir: PathBuf,
    /// Who may call it. Never empty.
    pub credentials: Vec<Credential>,
    /// Between two allocations of everything, in ms. Mesos's default is 1000.
    pub allocation_interval_ms: u64,
    /// How long an agent may be disconnected before its tasks count as unreachable, in ms. Mesos's default is 75 s.
    pub agent_timeout_ms: u64,
    /// How long a restarted master waits for the agents it knew, in ms. Mesos's default is 10 min.
    pub agent_reregister_timeout_ms: u64,
    /// Between two HEARTBEATs, in ms. Mesos's is 15 s.
    pub heartbeat_interval_ms: u64,
    /// Weights of roles; a role not named weighs 1.
    pub weights: BTreeMap<String, f64>,
}

impl MasterConfig {
    /// Mesos's own defaults, with these credentials.
    pub fn usual(work_dir: PathBuf, credentials: Vec<Credential>) -> Self {
        Self {
            hostname: "localhost".to_owned(),
            work_dir,
            credentials,
            allocation_interval_ms: 1_000,
            agent_timeout_ms: 75_000,
            agent_reregister_timeout_ms: 600_000,
            heartbeat_interval_ms: 15_000,
            weights: BTreeMap::new(),
        }
    }
}

/// The master's end of the connection to one agent. Closed channels are a lost connection.
#[derive(Debug)]
pub struct AgentLink {
    /// What the agent says.
    pub from_agent: mpsc::Receiver<ToMaster>,
    /// What the agent is told. When it is full the agent is given up: 4096 is plenty, since an agent always reads.
    pub to_agent: mpsc::Sender<ToAgent>,
}

/// What `main` gives the master.
#[derive(Debug)]
pub struct MasterDeps {
    /// Bound already, so that a taken port is `main`'s error.
    pub listener: TcpListener,
    /// New connections of agents.
    pub agents: mpsc::Receiver<AgentLink>,
}

/// Why a master cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// Nobody could call it.
    #[error("the embedded Mesos master has no credentials")]
    NoCredentials,
    /// An interval is zero.
    #[error("{field} must not be zero")]
    Zero {
        /// Which.
        field: &'static str,
    },
    /// The work folder cannot be used.
    #[error("failed to use {path}")]
    WorkDir {
        /// What was tried.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The listener has no address.
    #[error("failed to read the listener's address")]
    Listener(#[source] std::io::Error),
}
