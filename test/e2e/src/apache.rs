//! A real Apache Mesos 1.11.0 on loopback: one master, two agents.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use crate::process::{ProcessId, descendants};
use crate::shell::{Shell, eventually};
use crate::tree;

/// How agents start executors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// Plain processes, no limits.
    Posix,
    /// Cgroups for cpu and memory.
    LinuxCgroups,
}

/// How long a master and its agents may take to find each other.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The running processes.
#[derive(Debug)]
pub(crate) struct ApacheMesos {
    shell: Shell,
    launcher: Launcher,
    programs: PathBuf,
    folder: PathBuf,
    /// Root of the agents' cgroups, relative to each hierarchy: `km-e2e-…`.
    cgroups_root: String,
    children: BTreeMap<Part, Child>,
}

/// A process of a Mesos cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The master.
    Master,
    /// An agent, by number from 1.
    Agent(u32),
}

impl ApacheMesos {
    /// Starts master and agents and waits until both agents are registered.
    pub(crate) fn start(shell: &Shell, folder: &Path, name: &str, launcher: Launcher) -> anyhow::Result<Self> {
        let mut mesos = Self {
            shell: shell.clone(),
            launcher,
            programs: tree::apache_mesos()?,
            folder: folder.to_owned(),
            cgroups_root: name.to_owned(),
            children: BTreeMap::new(),
        };
        fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
        for part in [Part::Master, Part::Agent(1), Part::Agent(2)] {
            mesos.start_part(part)?;
        }
        mesos.is_complete()?;
        Ok(mesos)
    }

    /// Waits until both agents are registered and active.
    pub(crate) fn is_complete(&self) -> anyhow::Result<()> {
        eventually(START_LIMIT, "two Mesos agents", || -> anyhow::Result<()> {
            let answer = self.shell.output("curl -sS http://127.0.0.1:5050/slaves")?;
            let active = answer.matches(r#""active":true"#).count();
            ensure!(active == 2, "{active} are active");
            Ok(())
        })
    }

    /// Starts one process, also again: it finds its work folder as it left it.
    pub(crate) fn start_part(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Master => self.start_master(),
            Part::Agent(number) => self.start_agent(number),
        }
    }

    /// Ends one process with `kill -9`, and nothing below it.
    pub(crate) fn kill_part(&mut self, part: Part) -> anyhow::Result<()> {
        let mut child = self.children.remove(&part).with_context(|| format!("{part:?} does not run"))?;
        child.kill().and_then(|()| child.wait().map(drop)).with_context(|| format!("failed to kill {part:?}"))
    }

    fn start_master(&mut self) -> anyhow::Result<()> {
        let work_dir = self.folder.join("m").display().to_string();
        // Short timeouts: a test that loses an agent should not wait for minutes.
        self.spawn(
            Part::Master,
            "mesos-master",
            &[
                "--ip=127.0.0.1",
                "--port=5050",
                "--agent_ping_timeout=1secs",
                "--max_agent_ping_timeouts=5",
                &format!("--work_dir={work_dir}"),
            ],
        )
    }

    fn start_agent(&mut self, number: u32) -> anyhow::Result<()> {
        let below = |what: &str| self.folder.join(format!("{what}{number}")).display().to_string();
        let launcher = match self.launcher {
            Launcher::Posix => vec!["--launcher=posix".to_owned()],
            Launcher::LinuxCgroups => vec![
                "--launcher=linux".to_owned(),
                "--isolation=cgroups/cpu,cgroups/mem".to_owned(),
                "--cgroups_enable_cfs".to_owned(),
                // Each agent its own root, as on two machines.
                format!("--cgroups_root={}/a{number}", self.cgroups_root),
            ],
        };
        let mut flags = vec![
            "--master=127.0.0.1:5050".to_owned(),
            "--ip=127.0.0.1".to_owned(),
            format!("--port=505{number}"),
            format!("--hostname=agent{number}"),
            format!("--work_dir={}", below("a")),
            format!("--runtime_dir={}", below("r")),
            format!("--fetcher_cache_dir={}", below("f")),
            format!("--launcher_dir={}", self.programs.display()),
            "--no-systemd_enable_support".to_owned(),
            format!("--resources=cpus:4;mem:2048;disk:4096;ports:[3{number}000-3{number}099]"),
            format!("--attributes=rack:r{number}"),
        ];
        flags.extend(launcher);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        self.spawn(Part::Agent(number), "mesos-agent", &flags)
    }

    fn spawn(&mut self, part: Part, program: &str, flags: &[&str]) -> anyhow::Result<()> {
        let path = self.programs.join(program);
        let path = path.to_str().context("the path of Apache Mesos is not text")?;
        let log = self.folder.join(format!("{part:?}.log"));
        let log = fs::File::options().create(true).append(true).open(&log);
        let log = log.context("failed to open a log of Apache Mesos")?;
        let flags: Vec<&std::ffi::OsStr> = flags.iter().map(std::convert::AsRef::as_ref).collect();
        let mut command = self.shell.command(path, &flags);
        command.stdin(Stdio::null()).stdout(log.try_clone().context("failed to share the log")?).stderr(log);
        let child = command.spawn().with_context(|| format!("failed to start {program}"))?;
        self.children.insert(part, child);
        Ok(())
    }
}

impl Drop for ApacheMesos {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            let pid = i32::try_from(child.id()).unwrap_or_default();
            let below = descendants(pid);
            if let Some(process) = ProcessId::find(pid) {
                process.signal(Signal::KILL);
            }
            if let Err(error) = child.wait() {
                eprintln!("km-e2e: failed to wait for Apache Mesos: {error}");
            }
            below.iter().for_each(|process| process.signal(Signal::KILL));
        }
        if self.launcher == Launcher::LinuxCgroups {
            remove_cgroups(&self.cgroups_root);
        }
    }
}

/// Removes what the agents leave in each hierarchy: Mesos keeps its cgroups for its next start.
fn remove_cgroups(root: &str) {
    let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else { return };
    for hierarchy in hierarchies.flatten() {
        let folder = hierarchy.path().join(root);
        if folder.exists() {
            // A killed process may take a moment to leave its cgroup.
            let removed = eventually(Duration::from_secs(10), "empty cgroups", || remove_bottom_up(&folder));
            if let Err(error) = removed {
                eprintln!("km-e2e: failed to remove {}: {error:#}", folder.display());
            }
        }
    }
}

fn remove_bottom_up(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_bottom_up(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}
