//! Running a command in a cluster's network namespace, with a deadline; and waiting for what takes time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// Between two looks at something that only polling can see. Short beside what is waited for, long beside a look.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where and how commands run.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The network namespace's file; `None` is the machine's own.
    pub network: Option<PathBuf>,
    /// The current folder.
    pub folder: PathBuf,
    /// Variables beside this process's own.
    pub environment: BTreeMap<String, String>,
    /// How long a command may take.
    pub limit: Duration,
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, both streams in the order written.
    pub output: String,
    /// Whether it was killed because it took too long.
    pub timed_out: bool,
}

impl Finished {
    /// The exit code, 128 + signal for one that was killed, as a shell says it.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }

    /// The output of a command that must succeed.
    ///
    /// # Errors
    /// It did not; the message holds what it printed.
    pub fn expect_success(self) -> anyhow::Result<String> {
        if self.timed_out {
            bail!("took too long; printed:\n{}", self.output);
        }
        if self.code() != 0 {
            bail!("ended with {}:\n{}", self.code(), self.output);
        }
        Ok(self.output)
    }
}

impl Shell {
    /// Runs a line of bash to its end or the limit. What it left in the background goes on.
    ///
    /// # Errors
    /// The command could not be started. One that fails is an `Ok` with its status.
    pub fn run(&self, line: &str) -> anyhow::Result<Finished> {
        let mut output = tempfile::tempfile().context("failed to make a file for the output")?;
        let mut command = self.command("bash", &["-c".as_ref(), line.as_ref()]);
        let streams = |file: &File| file.try_clone().context("failed to share the output file");
        command.stdin(Stdio::null()).stdout(streams(&output)?).stderr(streams(&output)?).process_group(0);
        let mut child = command.spawn().with_context(|| format!("failed to start {line:?}"))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the child has no pid")?;

        let (ended, end) = mpsc::channel();
        let waiter = std::thread::spawn(move || {
            let status = child.wait();
            // The other side may have given up.
            let _ = ended.send(());
            status
        });
        let timed_out = end.recv_timeout(self.limit).is_err();
        if timed_out {
            // It may end just now.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = waiter.join().map_err(|_| anyhow::anyhow!("the waiting thread panicked"))?;
        let status = status.with_context(|| format!("failed to wait for {line:?}"))?;
        let mut bytes = Vec::new();
        output.rewind().and_then(|()| output.read_to_end(&mut bytes)).context("failed to read the output")?;
        Ok(Finished { status, output: String::from_utf8_lossy(&bytes).into_owned(), timed_out })
    }

    /// Runs a line of bash that must succeed, and returns what it printed.
    ///
    /// # Errors
    /// It did not succeed within the limit.
    pub fn output(&self, line: &str) -> anyhow::Result<String> {
        self.run(line)?.expect_success().with_context(|| format!("`{line}`"))
    }

    /// Prepares a program to run here.
    #[must_use]
    pub fn command(&self, program: &str, arguments: &[&std::ffi::OsStr]) -> Command {
        let mut command = match &self.network {
            // Not `ip netns exec`: that would mount another /sys over the one with the cgroups.
            Some(network) => {
                let mut nsenter = Command::new("nsenter");
                nsenter.arg(format!("--net={}", network.display())).arg("--").arg(program);
                nsenter
            }
            None => Command::new(program),
        };
        command.args(arguments).current_dir(&self.folder).envs(&self.environment);
        command
    }
}

/// Looks until `look` answers `Ok`, and returns that.
///
/// # Errors
/// It has not within `limit`: what was waited for, and the last reason why not.
pub fn eventually<T, E: fmt::Display>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, E>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(reason) if start.elapsed() >= limit => {
                bail!("waited {} s for {what}: {reason:#}", limit.as_secs())
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(limit: Duration) -> Shell {
        Shell { network: None, folder: "/".into(), environment: BTreeMap::from([("A".into(), "b".into())]), limit }
    }

    #[test]
    fn output_and_code_are_those_of_the_command() {
        let finished = shell(Duration::from_secs(10)).run("echo $A; echo wrong >&2; exit 3").unwrap();
        assert_eq!((finished.code(), finished.output.as_str(), finished.timed_out), (3, "b\nwrong\n", false));
    }

    #[test]
    fn what_takes_too_long_is_killed_with_its_children() {
        let finished = shell(Duration::from_millis(50)).run("sleep 100; true").unwrap();
        assert!(finished.timed_out);
        assert_eq!(finished.code(), 137);
    }

    #[test]
    fn what_stays_in_the_background_is_not_waited_for() {
        let finished = shell(Duration::from_secs(10)).run("sleep 30 & echo $!").unwrap();
        let sleeper = crate::ProcessId::find(finished.output.trim().parse().unwrap()).unwrap();
        sleeper.signal(Signal::KILL);
        assert!(!finished.timed_out);
    }

    #[test]
    fn waiting_says_what_for_and_why_not() {
        let mut looks = 0;
        let error = eventually(Duration::ZERO, "rain", || {
            looks += 1;
            Err::<(), _>("the sky is blue")
        });
        assert_eq!(error.unwrap_err().to_string(), "waited 0 s for rain: the sky is blue");
        assert_eq!(looks, 1);
    }
}
