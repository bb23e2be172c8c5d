//! The parts of km by themselves: each is an ordinary client of the API server, so each can stand beside
//! upstream's. `km up` runs the same parts in one process.

use std::sync::Arc;

use anyhow::Context as _;
use km_api::resource::NODES;
use km_client::{Client, NetworkBackend};
use km_framework::{Framework, FrameworkDeps, NetworkMesos};
use km_kinds::api::core::v1::Node;
use km_manager::{Manager, ManagerConfig, ManagerDeps};
use km_mesos_client::MasterAddress;
use km_net::Shutdown;
use km_proxy::{Proxy, ProxyConfig, ProxyDeps, bridge_name};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::{ApiServerOptions, ClientOptions, ProxyOptions, SchedulerOptions};
use crate::layout::Layout;
use crate::parts::{self, ApiEndpoint};
use crate::{control, machine, now, ports};

/// Runs the API server until a signal.
pub(crate) async fn api_server(options: &ApiServerOptions) -> anyhow::Result<()> {
    let layout = Layout::new(&options.data.data_dir)?;
    std::fs::create_dir_all(layout.root()).with_context(|| format!("failed to make {}", layout.root().display()))?;
    let _lock = control::lock(&layout)?;
    let (ip, port) = (options.listen.bind_address, options.api.https_port);
    let listener = ports::bind(ip, port, "the API server", "--https-port").await?;
    let server = parts::api_server(&options.listen, &options.api, &options.network, &layout, listener).await?;
    Ok(server.run(until_signal()?).await?)
}

/// Runs the controllers until a signal.
pub(crate) async fn controllers(options: &ClientOptions) -> anyhow::Result<()> {
    let (client, api) = connect(options).await?;
    let manager = Manager::new(ManagerConfig { root_ca: api.ca_pem }, ManagerDeps { client, now });
    manager.run(until_signal()?).await;
    Ok(())
}

/// Runs the framework until a signal.
pub(crate) async fn scheduler(options: &SchedulerOptions) -> anyhow::Result<()> {
    let (client, api) = connect(&options.client).await?;
    let (ip, port) = (options.listen.bind_address, options.framework.artifact_port);
    let artifacts = ports::bind(ip, port, "the artifact server", "--artifact-port").await?;
    let masters = MasterAddress::parse(&options.mesos_master)?;
    let credential = parts::credential(&options.framework)?;
    let principal = credential.as_ref().map(|c| c.principal.clone());
    let SchedulerOptions { listen, network, framework, images, .. } = options;
    let config = parts::framework(listen, network, framework, images.clone(), api, principal, &artifacts)?;
    let deps = FrameworkDeps { client, mesos: Arc::new(NetworkMesos::new(masters, credential)), artifacts };
    Ok(Framework::new(config, deps)?.run(until_signal()?).await?)
}

/// Runs the proxy of one node until a signal; its rules stay.
pub(crate) async fn proxy(options: &ProxyOptions) -> anyhow::Result<()> {
    let (client, api) = connect(&options.client).await?;
    let node = client.get(&NODES, "", &options.node_name).await.context("failed to read the node")?;
    let node: Node = node.decode().context("failed to read the node")?;
    let pod_cidr = node.spec.and_then(|s| s.pod_cidr);
    let pod_cidr = pod_cidr.with_context(|| format!("node {} has no spec.podCIDR", options.node_name))?;
    let network = &options.network;
    let config = ProxyConfig::new(
        &bridge_name(&options.node_name),
        &pod_cidr,
        &network.cluster_cidr,
        &network.service_cidr,
        &network.cluster_domain,
        api.url.strip_prefix("https://").and_then(|a| a.trim_end_matches('/').parse().ok()),
        machine::resolvers(),
    )?;
    let (_ports, host_ports) = watch::channel(km_proxy::HostPorts::new());
    let shutdown = until_signal()?;
    Ok(Proxy::new(config, ProxyDeps { client, host_ports }).run(async move { shutdown.begun().await }).await?)
}

/// Connects as a kubeconfig says.
async fn connect(options: &ClientOptions) -> anyhow::Result<(Client, ApiEndpoint)> {
    let backend = NetworkBackend::from_kubeconfig(&options.kubeconfig).await?;
    let api = ApiEndpoint { url: backend.url().to_owned(), ca_pem: backend.ca_pem() };
    Ok((Client::new(Arc::new(backend)), api))
}

/// Returns what begins with the first SIGINT or SIGTERM.
fn until_signal() -> anyhow::Result<Shutdown> {
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let shutdown = Shutdown::new();
    let begin = shutdown.clone();
    // Ends with the process, which it ends.
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        begin.begin();
    });
    Ok(shutdown)
}
