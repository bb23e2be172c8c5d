//! km: Kubernetes on Apache Mesos. One binary for every part; this crate reads the command line, the environment
//! and files, and wires the parts together. It decides nothing.
//!
//! **Invariant:** drivers meet only here; each gets plain configuration and its dependencies.

mod alone;
mod cli;
mod control;
mod demo;
mod detach;
mod down;
mod executor;
mod image;
mod kubeconfig;
mod layout;
mod logging;
mod machine;
mod parts;
mod ports;
mod status;
mod up;

use std::process::ExitCode;

use clap::Parser as _;
use cli::{Cli, Command};
use km_base::Timestamp;

fn main() -> ExitCode {
    // The supervisor of an executor is this program too, and must be little: no runtime, no argument parser.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|a| a == km_executor::runtime::SUPERVISOR_COMMAND) {
        return km_executor::runtime::supervise(arguments);
    }
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("km: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { command, log } = cli;
    // Detaching starts another process, before this one has threads or a runtime.
    if let Command::Up(options) = &command
        && options.detach
    {
        return detach::up(options, &log);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    logging::start(&log, &command)?;
    runtime.block_on(async {
        match command {
            Command::Up(options) => up::run(*options).await?,
            Command::Down(options) => down::run(&options).await?,
            Command::Demo(options) => demo::run(&options).await?,
            Command::Image(options) => image::run(&options)?,
            Command::Kubeconfig(options) => kubeconfig::print(&options)?,
            Command::Status(options) => status::status(&options).await?,
            Command::Why(options) => status::why(&options).await?,
            Command::Apiserver(options) => alone::api_server(&options).await?,
            Command::ControllerManager(options) => alone::controllers(&options).await?,
            Command::Scheduler(options) => alone::scheduler(&options).await?,
            Command::Proxy(options) => alone::proxy(&options).await?,
            Command::Executor(options) => return executor::run(options).await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The clock of every part of this process.
fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
