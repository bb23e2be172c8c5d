//! The embedded Mesos as a process of its own: `embedded-mesos WORK_DIR MASTER_PORT AGENT_PORT posix|cgroups`.
//!
//! Master and agent as `km up` wires them, on loopback, with principal and secret `contract`. The tests kill it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use km_mesos::Credential;
use km_mesos::ranges::RangeSet;
use km_mesos::resources::{Milli, ranges, scalar};
use km_mesos_agent::{AgentConfig, AgentDeps, Isolation, MasterLink, MesosAgent};
use km_mesos_master::{AgentLink, MasterConfig, MasterDeps, MesosMaster};
use km_net::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How long a port may stay taken after a crash.
const BIND_PATIENCE: Duration = Duration::from_secs(2);
/// Messages that may wait between the two.
const LINK_MESSAGES_MAX: usize = 4_096;

#[tokio::main]
async fn main() -> Result<()> {
    let usage = "embedded-mesos WORK_DIR MASTER_PORT AGENT_PORT posix|cgroups";
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work_dir, master_port, agent_port, isolation] = arguments.as_slice() else { anyhow::bail!(usage) };
    let work_dir = std::path::PathBuf::from(work_dir);
    let credentials = vec![Credential { principal: "contract".to_owned(), secret: Some("contract".to_owned()) }];
    let (to_master, from_agent) = mpsc::channel(LINK_MESSAGES_MAX);
    let (to_agent, from_master) = mpsc::channel(LINK_MESSAGES_MAX);
    let (links, agents) = mpsc::channel(1);
    links.send(AgentLink { from_agent, to_agent }).await.context("the master's door is open")?;
    let config = MasterConfig::usual(work_dir.join("master"), credentials.clone());
    let master = MesosMaster::new(config, MasterDeps { listener: bind(master_port)?, agents })?;
    let resources = vec![
        scalar("cpus", Milli(2_000)),
        scalar("mem", Milli(2_048_000)),
        scalar("disk", Milli(4_096_000)),
        ranges("ports", &RangeSet::from_range(31_000, 32_000)),
    ];
    let mut config = AgentConfig::usual("agent1".to_owned(), work_dir.join("agent"), resources, credentials);
    config.isolation = if isolation == "cgroups" { Isolation::Cgroups } else { Isolation::Posix };
    config.cgroups_root = format!("km-contract-{agent_port}");
    let deps = AgentDeps { listener: bind(agent_port)?, master: MasterLink { to_master, from_master } };
    let agent = MesosAgent::new(config, deps)?;
    println!("ready");
    let shutdown = Shutdown::new();
    tokio::join!(master.run(shutdown.clone()), agent.run(shutdown));
    Ok(())
}

/// A process that was killed while it forked leaves its listeners to the child until that has become another program.
fn bind(port: &str) -> Result<TcpListener> {
    let deadline = Instant::now() + BIND_PATIENCE;
    loop {
        match std::net::TcpListener::bind(format!("127.0.0.1:{port}")) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(TcpListener::from_std(listener)?);
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error).with_context(|| format!("failed to listen on port {port}")),
        }
    }
}
