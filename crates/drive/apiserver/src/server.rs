//! Puts the parts together: opens, starts, serves, stops.
//!
//! Stopping goes from the outside in: no new connections, watches end, requests in flight are answered, the
//! writer takes no more, what it decided becomes durable, the store is closed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use km_api::Identity;
use km_api::identity::SYSTEM_MASTERS;
use km_base::chain;
use km_client::Client;
use km_mvcc::Snapshot;
use km_net::client::ClientIdentity;
use km_net::pki::{Ca, Credential};
use km_net::task::TaskError;
use km_net::tls::{self, TlsError};
use km_net::{ClientError, ServeConfig, Shutdown, TaskSet, serve_tls};
use km_registry::authorize::Policy;
use km_registry::{Config, PortRange, ServiceCidr};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::authn::Tokens;
use crate::http::{Discovery, Front, Kubelets};
use crate::kubernetes_service::{self, Address};
use crate::metrics::Metrics;
use crate::pki::{self, CertificateError, ServerNames};
use crate::publisher::{Publisher, PublisherDeps, SUBSCRIBE_QUEUE_LEN, Subscribe};
use crate::service::Service;
use crate::storage::{self, Storage};
use crate::view::SnapshotView;
use crate::writer::{
    BootstrapError, Clock, PENDING_QUEUE_LEN, Pending, WRITE_QUEUE_LEN, WriteRequest, Writer, WriterDeps,
};
use crate::{KeyError, csr, kubeconfig};

/// How long the parts inside may take to stop, after the connections have drained.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What an API server is configured with.
#[derive(Clone, Debug)]
pub struct ApiServerConfig {
    /// Folder of the certificates and keys; made if absent.
    pub pki_dir: PathBuf,
    /// Address at which agents, executors and pods reach this server.
    pub advertise_address: IpAddr,
    /// Name of this host, or empty; the serving certificate carries it.
    pub host_name: String,
    /// More names and addresses for the serving certificate.
    pub extra_names: Vec<String>,
    /// DNS domain of the cluster, e.g. `cluster.local`.
    pub cluster_domain: String,
    /// Range of Service IPs.
    pub service_cidr: ServiceCidr,
    /// Range of NodePorts.
    pub node_ports: PortRange,
    /// Whether containers that ask for nothing get 0.25 cpu and 64Mi.
    pub default_resources: bool,
    /// Limits of the HTTP server.
    pub serve: ServeConfig,
}

/// A configuration that cannot work.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not a DNS domain.
    #[error("cluster domain {0:?} is no DNS domain")]
    ClusterDomain(String),
    /// Others could not reach it.
    #[error("advertise address {0} is not an address that others can reach")]
    AdvertiseAddress(IpAddr),
}

impl ApiServerConfig {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] for the first value that cannot work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let domain = &self.cluster_domain;
        let plain = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !domain.split('.').all(plain) {
            return Err(ConfigError::ClusterDomain(domain.clone()));
        }
        if self.advertise_address.is_unspecified() || self.advertise_address.is_multicast() {
            return Err(ConfigError::AdvertiseAddress(self.advertise_address));
        }
        Ok(())
    }

    fn registry(&self, port: u16) -> Config {
        Config {
            service_cidr: self.service_cidr,
            node_ports: self.node_ports,
            api_server_port: port,
            default_resources: self.default_resources,
            api_audiences: vec![self.issuer()],
        }
    }

    /// Issuer and audience of service account tokens.
    fn issuer(&self) -> String {
        format!("https://kubernetes.default.svc.{}", self.cluster_domain)
    }
}

/// What an API server runs on.
pub struct ApiServerDeps {
    /// The socket, bound.
    pub listener: TcpListener,
    /// The store and the state in it.
    pub storage: Storage,
    /// The time.
    pub clock: Clock,
}

/// Why an API server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error("the API server's configuration cannot work")]
    Config(#[from] ConfigError),
    /// Its certificates cannot be read or made.
    #[error("the API server has no certificates")]
    Certificates(#[from] CertificateError),
    /// Its token key cannot be read or made.
    #[error("the API server has no key for tokens")]
    Key(#[from] KeyError),
    /// TLS cannot be set up.
    #[error("the API server's TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The client for kubelets cannot be set up.
    #[error("the API server's client for kubelets cannot be set up")]
    Kubelets(#[from] ClientError),
    /// The socket has no address.
    #[error("the API server's socket cannot be used")]
    Socket(#[source] std::io::Error),
    /// The objects that every cluster has cannot be made.
    #[error("the first objects of the cluster cannot be made")]
    Bootstrap(#[from] BootstrapError),
}

/// An API server, ready to run.
pub struct ApiServer {
    config: ApiServerConfig,
    listener: TcpListener,
    address: SocketAddr,
    ca: Arc<Ca>,
    serving: Credential,
    kubelet_client: Credential,
    service: Arc<Service>,
    parts: Parts,
}

/// The tasks and what they wait on, not yet started.
struct Parts {
    writer: Writer,
    requests: mpsc::Receiver<WriteRequest>,
    publisher: Publisher,
    pending: mpsc::Receiver<Pending>,
    subscribe: mpsc::Receiver<Subscribe>,
    watchers: Arc<AtomicU64>,
}

impl ApiServer {
    /// Prepares a server: certificates, keys, the objects that every cluster has. Serves nothing yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn new(config: ApiServerConfig, deps: ApiServerDeps) -> Result<Self, StartError> {
        config.validate()?;
        let now = (deps.clock)();
        let address = deps.listener.local_addr().map_err(StartError::Socket)?;
        let ca = pki::open_ca(&config.pki_dir, now)?;
        let names = ServerNames {
            host_name: &config.host_name,
            advertise: config.advertise_address,
            service_ip: config.service_cidr.address(1),
            cluster_domain: &config.cluster_domain,
            others: &config.extra_names,
        };
        let serving = pki::serving(&ca, &names, now)?;
        let kubelet_client = pki::kubelet_client(&ca, now)?;
        let issuer = config.issuer();
        let tokens = Tokens::open(&config.pki_dir.join("sa.key"), issuer.clone(), vec![issuer])?;
        let registry = Arc::new(config.registry(address.port()));
        let (service, parts) = connect(deps.storage, registry, deps.clock, tokens).await?;
        Ok(Self {
            config,
            listener: deps.listener,
            address,
            ca: Arc::new(ca),
            serving,
            kubelet_client,
            service: Arc::new(service),
            parts,
        })
    }

    /// Returns the API for components in this process.
    #[must_use]
    pub fn service(&self) -> Arc<Service> {
        Arc::clone(&self.service)
    }

    /// Returns the CA that signed the server's certificate, for whoever is to trust it.
    #[must_use]
    pub fn ca(&self) -> Arc<Ca> {
        Arc::clone(&self.ca)
    }

    /// Returns the URL at which others reach the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", SocketAddr::new(self.config.advertise_address, self.address.port()))
    }

    /// Returns the administrator's kubeconfig, with a new certificate of the group `system:masters`, for
    /// [`crate::write_kubeconfig`].
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn admin_kubeconfig(&self) -> Result<Value, CertificateError> {
        let now = self.service.now();
        let credential = pki::client(&self.ca, "kubernetes-admin", Some(SYSTEM_MASTERS), now)?;
        Ok(kubeconfig(&self.url(), self.ca.certificate_pem(), "kubernetes-admin", &credential))
    }

    /// Serves until shutdown, then stops in good order.
    ///
    /// # Errors
    /// [`StartError`] where TLS cannot be set up.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), StartError> {
        let Self { config, listener, address, ca, serving, kubelet_client, service, parts } = self;
        let tls = tls::server_config(&serving, Some(ca.certificate_pem()))?;
        let outer = TaskSet::new(shutdown.child());
        let trust = ClientIdentity {
            ca_pem: Some(ca.certificate_pem().to_owned()),
            credential: Some(kubelet_client),
            bearer: None,
        };
        let kubelets = Kubelets::new(&trust, outer.clone())?;
        let advertised = SocketAddr::new(config.advertise_address, address.port());
        let metrics = Metrics::new(parts.watchers);
        let front =
            Arc::new(Front::new(Arc::clone(&service), Discovery::new(&advertised.to_string()), kubelets, metrics));

        // The inside outlives the outside.
        let inner = TaskSet::new(Shutdown::new());
        inner.spawn("apiserver writer", parts.writer.run(parts.requests, inner.shutdown()));
        inner.spawn("apiserver publisher", parts.publisher.run(parts.pending, parts.subscribe, shutdown.clone()));
        let store = Arc::clone(&service.store);
        outer.spawn(
            "apiserver snapshots",
            storage::keep_short(Arc::clone(&store), service.published.clone(), outer.shutdown()),
        );
        let own = Client::new(service.in_process(Identity::authenticated("system:apiserver", &[SYSTEM_MASTERS])));
        outer.spawn("csr signer", csr::run(Arc::clone(&service), own.clone(), ca, outer.clone()));
        let kept = Address { ip: config.advertise_address, port: address.port() };
        outer.spawn("kubernetes service", kubernetes_service::run(own, kept, outer.shutdown()));

        info!(%address, "API server is serving");
        let handler = move |request| {
            let front = Arc::clone(&front);
            front.answer(request)
        };
        serve_tls(listener, tls, Arc::new(handler), config.serve, shutdown.child()).await;
        report(outer.finish(STOP_GRACE).await);
        inner.shutdown().begin();
        report(inner.finish(STOP_GRACE).await);
        if let Err(error) = store.close().await {
            warn!(error = %chain(&error), "the store was not closed in good order; the next start repairs it");
        }
        info!("API server has stopped");
        Ok(())
    }
}

fn report(outcome: Result<(), TaskError>) {
    if let Err(error) = outcome {
        warn!(error = %chain(&error), "a part of the API server did not stop by itself");
    }
}

/// Makes the channels between service, writer and publisher, and the objects that every cluster has.
async fn connect(
    storage: Storage,
    registry: Arc<Config>,
    clock: Clock,
    tokens: Tokens,
) -> Result<(Service, Parts), BootstrapError> {
    let Storage { store, mvcc, .. } = storage;
    let (published_in, published) = watch::channel(mvcc.snapshot());
    let (failed_in, failed) = watch::channel(0);
    let (writes, requests) = mpsc::channel(WRITE_QUEUE_LEN);
    let (pending_in, pending) = mpsc::channel(PENDING_QUEUE_LEN);
    let (subscribe_in, subscribe) = mpsc::channel(SUBSCRIBE_QUEUE_LEN);
    let mut writer = Writer::new(
        mvcc,
        WriterDeps {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            config: Arc::clone(&registry),
            published: published.clone(),
            failed,
            pending: pending_in,
        },
    );
    let head: Snapshot = writer.bootstrap(&published_in).await?;
    let revision = head.revision().0;
    let policy = Policy::of(&SnapshotView(&head));
    let dispatched = Arc::new(AtomicU64::new(revision));
    let policy_revision = Arc::new(AtomicU64::new(revision));
    let watchers = Arc::new(AtomicU64::new(0));
    let stores = Arc::new(AtomicBool::new(true));
    let publisher = Publisher::new(PublisherDeps {
        published: published_in,
        failed: failed_in,
        dispatched: Arc::clone(&dispatched),
        watchers: Arc::clone(&watchers),
        policy_revision: Arc::clone(&policy_revision),
        stores: Arc::clone(&stores),
    });
    let service = Service {
        writes,
        subscribe: subscribe_in,
        published,
        dispatched,
        policy_revision,
        policy: Mutex::new((revision, Arc::new(policy))),
        clock,
        config: registry,
        tokens: Arc::new(tokens),
        store,
        stores,
    };
    Ok((service, Parts { writer, requests, publisher, pending, subscribe, watchers }))
}
