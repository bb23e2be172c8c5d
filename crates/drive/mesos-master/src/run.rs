//! The loop that owns the master: waits, steps the core, performs.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use km_base::{Timestamp, chain};
use km_core_mesos::link::{LinkId, ToAgent, ToMaster};
use km_core_mesos::master::{Action, Answer, Event, Master, RequestId, Settings, StreamId};
use km_core_mesos::wire::Encoding;
use km_mesos::{Address, AgentInfo, MasterInfo, master_info};
use km_net::{ServeConfig, Shutdown, TaskSet, body};
use tokio::sync::mpsc;
use tracing::{info, warn};
use uuid::Uuid;

use crate::config::{AgentLink, MasterConfig, MasterDeps, MasterError};
use crate::http::{Handler, Input, Replied, Reply};
use crate::streams::{OpenStream, STREAM_RECORDS_MAX, Streams};

/// Calls that wait for the loop; more wait in their handlers.
const INPUTS_MAX: usize = 1_024;
/// Agent messages that wait for the loop, over all agents.
const AGENT_MESSAGES_MAX: usize = 4_096;
/// The version whose behaviour the core follows.
const VERSION: &str = "1.11.0";
/// How long open calls may take to end on shutdown.
const DRAIN: Duration = Duration::from_millis(500);

/// An embedded Mesos master, ready to run.
#[derive(Debug)]
pub struct MesosMaster {
    config: MasterConfig,
    deps: MasterDeps,
    address: SocketAddr,
    agents_path: PathBuf,
    known_agents: Vec<AgentInfo>,
}

/// What reaches the loop from an agent's connection.
enum FromLink {
    Message(LinkId, ToMaster),
    Down(LinkId),
}

impl MesosMaster {
    /// Checks the configuration and reads which agents were known.
    ///
    /// # Errors
    /// [`MasterError`] when the configuration is unusable or the work folder cannot be read.
    pub fn new(config: MasterConfig, deps: MasterDeps) -> Result<Self, MasterError> {
        if config.credentials.is_empty() {
            return Err(MasterError::NoCredentials);
        }
        for (field, value) in [
            ("allocation_interval_ms", config.allocation_interval_ms),
            ("heartbeat_interval_ms", config.heartbeat_interval_ms),
        ] {
            if value == 0 {
                return Err(MasterError::Zero { field });
            }
        }
        let work_dir = |source| MasterError::WorkDir { path: config.work_dir.clone(), source };
        std::fs::create_dir_all(&config.work_dir).map_err(work_dir)?;
        let agents_path = config.work_dir.join("agents.json");
        let known_agents = match std::fs::read(&agents_path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                warn!(path = %agents_path.display(), %error, "ignoring an unreadable list of agents");
                Vec::new()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(MasterError::WorkDir { path: agents_path, source }),
        };
        let address = deps.listener.local_addr().map_err(MasterError::Listener)?;
        Ok(Self { config, deps, address, agents_path, known_agents })
    }

    /// Serves until shutdown begins.
    pub async fn run(self, shutdown: Shutdown) {
        let tasks = TaskSet::new(shutdown.clone());
        let (inputs, from_handlers) = mpsc::channel(INPUTS_MAX);
        let (links, from_links) = mpsc::channel(AGENT_MESSAGES_MAX);
        let handler = Arc::new(Handler {
            credentials: self.config.credentials.clone(),
            address: self.address.to_string(),
            inputs,
        });
        let service = move |request| Arc::clone(&handler).handle(request);
        let serving = ServeConfig { drain_ms: 200, ..ServeConfig::usual() };
        let serve = km_net::serve_plain(self.deps.listener, Arc::new(service), serving, shutdown.clone());
        tasks.spawn("mesos-master http", serve);
        let settings = settings(&self.config, self.address, self.known_agents);
        info!(address = %self.address, id = %settings.info.id, "embedded Mesos master serves");
        let run = Loop {
            master: Master::new(settings),
            streams: Streams::default(),
            waiting: BTreeMap::new(),
            links: BTreeMap::new(),
            next_request: 0,
            next_link: 0,
            agents_path: self.agents_path,
            to_loop: links,
            tasks: tasks.clone(),
        };
        run.run(from_handlers, from_links, self.deps.agents, &shutdown).await;
        if let Err(error) = tasks.finish(DRAIN).await {
            warn!(error = %chain(&error), "embedded Mesos master did not stop cleanly");
        }
    }
}

struct Loop {
    master: Master,
    streams: Streams,
    waiting: BTreeMap<RequestId, (Reply, Encoding)>,
    links: BTreeMap<LinkId, mpsc::Sender<ToAgent>>,
    next_request: u64,
    next_link: u64,
    agents_path: PathBuf,
    to_loop: mpsc::Sender<FromLink>,
    tasks: TaskSet,
}

impl Loop {
    async fn run(
        mut self,
        mut from_handlers: mpsc::Receiver<Input>,
        mut from_links: mpsc::Receiver<FromLink>,
        mut agents: mpsc::Receiver<AgentLink>,
        shutdown: &Shutdown,
    ) {
        loop {
            let now = now();
            let wait = self.master.next_wakeup().saturating_since(now);
            tokio::select! {
                () = shutdown.begun() => return,
                Some(input) = from_handlers.recv() => self.input(input),
                Some(message) = from_links.recv() => match message {
                    FromLink::Message(link, message) => self.step(Event::FromAgent { link, message }),
                    FromLink::Down(link) => {
                        self.links.remove(&link);
                        self.step(Event::LinkDown(link));
                    }
                },
                Some(agent) = agents.recv() => self.connect(agent),
                () = tokio::time::sleep(wait) => {
                    for stream in self.streams.abandoned() {
                        self.lose_stream(&stream);
                    }
                    self.step(Event::Tick);
                }
            }
        }
    }

    fn input(&mut self, input: Input) {
        let fresh = StreamId(Uuid::new_v4().to_string());
        match input {
            Input::Call { stream, call, encoding, reply } => {
                let request = self.request(reply, encoding);
                self.step(Event::Call { request, stream, fresh, call });
            }
            Input::Subscribe { encoding, reply } => {
                let request = self.request(reply, encoding);
                self.answer(request, Answer::Subscribed(fresh.clone()), true);
                self.step(Event::OperatorSubscribed(fresh));
            }
            Input::Operate { call, reply } => {
                let request = self.request(reply, Encoding::Json);
                self.step(Event::Operate { request, call });
            }
            Input::Query { call, reply } => {
                // A caller that has gone needs no answer.
                let _ = reply.send(self.master.answer(&call).map(Box::new));
            }
        }
    }

    fn request(&mut self, reply: Reply, encoding: Encoding) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.waiting.insert(id, (reply, encoding));
        id
    }

    fn connect(&mut self, agent: AgentLink) {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.links.insert(link, agent.to_agent);
        let (to_loop, mut from_agent) = (self.to_loop.clone(), agent.from_agent);
        let shutdown = self.tasks.shutdown();
        self.tasks.spawn(format!("agent link {}", link.0), async move {
            loop {
                let message = tokio::select! {
                    () = shutdown.begun() => return,
                    message = from_agent.recv() => message,
                };
                let is_up = message.is_some();
                let said = message.map_or(FromLink::Down(link), |message| FromLink::Message(link, message));
                if to_loop.send(said).await.is_err() || !is_up {
                    return;
                }
            }
        });
    }

    fn step(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.master.step(now(), event, &mut actions);
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Answer { request, answer } => self.answer(request, answer, false),
            Action::ToScheduler { stream, event } => {
                if !self.streams.send(&stream, &*event) {
                    self.lose_stream(&stream);
                }
            }
            Action::ToOperator { stream, event } => {
                if !self.streams.send(&stream, &*event) {
                    self.lose_stream(&stream);
                }
            }
            Action::ToOperators(event) => {
                for stream in self.streams.send_operators(&*event) {
                    self.lose_stream(&stream);
                }
            }
            Action::CloseStream(stream) => self.streams.close(&stream),
            Action::ToAgent { link, message } => {
                let Some(sender) = self.links.get(&link) else { return };
                if sender.try_send(message).is_err() {
                    warn!(link = link.0, "agent does not read; its connection is given up");
                    self.links.remove(&link);
                    self.step(Event::LinkDown(link));
                }
            }
            Action::SaveAgents(agents) => {
                if let Err(error) = save(&self.agents_path, &agents) {
                    warn!(path = %self.agents_path.display(), %error, "failed to remember the agents");
                }
            }
        }
    }

    fn answer(&mut self, request: RequestId, answer: Answer, is_operator: bool) {
        let Some((reply, encoding)) = self.waiting.remove(&request) else { return };
        let replied = match answer {
            Answer::Subscribed(id) => {
                let (sender, body) = body::channel(STREAM_RECORDS_MAX);
                self.streams.open(id.clone(), OpenStream { encoding, sender, is_operator });
                Replied::Stream { id, body }
            }
            other => Replied::Answer(other),
        };
        // A caller that has gone needs no answer; its stream, if any, is found abandoned.
        let _ = reply.send(replied);
    }

    fn lose_stream(&mut self, stream: &StreamId) {
        self.streams.close(stream);
        self.step(Event::StreamClosed(stream.clone()));
    }
}

fn settings(config: &MasterConfig, address: SocketAddr, known_agents: Vec<AgentInfo>) -> Settings {
    let id = Uuid::new_v4();
    let ip = match address.ip() {
        // Network byte order read as a little-endian number, as Mesos fills `MasterInfo.ip`.
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    };
    let capability = |kind: master_info::capability::Type| master_info::Capability { r#type: Some(kind as i32) };
    let info = MasterInfo {
        id: id.to_string(),
        ip,
        port: u32::from(address.port()),
        pid: Some(format!("master@{address}")),
        hostname: Some(config.hostname.clone()),
        version: Some(VERSION.to_owned()),
        address: Some(Address {
            hostname: Some(config.hostname.clone()),
            ip: Some(address.ip().to_string()),
            port: i32::from(address.port()),
        }),
        capabilities: vec![capability(master_info::capability::Type::AgentUpdate)],
        ..MasterInfo::default()
    };
    Settings {
        info,
        started: now(),
        seed: Uuid::new_v4().as_u128(),
        heartbeat_interval: Duration::from_millis(config.heartbeat_interval_ms),
        allocation_interval: Duration::from_millis(config.allocation_interval_ms),
        agent_timeout: Duration::from_millis(config.agent_timeout_ms),
        reregister_timeout: Duration::from_millis(config.agent_reregister_timeout_ms),
        weights: config.weights.clone(),
        known_agents,
    }
}

/// Whole or not at all: a half-written list would forget agents.
fn save(path: &Path, agents: &[AgentInfo]) -> std::io::Result<()> {
    let next = path.with_extension("json.next");
    std::fs::write(&next, serde_json::to_vec(agents)?)?;
    std::fs::File::open(&next)?.sync_all()?;
    std::fs::rename(&next, path)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
