//! What the results of a container's probes mean: started, ready, to be restarted.
//!
//! The driver probes; here only consecutive results are counted against the thresholds.

use km_kinds::api::core::v1::{Container, Probe};

/// Which probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Holds back the other two until it succeeds.
    Startup,
    /// Restarts the container when it fails.
    Liveness,
    /// Takes the pod out of service when it fails.
    Readiness,
}

impl ProbeKind {
    /// Returns the name as events spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    /// Returns the container's probe of this kind.
    #[must_use]
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// What a result came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing changed, or only readiness did.
    Counted,
    /// The startup probe succeeded.
    Started,
    /// The container has to be restarted.
    Kill,
}

/// Consecutive results of one probe.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    successes: i32,
    failures: i32,
}

/// The probes of one run of a container.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes {
    startup: Count,
    liveness: Count,
    readiness: Count,
    started: bool,
    ready: bool,
    /// Which probes the driver was told to run.
    pub(crate) running: Vec<ProbeKind>,
}

impl Probes {
    pub(crate) fn has_started(&self, spec: &Container) -> bool {
        spec.startup_probe.is_none() || self.started
    }

    pub(crate) fn is_ready(&self, spec: &Container) -> bool {
        spec.readiness_probe.is_none() || self.ready
    }

    /// Returns the probes that should run now.
    pub(crate) fn wanted(&self, spec: &Container) -> Vec<ProbeKind> {
        let kinds: &[ProbeKind] =
            if self.has_started(spec) { &[ProbeKind::Liveness, ProbeKind::Readiness] } else { &[ProbeKind::Startup] };
        kinds.iter().copied().filter(|kind| kind.of(spec).is_some()).collect()
    }

    /// Takes over what an earlier executor had found out about a container that still runs.
    pub(crate) fn adopt(&mut self, started: bool, ready: bool) {
        self.started = started;
        self.ready = ready;
    }

    pub(crate) fn count(&mut self, kind: ProbeKind, probe: &Probe, succeeded: bool) -> Verdict {
        let count = match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Liveness => &mut self.liveness,
            ProbeKind::Readiness => &mut self.readiness,
        };
        if succeeded {
            *count = Count { successes: count.successes + 1, failures: 0 };
        } else {
            *count = Count { successes: 0, failures: count.failures + 1 };
        }
        let passed = count.successes >= probe.success_threshold.unwrap_or(1).max(1);
        let failed = count.failures >= probe.failure_threshold.unwrap_or(3).max(1);
        match kind {
            ProbeKind::Startup if passed && !self.started => {
                self.started = true;
                Verdict::Started
            }
            ProbeKind::Startup | ProbeKind::Liveness if failed => Verdict::Kill,
            ProbeKind::Readiness => {
                self.ready = (self.ready || passed) && !failed;
                Verdict::Counted
            }
            ProbeKind::Startup | ProbeKind::Liveness => Verdict::Counted,
        }
    }
}
