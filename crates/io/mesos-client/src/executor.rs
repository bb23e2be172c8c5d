//! The executor API: a subscription to the agent and its calls (Mesos v1 executor API, `POST /api/v1/executor`).

use std::sync::Arc;

use km_mesos::executor::{Call, Event};
use prost::Message as _;
use tokio::sync::Mutex;

use crate::ClientError;
use crate::stream::EventStream;
use crate::transport::{Post, Transport};

const PATH: &str = "/api/v1/executor";

/// Subscribes an executor to its agent.
pub struct ExecutorClient {
    agent: String,
}

/// A subscription: the executor's events.
pub struct ExecutorSession {
    events: EventStream,
    caller: ExecutorCaller,
}

/// Makes calls to the agent; clones share their order.
#[derive(Clone)]
pub struct ExecutorCaller {
    transport: Transport,
    agent: Arc<str>,
    /// Held from sending a call to its answer, so that status updates arrive in order.
    turn: Arc<Mutex<()>>,
}

impl ExecutorClient {
    /// Makes a client of the agent at `host:port` (`MESOS_AGENT_ENDPOINT`).
    #[must_use]
    pub fn new(agent: impl Into<String>) -> Self {
        Self { agent: agent.into() }
    }

    /// Sends SUBSCRIBE; the first event is SUBSCRIBED.
    ///
    /// # Errors
    /// [`ClientError`]; while the agent restarts no connection or 503, both worth another try.
    pub async fn subscribe(&self, subscribe: &Call) -> Result<ExecutorSession, ClientError> {
        let post = Post { path: PATH, call: "SUBSCRIBE", body: subscribe.encode_to_vec().into(), stream_id: None };
        let answer = Transport::new(None).post(&self.agent, &post).await?;
        let caller = ExecutorCaller {
            transport: Transport::new(None),
            agent: answer.peer.as_str().into(),
            turn: Arc::new(Mutex::new(())),
        };
        Ok(ExecutorSession { events: EventStream::new(answer.peer, answer.body), caller })
    }
}

impl ExecutorSession {
    /// Waits for the next event; `None` when the agent ended the stream. Cancel safe.
    ///
    /// # Errors
    /// [`ClientError`] when the connection broke or the stream cannot be read.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        self.events.next().await
    }

    /// Returns what makes calls to this agent.
    #[must_use]
    pub fn caller(&self) -> ExecutorCaller {
        self.caller.clone()
    }
}

impl ExecutorCaller {
    /// Makes a call. Calls take their turn.
    ///
    /// # Errors
    /// [`ClientError`] when the agent cannot be reached or refuses.
    pub async fn call(&self, call: &Call) -> Result<(), ClientError> {
        let _turn = self.turn.lock().await;
        let name = format!("{:?}", call.r#type());
        let post = Post { path: PATH, call: &name, body: call.encode_to_vec().into(), stream_id: None };
        self.transport.post(&self.agent, &post).await.map(|_| ())
    }
}
