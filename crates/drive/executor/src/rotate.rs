//! Keeps the logs of running containers short: one that is too long is renamed, and the runtime opens a new one.
//!
//! Who follows a log notices by itself (km-cri's reader). The older pieces go with their container; `kubectl logs` shows
//! the newest piece, as with a kubelet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use km_base::{ObjectKey, Uid, chain};
use km_cri::pb;
use km_net::Shutdown;
use tracing::{debug, warn};

use crate::context::{
    CONTAINER_NAME_LABEL, Context, NODE_LABEL, POD_NAME_LABEL, POD_NAMESPACE_LABEL, POD_UID_LABEL, now,
};
use crate::relist::log_path;

/// How often the logs are measured. (k8s 1.33: containerLogMonitorInterval.)
const EVERY: Duration = Duration::from_secs(10);
/// Bytes of a log that is renamed. (k8s 1.33: containerLogMaxSize 10Mi.)
const LOG_BYTES_MAX: u64 = 10 << 20;
/// Older pieces that are kept. (k8s 1.33: containerLogMaxFiles 5, with the one that is written.)
const PIECES_MAX: usize = 4;

/// Measures and renames until shutdown.
pub(crate) async fn keep_short(ctx: Arc<Context>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.begun() => return,
        }
        if let Err(error) = look(&ctx).await {
            debug!(error = %chain(&error), "failed to look for long logs");
        }
    }
}

async fn look(ctx: &Context) -> Result<(), km_cri::CriError> {
    let ours = HashMap::from([(NODE_LABEL.to_owned(), ctx.data.node_name.clone())]);
    let filter = pb::ContainerFilter { label_selector: ours, ..Default::default() };
    for container in ctx.runtime.cri.list_containers(Some(filter)).await? {
        if container.state != i32::from(pb::ContainerState::ContainerRunning) {
            continue;
        }
        let path = log_of(ctx, &container);
        let long = tokio::fs::metadata(&path).await.is_ok_and(|file| file.len() > LOG_BYTES_MAX);
        if long && let Err(error) = rotate(ctx, &container.id, &path).await {
            warn!(log = %path.display(), error, "failed to rotate a log");
        }
    }
    Ok(())
}

fn log_of(ctx: &Context, container: &pb::Container) -> PathBuf {
    let label = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
    let key = ObjectKey::namespaced(label(POD_NAMESPACE_LABEL), label(POD_NAME_LABEL));
    let attempt = container.metadata.as_ref().map_or(0, |metadata| metadata.attempt);
    log_path(&ctx.dirs, &key, &Uid(label(POD_UID_LABEL)), &label(CONTAINER_NAME_LABEL), attempt)
}

async fn rotate(ctx: &Context, id: &str, path: &Path) -> Result<(), String> {
    let mut piece = path.as_os_str().to_owned();
    piece.push(format!(".{}", now().as_micros()));
    tokio::fs::rename(path, &piece).await.map_err(|error| error.to_string())?;
    if let Err(error) = ctx.runtime.cri.reopen_container_log(id).await {
        // The runtime goes on writing to the file, under whatever name: it gets its old one back.
        tokio::fs::rename(&piece, path).await.map_err(|error| error.to_string())?;
        return Err(chain(&error).to_string());
    }
    let pieces = pieces(path);
    for old in &pieces[..pieces.len().saturating_sub(PIECES_MAX)] {
        tokio::fs::remove_file(old).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Returns the older pieces of a log, oldest first.
pub(crate) fn pieces(log: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let number = |path: &Path| {
        let rest = path.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
        rest.parse::<i64>().ok()
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<(i64, PathBuf)> = entries.filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use km_cri::Cri as _;
    use km_cri::fake::FakeCri;

    use super::*;
    use crate::context::tests::context;

    #[tokio::test]
    async fn a_long_log_is_renamed_and_only_the_newest_pieces_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cri = FakeCri::new();
        cri.add_image("i");
        let ctx =
            context(dir.path(), cri.clone(), |_| Err(km_api::Status::failure(404, km_api::Reason::NotFound, "no")));
        let labels = HashMap::from(
            [
                (NODE_LABEL, "node-1"),
                (POD_NAME_LABEL, "p"),
                (POD_NAMESPACE_LABEL, "d"),
                (POD_UID_LABEL, "u"),
                (CONTAINER_NAME_LABEL, "c"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let sandbox = cri.run_pod_sandbox(pb::PodSandboxConfig::default(), "").await.unwrap();
        let config = pb::ContainerConfig {
            metadata: Some(pb::ContainerMetadata { name: "c".into(), attempt: 0 }),
            image: Some(pb::ImageSpec { image: "i".into(), ..Default::default() }),
            labels,
            ..Default::default()
        };
        let id = cri.create_container(&sandbox, config, pb::PodSandboxConfig::default()).await.unwrap();
        cri.start_container(&id).await.unwrap();
        let log = dir.path().join("pods/d_p_u/c/0.log");
        std::fs::create_dir_all(log.parent().unwrap()).unwrap();
        for n in 0..PIECES_MAX + 2 {
            std::fs::write(&log, vec![b'x'; 10]).unwrap();
            look(&ctx).await.unwrap();
            assert!(log.exists(), "a short log stays, {n}");
            std::fs::write(&log, vec![b'x'; usize::try_from(LOG_BYTES_MAX).unwrap() + 1]).unwrap();
            look(&ctx).await.unwrap();
            assert!(!log.exists(), "the runtime makes it anew");
        }
        assert_eq!(pieces(&log).len(), PIECES_MAX);
        assert_eq!(cri.calls().iter().filter(|call| call.operation == "ReopenContainerLog").count(), PIECES_MAX + 2);

        std::fs::write(&log, b"x").unwrap();
        rotate(&ctx, "nobody", &log).await.unwrap_err();
        assert!(log.exists(), "what the runtime still writes to keeps its name");
    }
}
