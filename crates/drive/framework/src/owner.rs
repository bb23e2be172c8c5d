//! The loop that owns both cores: waits, steps, performs.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use km_api::resource::{NODES, PODS};
use km_base::Timestamp;
use km_client::{Change, Informer, InformerConfig, informer};
use km_core_framework::{Action, Event, Framework as Core};
use km_kinds::api::core::v1::{Node, Pod};
use km_net::{ServeConfig, Shutdown, TaskSet, serve_plain};
use km_scheduler::{Event as SchedulerEvent, Scheduler};
use tokio::sync::mpsc;
use tracing::{debug, error, info, warn};

use crate::artifacts::Artifacts;
use crate::config::{ConfigError, FrameworkConfig, FrameworkDeps};
use crate::debug::{Query, Snapshot};
use crate::glue::{to_framework, to_scheduler};
use crate::performer::{Performer, Reply, Session};

/// Replies that may wait for the owner; whoever sends more waits.
const REPLIES_MAX: usize = 4_096;
/// Questions of the debug endpoints that may wait.
const QUERIES_MAX: usize = 16;
/// Events taken in before the next decision: one cycle for a burst, not one an event.
const BATCH_MAX: usize = 512;
/// Time for connections of the artifact server to end.
const DRAIN: Duration = Duration::from_secs(6);

/// A framework, ready to run.
pub struct Framework {
    config: FrameworkConfig,
    deps: FrameworkDeps,
}

/// Why a framework ended, other than by shutdown.
#[derive(Debug, thiserror::Error)]
pub enum FrameworkError {
    /// The configuration cannot work.
    #[error("the framework cannot start")]
    Config(#[from] ConfigError),
    /// Mesos will not have this scheduler any more.
    #[error("the framework ends: {reason}")]
    Ended {
        /// What Mesos says.
        reason: String,
    },
    /// A part of it failed.
    #[error("a part of the framework failed")]
    Task(#[from] km_net::task::TaskError),
}

impl Framework {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`FrameworkError::Config`].
    pub fn new(config: FrameworkConfig, deps: FrameworkDeps) -> Result<Self, FrameworkError> {
        config.check()?;
        Ok(Self { config, deps })
    }

    /// Runs until shutdown begins. The framework stays registered: its pods go on, and the next run takes over.
    ///
    /// # Errors
    /// [`FrameworkError`] when it had to end by itself.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), FrameworkError> {
        let Self { config, deps } = self;
        let shutdown = shutdown.child();
        let tasks = TaskSet::new(shutdown.clone());
        let (queries, asked) = mpsc::channel(QUERIES_MAX);
        let artifacts = Arc::new(Artifacts::new(config.binary.clone(), config.images.clone(), queries, tasks.clone()));
        let serve = serve_plain(deps.artifacts, artifacts, ServeConfig::usual(), shutdown.clone());
        tasks.spawn("artifact server", serve);
        let (pods, pod_changes) =
            informer(deps.client.clone(), InformerConfig::all(&PODS), |object| object.decode::<Pod>());
        let (nodes, node_changes) =
            informer(deps.client.clone(), InformerConfig::all(&NODES), |object| object.decode::<Node>());
        tasks.spawn("pod informer", pods);
        tasks.spawn("node informer", nodes);
        let (replies, replied) = mpsc::channel(REPLIES_MAX);
        let new_framework_id = format!("km-{}", uuid::Uuid::new_v4());
        let owner = Owner {
            framework: Core::new(config.framework_core(new_framework_id)),
            scheduler: Scheduler::new(config.scheduler_core()),
            performer: Performer::new(deps.client, deps.mesos, tasks.clone(), replies),
            session: None,
            generation: 0,
            wakes: BTreeSet::new(),
            solve: false,
            fatal: None,
        };
        let fatal = owner.run(Inputs { pods: pod_changes, nodes: node_changes, replied, asked }, &shutdown).await;
        shutdown.begin();
        let finished = tasks.finish(DRAIN).await;
        match fatal {
            Some(reason) => Err(FrameworkError::Ended { reason }),
            None => Ok(finished?),
        }
    }
}

struct Inputs {
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    replied: mpsc::Receiver<Reply>,
    asked: mpsc::Receiver<Query>,
}

struct Owner {
    framework: Core,
    scheduler: Scheduler,
    performer: Performer,
    session: Option<Session>,
    /// Number of the last subscription.
    generation: u64,
    /// Every time asked for that has not come.
    wakes: BTreeSet<Timestamp>,
    /// Whether the scheduler has heard something since its last decision.
    solve: bool,
    fatal: Option<String>,
}

impl Owner {
    async fn run(mut self, mut inputs: Inputs, shutdown: &Shutdown) -> Option<String> {
        info!("framework starts");
        self.take_in([Event::Start].into());
        let mut batch = VecDeque::new();
        loop {
            let sleep = self.wakes.first().map(|at| at.saturating_since(now()));
            tokio::select! {
                () = shutdown.begun() => return None,
                Some(reply) = inputs.replied.recv() => batch.extend(self.current(reply)),
                Some(change) = inputs.pods.recv() => batch.push_back(pod_event(change)),
                Some(change) = inputs.nodes.recv() => batch.push_back(node_event(change)),
                Some(query) = inputs.asked.recv() => self.answer(query),
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {
                    let now = now();
                    self.wakes.retain(|at| *at > now);
                    self.solve = true;
                    batch.push_back(Event::Tick);
                }
            }
            while batch.len() < BATCH_MAX {
                if let Ok(reply) = inputs.replied.try_recv() {
                    batch.extend(self.current(reply));
                } else if let Ok(change) = inputs.pods.try_recv() {
                    batch.push_back(pod_event(change));
                } else if let Ok(change) = inputs.nodes.try_recv() {
                    batch.push_back(node_event(change));
                } else {
                    break;
                }
            }
            self.take_in(std::mem::take(&mut batch));
            if self.fatal.is_some() {
                return self.fatal;
            }
        }
    }

    /// Leaves out what an earlier subscription brings late.
    fn current(&self, reply: Reply) -> Option<Event> {
        reply.generation.is_none_or(|g| g == self.generation).then_some(reply.event)
    }

    /// Steps the cores until they want nothing more of each other.
    fn take_in(&mut self, mut events: VecDeque<Event>) {
        let now = now();
        let mut actions = Vec::new();
        loop {
            while let Some(event) = events.pop_front() {
                let disconnected = matches!(event, Event::Disconnected { .. });
                self.framework.step(now, event, &mut actions);
                if disconnected {
                    self.drop_session();
                }
                for action in std::mem::take(&mut actions) {
                    self.perform(now, action, &mut events);
                }
            }
            if !std::mem::take(&mut self.solve) {
                return;
            }
            let mut decided = Vec::new();
            self.scheduler.step(now, SchedulerEvent::Solve, &mut decided);
            for action in decided {
                match to_framework(action, entropy) {
                    Ok(event) => events.push_back(event),
                    Err(time) => self.wake_at(time),
                }
            }
        }
    }

    fn perform(&mut self, now: Timestamp, action: Action, events: &mut VecDeque<Event>) {
        match action {
            Action::Api { purpose, request } => self.performer.api(purpose, *request),
            Action::Subscribe(call) => {
                self.generation += 1;
                debug!(generation = self.generation, "subscribing to Mesos");
                self.session = Some(self.performer.subscribe(*call, self.generation));
            }
            Action::Call(call) => self.call(*call, events),
            Action::GetAgents => self.performer.get_agents(self.generation),
            Action::GetExecutors => self.performer.get_executors(self.generation),
            Action::GetIsolation { agent_id, address } => self.performer.get_isolation(agent_id, address),
            Action::Scheduler(message) => {
                // Without a decision the scheduler emits nothing.
                let mut none = Vec::new();
                self.scheduler.step(now, to_scheduler(message), &mut none);
                self.solve = true;
            }
            Action::Warn(what) => warn!("{what}"),
            Action::Fatal(reason) => {
                error!("{reason}");
                self.fatal = Some(reason);
            }
            Action::WakeAt(time) => self.wake_at(time),
        }
    }

    fn call(&mut self, call: km_mesos::scheduler::Call, events: &mut VecDeque<Event>) {
        let Some(session) = &self.session else { return };
        debug!(call = ?call.r#type(), generation = session.generation, "calling Mesos");
        if session.calls.try_send(call).is_err() {
            // Too far behind, or already over: what Mesos did not hear is found out by reconciliation.
            events.push_back(Event::Disconnected { reason: "the master does not take calls".to_owned() });
        }
    }

    fn drop_session(&mut self) {
        if self.session.take().is_some() {
            self.generation += 1;
        }
    }

    fn wake_at(&mut self, time: Timestamp) {
        self.wakes.insert(time);
    }

    fn answer(&self, query: Query) {
        // Whoever asked may have gone.
        let _ = query.send(Snapshot {
            framework_id: self.framework.framework_id().map(|id| id.value),
            ready: self.framework.is_ready(),
            offers_held: self.scheduler.offers_held(),
            counters: self.framework.counters(),
            tasks: self.framework.tasks(),
            waiting: self.scheduler.waiting(),
        });
    }
}

fn pod_event(change: Change<Pod>) -> Event {
    match change {
        Change::Upsert(cached) => Event::Pod(cached.object),
        Change::Delete(key) => Event::PodGone(key),
        Change::Synced => Event::PodsSynced,
    }
}

fn node_event(change: Change<Node>) -> Event {
    match change {
        Change::Upsert(cached) => Event::Node(cached.object),
        Change::Delete(key) => Event::NodeGone(key.name),
        Change::Synced => Event::NodesSynced,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Fresh random bytes: two version 4 UUIDs, 244 random bits.
fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes
}
