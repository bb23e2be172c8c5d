//! The embedded Mesos as a child process on free ports.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use km_mesos_client::Credential;
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
        self.crash_between(|| Ok(()))
    }

    /// The same, with something done while it is down.
    pub(crate) fn crash_between(&mut self, meanwhile: impl FnOnce() -> std::io::Result<()>) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        meanwhile()?;
        self.child = spawn(&self.work_dir, self.ports, self.isolation)?;
        Ok(())
    }

    pub(crate) fn target(&self, run_id: &str) -> Target {
        Target {
            master: format!("127.0.0.1:{}", self.ports[0]),
            credential: Some(Credential { principal: "contract".to_owned(), secret: "contract".to_owned() }),
            executor: EXECUTOR.to_owned(),
            run_id: run_id.to_owned(),
        }
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

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
