//! Making and destroying containers: sandbox, fetch, fork behind a gate, release, wait, kill, remove.
//!
//! The forked process is a shell in a session of its own that waits for one line on its input and then becomes the
//! command. If this process dies before it has written the pid down, the input closes and the shell ends.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use km_core_mesos::agent::{Allowance, Launch, Process};
use km_mesos::CommandInfo;
use km_net::HttpClient;
use tokio::process::{Child, ChildStdin, Command};
use tracing::warn;

use crate::cgroups::Cgroups;
use crate::environment::{self, Surroundings};
use crate::{fetch, procs};

/// What the gate shell does: one line lets the command run, an end of input ends it.
const GATE: &str = "read -r released || exit 125; exec \"$@\" </dev/null";
/// Between two looks at a container that is being killed. SIGKILL takes effect within a few ms.
const KILL_POLL: Duration = Duration::from_millis(10);
/// A process that SIGKILL does not end within this hangs in the kernel; the container is given up. Mesos 1.11
/// --cgroups_destroy_timeout.
const DESTROY_TIMEOUT: Duration = Duration::from_secs(60);

/// A process that waits at the gate.
#[derive(Debug)]
pub(crate) struct Gated {
    pub(crate) process: Process,
    pub(crate) child: Child,
    pub(crate) gate: ChildStdin,
}

/// Makes and destroys containers; clones share everything.
#[derive(Clone)]
pub(crate) struct Containers {
    pub(crate) work_dir: PathBuf,
    pub(crate) cgroups: Option<Arc<Cgroups>>,
    pub(crate) client: HttpClient,
}

impl Containers {
    /// Prepares everything up to the gate.
    ///
    /// # Errors
    /// A sentence for the task's status.
    pub(crate) async fn launch(&self, launch: &Launch, around: &Surroundings) -> Result<Gated, String> {
        let command = launch.executor.command.clone().unwrap_or_default();
        let user = command.user.as_deref().filter(|user| !user.is_empty()).unwrap_or(&launch.framework.user);
        let owner = Owner::find(user)?;
        let sandbox = self.sandbox(launch, &around.agent_id);
        make_sandbox(&sandbox).map_err(|error| format!("Failed to create sandbox '{}': {error}", sandbox.display()))?;
        for uri in &command.uris {
            fetch::fetch(&self.client, uri, &sandbox)
                .await
                .map_err(|why| format!("Failed to fetch all URIs for container '{}': {why}", launch.container_id))?;
        }
        if let Some(owner) = owner {
            own(&sandbox, owner).map_err(|error| format!("Failed to chown sandbox to '{user}': {error}"))?;
        }
        let variables = environment::of_executor(launch, &sandbox, around);
        let failed = |error: io::Error| format!("Failed to fork executor: {error}");
        let mut shell = gate_shell(&command, &variables, &sandbox, owner).map_err(failed)?;
        let mut child = shell.spawn().map_err(failed)?;
        let pid = child.id().ok_or("Failed to fork executor: it ended at once")?;
        let process = procs::identify(pid).ok_or("Failed to fork executor: it ended at once")?;
        let gate = child.stdin.take().ok_or("Failed to fork executor: it has no gate")?;
        if let Some(cgroups) = &self.cgroups {
            cgroups
                .place(&launch.container_id, pid)
                .map_err(|error| format!("Failed to place executor in cgroups: {error}"))?;
        }
        Ok(Gated { process, child, gate })
    }

    /// Sets what a container may use.
    pub(crate) fn allow(&self, container_id: &str, allowance: &Allowance) {
        if let Some(cgroups) = &self.cgroups
            && let Err(error) = cgroups.allow(container_id, allowance)
        {
            warn!(container_id, %error, "failed to set cgroup limits");
        }
    }

    /// Kills everything in a container until nothing is left, then removes its cgroups.
    pub(crate) async fn destroy(&self, container_id: &str, leader: Option<Process>) {
        let attempt = async {
            loop {
                let mut members =
                    self.cgroups.as_ref().map(|cgroups| cgroups.members(container_id)).unwrap_or_default();
                members.extend(leader.map(procs::session_members).unwrap_or_default());
                members.retain(|pid| !procs::is_over(*pid));
                procs::kill_all(&members);
                let removed = self.cgroups.as_ref().is_none_or(|cgroups| cgroups.remove(container_id).is_ok());
                if members.is_empty() && removed {
                    return;
                }
                tokio::time::sleep(KILL_POLL).await;
            }
        };
        if tokio::time::timeout(DESTROY_TIMEOUT, attempt).await.is_err() {
            warn!(container_id, "container could not be destroyed completely; given up");
        }
    }

    fn sandbox(&self, launch: &Launch, agent_id: &str) -> PathBuf {
        let framework_id = launch.framework.id.clone().unwrap_or_default().value;
        let executors =
            self.work_dir.join("slaves").join(agent_id).join("frameworks").join(framework_id).join("executors");
        executors.join(&launch.executor.executor_id.value).join("runs").join(&launch.container_id)
    }
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// Finds whom to run as; `None` when that is us already.
    fn find(user: &str) -> Result<Option<Self>, String> {
        let own = rustix::process::geteuid().as_raw();
        let passwd =
            fs::read_to_string("/etc/passwd").map_err(|error| format!("Failed to read /etc/passwd: {error}"))?;
        let found = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&user))
                .then(|| Some(Self { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? }))
        });
        match found.flatten() {
            Some(owner) if owner.uid == own => Ok(None),
            Some(_) if own != 0 => Err(format!("Failed to run as user '{user}': the agent is not root")),
            Some(owner) => Ok(Some(owner)),
            None => Err(format!("Failed to get user information for '{user}': no such user")),
        }
    }
}

fn gate_shell(
    command: &CommandInfo,
    variables: &BTreeMap<String, String>,
    sandbox: &Path,
    owner: Option<Owner>,
) -> io::Result<Command> {
    let value = command.value.clone().unwrap_or_default();
    let mut argv = vec![value];
    if command.shell() {
        argv = vec!["/bin/sh".to_owned(), "-c".to_owned(), argv.remove(0)];
    } else {
        // The first argument is argv[0], which for a plain exec is the path itself.
        argv.extend(command.arguments.iter().skip(1).cloned());
    }
    // setsid(1) gives the session without unsafe code here; the child is no group leader, so it does not fork.
    let mut shell = Command::new("setsid");
    shell.arg("/bin/sh").arg("-c").arg(GATE).arg("gate").args(argv);
    shell.env_clear().envs(variables).current_dir(sandbox).stdin(Stdio::piped());
    shell.stdout(File::options().create(true).append(true).open(sandbox.join("stdout"))?);
    shell.stderr(File::options().create(true).append(true).open(sandbox.join("stderr"))?);
    if let Some(owner) = owner {
        shell.uid(owner.uid).gid(owner.gid);
    }
    Ok(shell)
}

/// Makes the sandbox and points `latest` at it, as tools that read sandboxes expect.
fn make_sandbox(sandbox: &Path) -> io::Result<()> {
    fs::create_dir_all(sandbox)?;
    fs::set_permissions(sandbox, Permissions::from_mode(0o750))?;
    let (Some(runs), Some(name)) = (sandbox.parent(), sandbox.file_name()) else { return Ok(()) };
    let latest = runs.join("latest");
    match fs::remove_file(&latest) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(name, latest)
}

fn own(folder: &Path, owner: Owner) -> io::Result<()> {
    chown(folder, Some(owner.uid), Some(owner.gid))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            own(&entry.path(), owner)?;
        } else if entry.file_type()?.is_file() {
            chown(entry.path(), Some(owner.uid), Some(owner.gid))?;
        }
    }
    Ok(())
}
