//! The way to Mesos, as a seam: over the network, or an in-memory session in tests.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use km_base::chain;
use km_mesos::scheduler::{Call, Event};
use km_mesos::{agent, master};
use km_mesos_client::{Credential, MasterAddress, OperatorClient, SchedulerCaller, SchedulerClient, SchedulerSession};

/// A Mesos cluster. Failures are told as text for the operator: the core treats all alike.
pub trait Mesos: Send + Sync + 'static {
    /// Opens a subscription.
    fn subscribe(&self, call: Call) -> BoxFuture<'_, Result<Subscription, String>>;
    /// Calls the leading master's operator API.
    fn master(&self, call: master::Call) -> BoxFuture<'_, Result<master::Response, String>>;
    /// Calls the operator API of the agent at `host:port`.
    fn agent(&self, address: String, call: agent::Call) -> BoxFuture<'_, Result<agent::Response, String>>;
}

/// An open subscription.
pub struct Subscription {
    /// Its events, until it ends; an error is the last item.
    pub events: BoxStream<'static, Result<Event, String>>,
    /// What makes calls within it.
    pub caller: Arc<dyn Caller>,
}

/// Makes calls within a subscription.
pub trait Caller: Send + Sync + 'static {
    /// Makes one call.
    fn call(&self, call: Call) -> BoxFuture<'_, Result<(), String>>;
}

/// Mesos over HTTP.
pub struct NetworkMesos {
    scheduler: SchedulerClient,
    operator: OperatorClient,
}

impl NetworkMesos {
    /// Makes a client of the cluster whose masters are `masters`.
    #[must_use]
    pub fn new(masters: MasterAddress, credential: Option<Credential>) -> Self {
        let operator = OperatorClient::new(masters.clone(), credential.as_ref());
        Self { scheduler: SchedulerClient::new(masters, credential), operator }
    }
}

impl Mesos for NetworkMesos {
    fn subscribe(&self, call: Call) -> BoxFuture<'_, Result<Subscription, String>> {
        async move {
            let session = self.scheduler.subscribe(&call).await.map_err(|error| chain(&error).to_string())?;
            let caller = Arc::new(NetworkCaller(session.caller()));
            Ok(Subscription { events: events(session), caller })
        }
        .boxed()
    }

    fn master(&self, call: master::Call) -> BoxFuture<'_, Result<master::Response, String>> {
        async move { self.operator.master(&call).await.map_err(|error| chain(&error).to_string()) }.boxed()
    }

    fn agent(&self, address: String, call: agent::Call) -> BoxFuture<'_, Result<agent::Response, String>> {
        async move { self.operator.agent(&address, &call).await.map_err(|error| chain(&error).to_string()) }.boxed()
    }
}

fn events(session: SchedulerSession) -> BoxStream<'static, Result<Event, String>> {
    futures::stream::unfold(Some(session), async |session| {
        let mut session = session?;
        match session.next().await {
            Ok(Some(event)) => Some((Ok(event), Some(session))),
            Ok(None) => None,
            Err(error) => Some((Err(chain(&error).to_string()), None)),
        }
    })
    .boxed()
}

struct NetworkCaller(SchedulerCaller);

impl Caller for NetworkCaller {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<(), String>> {
        async move { self.0.call(&call).await.map_err(|error| chain(&error).to_string()) }.boxed()
    }
}
