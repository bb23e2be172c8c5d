//! A scheduler's stream seen as lines of text, and waiting for a line without sleeping.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use km_mesos::scheduler::{Call, Event, call, event};
use km_mesos::{AgentId, FrameworkId, Offer, TaskId, TaskState, TaskStatus};
use km_mesos_client::{SchedulerCaller, SchedulerSession};

/// How long an awaited event may take. A real Mesos needs seconds where it works in batches.
const PATIENCE: Duration = Duration::from_secs(30);

/// A subscribed framework and what it has seen.
pub struct Watcher {
    session: SchedulerSession,
    /// Calls within this subscription.
    pub caller: SchedulerCaller,
    /// Its framework.
    pub framework_id: FrameworkId,
    /// Offers not yet used.
    pub offers: VecDeque<Offer>,
    /// The newest state of each task.
    pub states: BTreeMap<String, TaskState>,
    /// Observations not yet taken.
    seen: Vec<String>,
}

impl Watcher {
    /// Reads SUBSCRIBED, or the error instead of it.
    pub async fn start(mut session: SchedulerSession, framework_id: FrameworkId) -> Result<(Self, String)> {
        let first = session.next().await?.context("the stream ended before its first event")?;
        let line = describe(&first);
        let caller = session.caller();
        let watcher =
            Self { session, caller, framework_id, offers: VecDeque::new(), states: BTreeMap::new(), seen: Vec::new() };
        Ok((watcher, line))
    }

    /// Makes a call of this framework.
    pub async fn call(&self, kind: call::Type, fill: impl FnOnce(&mut Call)) -> Result<()> {
        let mut call =
            Call { r#type: Some(kind as i32), framework_id: Some(self.framework_id.clone()), ..Call::default() };
        fill(&mut call);
        self.caller.call(&call).await.with_context(|| format!("{kind}"))
    }

    /// Reads events until `done`; updates are acknowledged as they come.
    pub async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !done(self) {
            let next = tokio::time::timeout_at(deadline, self.session.next()).await;
            let event = match next {
                Err(_) => bail!("waited in vain for {what}; seen since: {:?}", self.seen),
                Ok(event) => event?.with_context(|| format!("the stream ended while waiting for {what}"))?,
            };
            self.take(event).await?;
        }
        Ok(())
    }

    /// Reads one event, if the stream has not ended.
    pub async fn next_line(&mut self) -> Result<Option<String>> {
        let event = tokio::time::timeout(PATIENCE, self.session.next()).await.context("nothing came")??;
        Ok(event.as_ref().map(describe))
    }

    /// Takes what was observed so far.
    pub fn observed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen)
    }

    /// Tells whether a line was observed since the last [`Self::observed`].
    pub fn has_seen(&self, part: &str) -> bool {
        self.seen.iter().any(|line| line.contains(part))
    }

    /// Counts such lines.
    pub fn count_seen(&self, part: &str) -> usize {
        self.seen.iter().filter(|line| line.contains(part)).count()
    }

    async fn take(&mut self, event: Event) -> Result<()> {
        match event.r#type() {
            event::Type::Heartbeat => {}
            event::Type::Offers => self.offers.extend(event.offers.unwrap_or_default().offers),
            event::Type::Rescind => {
                let gone = event.rescind.unwrap_or_default().offer_id;
                self.offers.retain(|offer| offer.id != gone);
            }
            event::Type::Update => {
                let status = event.update.clone().unwrap_or_default().status;
                self.seen.push(describe(&event));
                if let Some(state) = status.known_state() {
                    self.states.insert(status.task_id.value.clone(), state);
                }
                if status.needs_acknowledgement() {
                    self.acknowledge(&status).await?;
                }
            }
            _ => self.seen.push(describe(&event)),
        }
        Ok(())
    }

    async fn acknowledge(&self, status: &TaskStatus) -> Result<()> {
        let acknowledge = call::Acknowledge {
            agent_id: status.agent_id.clone().unwrap_or_default(),
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap_or_default(),
        };
        self.call(call::Type::Acknowledge, |call| call.acknowledge = Some(acknowledge)).await
    }
}

/// Names a task for RECONCILE.
pub fn asked(task: &str, agent: Option<&AgentId>) -> call::reconcile::Task {
    call::reconcile::Task { task_id: TaskId::new(task), agent_id: agent.cloned() }
}

/// Writes an event as a line: what a framework acts on, nothing that differs between runs.
pub fn describe(event: &Event) -> String {
    let kind = event.r#type();
    if let Some(update) = &event.update {
        let status = &update.status;
        let state = status.known_state().map_or("?", TaskState::wire_name);
        let reason = status.reason.map(|_| status.reason().wire_name()).unwrap_or("-");
        let uuid = if status.needs_acknowledgement() { "ack" } else { "no ack" };
        // Messages of executors are their own; those of Mesos name ids, so only their first words count.
        let message = status.message().split([':', '\'', '\n']).next().unwrap_or_default();
        return format!(
            "{kind} {} {state} {} {reason} {uuid} \"{message}\"",
            status.task_id,
            status.source().wire_name()
        );
    }
    if let Some(error) = &event.error {
        return format!("{kind} {}", error.message);
    }
    if let Some(message) = &event.message {
        return format!("{kind} from {}: {}", message.executor_id, String::from_utf8_lossy(&message.data));
    }
    if let Some(failure) = &event.failure {
        let executor = failure.executor_id.clone().unwrap_or_default();
        return format!("{kind} of executor {executor}");
    }
    if let Some(subscribed) = &event.subscribed {
        return format!("{kind} as {}", subscribed.framework_id);
    }
    kind.to_string()
}
