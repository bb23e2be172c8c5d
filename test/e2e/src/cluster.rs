//! One cluster: a folder, a network namespace, maybe an Apache Mesos, and `km up` in it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use crate::apache::{ApacheMesos, Launcher, Part};
use crate::network::Network;
use crate::process::{ProcessId, descendants};
use crate::shell::{Shell, eventually};
use crate::{suite, tree};

/// The clients that every scenario must be right for; the last is the one that `make tools` can fetch anywhere.
const KUBECTL_VERSIONS: [&str; 2] = ["1.32", "1.37"];

/// Those that this machine has.
pub(crate) fn kubectl_versions() -> Vec<&'static str> {
    let there = |version: &&str| tree::target_file(&format!("tools/kubectl-{version}"), "").is_ok();
    let (last, others) = KUBECTL_VERSIONS.split_last().map_or(("", &[][..]), |(last, others)| (*last, others));
    others.iter().copied().filter(there).chain([last]).collect()
}

/// How long one command may take unless a test says otherwise: `km up` and `kubectl wait` are the longest.
const COMMAND_LIMIT: Duration = Duration::from_secs(90);

/// How long after `km down` its last traces may be there.
const DOWN_LIMIT: Duration = Duration::from_secs(5);

/// What the embedded agent offers: about what one Apache agent does, whatever the machine has.
const EMBEDDED_RESOURCES: &str = "cpus:8;mem:4096;disk:8192;ports:[31000-31099]";

/// Which Mesos runs below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// The one in km.
    Embedded,
    /// Apache Mesos 1.11.0 with two agents.
    ApacheMesos(Launcher),
}

/// A running cluster. Dropped, it is gone.
#[derive(Debug)]
pub struct Cluster {
    shell: Shell,
    folder: PathBuf,
    data_dir: PathBuf,
    up_flags: Vec<String>,
    name: String,
    apache: Option<ApacheMesos>,
    // Dropped after the processes in it.
    _network: Network,
}

static NEXT: AtomicU32 = AtomicU32::new(1);

impl Cluster {
    /// Makes everything up to, but not including, `km up`.
    ///
    /// # Errors
    /// A program or file that the tests need is missing, or the machine refuses.
    pub fn prepare(flavour: Flavour) -> anyhow::Result<Self> {
        let km = tree::km()?;
        let image = tree::target_file("images/demo.tar", "make e2e")?;
        let name = format!("km-e2e-{}-{}", suite::own()[0], NEXT.fetch_add(1, Ordering::Relaxed));
        // Short: Unix socket paths end at 108 bytes.
        let folder = Path::new("/tmp").join(&name);
        let data_dir = folder.join("d");
        let network = Network::new(&name)?;
        let home = folder.join("home");
        fs::create_dir_all(&home).with_context(|| format!("failed to make {}", home.display()))?;
        let environment = BTreeMap::from(
            [
                ("HOME", home.clone()),
                ("KUBECONFIG", data_dir.join("admin.kubeconfig")),
                ("KM_DATA_DIR", data_dir.clone()),
                ("REPOSITORY", tree::repository()),
            ]
            .map(|(name, value)| (name.to_owned(), value.display().to_string())),
        );
        let shell = Shell { network: Some(network.file()), folder: home, environment, limit: COMMAND_LIMIT };
        let mut cluster = Self { shell, folder, data_dir, up_flags: Vec::new(), name, apache: None, _network: network };
        let versions = kubectl_versions();
        for version in &versions {
            cluster.make_programs(version, &km)?;
        }
        cluster.shell = cluster.shell_with_kubectl(versions[0]);
        match flavour {
            Flavour::Embedded => cluster.up_flags.push(format!("--resources='{EMBEDDED_RESOURCES}'")),
            Flavour::ApacheMesos(launcher) => {
                cluster.up_flags.push("--mesos-master=127.0.0.1:5050".to_owned());
                let folder = cluster.folder.join("mesos");
                cluster.apache = Some(ApacheMesos::start(&cluster.shell, &folder, &cluster.name, launcher)?);
            }
        }
        cluster.shell.output(&format!("km image import {}", image.display()))?;
        Ok(cluster)
    }

    /// Makes a cluster and runs `km up --detach` in it.
    ///
    /// # Errors
    /// As [`Cluster::prepare`] and [`Cluster::up`].
    pub fn start(flavour: Flavour) -> anyhow::Result<Self> {
        let cluster = Self::prepare(flavour)?;
        if let Err(error) = cluster.up() {
            return Err(error.context(cluster.keep_logs()));
        }
        Ok(cluster)
    }

    /// Runs `km up --detach`; returns what it printed.
    ///
    /// # Errors
    /// It did not say that it is ready.
    pub fn up(&self) -> anyhow::Result<String> {
        self.up_with("")
    }

    /// The same with more flags.
    ///
    /// # Errors
    /// It did not say that it is ready.
    pub fn up_with(&self, flags: &str) -> anyhow::Result<String> {
        self.shell.output(&format!("km up --detach {} {flags}", self.up_flags.join(" ")))
    }

    /// Kills a process of Apache Mesos with `kill -9`.
    ///
    /// # Errors
    /// It does not run here.
    pub fn kill_mesos(&mut self, part: Part) -> anyhow::Result<()> {
        self.apache.as_mut().context("this cluster has no Apache Mesos")?.kill_part(part)
    }

    /// Starts a process of Apache Mesos again, and waits until both agents are registered.
    ///
    /// # Errors
    /// They are not, in time.
    pub fn start_mesos(&mut self, part: Part) -> anyhow::Result<()> {
        let apache = self.apache.as_mut().context("this cluster has no Apache Mesos")?;
        apache.start_part(part)?;
        apache.is_complete()
    }

    /// Runs `km down`, and holds the cluster's own network to be as empty as it was.
    ///
    /// # Errors
    /// It failed, or something is left.
    pub fn down(&self) -> anyhow::Result<()> {
        self.shell.output("km down")?;
        // The kernel takes a network namespace's links down some milliseconds after its last process.
        eventually(DOWN_LIMIT, "nothing left", || self.nothing_is_left())
    }

    fn nothing_is_left(&self) -> anyhow::Result<()> {
        let tables = self.shell.output("nft list tables")?;
        ensure!(tables.trim().is_empty(), "km down left nft tables: {tables}");
        let links = self.shell.output("ip -o link")?;
        ensure!(links.lines().count() == 1, "km down left links:\n{links}");
        if self.apache.is_none() {
            let sockets = self.shell.output("ss -Hltnup")?;
            ensure!(sockets.trim().is_empty(), "km down left sockets:\n{sockets}");
            let left = self.processes();
            ensure!(left.is_empty(), "km down left processes: {left:?}");
        }
        let mounts = self.mounts_below(&self.data_dir);
        ensure!(mounts.is_empty(), "km down left mounts: {mounts:?}");
        Ok(())
    }

    /// The processes of everything that was started here, except the suite's.
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessId> {
        descendants(suite::root()).into_iter().filter(|process| !suite::own().contains(&process.pid)).collect()
    }

    /// Begins `km up --detach` and does not wait for it.
    ///
    /// # Errors
    /// It could not be started.
    pub fn begin_up(&self) -> anyhow::Result<()> {
        self.shell.output(&format!("(km up --detach {} > /dev/null 2>&1 &)", self.up_flags.join(" "))).map(drop)
    }

    /// The process of `km up`, not the one that starts it and waits.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn km_up(&self) -> anyhow::Result<ProcessId> {
        let is_up = |process: &ProcessId| process.command.contains("km up ") && process.command.contains("--announce");
        let mut found: Vec<ProcessId> = self.processes().into_iter().filter(is_up).collect();
        ensure!(found.len() == 1, "want one `km up`, found {found:?}");
        found.pop().context("counted one above")
    }

    /// Where commands run: kubectl, km and `mesos PATH` (the master's JSON) are there.
    #[must_use]
    pub fn shell(&self) -> &Shell {
        &self.shell
    }

    /// Where km keeps its data.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The same with a kubectl of this version.
    #[must_use]
    pub fn shell_with_kubectl(&self, version: &str) -> Shell {
        let mut shell = self.shell.clone();
        let path = std::env::var("PATH").unwrap_or_default();
        let own = self.folder.join(format!("bin-{version}"));
        shell.environment.insert("PATH".to_owned(), format!("{}:/usr/sbin:/sbin:{path}", own.display()));
        shell
    }

    /// Copies the logs to `target/e2e-logs` and returns a sentence that says so.
    #[must_use]
    pub fn keep_logs(&self) -> String {
        let target = tree::repository().join("target/e2e-logs").join(&self.name);
        let script = format!(
            "mkdir -p {0} && cp {1}/km.log {0}/; find {2} \\( -name stdout -o -name stderr -o -name '*.log' \\) \
             -size -4096k -not -path '*/snapshots/*' -not -path '*/rootfs/*' -type f | while read -r file; do \
             cp \"$file\" {0}/\"$(echo \"${{file#{2}/}}\" | tr / _ | tail -c 200)\"; done",
            target.display(),
            self.data_dir.display(),
            self.folder.display(),
        );
        match self.shell.run(&script) {
            Ok(_) => format!("logs are kept in {}", target.display()),
            Err(error) => format!("logs could not be kept: {error:#}"),
        }
    }

    /// A folder with this version as `kubectl`, with `km`, and with `mesos`, which asks the master.
    fn make_programs(&self, version: &str, km: &Path) -> anyhow::Result<()> {
        let folder = self.folder.join(format!("bin-{version}"));
        fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let kubectl = tree::target_file(&format!("tools/kubectl-{version}"), "make tools")?;
        symlink(&kubectl, folder.join("kubectl")).context("failed to link kubectl")?;
        symlink(km, folder.join("km")).context("failed to link km")?;
        let mesos = folder.join("mesos");
        let script = "#!/bin/sh\n# mesos PATH: what the Mesos master answers; the embedded one wants to know who asks.\n\
                      secret=$KM_DATA_DIR/mesos/secret\n\
                      if [ -f \"$secret\" ]; then set -- \"$1\" -u \"km:$(cat \"$secret\")\"; fi\n\
                      path=$1; shift\nexec curl -sSf \"$@\" \"http://127.0.0.1:5050$path\"\n";
        fs::write(&mesos, script)
            .and_then(|()| fs::set_permissions(&mesos, fs::Permissions::from_mode(0o755)))
            .with_context(|| format!("failed to write {}", mesos.display()))
    }

    fn mounts_below(&self, folder: &Path) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        points.filter(|point| point.starts_with(folder)).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.data_dir.exists() {
            // Does nothing after a test that went well; what this leaves, the suite reports.
            let _ = self.shell.run("km down");
        }
        // Unmounts and cgroups that are left show in the suite's look only if they are not ours to remove.
        self.apache = None;
        self.processes().iter().for_each(|process| process.signal(Signal::KILL));
        let mut mounts = self.mounts_below(&self.folder);
        mounts.reverse();
        let mut left_mounted = 0;
        for point in mounts {
            if !point.starts_with(self.folder.join("mesos")) {
                left_mounted += 1;
            }
            let _ = Command::new("umount").arg("-l").arg(&point).status();
        }
        if left_mounted > 0 {
            eprintln!("km-e2e: {left_mounted} mounts were left below {}", self.folder.display());
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("km-e2e: failed to remove {}: {error}", self.folder.display());
        }
    }
}
