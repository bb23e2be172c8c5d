//! `km executor`: the executor and, beside it in the same process, its node's service proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use km_base::chain;
use km_executor::runtime::sweep_dead;
use km_executor::{
    ApiSource, Executor, ExecutorConfig, ExecutorDeps, Hooks, HostPortEntry, MesosEnvironment, NodeHandle,
    PrivateRuntime, RuntimeSource,
};
use km_net::{Shutdown, TaskSet};
use km_netrules::{Backend, Protocol};
use km_proxy::{HostPorts, Proxy, ProxyConfig, ProxyDeps, bridge_name};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::cli::ExecutorOptions;
use crate::machine;

/// Sockets of every executor of this host; short, for a socket's path has at most 107 bytes.
pub(crate) const RUN_DIR: &str = "/run/km";
/// What the proxy gets to end.
const END_GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs until Mesos or a signal ends it.
pub(crate) async fn run(_options: ExecutorOptions) -> anyhow::Result<ExitCode> {
    let mesos = MesosEnvironment::read(|name| std::env::var(name).ok())?;
    for (folder, report) in sweep_dead(Path::new(RUN_DIR)) {
        info!(folder = %folder.display(), left = report.left.join("; "), "swept what a dead executor left");
    }
    // One name for socket folder, bridge, network and table of this executor's run.
    let id = bridge_name(&format!("{}/{}", mesos.framework_id, mesos.executor_id)).trim_start_matches("km-").to_owned();
    let socket_dir = PathBuf::from(RUN_DIR).join(&id);
    let private_dir = socket_dir.join("private");
    let run_dir = socket_dir.clone();
    let private = PrivateRuntime {
        socket_dir,
        id,
        path: std::env::var_os("PATH").unwrap_or_default(),
        environment: std::env::vars_os().filter(|(name, _)| is_proxy_variable(&name.to_string_lossy())).collect(),
        registry_config: None,
    };
    let work_dir = mesos.sandbox.join("work");
    let deps = ExecutorDeps { api: ApiSource::Network, runtime: RuntimeSource::Configured(private) };
    let (executor, hooks) = Executor::new(ExecutorConfig { mesos, work_dir, private_dir }, deps);

    let shutdown = Shutdown::new();
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let beside = TaskSet::new(Shutdown::new());
    let (proxies, mut proxy) = watch::channel(None);
    beside.spawn("service proxy", run_proxy(hooks, beside.clone(), proxies));
    let end = shutdown.clone();
    let over = beside.shutdown();
    beside.spawn("signals", async move {
        tokio::select! {
            _ = terminate.recv() => end.begin(),
            () = over.begun() => {}
        }
    });
    let outcome = executor.run(shutdown).await;
    beside.shutdown().begin();
    if let Err(error) = beside.finish(END_GRACE).await {
        warn!(%error, "the service proxy did not end by itself");
    }
    // The executor has swept its runtime; the proxy may have made its table anew meanwhile.
    let config = proxy.borrow_and_update().clone();
    if let Some(config) = config
        && let Err(error) = km_proxy::remove(&config).await
    {
        warn!(error = %chain(&error), "the service proxy's rules are left");
    }
    // The sweep removes it with all else, where the runtime was the executor's own; else it is empty now.
    let _ = std::fs::remove_dir(&run_dir);
    outcome?;
    Ok(ExitCode::SUCCESS)
}

fn is_proxy_variable(name: &str) -> bool {
    ["http_proxy", "https_proxy", "no_proxy"].contains(&name.to_ascii_lowercase().as_str())
}

/// Runs the proxy as soon as the node is known.
async fn run_proxy(mut hooks: Hooks, tasks: TaskSet, proxies: watch::Sender<Option<ProxyConfig>>) {
    let shutdown = tasks.shutdown();
    let node = tokio::select! {
        node = hooks.node.wait_for(Option::is_some) => node.ok().and_then(|n| n.clone()),
        () = shutdown.begun() => None,
    };
    let Some(node) = node else { return };
    let config = match proxy_config(&node) {
        Ok(config) => config,
        Err(error) => return error!(%error, "no service proxy on this node"),
    };
    proxies.send_replace(Some(config.clone()));
    let (sender, receiver) = watch::channel(host_ports(&hooks.host_ports.borrow()));
    let mut entries = hooks.host_ports;
    let over = tasks.shutdown();
    tasks.spawn("host ports", async move {
        loop {
            tokio::select! {
                changed = entries.changed() => if changed.is_err() { return },
                () = over.begun() => return,
            }
            sender.send_replace(host_ports(&entries.borrow_and_update()));
        }
    });
    let deps = ProxyDeps { client: node.client, host_ports: receiver };
    // The executor lets go of the node before it sweeps: a proxy that went on would write its rules anew.
    let ended = async move {
        tokio::select! {
            () = shutdown.begun() => {}
            () = let_go(hooks.node) => {}
        }
    };
    if let Err(error) = Proxy::new(config, deps).run(ended).await {
        error!(error = %chain(&error), "the service proxy ended; Services do not work on this node");
    }
}

/// Waits until the executor serves its node no longer.
async fn let_go(mut node: watch::Receiver<Option<NodeHandle>>) {
    while node.changed().await.is_ok() {
        if node.borrow_and_update().is_none() {
            return;
        }
    }
}

fn proxy_config(node: &NodeHandle) -> anyhow::Result<ProxyConfig> {
    let data = &node.data;
    // With a runtime of its own the executor names the bridge; else the node does.
    let name = if node.bridge.is_empty() { bridge_name(&data.node_name) } else { node.bridge.clone() };
    let api: Option<SocketAddr> =
        data.api_server.strip_prefix("https://").and_then(|a| a.trim_end_matches('/').parse().ok());
    let config = ProxyConfig::new(
        &name,
        &data.pod_cidr,
        &data.cluster_cidr,
        &data.service_cidr,
        &data.cluster_domain,
        api,
        machine::resolvers(),
    );
    config.context("the framework's network configuration cannot be used")
}

fn host_ports(entries: &[HostPortEntry]) -> HostPorts {
    let mut ports = BTreeMap::new();
    for entry in entries {
        let (Some(protocol), Ok(ip)) = (Protocol::parse(Some(&entry.protocol)), entry.pod_ip.parse()) else { continue };
        ports.insert((protocol, entry.host_port), Backend { ip, port: entry.pod_port });
    }
    ports
}
