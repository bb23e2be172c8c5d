//! The embedded Mesos: a master and, as its one agent, this machine.

use anyhow::{Context as _, bail};
use km_mesos::Credential;
use km_mesos_agent::{AgentConfig, AgentDeps, Isolation, MasterLink, MesosAgent};
use km_mesos_master::{AgentLink, MasterConfig, MasterDeps, MesosMaster};
use km_net::TaskSet;
use km_net::pki::write_private;
use km_registry::PortRange;
use tokio::sync::mpsc;

use crate::cli::UpOptions;
use crate::layout::Layout;
use crate::{machine, parts, ports};

/// Principal of every part of km at the embedded Mesos.
const PRINCIPAL: &str = "km";
/// Messages under way between master and agent; Mesos's own queue between them has no bound, a busy pair needs a few.
const LINK_MESSAGES_MAX: usize = 4_096;

/// Starts master and agent; returns the master's address and the credential for it.
pub(crate) async fn start(
    options: &UpOptions,
    layout: &Layout,
    tasks: &TaskSet,
) -> anyhow::Result<(String, km_mesos_client::Credential)> {
    let flag = "--mesos-master-port";
    let master =
        ports::bind(options.listen.bind_address, options.embedded.mesos_master_port, "the Mesos master", flag).await?;
    let flag = "--mesos-agent-port";
    let agent =
        ports::bind(options.listen.bind_address, options.embedded.mesos_agent_port, "the Mesos agent", flag).await?;
    let address = master.local_addr().context("the Mesos master's socket has no address")?.to_string();

    for folder in [layout.mesos_master(), layout.mesos_agent()] {
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let secret = secret(layout)?;
    let credential = Credential { principal: PRINCIPAL.to_owned(), secret: Some(secret.clone()) };
    let hostname = match &options.embedded.hostname_override {
        Some(name) => name.clone(),
        None => machine::host_name()?,
    };

    let (to_master, from_agent) = mpsc::channel(LINK_MESSAGES_MAX);
    let (to_agent, from_master) = mpsc::channel(LINK_MESSAGES_MAX);
    let (connect, agents) = mpsc::channel(1);
    connect.try_send(AgentLink { from_agent, to_agent }).context("the Mesos master takes no agent")?;

    let mut config = MasterConfig::usual(layout.mesos_master(), vec![credential.clone()]);
    config.hostname.clone_from(&hostname);
    let deps = MasterDeps { listener: master, agents };
    let master = MesosMaster::new(config, deps).context("failed to start the embedded Mesos master")?;

    let resources = match &options.embedded.resources {
        Some(text) => text.clone(),
        None => machine::resources(&layout.mesos_agent())?,
    };
    let resources = parse_resources(&resources)?;
    keep_apart(&resources, parts::node_ports(&options.api.service_node_port_range)?)?;
    let mut config = AgentConfig::usual(hostname, layout.mesos_agent(), resources, vec![credential]);
    config.attributes = parse_attributes(options.embedded.attributes.as_deref().unwrap_or_default())?;
    config.isolation = Isolation::Cgroups;
    config.cgroups_root = super::CGROUPS_ROOT.to_owned();
    let deps = AgentDeps { listener: agent, master: MasterLink { to_master, from_master } };
    let agent = MesosAgent::new(config, deps).context("failed to start the embedded Mesos agent")?;

    let shutdown = tasks.shutdown();
    tasks.spawn("mesos master", async move {
        let _connect = connect;
        master.run(shutdown).await;
    });
    tasks.spawn("mesos agent", agent.run(tasks.shutdown()));
    Ok((address, km_mesos_client::Credential { principal: PRINCIPAL.to_owned(), secret }))
}

/// Returns the secret of the embedded Mesos, made on the first start: who may launch on it is root on this machine.
fn secret(layout: &Layout) -> anyhow::Result<String> {
    let path = layout.mesos_secret();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            write_private(&path, secret.as_bytes()).with_context(|| format!("failed to write {}", path.display()))?;
            Ok(secret)
        }
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

fn parse_resources(text: &str) -> anyhow::Result<Vec<km_mesos::Resource>> {
    km_mesos::text::parse_resources(text).with_context(|| format!("--resources {text:?} cannot be read"))
}

fn parse_attributes(text: &str) -> anyhow::Result<Vec<km_mesos::Attribute>> {
    km_mesos::text::parse_attributes(text).with_context(|| format!("--attributes {text:?} cannot be read"))
}

/// Refuses a range of node ports that the agent offers too: a pod's host port would hide the Service's.
fn keep_apart(resources: &[km_mesos::Resource], node_ports: PortRange) -> anyhow::Result<()> {
    let ranges = resources.iter().filter(|r| r.name == "ports").filter_map(|r| r.ranges.as_ref());
    for range in ranges.flat_map(|ranges| &ranges.range) {
        if range.begin <= u64::from(node_ports.last) && u64::from(node_ports.first) <= range.end {
            bail!(
                "--service-node-port-range {}-{} and the ports {}-{} that the agent offers overlap: \
                 change one, the latter with --resources",
                node_ports.first,
                node_ports.last,
                range.begin,
                range.end
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ports_lie_outside_the_agents_ports() {
        let resources = parse_resources("cpus:1;ports:[31000-32000]").unwrap();
        assert!(keep_apart(&resources, PortRange { first: 30_000, last: 30_999 }).is_ok());
        assert!(keep_apart(&resources, PortRange { first: 30_000, last: 31_000 }).is_err());
        assert!(keep_apart(&resources, PortRange { first: 31_500, last: 31_600 }).is_err());
    }
}
