//! The session with the Mesos agent: subscribes, and again whenever the connection ends; carries updates.
//!
//! One task owns the connection and the [`Ledger`] of what Mesos has not acknowledged. It decides nothing about
//! pods: events go to the executor's owner task, its updates come back through a channel.

use std::time::Duration;

use km_base::chain;
use km_mesos::executor::{Call, Event, call, event};
use km_mesos::{ExecutorId, FrameworkId, TaskInfo, TaskStatus};
use km_mesos_client::{ExecutorClient, ExecutorSession};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::environment::MesosEnvironment;
use crate::ledger::Ledger;
use km_net::Shutdown;

/// Wait between attempts to subscribe. A restarted agent waits 2 s by default for its executors.
const SUBSCRIBE_EVERY: Duration = Duration::from_millis(300);
/// Updates that may wait for the session task, which takes none up while it waits for an answer of the agent (15 s at
/// most): some ten for each pod of a full node. One too many would be lost, and its task never end.
pub(crate) const UPDATES_MAX: usize = 4_096;
/// Longest wait at the end for the last updates to be acknowledged.
const LAST_ACKNOWLEDGEMENTS: Duration = Duration::from_secs(2);

/// What the session tells the owner.
#[derive(Debug)]
pub(crate) enum AgentEvent {
    Subscribed(Box<event::Subscribed>),
    Launch(Box<TaskInfo>),
    Kill {
        task_id: String,
        grace: Option<Duration>,
    },
    Shutdown,
    /// The agent did not come back in time, or refuses this executor.
    Lost(String),
}

pub(crate) struct Session {
    pub(crate) environment: MesosEnvironment,
    pub(crate) ledger: Ledger,
    pub(crate) events: mpsc::Sender<AgentEvent>,
    pub(crate) updates: mpsc::Receiver<TaskStatus>,
    pub(crate) shutdown: Shutdown,
}

enum End {
    /// The owner is gone, or shutdown began and everything is said.
    Over,
    /// The connection ended.
    Disconnected,
}

impl Session {
    pub(crate) async fn run(mut self) {
        let mut away_since = Instant::now();
        let client = ExecutorClient::new(self.environment.agent_endpoint.clone());
        loop {
            let subscribe = self.subscribe_call();
            let attempt = client.subscribe(&subscribe);
            let attempt = tokio::select! {
                attempt = timeout(Duration::from_secs(5), attempt) => attempt,
                () = self.shutdown.begun() => return,
            };
            match attempt {
                Ok(Ok(session)) => {
                    info!(agent = %self.environment.agent_endpoint, "subscribed to the Mesos agent");
                    match Box::pin(self.converse(session)).await {
                        End::Over => return,
                        End::Disconnected => away_since = Instant::now(),
                    }
                }
                Ok(Err(error)) if !error.retryable() => {
                    let why = chain(&error).to_string();
                    self.lose(why).await;
                    return;
                }
                Ok(Err(error)) => debug!(error = %chain(&error), "failed to subscribe"),
                Err(_) => debug!("the agent did not answer SUBSCRIBE"),
            }
            if self.environment.recovery_timeout.is_some_and(|limit| away_since.elapsed() > limit) {
                self.lose("the Mesos agent did not come back within its recovery timeout".into()).await;
                return;
            }
            if !self.wait_collecting(SUBSCRIBE_EVERY).await {
                return;
            }
        }
    }

    async fn lose(&self, why: String) {
        // An owner that is gone has ended already.
        let _ = self.events.send(AgentEvent::Lost(why)).await;
    }

    /// Waits, taking updates up meanwhile; false when the owner is gone.
    async fn wait_collecting(&mut self, wait: Duration) -> bool {
        let end = sleep(wait);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return true,
                () = self.shutdown.begun() => return false,
                update = self.updates.recv() => match update {
                    Some(status) => self.ledger.update(status),
                    None => return false,
                },
            }
        }
    }

    /// Carries events and updates until the connection or the executor ends.
    async fn converse(&mut self, mut session: ExecutorSession) -> End {
        let caller = session.caller();
        loop {
            tokio::select! {
                event = session.next() => match event {
                    Ok(Some(event)) => if !self.handle(event).await { return End::Over },
                    Ok(None) => return End::Disconnected,
                    Err(error) => {
                        warn!(error = %chain(&error), "lost the Mesos agent");
                        return End::Disconnected;
                    }
                },
                update = self.updates.recv() => match update {
                    Some(status) => {
                        self.ledger.update(status.clone());
                        let call = self.call(call::Type::Update, |c| c.update = Some(call::Update { status }));
                        if let Err(error) = caller.call(&call).await {
                            warn!(error = %chain(&error), "failed to send a status update");
                            return End::Disconnected;
                        }
                    }
                    None => {
                        self.drain(&mut session).await;
                        return End::Over;
                    }
                },
            }
        }
    }

    /// Waits for the acknowledgements of what was said last: without them the agent reports the tasks as lost.
    async fn drain(&mut self, session: &mut ExecutorSession) {
        let deadline = Instant::now() + LAST_ACKNOWLEDGEMENTS;
        while self.ledger.has_updates() {
            let Ok(Ok(Some(event))) = tokio::time::timeout_at(deadline, session.next()).await else { return };
            if let Some(acknowledged) = event.acknowledged {
                self.ledger.acknowledged(&acknowledged.task_id.value, &acknowledged.uuid);
            }
        }
    }

    /// Handles one event; false when the owner is gone.
    async fn handle(&mut self, event: Event) -> bool {
        let kind = event.r#type();
        let forward = match (kind, event) {
            (event::Type::Subscribed, Event { subscribed: Some(subscribed), .. }) => {
                AgentEvent::Subscribed(Box::new(subscribed))
            }
            (event::Type::Launch, Event { launch: Some(launch), .. }) => {
                self.ledger.launched(launch.task.clone());
                AgentEvent::Launch(Box::new(launch.task))
            }
            (event::Type::LaunchGroup, Event { launch_group: Some(group), .. }) => {
                for task in group.task_group.tasks {
                    self.ledger.launched(task.clone());
                    if self.events.send(AgentEvent::Launch(Box::new(task))).await.is_err() {
                        return false;
                    }
                }
                return true;
            }
            (event::Type::Kill, Event { kill: Some(kill), .. }) => {
                let grace = kill.kill_policy.and_then(|policy| policy.grace_period);
                let grace = grace.map(|g| Duration::from_nanos(u64::try_from(g.nanoseconds).unwrap_or(0)));
                AgentEvent::Kill { task_id: kill.task_id.value, grace }
            }
            (event::Type::Acknowledged, Event { acknowledged: Some(acknowledged), .. }) => {
                self.ledger.acknowledged(&acknowledged.task_id.value, &acknowledged.uuid);
                return true;
            }
            (event::Type::Shutdown, _) => AgentEvent::Shutdown,
            (event::Type::Error, Event { error: Some(error), .. }) => AgentEvent::Lost(error.message),
            _ => return true,
        };
        self.events.send(forward).await.is_ok()
    }

    fn subscribe_call(&self) -> Call {
        let subscribe = call::Subscribe {
            unacknowledged_tasks: self.ledger.unacknowledged_tasks(),
            unacknowledged_updates: self.ledger.updates(),
        };
        self.call(call::Type::Subscribe, |c| c.subscribe = Some(subscribe))
    }

    fn call(&self, kind: call::Type, fill: impl FnOnce(&mut Call)) -> Call {
        let mut call = Call {
            executor_id: ExecutorId { value: self.environment.executor_id.clone() },
            framework_id: FrameworkId { value: self.environment.framework_id.clone() },
            r#type: Some(kind.into()),
            ..Call::default()
        };
        fill(&mut call);
        call
    }
}
