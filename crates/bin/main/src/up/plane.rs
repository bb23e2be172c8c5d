//! The parts of `km up`, wired.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use km_api::resource::CONFIG_MAPS;
use km_api::{Identity, identity::SYSTEM_MASTERS};
use km_apiserver::{ApiServer, ApiServerConfig, ApiServerDeps, Service, Storage, write_kubeconfig};
use km_base::chain;
use km_client::Client;
use km_framework::{ClusterNetwork, Framework, FrameworkConfig, FrameworkDeps, Mesos, NetworkMesos, Timings};
use km_manager::{Manager, ManagerConfig, ManagerDeps};
use km_mesos_client::{Credential, MasterAddress};
use km_net::{ServeConfig, Shutdown, TaskSet};
use km_registry::{PortRange, ServiceCidr};
use km_scheduler::{PortMapping, Scoring};
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use crate::cli::UpOptions;
use crate::layout::Layout;
use crate::{machine, now, ports};

/// Who the framework is to the API server.
const FRAMEWORK_USER: &str = "system:km:framework";
/// Who the controllers are.
const MANAGER_USER: &str = "system:kube-controller-manager";
/// What executors get to end their pods on `km down`: the longest usual grace (30 s), and time to sweep.
const DOWN_PATIENCE: Duration = Duration::from_secs(60);
/// The DNS Service's place in the range of Service IPs, as usual in clusters.
const DNS_OFFSET: u32 = 10;

/// Whether controllers and framework run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deciders {
    /// As usual.
    Running,
    /// Nothing decides: what runs is only to be stopped.
    Absent,
}

/// The running control plane.
pub(crate) struct Plane {
    service: Arc<Service>,
    mesos: Arc<dyn Mesos>,
    /// Ends framework and controllers, and them alone.
    deciders: Shutdown,
    deciding: TaskSet,
}

impl Plane {
    /// Starts everything; returns when the API answers.
    pub(crate) async fn start(
        options: &UpOptions,
        layout: &Layout,
        tasks: &TaskSet,
        wanted: Deciders,
    ) -> anyhow::Result<Self> {
        let flag = "--https-port";
        let api = ports::bind(options.bind_address, options.https_port, "the API server", flag).await?;
        let flag = "--artifact-port";
        let artifacts = ports::bind(options.bind_address, options.artifact_port, "the artifact server", flag).await?;
        let (masters, credential) = match &options.mesos_master {
            Some(address) => (MasterAddress::parse(address)?, credential(options)?),
            None => {
                let (address, credential) = super::mesos::start(options, layout, tasks).await?;
                (MasterAddress::parse(&address)?, Some(credential))
            }
        };

        let server = api_server(options, layout, api).await?;
        let (service, url, ca) = (server.service(), server.url(), server.ca());
        let kubeconfig = server.admin_kubeconfig().context("failed to make the administrator's certificate")?;
        write_kubeconfig(&layout.kubeconfig(), &kubeconfig)
            .with_context(|| format!("failed to write {}", layout.kubeconfig().display()))?;
        let shutdown = tasks.shutdown();
        tasks.spawn("api server", async move {
            if let Err(error) = server.run(shutdown.clone()).await {
                error!(error = %chain(&error), "the API server ended");
                shutdown.begin();
            }
        });

        let deciders = tasks.shutdown().child();
        let deciding = TaskSet::new(deciders.clone());
        let mesos: Arc<dyn Mesos> = Arc::new(NetworkMesos::new(masters, credential.clone()));
        let plane = Self { service, mesos, deciders, deciding };
        if wanted == Deciders::Running {
            let ca = ca.certificate_pem().to_owned();
            let config = framework(options, layout, url, ca.clone(), credential, &artifacts)?;
            plane.start_deciders(ca, config, artifacts, tasks)?;
        }
        Ok(plane)
    }

    fn start_deciders(
        &self,
        root_ca: String,
        config: FrameworkConfig,
        artifacts: TcpListener,
        tasks: &TaskSet,
    ) -> anyhow::Result<()> {
        let client = |user: &str| Client::new(self.service.in_process(Identity::authenticated(user, &[])));
        let manager = Manager::new(ManagerConfig { root_ca }, ManagerDeps { client: client(MANAGER_USER), now });
        self.deciding.spawn("controllers", manager.run(self.deciders.clone()));
        let deps = FrameworkDeps { client: client(FRAMEWORK_USER), mesos: Arc::clone(&self.mesos), artifacts };
        let framework = Framework::new(config, deps)?;
        let (all, own) = (tasks.shutdown(), self.deciders.clone());
        self.deciding.spawn("framework", async move {
            if let Err(error) = framework.run(own).await {
                error!(error = %chain(&error), "the framework ended");
                all.begin();
            }
        });
        Ok(())
    }

    /// Stops every pod of the framework; objects stay.
    pub(crate) async fn stop_pods(&self) {
        // Nobody may launch again what is about to be stopped.
        self.deciders.begin();
        if let Err(error) = self.deciding.finish(Duration::from_secs(5)).await {
            warn!(%error, "the framework did not end by itself");
        }
        let client = Client::new(self.service.in_process(Identity::authenticated("system:km:down", &[SYSTEM_MASTERS])));
        let id = match client.find(&CONFIG_MAPS, "kube-system", "km-framework").await {
            Ok(Some(object)) => object.to_value()["data"]["frameworkId"].as_str().unwrap_or_default().to_owned(),
            Ok(None) => return,
            Err(error) => return error!(%error, "cannot read the framework's ID; its pods are left running"),
        };
        match km_framework::stop_executors(Arc::clone(&self.mesos), &id, DOWN_PATIENCE).await {
            Ok(count) => info!(executors = count, "all pods are stopped"),
            Err(error) => error!(error = %chain(&error), "some pods are left running"),
        }
    }
}

async fn api_server(options: &UpOptions, layout: &Layout, listener: TcpListener) -> anyhow::Result<ApiServer> {
    let store = layout.store();
    let storage = tokio::task::spawn_blocking(move || Storage::open(store))
        .await
        .context("opening the store was cancelled")?
        .with_context(|| format!("failed to open the store in {}", layout.store().display()))?;
    let config = ApiServerConfig {
        pki_dir: layout.pki(),
        advertise_address: advertise(options)?,
        host_name: machine::host_name().unwrap_or_default(),
        extra_names: vec![],
        cluster_domain: options.cluster_domain.clone(),
        service_cidr: service_cidr(&options.service_cidr)?,
        node_ports: node_ports(&options.service_node_port_range)?,
        default_resources: !options.no_default_resources,
        serve: ServeConfig::usual(),
    };
    let deps = ApiServerDeps { listener, storage, clock: Arc::new(now) };
    ApiServer::new(config, deps).await.context("failed to start the API server")
}

fn framework(
    options: &UpOptions,
    layout: &Layout,
    api_server: String,
    api_server_ca: String,
    credential: Option<Credential>,
    artifacts: &TcpListener,
) -> anyhow::Result<FrameworkConfig> {
    let port = artifacts.local_addr().context("the artifact server's socket has no address")?.port();
    let address = SocketAddr::new(advertise(options)?, port);
    let dns = service_cidr(&options.service_cidr)?.address(DNS_OFFSET);
    Ok(FrameworkConfig {
        framework_name: options.framework_name.clone(),
        user: options.mesos_user.clone(),
        principal: credential.map(|c| c.principal),
        roles: options.mesos_roles.clone(),
        scheduler_name: "default-scheduler".to_owned(),
        executor_cpu_milli: milli(options.mesos_executor_cpus)?,
        executor_mem_mb: milli(options.mesos_executor_mem)? / 1_000,
        pods_max: 110,
        port_mapping: PortMapping::Fixed,
        scoring: Scoring::LeastAllocated,
        artifact_server: format!("http://{address}"),
        api_server,
        api_server_ca,
        network: ClusterNetwork {
            cluster_cidr: options.cluster_cidr.clone(),
            service_cidr: options.service_cidr.clone(),
            cluster_dns: dns.to_string(),
            cluster_domain: options.cluster_domain.clone(),
        },
        container_runtime_endpoint: options.container_runtime_endpoint.clone(),
        binary: std::env::current_exe().context("failed to find this program")?,
        images: Some(layout.images()),
        timings: Timings::usual(),
    })
}

fn advertise(options: &UpOptions) -> anyhow::Result<IpAddr> {
    let address = options.advertise_address.unwrap_or(options.bind_address);
    if address.is_unspecified() {
        bail!("--bind-address {address} says nothing of where agents reach this machine: give --advertise-address too");
    }
    Ok(address)
}

fn credential(options: &UpOptions) -> anyhow::Result<Option<Credential>> {
    let (Some(principal), Some(file)) =
        (&options.mesos_authentication_principal, &options.mesos_authentication_secret_file)
    else {
        return Ok(None);
    };
    let secret = std::fs::read_to_string(file)
        .with_context(|| format!("failed to read --mesos-authentication-secret-file {}", file.display()))?;
    Ok(Some(Credential { principal: principal.clone(), secret: secret.trim_end_matches('\n').to_owned() }))
}

fn milli(amount: f64) -> anyhow::Result<i64> {
    if !(0.0..1e9).contains(&amount) {
        bail!("{amount} is not an amount of resources");
    }
    Ok(km_mesos::resources::Milli::from_f64(amount).0)
}

fn service_cidr(text: &str) -> anyhow::Result<ServiceCidr> {
    let parsed = text
        .split_once('/')
        .and_then(|(ip, len)| Some((ip.parse::<Ipv4Addr>().ok()?, len.parse::<u8>().ok()?)))
        .filter(|(_, len)| (8..=30).contains(len));
    let (network, prefix_len) =
        parsed.with_context(|| format!("--service-cidr {text:?} is not an IPv4 range such as 10.96.0.0/16"))?;
    Ok(ServiceCidr { network, prefix_len })
}

fn node_ports(text: &str) -> anyhow::Result<PortRange> {
    let parsed = text.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match parsed {
        Some((first, last)) if first > 0 && first <= last => Ok(PortRange { first, last }),
        _ => bail!("--service-node-port-range {text:?} is not a range such as 30000-30999"),
    }
}
