//! The loop that owns the agent: waits, steps the core, writes down, performs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use km_base::{Timestamp, chain};
use km_core_mesos::agent::{Action, Agent, Answer, Event, Launch, Process, Record, RequestId, Settings, StreamId};
use km_core_mesos::link::ToMaster;
use km_core_mesos::wire::Encoding;
use km_mesos::resources::Resources;
use km_mesos::{AgentInfo, Flag, executor};
use km_net::tls::Alpn;
use km_net::{HttpClient, ServeConfig, Shutdown, TaskSet, body};
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::cgroups::Cgroups;
use crate::config::{AgentConfig, AgentDeps, AgentError, Isolation, MasterLink};
use crate::containers::{Containers, Gated};
use crate::environment::Surroundings;
use crate::http::{Handler, Input, Replied, Reply};
use crate::journal::Journal;
use crate::pidfd::ended;
use crate::procs;
use crate::streams::{STREAM_RECORDS_MAX, Streams};

/// Calls that wait for the loop; more wait in their handlers.
const INPUTS_MAX: usize = 1_024;
/// Results of fetching, forking, waiting and destroying that wait for the loop.
const RESULTS_MAX: usize = 256;
/// How often abandoned streams are looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often executors hear a HEARTBEAT. Mesos 1.11 --http_heartbeat_interval.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// Time to reach a server that URIs name.
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// The version whose behaviour the core follows.
const VERSION: &str = "1.11.0";
/// How long open calls may take to end on shutdown.
const DRAIN: Duration = Duration::from_millis(500);

/// An embedded Mesos agent, ready to run.
pub struct MesosAgent {
    config: AgentConfig,
    deps: AgentDeps,
    address: SocketAddr,
    journal: Journal,
    agent: Agent,
    containers: Containers,
}

/// What tasks report to the loop.
enum Report {
    Gated { container_id: String, gated: Box<Gated> },
    LaunchFailed { container_id: String, message: String },
    Exited { container_id: String, status: i32 },
    Destroyed { container_id: String },
}

impl MesosAgent {
    /// Checks the configuration, opens the journal and recovers the state.
    ///
    /// # Errors
    /// [`AgentError`] when the configuration is unusable, the work folder is another agent's, or cgroups are missing.
    pub fn new(config: AgentConfig, deps: AgentDeps) -> Result<Self, AgentError> {
        if config.credentials.is_empty() {
            return Err(AgentError::NoCredentials);
        }
        let total = Resources::from_messages(&config.resources);
        if total.scalar("cpus").0 <= 0 || total.scalar("mem").0 <= 0 {
            return Err(AgentError::NoResources);
        }
        let work_dir = |source| AgentError::WorkDir { path: config.work_dir.clone(), source };
        std::fs::create_dir_all(&config.work_dir).map_err(work_dir)?;
        // MESOS_SANDBOX is absolute whatever way the folder was named.
        let root = config.work_dir.canonicalize().map_err(work_dir)?;
        let (journal, records) = Journal::open(&root.join("meta"))?;
        let address = deps.listener.local_addr().map_err(AgentError::Listener)?;
        let agent = Agent::new(settings(&config, address), records);
        let containers = containers(&config, root)?;
        Ok(Self { config, deps, address, journal, agent, containers })
    }

    /// Serves until shutdown begins. Executors go on without it.
    pub async fn run(self, shutdown: Shutdown) {
        let tasks = TaskSet::new(shutdown.clone());
        let (inputs, from_handlers) = mpsc::channel(INPUTS_MAX);
        let (reports, from_tasks) = mpsc::channel(RESULTS_MAX);
        let handler = Arc::new(Handler { credentials: self.config.credentials.clone(), inputs });
        let service = move |request| Arc::clone(&handler).handle(request);
        let serving = ServeConfig { drain_ms: 200, ..ServeConfig::usual() };
        let serve = km_net::serve_plain(self.deps.listener, Arc::new(service), serving, shutdown.clone());
        tasks.spawn("mesos-agent http", serve);
        info!(address = %self.address, "embedded Mesos agent serves");
        let run = Loop {
            around: Surroundings {
                agent_id: String::new(),
                pid: format!("slave(1)@{}", self.address),
                endpoint: self.address.to_string(),
                path: self.config.executor_path.clone(),
                recovery_timeout: Duration::from_millis(self.config.recovery_timeout_ms),
            },
            agent: self.agent,
            journal: self.journal,
            containers: self.containers,
            streams: Streams::default(),
            waiting: BTreeMap::new(),
            gates: BTreeMap::new(),
            processes: BTreeMap::new(),
            next_request: 0,
            to_master: VecDeque::new(),
            to_loop: reports,
            tasks: tasks.clone(),
        };
        run.run(from_handlers, from_tasks, self.deps.master, &shutdown).await;
        if let Err(error) = tasks.finish(DRAIN).await {
            warn!(error = %chain(&error), "embedded Mesos agent did not stop cleanly");
        }
    }
}

/// Ends every container that the journal names, while no agent runs on the folder; for `km down`.
///
/// The agent's id stays, so that the next start is the same agent with nothing on it. Returns how many containers there
/// were.
///
/// # Errors
/// [`AgentError::Locked`] while an agent runs, and what [`MesosAgent::new`] says of folder, journal and cgroups.
pub async fn destroy_all(config: &AgentConfig) -> Result<usize, AgentError> {
    let work_dir = |source| AgentError::WorkDir { path: config.work_dir.clone(), source };
    if !config.work_dir.exists() {
        return Ok(0);
    }
    let root = config.work_dir.canonicalize().map_err(work_dir)?;
    let (mut journal, records) = Journal::open(&root.join("meta"))?;
    let identity = records.iter().rev().find(|record| matches!(record, Record::Agent(_))).cloned();
    let agent = Agent::new(settings(config, SocketAddr::from(([127, 0, 0, 1], 0))), records);
    let containers = containers(config, root)?;
    let recovered = agent.recovered_containers();
    for container in &recovered {
        containers.destroy(&container.container_id, container.process).await;
    }
    if let Some(cgroups) = &containers.cgroups {
        cgroups.remove_root();
    }
    journal.rewrite(&Vec::from_iter(identity)).map_err(work_dir)?;
    Ok(recovered.len())
}

fn containers(config: &AgentConfig, work_dir: PathBuf) -> Result<Containers, AgentError> {
    let cgroups = match config.isolation {
        Isolation::Posix => None,
        Isolation::Cgroups => {
            let prepared = Cgroups::prepare(&config.cgroups_root);
            Some(Arc::new(prepared.map_err(|message| AgentError::Cgroups { message })?))
        }
    };
    let client = HttpClient::new(&Default::default(), Alpn::Http1, CONNECT_TIMEOUT_MS).map_err(AgentError::Fetcher)?;
    Ok(Containers { work_dir, cgroups, client })
}

struct Loop {
    agent: Agent,
    journal: Journal,
    containers: Containers,
    around: Surroundings,
    streams: Streams,
    waiting: BTreeMap<RequestId, (Reply, Encoding)>,
    gates: BTreeMap<String, ChildStdin>,
    processes: BTreeMap<String, Process>,
    next_request: u64,
    /// Waits while the master's queue is full. Bounded by what the core can have to say: it repeats nothing sooner than 10 s.
    to_master: VecDeque<ToMaster>,
    to_loop: mpsc::Sender<Report>,
    tasks: TaskSet,
}

impl Loop {
    async fn run(
        mut self,
        mut from_handlers: mpsc::Receiver<Input>,
        mut from_tasks: mpsc::Receiver<Report>,
        mut master: MasterLink,
        shutdown: &Shutdown,
    ) {
        self.recover();
        self.step(Event::LinkUp);
        let mut is_linked = true;
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        let mut beat = tokio::time::interval(HEARTBEAT_INTERVAL);
        loop {
            let wait = self.agent.next_wakeup().map_or(HEARTBEAT_INTERVAL, |at| at.saturating_since(now()));
            tokio::select! {
                () = shutdown.begun() => return,
                permit = master.to_master.reserve(), if is_linked && !self.to_master.is_empty() => {
                    if let (Ok(permit), Some(message)) = (permit, self.to_master.pop_front()) {
                        permit.send(message);
                    }
                }
                message = master.from_master.recv(), if is_linked => match message {
                    Some(message) => self.step(Event::FromMaster(message)),
                    None => {
                        is_linked = false;
                        self.to_master.clear();
                        warn!("the master is gone");
                        self.step(Event::LinkDown);
                    }
                },
                Some(input) = from_handlers.recv() => self.input(input),
                Some(report) = from_tasks.recv() => self.report(report),
                _ = look.tick() => {
                    for stream in self.streams.abandoned() {
                        self.lose_stream(&stream);
                    }
                }
                _ = beat.tick() => {
                    let event = executor::Event { r#type: Some(executor::event::Type::Heartbeat as i32), ..Default::default() };
                    for stream in self.streams.send_all(&event) {
                        self.lose_stream(&stream);
                    }
                }
                () = tokio::time::sleep(wait) => self.step(Event::Tick),
            }
        }
    }

    /// Finds out which executors of before still run, and starts from a short journal.
    fn recover(&mut self) {
        if let Err(error) = self.journal.rewrite(&self.agent.snapshot()) {
            error!(%error, "failed to rewrite the journal");
        }
        let mut alive = BTreeSet::new();
        for container in self.agent.recovered_containers() {
            let Some(process) = container.process else { continue };
            self.processes.insert(container.container_id.clone(), process);
            if procs::is_alive(process) {
                info!(container_id = container.container_id, pid = process.pid, "executor still runs");
                alive.insert(container.container_id.clone());
                let id = container.container_id;
                self.spawn_report(format!("exit of {id}"), async move {
                    ended(process).await;
                    // Not our child any more, so nobody tells the status.
                    Report::Exited { container_id: id, status: -1 }
                });
            }
        }
        self.step(Event::Started { alive });
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Call { call, encoding, reply } => {
                let request = RequestId(self.next_request);
                self.next_request += 1;
                self.waiting.insert(request, (reply, encoding));
                let fresh = StreamId(Uuid::new_v4().to_string());
                self.step(Event::Call { request, fresh, call });
            }
            Input::Query { call, reply } => {
                // A caller that has gone needs no answer.
                let _ = reply.send(self.agent.answer(&call).map(Box::new));
            }
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Gated { container_id, gated } => {
                let Gated { process, mut child, gate } = *gated;
                self.gates.insert(container_id.clone(), gate);
                self.processes.insert(container_id.clone(), process);
                let id = container_id.clone();
                self.spawn_report(format!("exit of {id}"), async move {
                    let status = child.wait().await.map_or(-1, ExitStatusExt::into_raw);
                    Report::Exited { container_id: id, status }
                });
                self.step(Event::Forked { container_id, process });
            }
            Report::LaunchFailed { container_id, message } => self.step(Event::LaunchFailed { container_id, message }),
            Report::Exited { container_id, status } => self.step(Event::Exited { container_id, status }),
            Report::Destroyed { container_id } => {
                self.processes.remove(&container_id);
                self.gates.remove(&container_id);
                self.step(Event::Destroyed { container_id });
            }
        }
    }

    fn step(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.agent.step(now(), event, &mut actions);
        // All records of a step in one sync, before anything else of it: earlier is never wrong, one by one is slow.
        for action in &actions {
            if let Action::Checkpoint(record) = action
                && let Err(error) = self.journal.append(record)
            {
                error!(%error, "failed to write the journal");
            }
        }
        if let Err(error) = self.journal.sync() {
            error!(%error, "failed to sync the journal");
        }
        for action in actions {
            self.perform(action);
        }
        if self.journal.is_long()
            && let Err(error) = self.journal.rewrite(&self.agent.snapshot())
        {
            error!(%error, "failed to rewrite the journal");
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Checkpoint(_) => {}
            Action::Answer { request, answer } => self.answer(request, answer),
            Action::ToExecutor { stream, event } => {
                if !self.streams.send(&stream, &event) {
                    self.lose_stream(&stream);
                }
            }
            Action::CloseStream(stream) => self.streams.close(&stream),
            Action::ToMaster(message) => self.to_master.push_back(message),
            Action::Launch(launch) => self.launch(*launch),
            Action::Release { container_id } => self.release(&container_id),
            Action::Update { container_id, allowance } => self.containers.allow(&container_id, &allowance),
            Action::Destroy { container_id } => {
                // An end of input ends a process that still waits at the gate.
                self.gates.remove(&container_id);
                let (containers, process) = (self.containers.clone(), self.processes.get(&container_id).copied());
                self.spawn_report(format!("destroy {container_id}"), async move {
                    containers.destroy(&container_id, process).await;
                    Report::Destroyed { container_id }
                });
            }
        }
    }

    fn launch(&mut self, launch: Launch) {
        self.around.agent_id = self.agent.id().cloned().unwrap_or_default().value;
        let (containers, around) = (self.containers.clone(), self.around.clone());
        self.spawn_report(format!("launch {}", launch.container_id), async move {
            let container_id = launch.container_id.clone();
            match containers.launch(&launch, &around).await {
                Ok(gated) => Report::Gated { container_id, gated: Box::new(gated) },
                Err(message) => {
                    containers.destroy(&container_id, None).await;
                    Report::LaunchFailed { container_id, message }
                }
            }
        });
    }

    fn release(&mut self, container_id: &str) {
        let Some(mut gate) = self.gates.remove(container_id) else { return };
        self.tasks.spawn(format!("release {container_id}"), async move {
            // If it is gone already, its exit says so.
            let _ = gate.write_all(b"go\n").await;
        });
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        let Some((reply, encoding)) = self.waiting.remove(&request) else { return };
        let replied = match answer {
            Answer::Subscribed(id) => {
                let (sender, body) = body::channel(STREAM_RECORDS_MAX);
                self.streams.open(id, encoding, sender);
                Replied::Stream(body)
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

    /// Runs something whose outcome comes back to the loop.
    fn spawn_report(&self, name: String, work: impl Future<Output = Report> + Send + 'static) {
        let (to_loop, shutdown) = (self.to_loop.clone(), self.tasks.shutdown());
        self.tasks.spawn(name, async move {
            tokio::select! {
                () = shutdown.begun() => {}
                // The loop has ended when nobody receives.
                report = work => drop(to_loop.send(report).await),
            }
        });
    }
}

fn settings(config: &AgentConfig, address: SocketAddr) -> Settings {
    let ms = Duration::from_millis;
    Settings {
        info: AgentInfo {
            hostname: config.hostname.clone(),
            port: Some(i32::from(address.port())),
            resources: config.resources.clone(),
            attributes: config.attributes.clone(),
            id: None,
            domain: config.domain.clone(),
        },
        pid: format!("slave(1)@{address}"),
        ip: address.ip().to_string(),
        version: VERSION.to_owned(),
        flags: flags(config, address),
        seed: Uuid::new_v4().as_u128(),
        executor_registration_timeout: ms(config.executor_registration_timeout_ms),
        executor_reregistration_timeout: ms(config.executor_reregistration_timeout_ms),
        executor_shutdown_grace_period: ms(config.executor_shutdown_grace_period_ms),
        // Mesos 1.11 src/slave/constants.hpp, STATUS_UPDATE_RETRY_INTERVAL_MIN and _MAX.
        update_retry_min: Duration::from_secs(10),
        update_retry_max: Duration::from_secs(600),
    }
}

/// What GET_FLAGS shows; frameworks read from it whether limits work.
fn flags(config: &AgentConfig, address: SocketAddr) -> Vec<Flag> {
    let (launcher, isolation) = match config.isolation {
        Isolation::Posix => ("posix", "posix/cpu,posix/mem"),
        Isolation::Cgroups => ("linux", "cgroups/cpu,cgroups/mem"),
    };
    let flag = |name: &str, value: String| Flag { name: name.to_owned(), value: Some(value) };
    vec![
        flag("authenticate_http_executors", "false".to_owned()),
        flag("cgroups_hierarchy", "/sys/fs/cgroup".to_owned()),
        flag("cgroups_root", config.cgroups_root.clone()),
        flag("executor_registration_timeout", format!("{}ms", config.executor_registration_timeout_ms)),
        flag("executor_reregistration_timeout", format!("{}ms", config.executor_reregistration_timeout_ms)),
        flag("executor_shutdown_grace_period", format!("{}ms", config.executor_shutdown_grace_period_ms)),
        flag("hostname", config.hostname.clone()),
        flag("isolation", isolation.to_owned()),
        flag("launcher", launcher.to_owned()),
        flag("port", address.port().to_string()),
        flag("work_dir", config.work_dir.display().to_string()),
    ]
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
