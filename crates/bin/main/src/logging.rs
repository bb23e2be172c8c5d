//! Where log lines go: standard error.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::cli::{Command, LogFormat, LogOptions};

/// Starts logging. Commands that only answer a question log warnings alone, unless told otherwise.
pub(crate) fn start(options: &LogOptions, command: &Command) -> anyhow::Result<()> {
    let runs = matches!(
        command,
        Command::Up(_)
            | Command::Executor(_)
            | Command::Apiserver(_)
            | Command::ControllerManager(_)
            | Command::Scheduler(_)
            | Command::Proxy(_)
    );
    let filter = if runs || options.filter != "info" { options.filter.as_str() } else { "warn" };
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter:?} is not a log filter"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
