//! The service proxy of a node: keeps the kernel's nftables rules equal to what `core/netrules` computes from
//! Services and EndpointSlices, answers the cluster's DNS on the pods' gateway address, and leads pods to an
//! API server that listens on loopback only.
//!
//! It runs beside the executor, in its process; `km proxy` runs it alone.
//!
//! **Invariant:** what it makes in the kernel is one table and one bridge, both named in its configuration, and
//! [`remove`] takes both away.
//! Deliberately absent: decisions about rules and names (`core/netrules`).

mod bridge;
mod config;
mod dns;
mod error;
mod forward;
mod kernel;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use km_api::lister::Lister;
use km_api::resource::{ENDPOINT_SLICES, SERVICES};
use km_base::chain;
use km_client::{Change, Client, InformerConfig, informer};
use km_kinds::api::core::v1::Service;
use km_kinds::api::discovery::v1::EndpointSlice;
use km_netrules::dns::Names;
use km_netrules::{Backend, Protocol, RuleSet};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

pub use bridge::bridge_name;
pub use config::{ConfigError, ProxyConfig};
pub use error::ProxyError;

/// Changes that arrive within this time are one nftables transaction. Long enough to gather a rolling update's
/// burst, short beside the 10 ms that one transaction takes.
const GATHER: Duration = Duration::from_millis(20);

/// Wait before nftables is tried again after it refused; the whole table is then made anew.
const RETRY: Duration = Duration::from_secs(2);

/// The pods behind this node's host ports, by protocol and port.
pub type HostPorts = BTreeMap<(Protocol, u16), Backend>;

/// What a proxy needs besides its configuration.
pub struct ProxyDeps {
    /// The API, as the node.
    pub client: Client,
    /// Host ports of the node's running pods.
    pub host_ports: watch::Receiver<HostPorts>,
}

/// A node's proxy.
pub struct Proxy {
    config: ProxyConfig,
    deps: ProxyDeps,
    services: Lister<Service>,
    slices: Lister<EndpointSlice>,
    /// What the kernel has; `None` while that is not known.
    applied: Option<RuleSet>,
    names: watch::Sender<Arc<Names>>,
}

impl Proxy {
    /// Makes a proxy; nothing is touched before [`Proxy::run`].
    #[must_use]
    pub fn new(config: ProxyConfig, deps: ProxyDeps) -> Self {
        let (names, _) = watch::channel(Arc::default());
        Self { config, deps, services: Lister::default(), slices: Lister::default(), applied: None, names }
    }

    /// Makes the bridge, then serves until `shutdown` resolves. Rules and bridge stay: pods outlive the proxy;
    /// see [`remove`].
    ///
    /// # Errors
    /// [`ProxyError`] when bridge, DNS socket or forwarder cannot be set up.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ProxyError> {
        bridge::ensure(&self.config).await?;
        let dns = dns::Server::bind(&self.config, self.names.subscribe()).await?;
        let forwarder = forward::Forwarder::bind(&self.config).await?;
        info!(bridge = %self.config.net.bridge, table = %self.config.net.table, "service proxy started");

        let client = self.deps.client.clone();
        let (follow_services, mut services) =
            informer(client.clone(), InformerConfig::all(&SERVICES), km_api::Object::decode);
        let (follow_slices, mut slices) =
            informer(client, InformerConfig::all(&ENDPOINT_SLICES), km_api::Object::decode);
        let mut tasks = JoinSet::new();
        tasks.spawn(follow_services);
        tasks.spawn(follow_slices);
        tasks.spawn(dns.run());
        if let Some(forwarder) = forwarder {
            tasks.spawn(forwarder.run());
        }

        let mut synced = 0;
        let mut due: Option<tokio::time::Instant> = None;
        let mut host_ports_open = true;
        tokio::pin!(shutdown);
        loop {
            let wake = due.unwrap_or_else(tokio::time::Instant::now);
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                Some(change) = services.recv() => synced += take(&mut self.services, change),
                Some(change) = slices.recv() => synced += take(&mut self.slices, change),
                changed = self.deps.host_ports.changed(), if host_ports_open => host_ports_open = changed.is_ok(),
                () = tokio::time::sleep_until(wake), if due.is_some() => {
                    due = self.apply().await;
                    continue;
                }
            }
            // Until both lists are complete, rules would cut off what works already.
            if synced == 2 && due.is_none() {
                due = Some(tokio::time::Instant::now() + GATHER);
            }
        }
    }

    /// Brings kernel and names up to date; returns when to try again after a failure.
    async fn apply(&mut self) -> Option<tokio::time::Instant> {
        self.names.send_replace(Arc::new(Names::new(&self.config.cluster_domain, &self.services, &self.slices)));
        let host_ports = self.deps.host_ports.borrow_and_update().clone();
        let rules = km_netrules::compute(&self.services, &self.slices, &host_ports, &self.config.net);
        let script = km_netrules::script(&self.config.net, self.applied.as_ref(), &rules)?;
        match kernel::nft(&script).await {
            Ok(()) => {
                debug!(services = rules.services.len(), "applied service rules");
                self.applied = Some(rules);
                None
            }
            Err(error) => {
                warn!(error = %chain(&error), "nftables refused the service rules; making the table anew");
                self.applied = None;
                Some(tokio::time::Instant::now() + RETRY)
            }
        }
    }
}

/// Takes one change into a lister; returns 1 when it says that the list is complete.
fn take<T>(lister: &mut Lister<T>, change: Change<T>) -> u32 {
    match change {
        Change::Upsert(cached) => {
            lister.upsert(cached.meta, cached.object);
            0
        }
        Change::Delete(key) => {
            lister.remove(&key);
            0
        }
        Change::Synced => 1,
    }
}

/// Removes a proxy's table and bridge, if they are there.
///
/// # Errors
/// [`ProxyError`] when `nft` or `ip` fail.
pub async fn remove(config: &ProxyConfig) -> Result<(), ProxyError> {
    kernel::nft(&km_netrules::remove_script(&config.net.table)).await?;
    bridge::remove(&config.net.bridge).await
}
