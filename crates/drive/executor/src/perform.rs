//! Performs one action of a pod's lifecycle and reports back by an event. One task each; no decisions.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use km_api::ContentType;
use km_api::resource::PODS;
use km_base::chain;
use km_client::DeleteOptions;
use km_cri::pb;
use km_kinds::api::core::v1::{Container, LifecycleHandler, VolumeMount};
use km_lifecycle::{Action, CreateFailure, Event, ImageFailure, SandboxFacts, WriteOutcome};
use serde_json::{Value, json};
use tracing::{debug, warn};

use crate::context::{Context, Dirs, PodContext};
use crate::downward::Facts;
use crate::images::{self, Fetches};
use crate::pod_config::{self, ImageUser, Inputs};
use crate::probes::{self, Target};
use crate::runtime::capabilities::BoundingSet;
use crate::{relist, rotate, variables, volumes};

/// Longest run of a hook that has no limit of its own.
const HOOK_MAX: Duration = Duration::from_secs(3_600);

/// Performs `action`; actions that the owner performs itself never come here.
pub(crate) async fn perform(ctx: Arc<Context>, fetches: Fetches, pod: PodContext, action: Action) {
    let uid = pod.uid.clone();
    let event = match action {
        Action::PrepareVolumes => Event::VolumesPrepared(volumes::prepare(&ctx, &pod).await),
        Action::CleanVolumes => {
            let (cleaning, of) = (Arc::clone(&ctx), pod.clone());
            let cleaned = tokio::task::spawn_blocking(move || volumes::clean(&cleaning, &of)).await;
            Event::VolumesCleaned(cleaned.unwrap_or_else(|panic| Err(panic.to_string())))
        }
        Action::RunSandbox { attempt } => {
            Event::SandboxStarted { attempt, result: run_sandbox(&ctx, &pod, attempt).await }
        }
        Action::StopSandbox { id } => {
            let result = ctx.runtime.cri.stop_pod_sandbox(&id).await.map_err(|error| error.to_string());
            Event::SandboxStopped { id, result }
        }
        Action::RemoveSandbox { id } => {
            let result = ctx.runtime.cri.remove_pod_sandbox(&id).await.map_err(|error| error.to_string());
            if result.is_ok() {
                remove_cgroup(&ctx, &uid).await;
            }
            Event::SandboxRemoved { id, result }
        }
        Action::EnsureImage { container, attempt } => ensure_image(&ctx, &fetches, &pod, container, attempt).await,
        Action::CreateContainer { container, attempt, sandbox, image } => {
            let result = create(&ctx, &pod, &container, attempt, &sandbox, image).await;
            Event::ContainerCreated { container, attempt, result }
        }
        Action::StartContainer { container, id } => {
            let result = ctx.runtime.cri.start_container(&id).await.map_err(|error| error.to_string());
            Event::ContainerStarted { container, id, result }
        }
        Action::StopContainer { container, id, grace } => {
            let stopped = ctx.runtime.cri.stop_container(&id, grace).await;
            let told = match stopped {
                Ok(()) => relist::tell_exit(&ctx, &id).await,
                Err(error) => Err(error),
            };
            let result = match told {
                // A container that the runtime has forgotten has ended, whatever its code was.
                Err(error) if error.is_not_found() => {
                    let exit = gone();
                    ctx.tell(
                        uid.clone(),
                        Event::ContainerExited { container: container.clone(), id: id.clone(), exit },
                    )
                    .await;
                    Ok(())
                }
                other => other.map_err(|error| error.to_string()),
            };
            Event::StopAnswered { container, id, result }
        }
        Action::RemoveContainer { id } => Event::ContainerRemoved { result: remove_container(&ctx, &id).await, id },
        Action::RunHook { container, id, hook, handler, timeout } => {
            let result = run_hook(&ctx, &pod, &container, &id, &handler, timeout).await;
            if let Err(message) = &result {
                debug!(pod = %pod.key, container, ?hook, message, "a hook failed");
            }
            Event::HookDone { container, id, hook, result }
        }
        Action::WriteStatus(status) => Event::StatusWritten(write_status(&ctx, &pod, status).await),
        Action::DeletePod => Event::PodDeleted(delete_pod(&ctx, &pod).await),
        Action::LookUpPod => look_up(&ctx, &pod).await,
        Action::StartProbe { .. }
        | Action::StopProbe { .. }
        | Action::TaskUpdate(_)
        | Action::Record(_)
        | Action::WakeAt(_)
        | Action::Forget => return,
    };
    ctx.tell(uid, event).await;
}

/// Removes a pod's cgroup; waits, outside the runtime's own threads, for as long as dying processes hold it.
pub(crate) async fn remove_cgroup(ctx: &Context, uid: &km_base::Uid) {
    let (remove, uid) = (Arc::clone(&ctx.runtime.cgroup_remove), uid.clone());
    if let Err(panic) = tokio::task::spawn_blocking(move || remove(&uid)).await {
        warn!(error = %panic, "failed to remove a pod's cgroup");
    }
}

fn gone() -> km_lifecycle::Exit {
    km_lifecycle::Exit {
        code: 137,
        reason: "ContainerStatusUnknown".into(),
        message: "The container could not be located when the pod was terminated".into(),
        started_at: None,
        finished_at: crate::context::now(),
    }
}

fn sandbox_config(ctx: &Context, pod: &PodContext, attempt: u32) -> pb::PodSandboxConfig {
    let parent = (ctx.runtime.cgroup_parent)(&pod.uid);
    pod_config::sandbox(&ctx.data, &ctx.dirs, pod, attempt, parent)
}

async fn run_sandbox(ctx: &Context, pod: &PodContext, attempt: u32) -> Result<SandboxFacts, String> {
    let logs = ctx.dirs.logs(&pod.key, &pod.uid);
    tokio::fs::create_dir_all(&logs).await.map_err(|error| format!("failed to create {}: {error}", logs.display()))?;
    let config = sandbox_config(ctx, pod, attempt);
    let handler = pod.pod.spec.as_ref().and_then(|spec| spec.runtime_class_name.clone()).unwrap_or_default();
    let id = ctx.runtime.cri.run_pod_sandbox(config, &handler).await.map_err(|error| error.to_string())?;
    match ctx.runtime.cri.pod_sandbox_status(&id).await {
        Ok(status) => Ok(SandboxFacts { id, ips: relist::addresses(ctx, &status) }),
        Err(error) => {
            let stopped = ctx.runtime.cri.stop_pod_sandbox(&id).await;
            let removed = ctx.runtime.cri.remove_pod_sandbox(&id).await;
            if let Err(left) = stopped.and(removed) {
                warn!(pod = %pod.key, error = %chain(&left), "a sandbox is left over");
            }
            Err(error.to_string())
        }
    }
}

/// Returns a container of the pod by name, init containers included.
pub(crate) fn container_of(pod: &PodContext, name: &str) -> Option<Container> {
    let spec = pod.pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|c| c.name == name).cloned()
}

async fn ensure_image(
    ctx: &Arc<Context>,
    fetches: &Fetches,
    pod: &PodContext,
    container: String,
    attempt: u32,
) -> Event {
    let Some(spec) = container_of(pod, &container) else {
        let result = Err(ImageFailure::InvalidName("the container is not in the pod".into()));
        return Event::ImageEnsured { container, attempt, result };
    };
    let result = images::ensure(ctx, fetches, pod, &spec, attempt).await;
    Event::ImageEnsured { container, attempt, result }
}

async fn create(
    ctx: &Context,
    pod: &PodContext,
    name: &str,
    attempt: u32,
    sandbox: &str,
    image: String,
) -> Result<String, CreateFailure> {
    let config_error = |message: String| CreateFailure::Config(message);
    let spec = container_of(pod, name).ok_or_else(|| config_error("the container is not in the pod".into()))?;
    let facts = Facts { host_ip: ctx.data.node_ip.clone(), pod_ips: pod.pod_ips.clone() };
    let services = ctx.services.borrow().clone();
    let environment =
        variables::resolve(&ctx.client, &services, &pod.pod, &spec, &facts).await.map_err(config_error)?;
    let mounts = mounts(ctx, pod, &spec, attempt, &environment).map_err(config_error)?;
    // The reference is asked for by its name: a digest of an imported image is no name that CRI finds.
    let wanted = images::normalize(spec.image.as_deref().unwrap_or_default()).unwrap_or(image);
    let image_user = match ctx.runtime.cri.image_status(&wanted).await {
        Ok(Some(image)) => ImageUser::of(&image),
        Ok(None) => ImageUser::Unknown,
        Err(error) => return Err(CreateFailure::Runtime(error.to_string())),
    };
    let config = pod_config::container(Inputs {
        data: &ctx.data,
        pod,
        container: &spec,
        attempt,
        image: wanted,
        image_user,
        environment,
        mounts,
        bounding: BoundingSet::of_self().ok(),
        oom_score_adj_min: ctx.runtime.oom_score_adj_min,
        node_memory_bytes: crate::node::memory_bytes(),
    })
    .map_err(config_error)?;
    let logs = ctx.dirs.logs(&pod.key, &pod.uid).join(name);
    tokio::fs::create_dir_all(&logs).await.map_err(|error| config_error(error.to_string()))?;
    let sandbox_config = sandbox_config(ctx, pod, 0);
    let created = ctx.runtime.cri.create_container(sandbox, config, sandbox_config).await;
    created.map_err(|error| CreateFailure::Runtime(error.to_string()))
}

fn mounts(
    ctx: &Context,
    pod: &PodContext,
    container: &Container,
    attempt: u32,
    environment: &[(String, String)],
) -> Result<Vec<pb::Mount>, String> {
    let volumes = pod.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let volumes: Vec<_> = volumes.collect();
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| format!("volume {:?} of the mount is not in the pod", mount.name))?;
        let path = sub_path(volumes::path(ctx, pod, volume), mount, environment)?;
        mounts.push(bind(&mount.mount_path, path, mount));
    }
    let hosts = ctx.dirs.pod(&pod.uid).join("etc-hosts");
    write_file(&hosts, pod_config::hosts_file(&ctx.data, pod).as_bytes(), 0o644)?;
    let own = |container_path: &str, host_path: PathBuf| pb::Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.display().to_string(),
        ..pb::Mount::default()
    };
    if !mounts.iter().any(|mount| mount.container_path == "/etc/hosts") {
        mounts.push(own("/etc/hosts", hosts));
    }
    let termination = ctx.dirs.termination(&pod.uid, &container.name, attempt);
    // World-writable, as a kubelet makes it: the container may run as anyone.
    write_file(&termination, b"", 0o666)?;
    let path = container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    mounts.push(own(path, termination));
    Ok(mounts)
}

fn sub_path(base: PathBuf, mount: &VolumeMount, environment: &[(String, String)]) -> Result<PathBuf, String> {
    let map = environment.iter().cloned().collect();
    let expanded = mount.sub_path_expr.as_deref().map(|text| variables::expand(text, &map));
    let Some(sub_path) = expanded.or(mount.sub_path.clone()).filter(|text| !text.is_empty()) else { return Ok(base) };
    let path = pod_config::below(base.clone(), &sub_path)?;
    if !path.exists() {
        std::fs::create_dir_all(&path).map_err(|error| format!("failed to create subPath {sub_path:?}: {error}"))?;
    }
    // A link in the volume must not lead out of it.
    let resolved = path.canonicalize().map_err(|error| format!("failed to resolve subPath {sub_path:?}: {error}"))?;
    let base = base.canonicalize().map_err(|error| error.to_string())?;
    if resolved.starts_with(&base) { Ok(resolved) } else { Err(format!("subPath {sub_path:?} leaves the volume")) }
}

fn bind(container_path: &str, host_path: PathBuf, mount: &VolumeMount) -> pb::Mount {
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => pb::MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => pb::MountPropagation::PropagationBidirectional,
        _ => pb::MountPropagation::PropagationPrivate,
    };
    pb::Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.display().to_string(),
        readonly: mount.read_only == Some(true),
        propagation: propagation.into(),
        ..pb::Mount::default()
    }
}

fn write_file(path: &std::path::Path, bytes: &[u8], mode: u32) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("failed to write {}: {error}", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)
}

async fn remove_container(ctx: &Context, id: &str) -> Result<(), String> {
    let status = ctx.runtime.cri.container_status(id).await;
    ctx.runtime.cri.remove_container(id).await.map_err(|error| error.to_string())?;
    if let Ok(status) = status
        && !status.log_path.is_empty()
    {
        // The log goes with its container; one that is gone already is no failure.
        let _ = tokio::fs::remove_file(&status.log_path).await;
        for piece in rotate::pieces(std::path::Path::new(&status.log_path)) {
            let _ = tokio::fs::remove_file(piece).await;
        }
    }
    Ok(())
}

async fn run_hook(
    ctx: &Context,
    pod: &PodContext,
    name: &str,
    id: &str,
    handler: &LifecycleHandler,
    limit: Option<Duration>,
) -> Result<(), String> {
    let limit = limit.unwrap_or(HOOK_MAX);
    if let Some(action) = &handler.exec {
        return probes::exec(ctx, id, action, limit).await;
    }
    if let Some(sleep) = &handler.sleep {
        let wished = Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0));
        tokio::time::sleep(wished.min(limit)).await;
        return Ok(());
    }
    if let Some(action) = &handler.http_get {
        let container = container_of(pod, name).unwrap_or_default();
        let target = Target { container, id: id.to_owned(), pod_ip: pod.pod_ips.first().cloned().unwrap_or_default() };
        return probes::http(&target, action, limit).await;
    }
    Err("invalid handler".to_owned())
}

async fn write_status(ctx: &Context, pod: &PodContext, status: Value) -> WriteOutcome {
    let body = json!({"metadata": {"uid": pod.uid}, "status": status}).to_string();
    let (namespace, name) = (&pod.key.namespace, &pod.key.name);
    let kind = ContentType::StrategicMergePatch;
    match ctx.client.patch(&PODS, namespace, name, "status", kind, body).await {
        Ok(_) => WriteOutcome::Done,
        Err(status) => refused(ctx, pod, &status, "failed to write the pod's status").await,
    }
}

/// Finds out what a refused write means: a conflict may be about the UID, or about a moment.
async fn refused(ctx: &Context, pod: &PodContext, status: &km_api::Status, what: &str) -> WriteOutcome {
    let gone = match status.code {
        404 => true,
        409 => match ctx.client.find(&PODS, &pod.key.namespace, &pod.key.name).await {
            Ok(found) => found.is_none_or(|object| object.meta().uid != pod.uid),
            Err(_) => false,
        },
        _ => false,
    };
    if gone {
        return WriteOutcome::Gone;
    }
    debug!(pod = %pod.key, error = %status, "{what}");
    WriteOutcome::Failed
}

async fn delete_pod(ctx: &Context, pod: &PodContext) -> WriteOutcome {
    let options =
        DeleteOptions { uid: Some(pod.uid.to_string()), grace_period_seconds: Some(0), ..DeleteOptions::default() };
    match ctx.client.delete(&PODS, &pod.key.namespace, &pod.key.name, options).await {
        Ok(_) => WriteOutcome::Done,
        Err(status) => refused(ctx, pod, &status, "failed to delete the pod").await,
    }
}

async fn look_up(ctx: &Context, pod: &PodContext) -> Event {
    match ctx.client.find(&PODS, &pod.key.namespace, &pod.key.name).await {
        Ok(None) => Event::PodGone,
        Ok(Some(object)) => match object.decode() {
            Ok(found) => Event::PodChanged(Arc::new(found)),
            Err(_) => Event::LookUpFailed,
        },
        Err(_) => Event::LookUpFailed,
    }
}

/// Probes a container again and again until told to stop.
pub(crate) async fn probe_loop(
    ctx: Arc<Context>,
    pod: PodContext,
    target: Target,
    kind: km_lifecycle::ProbeKind,
    probe: km_kinds::api::core::v1::Probe,
    stop: km_net::Shutdown,
) {
    let initial = Duration::from_secs(probes::positive(probe.initial_delay_seconds, 0));
    let period = Duration::from_secs(probes::positive(probe.period_seconds, 10));
    let mut wait = initial;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.begun() => return,
        }
        let result = tokio::select! {
            result = probes::once(&ctx, &target, &probe) => result,
            () = stop.begun() => return,
        };
        let (container, id) = (target.container.name.clone(), target.id.clone());
        wait = period;
        ctx.tell(pod.uid.clone(), Event::ProbeResult { container, id, kind, result }).await;
    }
}

/// Removes what is left of a forgotten pod on the disk.
pub(crate) async fn forget(ctx: Arc<Context>, pod: PodContext) {
    let dirs: &Dirs = &ctx.dirs;
    for dir in [dirs.logs(&pod.key, &pod.uid), dirs.pod(&pod.uid)] {
        if let Err(error) = tokio::fs::remove_dir_all(&dir).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!(dir = %dir.display(), %error, "failed to remove a pod's folder");
        }
    }
}

#[cfg(test)]
mod tests {
    use km_cri::fake::FakeCri;

    use super::*;
    use crate::context::tests::context;

    /// The test's runtime has one thread: a removal that took it could not be told to go on.
    #[tokio::test]
    async fn a_cgroup_that_stays_busy_holds_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let mut ctx = context(dir.path(), FakeCri::new(), |_| unreachable!("asks no API server"));
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        let waits = std::sync::Mutex::new(waits);
        ctx.runtime.cgroup_remove = Arc::new(move |_| {
            let told = waits.lock().unwrap().recv_timeout(Duration::from_secs(10));
            assert!(told.is_ok(), "nobody else could run meanwhile");
        });
        let uid = km_base::Uid("u".into());
        tokio::join!(remove_cgroup(&ctx, &uid), async { go_on.send(()).unwrap() });
    }
}
