//! Looks at what the runtime holds: once at the start, to adopt; then again and again, to see what ended.
//!
//! containerd 1.6 has no event stream in CRI, so this polls; a list of one node's containers costs a millisecond.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use km_base::{Timestamp, Uid, chain};
use km_cri::pb;
use km_lifecycle::{Adopted, AdoptedContainer, AdoptedSandbox, AdoptedState, Event, Exit, SandboxFacts};
use km_net::Shutdown;
use tracing::{debug, warn};

use crate::context::{CONTAINER_NAME_LABEL, Context, Dirs, NODE_LABEL, POD_UID_LABEL, now};
use crate::owner::Message;

/// How often the runtime is looked at.
const EVERY: Duration = Duration::from_millis(400);
/// Most of a termination message that is shown. (k8s 1.33: MaxContainerTerminationMessageLength 4096, 2048 of a log.)
const MESSAGE_BYTES_MAX: usize = 4_096;
const LOG_TAIL_BYTES: usize = 2_048;

fn ours(ctx: &Context) -> HashMap<String, String> {
    HashMap::from([(NODE_LABEL.to_owned(), ctx.data.node_name.clone())])
}

/// Lists everything of this node, by pod.
pub(crate) async fn adopt(ctx: &Context) -> Result<BTreeMap<Uid, Adopted>, km_cri::CriError> {
    let filter = pb::PodSandboxFilter { label_selector: ours(ctx), ..Default::default() };
    let mut found: BTreeMap<Uid, Adopted> = BTreeMap::new();
    for sandbox in ctx.runtime.cri.list_pod_sandboxes(Some(filter)).await? {
        let Some(uid) = uid_of(&sandbox.labels) else { continue };
        let attempt = sandbox.metadata.as_ref().map_or(0, |metadata| metadata.attempt);
        let entry = found.entry(uid).or_default();
        if entry.sandbox.as_ref().is_some_and(|other| other.attempt > attempt) {
            continue;
        }
        let status = ctx.runtime.cri.pod_sandbox_status(&sandbox.id).await?;
        let ready = sandbox.state == i32::from(pb::PodSandboxState::SandboxReady);
        let facts = SandboxFacts { id: sandbox.id, ips: addresses(ctx, &status) };
        entry.sandbox = Some(AdoptedSandbox { facts, attempt, ready });
    }
    let filter = pb::ContainerFilter { label_selector: ours(ctx), ..Default::default() };
    for container in ctx.runtime.cri.list_containers(Some(filter)).await? {
        let Some(uid) = uid_of(&container.labels) else { continue };
        let status = ctx.runtime.cri.container_status(&container.id).await?;
        let metadata = container.metadata.clone().unwrap_or_default();
        let state = match pb::ContainerState::try_from(container.state) {
            Ok(pb::ContainerState::ContainerRunning) => AdoptedState::Running(time(status.started_at)),
            Ok(pb::ContainerState::ContainerCreated) => AdoptedState::Created,
            _ => AdoptedState::Exited(exit(ctx, &uid, &status)),
        };
        found.entry(uid).or_default().containers.push(AdoptedContainer {
            name: metadata.name,
            id: container.id,
            attempt: metadata.attempt,
            image_ref: status.image_ref,
            state,
        });
    }
    for adopted in found.values_mut() {
        adopted.containers.sort_by_key(|container| container.attempt);
    }
    Ok(found)
}

/// Returns a sandbox's addresses; a pod in the host's network has the node's.
pub(crate) fn addresses(ctx: &Context, status: &pb::PodSandboxStatus) -> Vec<String> {
    let network = status.network.clone().unwrap_or_default();
    let more = network.additional_ips.into_iter().map(|ip| ip.ip);
    let all: Vec<String> = std::iter::once(network.ip).chain(more).filter(|ip| !ip.is_empty()).collect();
    if all.is_empty() { vec![ctx.data.node_ip.clone()] } else { all }
}

/// Tells the owner of ends, until shutdown. `seen` are containers whose end is known.
pub(crate) async fn follow(ctx: Arc<Context>, mut seen: BTreeSet<String>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.begun() => return,
        }
        if let Err(error) = look(&ctx, &mut seen).await {
            debug!(error = %chain(&error), "failed to look at the runtime");
        }
    }
}

/// How much later than its kill a container's memory event may be heard of; seen on a busy machine: some 100 ms.
const OOM_NEWS: Duration = Duration::from_secs(1);

async fn look(ctx: &Context, seen: &mut BTreeSet<String>) -> Result<(), km_cri::CriError> {
    let filter = pb::ContainerFilter { label_selector: ours(ctx), ..Default::default() };
    let containers = ctx.runtime.cri.list_containers(Some(filter)).await?;
    let mut present = BTreeSet::new();
    for container in containers {
        let ended = container.state == i32::from(pb::ContainerState::ContainerExited);
        present.insert(container.id.clone());
        if !ended || seen.contains(&container.id) {
            continue;
        }
        // One that the runtime cannot describe must not hide the ends of the others.
        match ctx.runtime.cri.container_status(&container.id).await {
            Ok(status) if may_prove_oom(&status, now()) => {}
            Ok(status) => {
                tell(ctx, &status).await;
                seen.insert(container.id);
            }
            Err(error) => debug!(id = container.id, error = %chain(&error), "failed to look at a container"),
        }
    }
    let filter = pb::PodSandboxFilter { label_selector: ours(ctx), ..Default::default() };
    for sandbox in ctx.runtime.cri.list_pod_sandboxes(Some(filter)).await? {
        present.insert(sandbox.id.clone());
        let lost = sandbox.state == i32::from(pb::PodSandboxState::SandboxNotready);
        if lost
            && seen.insert(sandbox.id.clone())
            && let Some(uid) = uid_of(&sandbox.labels)
        {
            ctx.tell(uid, Event::SandboxLost { id: sandbox.id }).await;
        }
    }
    seen.retain(|id| present.contains(id));
    Ok(())
}

/// Tells the owner how a container ended, if it has.
pub(crate) async fn tell_exit(ctx: &Context, id: &str) -> Result<(), km_cri::CriError> {
    let status = ctx.runtime.cri.container_status(id).await?;
    tell(ctx, &status).await;
    Ok(())
}

async fn tell(ctx: &Context, status: &pb::ContainerStatus) {
    let Some(uid) = uid_of(&status.labels) else { return };
    if status.state != i32::from(pb::ContainerState::ContainerExited) {
        return;
    }
    let container = status.labels.get(CONTAINER_NAME_LABEL).cloned().unwrap_or_default();
    let exit = exit(ctx, &uid, status);
    ctx.tell(uid, Event::ContainerExited { container, id: status.id.clone(), exit }).await;
}

/// Tells whether a container was killed so lately that the runtime may not know yet that memory was the reason.
///
/// containerd 1.6 hears of the kill and of the memory event by two ways, and writes the reason when the second
/// arrives: `Error` until then.
fn may_prove_oom(status: &pb::ContainerStatus, now: Timestamp) -> bool {
    const KILLED: i32 = 128 + 9;
    status.exit_code == KILLED && status.reason == "Error" && now.saturating_since(time(status.finished_at)) < OOM_NEWS
}

fn uid_of(labels: &HashMap<String, String>) -> Option<Uid> {
    labels.get(POD_UID_LABEL).cloned().map(Uid)
}

fn time(nanos: i64) -> Timestamp {
    Timestamp::from_micros(nanos / 1_000)
}

fn exit(ctx: &Context, uid: &Uid, status: &pb::ContainerStatus) -> Exit {
    let metadata = status.metadata.clone().unwrap_or_default();
    let from_file = read_tail(&ctx.dirs.termination(uid, &metadata.name, metadata.attempt), MESSAGE_BYTES_MAX);
    let policy = status.annotations.get("io.kubernetes.container.terminationMessagePolicy");
    let wants_log = policy.is_some_and(|policy| policy == "FallbackToLogsOnError") && status.exit_code != 0;
    let message = match from_file.filter(|text| !text.is_empty()) {
        Some(text) => text,
        None if wants_log => log_tail(Path::new(&status.log_path)),
        None => String::new(),
    };
    Exit {
        code: status.exit_code,
        reason: status.reason.clone(),
        message: if message.is_empty() { status.message.clone() } else { message },
        started_at: (status.started_at > 0).then(|| time(status.started_at)),
        finished_at: time(status.finished_at),
    }
}

fn read_tail(path: &Path, bytes_max: usize) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let from = bytes.len().saturating_sub(bytes_max);
    Some(String::from_utf8_lossy(&bytes[from..]).into_owned())
}

/// Returns the end of a log without what the log format adds to each line.
fn log_tail(path: &Path) -> String {
    let Some(text) = read_tail(path, 4 * LOG_TAIL_BYTES) else { return String::new() };
    let plain = |line: &str| line.splitn(4, ' ').nth(3).map(|rest| format!("{rest}\n"));
    let text: String = text.lines().filter_map(plain).collect();
    let mut from = text.len().saturating_sub(LOG_TAIL_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}

/// Removes what earlier executors left of pods that are nobody's.
pub(crate) async fn remove_orphan(ctx: &Context, uid: &Uid, adopted: &Adopted) {
    warn!(%uid, "removing a pod that no task stands for");
    for container in &adopted.containers {
        if let Err(error) = ctx.runtime.cri.remove_container(&container.id).await {
            warn!(%uid, error = %chain(&error), "failed to remove a container");
        }
    }
    if let Some(sandbox) = &adopted.sandbox {
        let id = &sandbox.facts.id;
        let stopped = ctx.runtime.cri.stop_pod_sandbox(id).await;
        let removed = ctx.runtime.cri.remove_pod_sandbox(id).await;
        if let Err(error) = stopped.and(removed) {
            warn!(%uid, error = %chain(&error), "failed to remove a sandbox");
        }
    }
    crate::perform::remove_cgroup(ctx, uid).await;
}

impl Context {
    /// Tells the owner of something about a pod.
    pub(crate) async fn tell(&self, uid: Uid, event: Event) {
        // An owner that is gone needs no telling.
        let _ = self.messages.send(Message::Pod { uid, event: Box::new(event) }).await;
    }
}

/// Returns the log file of a run, as the runtime was told.
pub(crate) fn log_path(
    dirs: &Dirs,
    key: &km_base::ObjectKey,
    uid: &Uid,
    container: &str,
    attempt: u32,
) -> std::path::PathBuf {
    dirs.logs(key, uid).join(Dirs::log_file(container, attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_told_once_its_reason_is_known_or_will_not_be() {
        let at = |ms: i64| Timestamp::from_millis(10_000 + ms);
        let status = |exit_code, reason: &str| pb::ContainerStatus {
            exit_code,
            reason: reason.to_owned(),
            finished_at: 10_000_000_000,
            ..Default::default()
        };
        assert!(may_prove_oom(&status(137, "Error"), at(300)));
        assert!(!may_prove_oom(&status(137, "Error"), at(1_000)));
        assert!(!may_prove_oom(&status(137, "OOMKilled"), at(0)));
        assert!(!may_prove_oom(&status(1, "Error"), at(0)));
    }
}
