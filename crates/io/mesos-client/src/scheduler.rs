//! The scheduler API: a subscription and its calls (Mesos v1 scheduler API, `POST /api/v1/scheduler`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use km_mesos::scheduler::{Call, Event};
use prost::Message as _;
use tokio::sync::Mutex;

use crate::stream::EventStream;
use crate::transport::{Post, Transport};
use crate::{ClientError, Credential, MasterAddress};

const PATH: &str = "/api/v1/scheduler";
/// As if heartbeats came this often, until SUBSCRIBED says how often they do: a master that is lost before it must not
/// be waited for for ever.
const FIRST_EVENT: Duration = Duration::from_secs(15);

/// Subscribes frameworks to the leading master.
pub struct SchedulerClient {
    masters: MasterAddress,
    credential: Option<Credential>,
}

/// A subscription: the framework's events, until it fails or the master ends it.
pub struct SchedulerSession {
    events: EventStream,
    caller: SchedulerCaller,
}

/// Makes calls within one subscription; clones share its order.
#[derive(Clone)]
pub struct SchedulerCaller {
    transport: Transport,
    peer: Arc<str>,
    stream_id: Option<Arc<str>>,
    /// Held from sending a call to its answer: Mesos promises order only within one connection.
    turn: Arc<Mutex<()>>,
}

impl SchedulerClient {
    /// Makes a client; connects on [`SchedulerClient::subscribe`].
    #[must_use]
    pub fn new(masters: MasterAddress, credential: Option<Credential>) -> Self {
        Self { masters, credential }
    }

    /// Sends SUBSCRIBE to the leading master, asking each known master in turn.
    ///
    /// The subscription succeeded when its first event is SUBSCRIBED; a master that refuses the framework
    /// answers 200 and sends ERROR.
    ///
    /// # Errors
    /// The last master's [`ClientError`].
    pub async fn subscribe(&self, subscribe: &Call) -> Result<SchedulerSession, ClientError> {
        let body = Bytes::from(subscribe.encode_to_vec());
        let mut last = ClientError::NoLeader { message: format!("no master of {} was asked", self.masters) };
        for host in self.masters.hosts() {
            // The subscription has connections of its own: none that a call could wait behind.
            let transport = Transport::new(self.credential.as_ref());
            let post = Post { path: PATH, call: "SUBSCRIBE", body: body.clone(), stream_id: None };
            match transport.post(host, &post).await {
                Ok(answer) => {
                    let caller = SchedulerCaller {
                        transport: Transport::new(self.credential.as_ref()),
                        peer: answer.peer.as_str().into(),
                        stream_id: answer.stream_id.as_deref().map(Into::into),
                        turn: Arc::new(Mutex::new(())),
                    };
                    let mut events = EventStream::new(answer.peer, answer.body);
                    events.expect_heartbeats(FIRST_EVENT);
                    return Ok(SchedulerSession { events, caller });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl SchedulerSession {
    /// Waits for the next event, heartbeats included; `None` when the master ended the stream. Cancel safe.
    ///
    /// # Errors
    /// [`ClientError`] when the connection broke, a heartbeat is long overdue, or the stream cannot be read.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        let event: Option<Event> = self.events.next().await?;
        if let Some(interval) =
            event.as_ref().and_then(|e| e.subscribed.as_ref()).and_then(|s| s.heartbeat_interval_seconds)
        {
            self.events.expect_heartbeats(Duration::try_from_secs_f64(interval).unwrap_or(Duration::from_secs(15)));
        }
        Ok(event)
    }

    /// Returns the leading master's `host:port`.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.caller.peer
    }

    /// Returns what makes calls within this subscription.
    #[must_use]
    pub fn caller(&self) -> SchedulerCaller {
        self.caller.clone()
    }
}

impl SchedulerCaller {
    /// Makes a call; its `framework_id` must be set. Calls take their turn.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for a call that Mesos rejects, e.g. 400 after another scheduler took over.
    pub async fn call(&self, call: &Call) -> Result<(), ClientError> {
        let _turn = self.turn.lock().await;
        let name = format!("{:?}", call.r#type());
        let post =
            Post { path: PATH, call: &name, body: call.encode_to_vec().into(), stream_id: self.stream_id.as_deref() };
        self.transport.post(&self.peer, &post).await.map(|_| ())
    }
}
