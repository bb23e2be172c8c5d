//! Starts containerd, or finds the one that runs already, and keeps it running.
//!
//! containers outlive containerd (their shims are processes of their own), so a dead containerd is simply started again
//! and finds them. So does an executor that replaced itself by a newer program: it finds containerd by its pid file.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use km_base::Backoff;
use km_cri::image::import::ImportTarget;
use km_cri::{Cri, CriClient, CriError, CriTimeouts};
use tokio::io::unix::AsyncFd;
use tracing::{info, warn};

use super::capabilities::BoundingSet;
use super::cgroup::{CgroupError, CgroupRoot};
use super::config::{HostTraits, PodNetwork, RuntimeConfig, conflist, containerd_toml};
use super::footprint::{Footprint, write_whole};
use super::mounts::share_volumes;
use super::process::ProcessId;
use super::programs::{Programs, ProgramsError};
use super::supervisor;
use super::sweep::{SweepReport, sweep};

/// How long containerd may take to answer: it reads its whole image store first.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often its socket is tried meanwhile; a socket that is not there yet has no event to wait for.
const TRY_EVERY: Duration = Duration::from_millis(20);
/// How long to wait before a containerd that keeps dying is started once more.
const RESTART: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(30) };
/// A containerd that ran for so long counts as healthy, so its next death is restarted at once.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How much of containerd's log an error shows.
const LOG_TAIL_LINES: usize = 5;

/// A runtime that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// Programs are missing.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// A file, folder or mount could not be made.
    #[error("failed to prepare {}", path.display())]
    Prepare {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The pods' cgroup could not be made.
    #[error("failed to prepare cgroups")]
    Cgroup(#[source] CgroupError),
    /// The supervisor could not be started.
    #[error("failed to start the supervisor")]
    Supervisor(#[source] io::Error),
    /// containerd could not be started.
    #[error("failed to start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// containerd ended before it answered.
    #[error("containerd ended at once; the end of its log:\n{log}")]
    Ended {
        /// Its last lines.
        log: String,
    },
    /// containerd runs but does not answer.
    #[error("containerd did not get ready within {READY_WITHIN:?}; the end of its log:\n{log}")]
    NotReady {
        /// Its last lines.
        log: String,
        /// The last answer, if it gave one.
        #[source]
        source: Option<CriError>,
    },
}

/// A running private containerd.
#[derive(Debug)]
pub struct Runtime {
    config: RuntimeConfig,
    programs: Programs,
    footprint: Footprint,
    cgroups: CgroupRoot,
    process: ProcessId,
    /// Starts in a row that did not last.
    failures: u32,
}

impl Runtime {
    /// Starts containerd, or adopts the one that an earlier run of this executor started, and waits until it answers.
    ///
    /// Afterwards the calling process owns the runtime: when it ends, the supervisor sweeps.
    ///
    /// # Errors
    /// [`RuntimeError`]. What was made until then is removed by [`super::sweep_dead`] or the supervisor.
    pub async fn start(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        if let Some(problem) = config.problem() {
            return Err(RuntimeError::Config(problem));
        }
        let programs = Programs::find(&config.path)?;
        let name = format!("km-{}", config.id);
        let cgroups = CgroupRoot::locate(&name).map_err(RuntimeError::Cgroup)?;
        let footprint = config.footprint(&cgroups);
        prepare(&config, &programs, &footprint)?;
        let log = open_log(&config.work_dir.join("supervisor.log"))?;
        supervisor::ensure(&footprint, &programs.path, log).map_err(RuntimeError::Supervisor)?;
        cgroups.create().map_err(RuntimeError::Cgroup)?;

        let running = ProcessId::read(&footprint.pid_file()).filter(|process| process.is_alive());
        let process = match running {
            Some(process) => {
                info!(pid = process.pid, "adopted the running containerd");
                process
            }
            None => spawn(&config, &programs, &footprint)?,
        };
        let runtime = Self { config, programs, footprint, cgroups, process, failures: 0 };
        if let Some(network) = &runtime.config.network {
            runtime.set_network(network)?;
        }
        runtime.wait_ready().await?;
        Ok(runtime)
    }

    /// Returns the endpoint to speak CRI to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.footprint.socket().display())
    }

    /// Returns the pods' cgroups.
    #[must_use]
    pub fn cgroups(&self) -> &CgroupRoot {
        &self.cgroups
    }

    /// Returns where images are imported to.
    #[must_use]
    pub fn import_target(&self) -> ImportTarget {
        ImportTarget { ctr: self.programs.ctr.clone(), socket: self.footprint.socket() }
    }

    /// Returns the list of everything that this runtime leaves on the host.
    #[must_use]
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// Returns containerd's process.
    #[must_use]
    pub fn process(&self) -> ProcessId {
        self.process
    }

    /// Gives the pods their network, or changes it for pods to come; containerd notices by itself.
    ///
    /// # Errors
    /// [`RuntimeError::Prepare`].
    pub fn set_network(&self, network: &PodNetwork) -> Result<(), RuntimeError> {
        let path = self.config.cni_config_dir().join("10-km.conflist");
        let text = conflist(&self.config, network);
        write_whole(&path, text.as_bytes()).map_err(|source| RuntimeError::Prepare { path, source })
    }

    /// Waits for containerd to die and starts it again, for ever. Dropping the future loses nothing.
    pub async fn keep_running(&mut self) {
        loop {
            let begun = tokio::time::Instant::now();
            ended(self.process).await;
            reap(self.process);
            self.failures = if begun.elapsed() < HEALTHY_AFTER { self.failures + 1 } else { 0 };
            let delay = RESTART.delay(self.failures);
            warn!(pid = self.process.pid, failures = self.failures, ?delay, "containerd died, starting it again");
            tokio::time::sleep(delay).await;
            match self.restart().await {
                Ok(()) => info!(pid = self.process.pid, "containerd answers again"),
                Err(error) => warn!(error = %km_base::chain(&error), "failed to start containerd again"),
            }
        }
    }

    async fn restart(&mut self) -> Result<(), RuntimeError> {
        self.process = spawn(&self.config, &self.programs, &self.footprint)?;
        self.wait_ready().await
    }

    /// Ends everything and removes it. Pods should have been stopped through CRI before: this kills.
    pub async fn shutdown(self) -> SweepReport {
        let footprint = self.footprint;
        let process = self.process;
        let swept = tokio::task::spawn_blocking(move || {
            let report = sweep(&footprint);
            reap(process);
            report
        });
        swept.await.unwrap_or_else(|panic| SweepReport { left: vec![format!("sweep failed: {panic}")] })
    }

    async fn wait_ready(&self) -> Result<(), RuntimeError> {
        let mut last = None;
        let endpoint = self.endpoint();
        let asking = async {
            loop {
                match ask_ready(&endpoint).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => last = Some(error),
                }
                tokio::time::sleep(TRY_EVERY).await;
            }
        };
        let outcome = tokio::select! {
            answered = tokio::time::timeout(READY_WITHIN, asking) => Some(answered),
            () = ended(self.process) => None,
        };
        let log = || log_tail(&log_path(&self.config));
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(RuntimeError::NotReady { log: log(), source: last }),
            None => {
                reap(self.process);
                Err(RuntimeError::Ended { log: log() })
            }
        }
    }
}

async fn ask_ready(endpoint: &str) -> Result<bool, CriError> {
    let timeouts = CriTimeouts { request: Duration::from_secs(10), ..CriTimeouts::kubelet() };
    let status = CriClient::connect(endpoint, timeouts).await?.status().await?;
    // The network gets ready later, when the node has a range.
    Ok(status.conditions.iter().any(|condition| condition.r#type == "RuntimeReady" && condition.status))
}

/// Makes folders and files. The footprint comes first: from then on somebody can clean up.
fn prepare(config: &RuntimeConfig, programs: &Programs, footprint: &Footprint) -> Result<(), RuntimeError> {
    let failed = |path: &Path, source| RuntimeError::Prepare { path: path.to_owned(), source };
    footprint.write().map_err(|source| failed(&footprint.socket_dir, source))?;
    let owner = ProcessId::of_self().and_then(|this| this.write(&footprint.owner_file()));
    owner.map_err(|source| failed(&footprint.owner_file(), source))?;
    let cni = config.cni_config_dir();
    fs::create_dir_all(&cni).map_err(|source| failed(&cni, source))?;
    let volumes = config.volumes();
    share_volumes(&volumes).map_err(|source| failed(&volumes, source))?;

    let bounding = BoundingSet::of_self().map_err(|source| failed(Path::new("/proc/self/status"), source))?;
    let apparmor = fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"));
    let host = HostTraits { may_lower_oom_score: bounding.may_lower_oom_score(), apparmor };
    let path = config.config_file();
    let text = containerd_toml(config, programs, host);
    write_whole(&path, text.as_bytes()).map_err(|source| failed(&path, source))
}

fn spawn(config: &RuntimeConfig, programs: &Programs, footprint: &Footprint) -> Result<ProcessId, RuntimeError> {
    let failed = |source| RuntimeError::Start { program: programs.containerd.clone(), source };
    let log = open_log(&log_path(config))?;
    let errors = log.try_clone().map_err(failed)?;
    let child = Command::new(&programs.containerd)
        .arg("--config")
        .arg(config.config_file())
        .current_dir("/")
        // The executor's environment holds what Mesos told it; containerd and its children need none of that.
        .env_clear()
        .env("PATH", &programs.path)
        .envs(config.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Ctrl-C in a terminal is for km, not for the containers' runtime.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let pid = i32::try_from(child.id()).map_err(|error| failed(io::Error::other(error)))?;
    let process = ProcessId::of(pid).ok_or_else(|| RuntimeError::Ended { log: log_tail(&log_path(config)) })?;
    process.write(&footprint.pid_file()).map_err(failed)?;
    Ok(process)
}

fn log_path(config: &RuntimeConfig) -> PathBuf {
    config.work_dir.join("containerd.log")
}

fn open_log(path: &Path) -> Result<File, RuntimeError> {
    let opened = fs::OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| RuntimeError::Prepare { path: path.to_owned(), source })
}

fn log_tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

/// Waits for the end of a process, be it our child or one that we adopted.
async fn ended(process: ProcessId) {
    let Some(handle) = process.open() else { return };
    // JUSTIFICATION: tokio offers no safe way to wait for a descriptor of another crate's (`AsyncFd::new` is deprecated).
    // SAFETY: `OwnedFd` keeps its descriptor open, and the same one, until the `AsyncFd` that owns it is dropped.
    #[allow(unsafe_code)]
    let registered = unsafe { AsyncFd::register(handle) };
    match registered {
        // Readable once, when the process has ended; the guard is of no use then.
        Ok(handle) => drop(handle.readable().await),
        Err(error) => {
            warn!(%error, pid = process.pid, "failed to watch a process, looking at it instead");
            while process.is_alive() {
                tokio::time::sleep(TRY_EVERY).await;
            }
        }
    }
}

/// Collects the exit status if the process was our child, so that no zombie stays.
fn reap(process: ProcessId) {
    if let Some(pid) = rustix::process::Pid::from_raw(process.pid) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
    }
}
