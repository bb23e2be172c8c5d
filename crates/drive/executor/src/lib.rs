//! The executor: a Mesos executor that is a kubelet. Runs the pods of one agent through CRI.
//!
//! Stands at the end of a pod's journey. The agent starts it with the first task; each LAUNCH brings the name of
//! a pod, whose Binding it waits for in its own watch before the first container starts.
//!
//! ```text
//!  agent ──events──▶ session ──▶ owner: one lifecycle a pod ──actions──▶ tasks: CRI, API, volumes, probes
//!    ▲                 │              ▲        │                            │
//!    └──── updates ◀───┴── ledger     │        └─▶ host ports (watch)       └──results──▶ back to the owner
//!  API server ──watch: pods of this node, services ──┘
//! ```
//!
//! **Invariant:** every pod has one lifecycle, stepped in one task; the loop never awaits a remote answer.
//! **Invariant:** while API server, framework or agent are away, what runs goes on running.
//! **Invariant:** tasks that Mesos has not acknowledged are in the ledger's file before anything is done for them.
//! **Invariant:** secrets go to volumes, environment and certificates with mode 0600; never to logs.
//!
//! Deliberately absent: deciding about a pod (`km-lifecycle`), Services' rules and DNS (drive/proxy, wired beside
//! this by `main` through [`Hooks`]), static pods, device plugins, CSI, ephemeral containers.

mod agent;
mod atomic;
mod bring_up;
mod context;
mod downward;
mod environment;
mod events;
mod identity;
mod images;
mod ledger;
mod node;
mod owner;
mod perform;
mod pod_config;
mod probes;
mod references;
mod relist;
mod rotate;
pub mod runtime;
mod server;
mod services;
mod variables;
mod volumes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use km_base::{Uid, chain};
use km_client::Client;
use km_net::{HttpClient, Shutdown, TaskSet};
use km_podwire::ExecutorData;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

pub use bring_up::{ApiSource, PrivateRuntime, RuntimeSource};
pub use context::{CgroupParent, CgroupRemove, RuntimeAccess};
pub use environment::{EnvironmentError, MesosEnvironment};

use crate::agent::{AgentEvent, Session, UPDATES_MAX};
use crate::context::{Context, Dirs};
use crate::events::Recorder;
use crate::ledger::Ledger;
use crate::owner::{MESSAGES_MAX, Message, Owner, Ready};
use crate::runtime::cgroup::CgroupRoot;
use crate::services::Services;

/// Events of the agent that may wait for the loop.
const AGENT_EVENTS_MAX: usize = 1_024;
/// Longest wait for tasks to end.
const TASKS_GRACE: Duration = Duration::from_secs(2);

/// What an executor is told.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// What the agent put into the environment.
    pub mesos: MesosEnvironment,
    /// Work folder: pods, logs, volumes, the private containerd.
    pub work_dir: PathBuf,
    /// Folder of keys and tokens, outside the sandbox: a Mesos agent shows every file of that to who asks it. Removed
    /// at the end.
    pub private_dir: PathBuf,
}

/// What an executor needs from others.
#[derive(Clone)]
pub struct ExecutorDeps {
    /// The way to the API server.
    pub api: ApiSource,
    /// The container runtime.
    pub runtime: RuntimeSource,
}

/// A host port that stands for a port of a running pod: what the service proxy makes a DNAT rule of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPortEntry {
    /// The pod.
    pub uid: Uid,
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// Port on the node.
    pub host_port: u16,
    /// The pod's address.
    pub pod_ip: String,
    /// Port in the pod.
    pub pod_port: u16,
}

/// The node as others in the same process need it.
#[derive(Clone)]
pub struct NodeHandle {
    /// Configuration that the framework gave: node name, ranges, addresses, the API server.
    pub data: ExecutorData,
    /// A client with the node's identity.
    pub client: Client,
    /// The pods' bridge; empty when the runtime is not the executor's own.
    pub bridge: String,
}

/// What `main` wires the service proxy to.
#[derive(Clone)]
pub struct Hooks {
    /// The node, once its identity and runtime are there.
    pub node: watch::Receiver<Option<NodeHandle>>,
    /// Host ports of running pods.
    pub host_ports: watch::Receiver<Vec<HostPortEntry>>,
}

/// Why an executor could not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The work folder cannot be used.
    #[error("failed to prepare {}", path.display())]
    Prepare {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The agent never subscribed this executor.
    #[error("the Mesos agent never answered: {0}")]
    NotSubscribed(String),
    /// The framework's data cannot be read.
    #[error("failed to read the executor's configuration")]
    Data(#[source] km_podwire::WireError),
    /// A client for images could not be made.
    #[error("failed to set up the client of the artifact server")]
    Client(#[source] km_net::ClientError),
}

/// An executor; see the crate's documentation.
pub struct Executor {
    config: ExecutorConfig,
    deps: ExecutorDeps,
    node: watch::Sender<Option<NodeHandle>>,
    host_ports: watch::Sender<Vec<HostPortEntry>>,
}

impl Executor {
    /// Makes an executor and what the service proxy needs of it.
    #[must_use]
    pub fn new(config: ExecutorConfig, deps: ExecutorDeps) -> (Self, Hooks) {
        let (node, node_receiver) = watch::channel(None);
        let (host_ports, host_ports_receiver) = watch::channel(Vec::new());
        let hooks = Hooks { node: node_receiver, host_ports: host_ports_receiver };
        (Self { config, deps, node, host_ports }, hooks)
    }

    /// Runs until the agent shuts the executor down, or `shutdown` begins; then ends all pods and what it started.
    ///
    /// # Errors
    /// [`ExecutorError`] when it could not begin; later failures are retried.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ExecutorError> {
        let work = self.config.work_dir.clone();
        std::fs::create_dir_all(&work).map_err(|source| ExecutorError::Prepare { path: work.clone(), source })?;
        let private_dir = self.config.private_dir.clone();
        make_private(&private_dir).map_err(|source| ExecutorError::Prepare { path: private_dir.clone(), source })?;
        // The session outlives the pods: their last words go through it.
        let session_tasks = TaskSet::new(Shutdown::new());
        let tasks = TaskSet::new(Shutdown::new());
        let ledger = Ledger::open(private_dir.join("ledger"));
        let recovered: Vec<_> = ledger.tasks().cloned().collect();
        let (agent_sender, mut agent) = mpsc::channel(AGENT_EVENTS_MAX);
        let (updates, updates_receiver) = mpsc::channel(UPDATES_MAX);
        let session = Session {
            environment: self.config.mesos.clone(),
            ledger,
            events: agent_sender,
            updates: updates_receiver,
            shutdown: session_tasks.shutdown(),
        };
        session_tasks.spawn("session with the agent", session.run());
        let data = tokio::select! {
            data = subscribed(&mut agent) => data,
            () = shutdown.begun() => Err(ExecutorError::NotSubscribed("asked to end before".into())),
        };
        let data = match data {
            Ok(data) => data,
            Err(error) => {
                session_tasks.shutdown().begin();
                let _ = std::fs::remove_dir_all(&private_dir);
                return Err(error);
            }
        };
        info!(node = data.node_name, api_server = data.api_server, "the executor serves a node");

        let (messages, messages_receiver) = mpsc::channel(MESSAGES_MAX);
        let (tokens, token) = watch::channel(None);
        let grace = self.config.mesos.shutdown_grace;
        let mut owner =
            Owner::new(data.clone(), tasks.clone(), agent, updates, messages_receiver, tokens, self.host_ports, grace);
        for task in &recovered {
            owner.recover(task);
        }
        let http = HttpClient::new(&km_net::client::ClientIdentity::default(), km_net::tls::Alpn::Http1, 5_000);
        let beside = foreign_cgroups(&self.deps.runtime, &data);
        let starter = Starter {
            deps: self.deps,
            data,
            work,
            private_dir: private_dir.clone(),
            http: http.map_err(ExecutorError::Client)?,
            messages,
            tasks: tasks.clone(),
            node: self.node,
        };
        let (private, private_receiver) = tokio::sync::oneshot::channel();
        tasks.spawn("bring runtime and identity up", starter.run(token, private));
        let why = owner.run(shutdown).await;
        info!(why, "the executor ends");
        tasks.shutdown().begin();
        if let Err(error) = tasks.finish(TASKS_GRACE).await {
            warn!(error = %chain(&error), "tasks did not end well");
        }
        // The updates' sender is gone with the owner: the session waits for its last acknowledgements and ends.
        end_session(&session_tasks).await;
        if let Ok(runtime) = private_receiver.await {
            let left = runtime.shutdown().await.left;
            if !left.is_empty() {
                error!(left = left.join("; "), "the runtime left something behind");
            }
        } else if let Some(name) = beside {
            let removed = CgroupRoot::locate_for_foreign_runtime(&name).and_then(|root| root.remove());
            if let Err(error) = removed {
                warn!(error = %chain(&error), "the cgroups of a runtime that is not the executor's own are left");
            }
        }
        // The runtime has taken it away with the folder of its sockets, unless it was not the executor's own.
        match std::fs::remove_dir_all(&private_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                warn!(folder = %private_dir.display(), %error, "failed to remove the executor's keys");
            }
            _ => {}
        }
        Ok(())
    }
}

/// Names the cgroup that holds the pods of a runtime that somebody else keeps; nobody sweeps that one.
fn foreign_cgroups(source: &RuntimeSource, data: &ExecutorData) -> Option<String> {
    match source {
        RuntimeSource::Configured(private) if data.container_runtime_endpoint.is_some() => {
            Some(format!("km-{}", private.id))
        }
        _ => None,
    }
}

/// Makes a folder that only this user reads.
fn make_private(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

async fn end_session(session: &TaskSet) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
    while !session.is_empty() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    session.shutdown().begin();
    if let Err(error) = session.finish(TASKS_GRACE).await {
        warn!(error = %chain(&error), "the session did not end well");
    }
}

/// Waits for the agent's first word and reads the framework's configuration out of it.
async fn subscribed(agent: &mut mpsc::Receiver<AgentEvent>) -> Result<ExecutorData, ExecutorError> {
    match agent.recv().await {
        Some(AgentEvent::Subscribed(subscribed)) => {
            let data = subscribed.executor_info.data.clone().unwrap_or_default();
            ExecutorData::decode(&data).map_err(ExecutorError::Data)
        }
        Some(AgentEvent::Lost(why)) => Err(ExecutorError::NotSubscribed(why)),
        _ => Err(ExecutorError::NotSubscribed("the session ended".into())),
    }
}

/// Brings runtime and identity up, and everything that needs both.
struct Starter {
    deps: ExecutorDeps,
    data: ExecutorData,
    work: PathBuf,
    private_dir: PathBuf,
    http: HttpClient,
    messages: mpsc::Sender<Message>,
    tasks: TaskSet,
    node: watch::Sender<Option<NodeHandle>>,
}

impl Starter {
    async fn run(
        self,
        token: watch::Receiver<Option<String>>,
        private: tokio::sync::oneshot::Sender<runtime::Runtime>,
    ) {
        let id = match &self.deps.runtime {
            RuntimeSource::Configured(private) => private.id.clone(),
            RuntimeSource::Given(_) => String::new(),
        };
        let shutdown = self.tasks.shutdown();
        let runtime = bring_up::runtime(self.deps.runtime.clone(), &self.data, self.work.clone(), &id);
        let identity = bring_up::identity(self.deps.api.clone(), &self.data, self.private_dir.clone(), token);
        let (up, identity) = tokio::select! {
            both = async { tokio::join!(runtime, identity) } => both,
            () = shutdown.begun() => return,
        };
        let Some((client, serving)) = identity else {
            // The framework starts another executor, with a token of its own. An owner that is gone has ended already.
            let _ = self.messages.send(Message::Unknown).await;
            if let Some(runtime) = up.private {
                let _ = private.send(runtime);
            }
            return;
        };
        let (services_sender, services) = watch::channel(Services::default());
        let ctx = Arc::new(Context {
            data: self.data.clone(),
            client: client.clone(),
            runtime: up.access,
            dirs: Dirs { work: self.work.clone() },
            services,
            messages: self.messages.clone(),
            http: self.http,
        });
        let (recorder, record) = Recorder::new(client.clone(), self.data.node_name.clone());
        self.tasks.spawn("record events", until(shutdown.clone(), record));
        self.tasks.spawn("keep the node alive", node::keep(Arc::clone(&ctx), shutdown.clone()));
        self.tasks.spawn("keep logs short", rotate::keep_short(Arc::clone(&ctx), shutdown.clone()));
        if let Some(serving) = serving {
            let serve = server::serve(Arc::clone(&ctx), serving, self.tasks.clone());
            self.tasks.spawn("serve the kubelet endpoints", serve);
        }
        let adopted = match relist::adopt(&ctx).await {
            Ok(adopted) => adopted,
            Err(error) => {
                warn!(error = %chain(&error), "failed to look for pods of an earlier executor");
                Default::default()
            }
        };
        let bridge = if up.private.is_some() { format!("km-{id}") } else { String::new() };
        self.node.send_replace(Some(NodeHandle { data: self.data, client, bridge }));
        let ready = Ready { ctx, adopted, recorder, services: services_sender };
        // An owner that is gone needs nothing any more.
        let _ = self.messages.send(Message::Ready(Box::new(ready))).await;
        if let Some(mut runtime) = up.private {
            tokio::select! {
                () = runtime.keep_running() => {}
                () = shutdown.begun() => {}
            }
            // Handed back to be torn down after the last task; the receiver waits for it.
            let _ = private.send(runtime);
        }
    }
}

async fn until(shutdown: Shutdown, future: impl Future<Output = ()>) {
    tokio::select! {
        () = future => {}
        () = shutdown.begun() => {}
    }
}
