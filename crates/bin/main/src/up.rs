//! `km up`: the control plane in one process and, where no Mesos master is named, a Mesos of its own.
//!
//! ```text
//! bind sockets ─▶ store, API server ─▶ controllers ─▶ (Mesos master, agent) ─▶ framework ─▶ ready
//! ```
//!
//! Ending by a signal leaves pods running; [`crate::control::Order::Down`] stops them first.

mod mesos;
mod plane;

use std::time::Duration;

use anyhow::Context as _;
use km_net::{Shutdown, TaskSet};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::cli::UpOptions;
use crate::control::{self, Order, Orders, Pending};
use crate::layout::Layout;

/// Name of the embedded agent's folder in every cgroup hierarchy; executors' cgroups are below it.
pub(crate) const CGROUPS_ROOT: &str = "km";

/// The flags of the last `km up` of a data folder.
#[derive(Deserialize, Serialize)]
pub(crate) struct Remembered {
    /// The flags.
    pub(crate) options: UpOptions,
}

impl Remembered {
    /// Reads them; `None` when there was no `km up`.
    pub(crate) fn read(layout: &Layout) -> anyhow::Result<Option<Self>> {
        let path = layout.remembered();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("failed to read {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
        }
    }

    fn write(&self, layout: &Layout) -> anyhow::Result<()> {
        let path = layout.remembered();
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("failed to write {}", path.display()))
    }
}

/// Stops the pods that a `km up` which no longer runs has left running: starts what is needed to reach them, and
/// nothing that could start them again.
pub(crate) async fn stop_what_is_left(layout: &Layout) -> anyhow::Result<()> {
    let Some(Remembered { options }) = Remembered::read(layout)? else { return Ok(()) };
    let _lock = control::lock(layout)?;
    let tasks = TaskSet::new(Shutdown::new());
    let plane = plane::Plane::start(&options, layout, &tasks, plane::Deciders::Absent).await?;
    let stopped = plane.stop_pods().await;
    tasks.shutdown().begin();
    tasks.finish(END_GRACE).await?;
    stopped
}

/// What the parts get to end: the API server drains for 5 s.
const END_GRACE: Duration = Duration::from_secs(8);

/// Runs until a signal or an order ends it.
pub(crate) async fn run(options: UpOptions) -> anyhow::Result<()> {
    let layout = Layout::new(&options.data.data_dir)?;
    std::fs::create_dir_all(layout.root()).with_context(|| format!("failed to make {}", layout.root().display()))?;
    let _lock = control::lock(&layout)?;
    let orders = Orders::listen(&layout)?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;

    Remembered { options: options.clone() }.write(&layout)?;
    let tasks = TaskSet::new(Shutdown::new());
    let plane = plane::Plane::start(&options, &layout, &tasks, plane::Deciders::Running).await?;
    if options.announce {
        println!("{}", crate::detach::READY);
    } else {
        info!(kubeconfig = %layout.kubeconfig().display(), "km is up; Ctrl-C ends it and leaves pods running");
    }
    let shutdown = tasks.shutdown();
    let ended = tokio::select! {
        _ = interrupt.recv() => End::Signal,
        _ = terminate.recv() => End::Signal,
        order = orders.next() => End::Order(order?),
        () = shutdown.begun() => End::Broken,
    };
    let broken = matches!(ended, End::Broken);
    let answer = match ended {
        End::Order(pending) => {
            let Order::Down = pending.order;
            let stopped = plane.stop_pods().await;
            Some((pending, stopped))
        }
        End::Signal | End::Broken => None,
    };
    tasks.shutdown().begin();
    let finished = tasks.finish(END_GRACE).await;
    if let Some((pending, stopped)) = answer {
        pending.answer(stopped).await;
    }
    match finished {
        Err(error) if broken => Err(error.into()),
        Err(error) => {
            warn!(%error, "a part did not end by itself");
            Ok(())
        }
        Ok(()) if broken => anyhow::bail!("a part of km ended by itself; its log says why"),
        Ok(()) => Ok(()),
    }
}

enum End {
    Signal,
    Order(Pending),
    Broken,
}
