//! Does what takes time, beside the owner: API requests, the subscription, operator calls.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use km_api::Request;
use km_client::Client;
use km_core_framework::{Event, Purpose};
use km_mesos::scheduler::Call;
use km_mesos::{AgentId, agent, master};
use km_net::{Shutdown, TaskSet};
use tokio::sync::{Semaphore, mpsc};
use tracing::debug;

use crate::mesos::{Mesos, Subscription};

/// API requests under way at once; more wait their turn. Enough to keep a group-committing store busy.
const REQUESTS_MAX: usize = 64;
/// Calls that may wait in a subscription: two a task for the largest burst of launches that is ever planned.
const CALLS_MAX: usize = 16_384;
/// Longest wait for an operator call.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(10);

/// A reply for the owner; those of an earlier subscription are dropped by it.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The subscription that it belongs to, if any.
    pub generation: Option<u64>,
    pub event: Event,
}

/// Starts work and sends its outcome to the owner.
pub(crate) struct Performer {
    pub client: Client,
    pub mesos: Arc<dyn Mesos>,
    pub tasks: TaskSet,
    pub replies: mpsc::Sender<Reply>,
    requests: Arc<Semaphore>,
}

/// The owner's end of a subscription.
pub(crate) struct Session {
    pub generation: u64,
    pub calls: mpsc::Sender<Call>,
    end: Shutdown,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end.begin();
    }
}

impl Performer {
    pub(crate) fn new(client: Client, mesos: Arc<dyn Mesos>, tasks: TaskSet, replies: mpsc::Sender<Reply>) -> Self {
        Self { client, mesos, tasks, replies, requests: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }

    pub(crate) fn api(&self, purpose: Purpose, request: Request) {
        let (client, replies, turns) = (self.client.clone(), self.replies.clone(), Arc::clone(&self.requests));
        self.spawn("api request", async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            let result = client.call(request).await;
            if let Err(status) = &result {
                debug!(?purpose, error = %status, "API request failed");
            }
            let _ = replies.send(Reply { generation: None, event: Event::Written { purpose, result } }).await;
        });
    }

    /// Opens subscription number `generation`.
    pub(crate) fn subscribe(&self, call: Call, generation: u64) -> Session {
        let (calls, waiting) = mpsc::channel(CALLS_MAX);
        let end = self.tasks.shutdown().child();
        let (mesos, replies, ended) = (Arc::clone(&self.mesos), self.replies.clone(), end.clone());
        self.tasks.spawn("mesos subscription", async move {
            let reason = tokio::select! {
                reason = follow(&*mesos, call, generation, &replies, waiting) => reason,
                () = ended.begun() => return,
            };
            let event = Event::Disconnected { reason };
            let _ = replies.send(Reply { generation: Some(generation), event }).await;
        });
        Session { generation, calls, end }
    }

    pub(crate) fn get_agents(&self, generation: u64) {
        let call = master::Call { r#type: Some(master::call::Type::GetAgents as i32), ..master::Call::default() };
        self.operator(call, generation, |answer| Event::Agents(answer.and_then(|a| a.get_agents)));
    }

    pub(crate) fn get_executors(&self, generation: u64) {
        let call = master::Call { r#type: Some(master::call::Type::GetExecutors as i32), ..master::Call::default() };
        self.operator(call, generation, |answer| {
            // A master without executors may leave the field out.
            Event::Executors(answer.map(|a| a.get_executors.unwrap_or_default()))
        });
    }

    pub(crate) fn get_isolation(&self, agent_id: AgentId, address: String) {
        let (mesos, replies) = (Arc::clone(&self.mesos), self.replies.clone());
        self.spawn("agent flags", async move {
            let call = agent::Call { r#type: Some(agent::call::Type::GetFlags as i32), ..agent::Call::default() };
            let answer = tokio::time::timeout(OPERATOR_TIMEOUT, mesos.agent(address, call)).await;
            let flags = match answer {
                Ok(Ok(answer)) => answer.get_flags.map(|f| f.flags).unwrap_or_default(),
                // Without the flags no limits are set: right for posix isolation, and never an error.
                Ok(Err(error)) => return debug!(%agent_id, %error, "failed to read an agent's flags"),
                Err(_) => return debug!(%agent_id, "an agent did not tell its flags in time"),
            };
            if let Some(isolation) = flags.into_iter().find(|f| f.name == "isolation").and_then(|f| f.value) {
                let event = Event::Isolation { agent_id, isolation };
                let _ = replies.send(Reply { generation: None, event }).await;
            }
        });
    }

    fn operator(
        &self,
        call: master::Call,
        generation: u64,
        event: impl FnOnce(Option<master::Response>) -> Event + Send + 'static,
    ) {
        let (mesos, replies) = (Arc::clone(&self.mesos), self.replies.clone());
        self.spawn("operator call", async move {
            let answer = match tokio::time::timeout(OPERATOR_TIMEOUT, mesos.master(call)).await {
                Ok(Ok(answer)) => Some(answer),
                Ok(Err(error)) => {
                    debug!(%error, "operator call failed");
                    None
                }
                Err(_) => None,
            };
            let _ = replies.send(Reply { generation: Some(generation), event: event(answer) }).await;
        });
    }

    /// Starts work that shutdown cuts short.
    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.tasks.shutdown();
        self.tasks.spawn(name, async move {
            tokio::select! {
                () = work => {}
                () = shutdown.begun() => {}
            }
        });
    }
}

/// Follows a subscription until it ends; says why.
async fn follow(
    mesos: &dyn Mesos,
    call: Call,
    generation: u64,
    replies: &mpsc::Sender<Reply>,
    mut waiting: mpsc::Receiver<Call>,
) -> String {
    let Subscription { mut events, caller } = match mesos.subscribe(call).await {
        Ok(subscription) => subscription,
        Err(reason) => return reason,
    };
    let calls = async {
        while let Some(call) = waiting.recv().await {
            if let Err(reason) = caller.call(call).await {
                return reason;
            }
        }
        "the framework left".to_owned()
    };
    let listen = async {
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    let reply = Reply { generation: Some(generation), event: Event::Mesos(Box::new(event)) };
                    if replies.send(reply).await.is_err() {
                        return "the framework left".to_owned();
                    }
                }
                Some(Err(reason)) => return reason,
                None => return "the master ended the subscription".to_owned(),
            }
        }
    };
    tokio::select! {
        reason = calls => reason,
        reason = listen => reason,
    }
}
