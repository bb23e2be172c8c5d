//! The embedded Mesos as a child process on free ports.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, ensure};
use km_mesos::agent;
use km_mesos_agent::{AgentConfig, Isolation};
use km_mesos_client::{Credential, MasterAddress, OperatorClient};
use km_mesos_contract::scenario::Target;

/// The contract executor, built with these tests.
pub(crate) const EXECUTOR: &str = env!("CARGO_BIN_EXE_contract-executor");

pub(crate) struct Embedded {
    work_dir: PathBuf,
    ports: [u16; 2],
    isolation: &'static str,
    child: Child,
}

impl Embedded {
    pub(crate) fn start(work_dir: &Path, isolation: &'static str) -> Result<Self> {
        let ports = [free_port()?, free_port()?];
        let child = spawn(work_dir, ports, isolation)?;
        Ok(Self { work_dir: work_dir.to_owned(), ports, isolation, child })
    }

    /// Kills it as a crash would, and starts it again on the same ports and folder.
    pub(crate) fn crash_and_restart(&mut self) -> Result<()> {
        self.crash()?;
        self.restart()
    }

    /// Kills it as a crash would.
    pub(crate) fn crash(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again on the same ports and folder.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.child = spawn(&self.work_dir, self.ports, self.isolation)?;
        Ok(())
    }

    /// The agent's configuration, as far as its containers matter.
    pub(crate) fn agent_config(&self) -> AgentConfig {
        let mut config = AgentConfig::usual("agent1".to_owned(), self.work_dir.join("agent"), Vec::new(), Vec::new());
        config.isolation = if self.isolation == "cgroups" { Isolation::Cgroups } else { Isolation::Posix };
        config.cgroups_root = self.cgroups_root();
        config
    }

    pub(crate) fn target(&self, run_id: &str) -> Target {
        Target {
            master: format!("127.0.0.1:{}", self.ports[0]),
            credential: Some(Credential { principal: "contract".to_owned(), secret: "contract".to_owned() }),
            executor: EXECUTOR.to_owned(),
            run_id: run_id.to_owned(),
        }
    }

    /// Asks the agent for its executors.
    pub(crate) async fn executors_of_agent(&self) -> Result<Vec<String>> {
        let target = self.target("");
        let client = OperatorClient::new(MasterAddress::parse(&target.master)?, target.credential.as_ref());
        let call = agent::Call { r#type: Some(agent::call::Type::GetExecutors as i32), ..agent::Call::default() };
        let response = client.agent(&format!("127.0.0.1:{}", self.ports[1]), &call).await?;
        let executors = response.get_executors.unwrap_or_default().executors;
        Ok(executors.into_iter().map(|found| found.executor_info.executor_id.value).collect())
    }

    pub(crate) fn master_port(&self) -> u16 {
        self.ports[0]
    }

    /// Name of the agent's cgroup in each hierarchy.
    pub(crate) fn cgroups_root(&self) -> String {
        format!("km-contract-{}", self.ports[1])
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(work_dir: &Path, ports: [u16; 2], isolation: &str) -> Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embedded-mesos"));
    command.arg(work_dir).args(ports.map(|port| port.to_string())).arg(isolation).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut first = String::new();
    BufReader::new(child.stdout.take().context("piped")?).read_line(&mut first)?;
    ensure!(first.trim() == "ready", "embedded-mesos did not start: {first:?}");
    Ok(child)
}

/// Finds a port below those that the kernel gives to outgoing connections, since it must be free again after a crash.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).context("small")?;
    for _ in 0..1_000 {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port between 20000 and 30000 is free")
}
