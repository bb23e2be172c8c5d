//! Reads what the lifecycle needs out of a pod's specification, with upstream's defaults.
//!
//! Pure look-ups; the decisions made with them are in the other modules.

use std::sync::LazyLock;
use std::time::Duration;

use km_api::Quantity;
use km_base::Timestamp;
use km_kinds::api::core::v1::{Container, Pod, PodSpec};
use km_podwire::TASK_ID_ANNOTATION;

/// What a container is for, which says when it starts and whether it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container with restartPolicy Always: runs beside the others.
    Sidecar,
    /// A container of the pod.
    Main,
}

/// Whether a container that ended starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    Always,
    OnFailure,
    Never,
}

/// Upstream's default of `terminationGracePeriodSeconds`.
const GRACE_SECS: i64 = 30;

static EMPTY: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);

/// Returns the specification; a pod without one reads as one without containers.
pub(crate) fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

/// Returns the pod's containers in the order in which they are considered: init containers, then the others.
pub(crate) fn containers(pod: &Pod) -> Vec<(Role, &Container)> {
    let init = spec(pod).init_containers.iter().flatten().map(|c| {
        let role = if c.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init };
        (role, c)
    });
    init.chain(spec(pod).containers.iter().map(|c| (Role::Main, c))).collect()
}

/// Returns whether this container starts again after an end.
pub(crate) fn restart(pod: &Pod, role: Role, container: &Container) -> Restart {
    let own = container.restart_policy.as_deref();
    match (role, own.or(spec(pod).restart_policy.as_deref())) {
        (Role::Sidecar, _) => Restart::Always,
        (_, Some("Never")) => Restart::Never,
        (_, Some("OnFailure")) => Restart::OnFailure,
        // An init container that succeeded is done, whatever the pod's policy (upstream: Always means OnFailure).
        (Role::Init, _) => Restart::OnFailure,
        (Role::Main, _) => Restart::Always,
    }
}

/// Returns how long the pod may take to stop: the grace of its deletion, else its own.
pub(crate) fn grace(pod: &Pod) -> Duration {
    let asked = pod.metadata.deletion_timestamp.as_ref().and(pod.metadata.deletion_grace_period_seconds);
    let secs = asked.or(spec(pod).termination_grace_period_seconds).unwrap_or(GRACE_SECS);
    Duration::from_secs(u64::try_from(secs).unwrap_or(0))
}

/// Returns the longest time that the pod may be active.
pub(crate) fn active_deadline(pod: &Pod) -> Option<Duration> {
    spec(pod).active_deadline_seconds.and_then(|secs| u64::try_from(secs).ok()).map(Duration::from_secs)
}

/// Tells whether deletion was asked for.
pub(crate) fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Returns the Mesos task that the Binding named.
pub(crate) fn bound_task(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.as_ref()?.get(TASK_ID_ANNOTATION).map(String::as_str)
}

/// Tells whether `other` is an earlier task of the same pod than `own`: IDs are `<pod uid>.<epoch>.<n>`.
pub(crate) fn is_earlier(other: &str, own: &str) -> bool {
    fn parts(id: &str) -> Option<(&str, u64, u64)> {
        let (rest, n) = id.rsplit_once('.')?;
        let (uid, epoch) = rest.rsplit_once('.')?;
        Some((uid, epoch.parse().ok()?, n.parse().ok()?))
    }
    match (parts(other), parts(own)) {
        (Some(other), Some(own)) => other.0 == own.0 && (other.1, other.2) < (own.1, own.2),
        _ => false,
    }
}

/// Tells whether the pod ended in an earlier life of this node.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Returns when the pod was first seen by its node, from an earlier status.
pub(crate) fn start_time(pod: &Pod) -> Option<Timestamp> {
    pod.status.as_ref()?.start_time.as_ref().map(|time| Timestamp::from(time.0))
}

/// Returns how often a container had started according to an earlier status; the next start continues the count.
pub(crate) fn starts_before(pod: &Pod, name: &str) -> u32 {
    let Some(status) = pod.status.as_ref() else { return 0 };
    let all = status.container_statuses.iter().chain(status.init_container_statuses.iter()).flatten();
    let found = all.filter(|s| s.name == name && s.container_id.as_deref().is_some_and(|id| !id.is_empty()));
    found.map(|s| u32::try_from(s.restart_count).unwrap_or(0) + 1).next().unwrap_or(0)
}

/// Computes the quality-of-service class as upstream does.
// k8s 1.33 pkg/apis/core/v1/helper/qos/qos.go
pub(crate) fn qos_class(pod: &Pod) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for (_, container) in containers(pod) {
        let resources = container.resources.clone().unwrap_or_default();
        let amount = |map: &Option<std::collections::BTreeMap<String, _>>, name: &str| {
            let text: Option<&km_kinds::apimachinery::pkg::api::resource::Quantity> = map.as_ref()?.get(name);
            text.and_then(|q| Quantity::parse(&q.0).ok()).filter(|q| !q.is_zero())
        };
        for name in ["cpu", "memory"] {
            let limit = amount(&resources.limits, name);
            let request = amount(&resources.requests, name);
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
