//! km-bench: the measuring half of `scripts/bench.sh`, which starts what is measured and writes docs/benchmarks.md.
//!
//! Each command prints tab-separated lines: a name, how many were measured, then numbers. Times are taken in this one
//! process by a monotonic clock, so they need no timestamps of the API (which end at whole seconds).
//!
//! Deliberately absent: starting clusters, judging numbers, and any retry: what did not start is counted and said.

mod memory;
mod pods;
mod runtime;
mod series;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Measures a running cluster or container runtime.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates pods at a steady pace and times each from the request to the watch event that shows it running.
    Pods {
        /// Kubeconfig of the cluster.
        #[arg(long)]
        kubeconfig: PathBuf,
        #[command(flatten)]
        pace: Pace,
    },
    /// Starts the same containers through CRI alone, on a containerd as an executor configures it.
    Cri {
        /// An empty folder for the runtime.
        #[arg(long)]
        folder: PathBuf,
        /// The demo's image archive.
        #[arg(long)]
        image: PathBuf,
        #[command(flatten)]
        pace: Pace,
    },
    /// Sums the proportional memory of all processes in this network namespace, part by part.
    Memory,
}

/// How many pods, and how fast.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Pace {
    /// How many.
    #[arg(long, default_value_t = 100)]
    pods: u32,
    /// Milliseconds between the starts of two.
    #[arg(long, default_value_t = 500)]
    every_ms: u64,
}

impl Pace {
    fn every(self) -> Duration {
        Duration::from_millis(self.every_ms)
    }
}

fn main() -> anyhow::Result<ExitCode> {
    // The private containerd's supervisor is this same program.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|mode| mode == km_executor::runtime::SUPERVISOR_COMMAND) {
        return Ok(km_executor::runtime::supervise(args));
    }
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match Cli::parse().command {
        Command::Pods { kubeconfig, pace } => threads.block_on(pods::run(&kubeconfig, pace))?,
        Command::Cri { folder, image, pace } => threads.block_on(runtime::run(&folder, &image, pace))?,
        Command::Memory => memory::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
