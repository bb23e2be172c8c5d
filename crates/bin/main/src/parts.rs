//! From flags to the configuration of each part; `km up` and the parts that run alone use the same.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use km_apiserver::{ApiServer, ApiServerConfig, ApiServerDeps, Storage, write_kubeconfig};
use km_framework::{ClusterNetwork, FrameworkConfig, Timings};
use km_mesos_client::Credential;
use km_net::ServeConfig;
use km_registry::{PortRange, ServiceCidr};
use km_scheduler::{PortMapping, Scoring};
use tokio::net::TcpListener;

use crate::cli::{ApiOptions, FrameworkOptions, ListenOptions, NetworkOptions};
use crate::layout::Layout;
use crate::{machine, now};

/// The DNS Service's place in the range of Service IPs, as usual in clusters.
const DNS_OFFSET: u32 = 10;

/// Opens the store and prepares the API server; writes the administrator's kubeconfig.
pub(crate) async fn api_server(
    listen: &ListenOptions,
    api: &ApiOptions,
    network: &NetworkOptions,
    layout: &Layout,
    listener: TcpListener,
) -> anyhow::Result<ApiServer> {
    let store = layout.store();
    let storage = tokio::task::spawn_blocking(move || Storage::open(store))
        .await
        .context("opening the store was cancelled")?
        .with_context(|| format!("failed to open the store in {}", layout.store().display()))?;
    let config = ApiServerConfig {
        pki_dir: layout.pki(),
        advertise_address: advertise(listen)?,
        host_name: machine::host_name().unwrap_or_default(),
        extra_names: vec![],
        cluster_domain: network.cluster_domain.clone(),
        service_cidr: service_cidr(&network.service_cidr)?,
        node_ports: node_ports(&api.service_node_port_range)?,
        default_resources: !api.no_default_resources,
        serve: ServeConfig::usual(),
    };
    let deps = ApiServerDeps { listener, storage, clock: Arc::new(now) };
    let server = ApiServer::new(config, deps).await.context("failed to start the API server")?;
    let kubeconfig = server.admin_kubeconfig().context("failed to make the administrator's certificate")?;
    write_kubeconfig(&layout.kubeconfig(), &kubeconfig)
        .with_context(|| format!("failed to write {}", layout.kubeconfig().display()))?;
    Ok(server)
}

/// The API server as the framework tells its executors.
pub(crate) struct ApiEndpoint {
    /// URL.
    pub(crate) url: String,
    /// PEM of its CA.
    pub(crate) ca_pem: String,
}

/// Makes the framework's configuration.
pub(crate) fn framework(
    listen: &ListenOptions,
    network: &NetworkOptions,
    options: &FrameworkOptions,
    images: Option<PathBuf>,
    api: ApiEndpoint,
    principal: Option<String>,
    artifacts: &TcpListener,
) -> anyhow::Result<FrameworkConfig> {
    let port = artifacts.local_addr().context("the artifact server's socket has no address")?.port();
    let address = SocketAddr::new(advertise(listen)?, port);
    let dns = service_cidr(&network.service_cidr)?.address(DNS_OFFSET);
    Ok(FrameworkConfig {
        framework_name: options.framework_name.clone(),
        user: options.mesos_user.clone(),
        principal,
        roles: options.mesos_roles.clone(),
        scheduler_name: "default-scheduler".to_owned(),
        executor_cpu_milli: milli(options.mesos_executor_cpus)?,
        executor_mem_mb: milli(options.mesos_executor_mem)? / 1_000,
        pods_max: 110,
        port_mapping: PortMapping::Fixed,
        scoring: Scoring::LeastAllocated,
        artifact_server: format!("http://{address}"),
        api_server: api.url,
        api_server_ca: api.ca_pem,
        network: ClusterNetwork {
            cluster_cidr: network.cluster_cidr.clone(),
            service_cidr: network.service_cidr.clone(),
            cluster_dns: dns.to_string(),
            cluster_domain: network.cluster_domain.clone(),
        },
        container_runtime_endpoint: options.container_runtime_endpoint.clone(),
        binary: std::env::current_exe().context("failed to find this program")?,
        images,
        timings: Timings::usual(),
    })
}

/// Returns the address at which others reach this machine.
fn advertise(options: &ListenOptions) -> anyhow::Result<IpAddr> {
    let address = options.advertise_address.unwrap_or(options.bind_address);
    if address.is_unspecified() {
        bail!("--bind-address {address} says nothing of where agents reach this machine: give --advertise-address too");
    }
    Ok(address)
}

/// Reads the credential for the Mesos master, if one is named.
pub(crate) fn credential(options: &FrameworkOptions) -> anyhow::Result<Option<Credential>> {
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

/// Reads the range of node ports.
pub(crate) fn node_ports(text: &str) -> anyhow::Result<PortRange> {
    let parsed = text.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match parsed {
        Some((first, last)) if first > 0 && first <= last => Ok(PortRange { first, last }),
        _ => bail!("--service-node-port-range {text:?} is not a range such as 30000-30999"),
    }
}
