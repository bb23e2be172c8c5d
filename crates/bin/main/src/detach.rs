//! `km up --detach`: the same program in a session of its own, with its log in the data folder; returns when it is
//! ready, or says why it did not get there.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use crate::cli::{LogOptions, UpOptions};
use crate::control;
use crate::layout::Layout;

/// The line on standard output that says that all is up.
pub(crate) const READY: &str = "ready";

/// Lines of the log that are shown when the start failed.
const LOG_LINES_SHOWN: usize = 15;

/// Starts `km up` in the background and waits until it is ready.
pub(crate) fn up(options: &UpOptions, log: &LogOptions) -> anyhow::Result<ExitCode> {
    let layout = Layout::new(&options.data.data_dir)?;
    std::fs::create_dir_all(layout.root()).with_context(|| format!("failed to make {}", layout.root().display()))?;
    if let Some(pid) = control::running(&layout)? {
        println!("km is running already (pid {pid})");
        return Ok(ExitCode::SUCCESS);
    }
    let log_file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(layout.log())
        .with_context(|| format!("failed to open {}", layout.log().display()))?;
    let log_start = log_file.metadata().map(|m| m.len()).unwrap_or(0);
    let this = std::env::current_exe().context("failed to find this program")?;
    let arguments = std::env::args_os().skip(1).filter(|a| a != "--detach");
    let mut command = Command::new(this);
    command.args(arguments).arg("--announce").env("KM_LOG", &log.filter);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
    // The shell's Ctrl-C is not meant for it.
    command.process_group(0);
    let mut child = command.spawn().context("failed to start km in the background")?;
    let stdout = child.stdout.take().context("the new process has no standard output")?;
    for line in BufReader::new(stdout).lines() {
        if line.is_ok_and(|l| l == READY) {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let status = child.wait().context("failed to wait for km")?;
    let text = std::fs::read(layout.log()).unwrap_or_default();
    let start = usize::try_from(log_start).unwrap_or(0).min(text.len());
    let text = String::from_utf8_lossy(&text[start..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..] {
        eprintln!("  {line}");
    }
    bail!("km did not start ({status}); its log is {}", layout.log().display())
}
