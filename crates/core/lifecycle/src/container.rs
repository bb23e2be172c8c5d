//! One container of the pod: where its current run stands, and what is remembered of earlier ones.
//!
//! Data and small questions; what happens next is decided in `order` (starting) and `stop` (ending).

use std::time::Duration;

use km_base::{Backoff, Timestamp};
use km_kinds::api::core::v1::{Container as Spec, Pod};

use crate::Exit;
use crate::probe::Probes;
use crate::spec::{self, Restart, Role};

// k8s 1.33 pkg/kubelet/kubelet.go: MaxContainerBackOff 300 s, base 10 s, forgotten after twice the maximum.
pub(crate) const CRASH_BACKOFF: Backoff = Backoff { initial: Duration::from_secs(10), max: Duration::from_secs(300) };
pub(crate) const CRASH_FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// A container that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) exit: Exit,
}

/// How far the ending of a running container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// The pre-stop hook runs since; the container is told to stop by the deadline.
    Hook,
    /// The stop call is under way.
    Sent {
        deadline: Timestamp,
    },
    /// The stop call failed; again at this time.
    Failed {
        again_at: Timestamp,
        deadline: Timestamp,
    },
}

/// Where the current run of a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Nothing was done for it yet.
    Idle,
    /// Its image is being looked for.
    Image,
    /// It cannot start; tried again at that time.
    Blocked { reason: &'static str, message: String, since: Timestamp, again_at: Timestamp },
    /// It is being created.
    Creating,
    /// It is created and being started.
    Starting { id: String },
    /// It runs; `hooked` once its post-start hook is done.
    Running { id: String, since: Timestamp, hooked: bool, stop: Stop },
    /// It ended; `backing_off` once it was said that its restart waits.
    Exited { ended: Ended, backing_off: bool },
}

#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) restart: Restart,
    pub(crate) spec: Spec,
    pub(crate) run: Run,
    /// Number of the current or next run (`restartCount`).
    pub(crate) attempt: u32,
    /// Restarts since the last long run: the exponent of the back-off.
    pub(crate) crashes: u32,
    pub(crate) pull_failures: u32,
    /// Image as the runtime names it.
    pub(crate) image_ref: String,
    /// End of the run before the one in `run`.
    pub(crate) last: Option<Ended>,
    /// Ids of ended or never started containers that wait for removal.
    pub(crate) stale: Vec<String>,
    pub(crate) probes: Probes,
    /// Whether its image changed under the current run, which ends for that and is followed by another.
    pub(crate) changed: bool,
}

impl Container {
    pub(crate) fn new(pod: &Pod, role: Role, container: &Spec) -> Self {
        Self {
            name: container.name.clone(),
            role,
            restart: spec::restart(pod, role, container),
            spec: container.clone(),
            run: Run::Idle,
            attempt: spec::starts_before(pod, &container.name),
            crashes: 0,
            pull_failures: 0,
            image_ref: String::new(),
            last: None,
            stale: Vec::new(),
            probes: Probes::default(),
            changed: false,
        }
    }

    /// Returns the path of the container in the pod, as events about it carry it.
    pub(crate) fn field_path(&self) -> String {
        let list = if self.role == Role::Main { "containers" } else { "initContainers" };
        format!("spec.{list}{{{}}}", self.name)
    }

    pub(crate) fn image(&self) -> &str {
        self.spec.image.as_deref().unwrap_or_default()
    }

    /// Returns the id of the container in the runtime that the current run is about.
    pub(crate) fn id(&self) -> Option<&str> {
        match &self.run {
            Run::Starting { id } | Run::Running { id, .. } => Some(id),
            Run::Exited { ended, .. } => Some(&ended.id),
            Run::Idle | Run::Image | Run::Blocked { .. } | Run::Creating => None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.run, Run::Running { .. })
    }

    /// Tells whether the runtime may do something with it that nobody asked for any more.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.run, Run::Creating | Run::Starting { .. } | Run::Running { .. })
    }

    /// Tells whether it counts as started: it runs, its hook is done and its startup probe, if any, succeeded.
    pub(crate) fn is_started(&self) -> bool {
        matches!(self.run, Run::Running { hooked: true, .. }) && self.probes.has_started(&self.spec)
    }

    /// Tells whether it is ready to serve.
    pub(crate) fn is_ready(&self) -> bool {
        match self.role {
            Role::Init => matches!(&self.run, Run::Exited { ended, .. } if ended.exit.code == 0),
            Role::Sidecar | Role::Main => self.is_started() && self.probes.is_ready(&self.spec),
        }
    }

    /// Tells whether it ended and, by its restart policy, starts again.
    pub(crate) fn wants_restart(&self) -> bool {
        match &self.run {
            Run::Exited { .. } if self.changed => true,
            Run::Exited { ended, .. } => match self.restart {
                Restart::Always => true,
                Restart::OnFailure => ended.exit.code != 0,
                Restart::Never => false,
            },
            _ => false,
        }
    }

    /// Returns its exit code when it ended for good.
    pub(crate) fn final_code(&self) -> Option<i32> {
        match &self.run {
            Run::Exited { ended, .. } if !self.wants_restart() => Some(ended.exit.code),
            _ => None,
        }
    }

    /// Returns when a container that wants a restart may have it.
    pub(crate) fn restart_at(&self) -> Option<Timestamp> {
        match &self.run {
            Run::Exited { ended, .. } if self.changed => Some(ended.exit.finished_at),
            Run::Exited { ended, .. } => Some(ended.exit.finished_at + CRASH_BACKOFF.delay(self.crashes)),
            _ => None,
        }
    }

    /// Records the end of the current run.
    pub(crate) fn end(&mut self, id: &str, exit: Exit) {
        let ran = exit.started_at.map_or(Duration::ZERO, |started| exit.finished_at.saturating_since(started));
        if ran >= CRASH_FORGOTTEN_AFTER {
            self.crashes = 0;
        }
        self.probes = Probes::default();
        self.run = Run::Exited { ended: Ended { id: id.to_owned(), exit }, backing_off: false };
    }

    /// Turns from an ended run to the next one: the ended one becomes `last`, the one before it can go.
    pub(crate) fn next_run(&mut self) {
        if let Run::Exited { ended, .. } = std::mem::replace(&mut self.run, Run::Idle) {
            if let Some(older) = self.last.replace(ended)
                && !older.id.is_empty()
            {
                self.stale.push(older.id);
            }
            self.attempt += 1;
            self.crashes = if self.changed { 0 } else { self.crashes.saturating_add(1) };
            self.changed = false;
        }
    }

    /// Forgets a run that never came to a start, keeping `id` for removal.
    pub(crate) fn abandon(&mut self, id: Option<String>) {
        self.stale.extend(id);
        self.run = Run::Idle;
    }
}
