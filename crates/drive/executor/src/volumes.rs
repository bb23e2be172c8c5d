//! The volumes of a pod as folders on the node: made before its sandbox, refreshed while it runs, removed after it.
//!
//! emptyDir, hostPath, and everything that the API server holds: configMap, secret, projected, downwardAPI.

use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use km_api::Quantity;
use km_kinds::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, EmptyDirVolumeSource, HostPathVolumeSource, KeyToPath, Pod, Secret, Volume,
    VolumeProjection,
};
use km_lifecycle::VolumeFailure;

use crate::atomic::{self, File, Files};
use crate::context::{Context, PodContext, now};
use crate::downward::{self, Facts};
use crate::references::{self, ReferenceError};
use crate::runtime::unmount_below;

/// Upstream's default mode of files from the API.
const DEFAULT_MODE: i32 = 0o644;
/// Upstream's default lifetime of a projected token.
const TOKEN_SECS: i64 = 3_600;

/// Makes every volume of the pod, or brings the ones from the API up to date.
pub(crate) async fn prepare(ctx: &Context, pod: &PodContext) -> Result<(), VolumeFailure> {
    let group = fs_group(&pod.pod);
    for volume in pod.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let made = make(ctx, pod, volume, group).await;
        made.map_err(|message| VolumeFailure { volume: volume.name.clone(), message })?;
    }
    Ok(())
}

/// Unmounts and removes everything of the pod but its logs.
pub(crate) fn clean(ctx: &Context, pod: &PodContext) -> Result<(), String> {
    match remove_all(&ctx.dirs.pod(&pod.uid).join("volume")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Removes a folder, but nothing through a mount below it: a container with `Bidirectional` propagation may have
/// mounted a file system there whose files are not the pod's.
fn remove_all(folder: &Path) -> io::Result<()> {
    let folder = folder.canonicalize()?;
    unmount_below(&folder)?;
    std::fs::remove_dir_all(&folder)
}

/// Returns the folder or file that a volume is on the node.
pub(crate) fn path(ctx: &Context, pod: &PodContext, volume: &Volume) -> PathBuf {
    match &volume.host_path {
        Some(source) => PathBuf::from(&source.path),
        None => ctx.dirs.volume(&pod.uid, &volume.name),
    }
}

pub(crate) fn fs_group(pod: &Pod) -> Option<u32> {
    let context = pod.spec.as_ref()?.security_context.as_ref()?;
    context.fs_group.and_then(|group| u32::try_from(group).ok())
}

async fn make(ctx: &Context, pod: &PodContext, volume: &Volume, group: Option<u32>) -> Result<(), String> {
    let dir = ctx.dirs.volume(&pod.uid, &volume.name);
    if let Some(source) = &volume.host_path {
        return host_path(source).map_err(|error| error.to_string());
    }
    if let Some(source) = &volume.empty_dir {
        return empty_dir(&dir, source, group).map_err(|error| error.to_string());
    }
    let files = files(ctx, pod, volume, &dir).await?;
    atomic::write(&dir, &files, group).map_err(|error| error.to_string())
}

async fn files(ctx: &Context, pod: &PodContext, volume: &Volume, dir: &Path) -> Result<Files, String> {
    let mut files = Files::new();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let found = Found::ConfigMap(references::config_map(&ctx.client, &pod.key.namespace, &source.name).await?);
        add_keys(&mut files, found, &source.name, source.items.as_deref(), source.optional == Some(true), mode)?;
    } else if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        let found = Found::Secret(references::secret(&ctx.client, &pod.key.namespace, name).await?);
        add_keys(&mut files, found, name, source.items.as_deref(), source.optional == Some(true), mode)?;
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        add_downward(&mut files, ctx, pod, source.items.as_deref(), mode)?;
    } else if let Some(source) = &volume.projected {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        for projection in source.sources.iter().flatten() {
            project(&mut files, ctx, pod, projection, mode, dir).await?;
        }
    } else {
        return Err(
            "no volume plugin matched: km mounts emptyDir, hostPath, configMap, secret, projected and downwardAPI"
                .into(),
        );
    }
    Ok(files)
}

async fn project(
    files: &mut Files,
    ctx: &Context,
    pod: &PodContext,
    source: &VolumeProjection,
    mode: i32,
    dir: &Path,
) -> Result<(), String> {
    let namespace = &pod.key.namespace;
    if let Some(map) = &source.config_map {
        let found = Found::ConfigMap(references::config_map(&ctx.client, namespace, &map.name).await?);
        add_keys(files, found, &map.name, map.items.as_deref(), map.optional == Some(true), mode)?;
    }
    if let Some(secret) = &source.secret {
        let found = Found::Secret(references::secret(&ctx.client, namespace, &secret.name).await?);
        add_keys(files, found, &secret.name, secret.items.as_deref(), secret.optional == Some(true), mode)?;
    }
    if let Some(downward) = &source.downward_api {
        add_downward(files, ctx, pod, downward.items.as_deref(), mode)?;
    }
    if let Some(token) = &source.service_account_token {
        let lifetime = token.expiration_seconds.unwrap_or(TOKEN_SECS);
        let held = std::fs::read_to_string(dir.join(&token.path)).ok().filter(|held| is_fresh(held));
        let text = match held {
            Some(held) => held,
            None => references::token(&ctx.client, &pod.pod, token.audience.as_deref(), lifetime).await?,
        };
        // Upstream tightens tokens to 0600 unless a group or user needs them.
        let mode = if reads_as_root(&pod.pod) { 0o600 } else { mode };
        files.insert(token.path.clone(), file(text.into_bytes(), mode));
    }
    Ok(())
}

fn reads_as_root(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let of_pod = spec.and_then(|s| s.security_context.as_ref()).and_then(|c| c.run_as_user);
    let of_containers = spec.into_iter().flat_map(|s| &s.containers).filter_map(|c| c.security_context.as_ref());
    of_pod.unwrap_or(0) == 0
        && of_containers.filter_map(|c| c.run_as_user).all(|user| user == 0)
        && fs_group(pod).is_none()
}

/// Tells whether less than 80 % of a token's life are over. (k8s 1.33 pkg/kubelet/token/token_manager.go.)
fn is_fresh(token: &str) -> bool {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<serde_json::Value> = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(claims) = claims else { return false };
    let (Some(issued), Some(expires)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else { return false };
    now().as_secs() < issued + (expires - issued) * 4 / 5
}

enum Found {
    ConfigMap(Option<ConfigMap>),
    Secret(Option<Secret>),
}

fn add_keys(
    files: &mut Files,
    found: Found,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: bool,
    mode: i32,
) -> Result<(), ReferenceError> {
    let kind = if matches!(found, Found::ConfigMap(_)) { "configmap" } else { "secret" };
    let data: Option<Vec<(String, Vec<u8>)>> = match found {
        Found::ConfigMap(map) => map.map(|map| {
            let text = map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
            let binary = map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0));
            text.chain(binary).collect()
        }),
        Found::Secret(secret) => {
            secret.map(|secret| secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect())
        }
    };
    let Some(data) = data else {
        return if optional { Ok(()) } else { Err(references::not_found(kind, name)) };
    };
    match items {
        None => files.extend(data.into_iter().map(|(key, bytes)| (key, file(bytes, mode)))),
        Some(items) => {
            for item in items {
                match data.iter().find(|(key, _)| *key == item.key) {
                    Some((_, bytes)) => {
                        files.insert(item.path.clone(), file(bytes.clone(), item.mode.unwrap_or(mode)));
                    }
                    None if optional => {}
                    None => return Err(ReferenceError(format!("references non-existent {kind} key: {}", item.key))),
                }
            }
        }
    }
    Ok(())
}

fn add_downward(
    files: &mut Files,
    ctx: &Context,
    pod: &PodContext,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: i32,
) -> Result<(), String> {
    let facts = Facts { host_ip: ctx.data.node_ip.clone(), pod_ips: pod.pod_ips.clone() };
    let nobody = km_kinds::api::core::v1::Container::default();
    for item in items.into_iter().flatten() {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => downward::field(&pod.pod, &facts, &field.field_path)?,
            (None, Some(selector)) => downward::resource(&pod.pod, &nobody, selector)?,
            (None, None) => String::new(),
        };
        files.insert(item.path.clone(), file(text.into_bytes(), item.mode.unwrap_or(mode)));
    }
    Ok(())
}

impl From<ReferenceError> for String {
    fn from(error: ReferenceError) -> Self {
        error.0
    }
}

fn file(bytes: Vec<u8>, mode: i32) -> File {
    File { bytes, mode: u32::try_from(mode).unwrap_or(0o644) & 0o777 }
}

fn empty_dir(dir: &Path, source: &EmptyDirVolumeSource, group: Option<u32>) -> io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    if source.medium.as_deref() == Some("Memory") {
        let limit = source.size_limit.as_ref().and_then(|q| Quantity::parse(&q.0).ok()).map(Quantity::units_ceil);
        let options = limit.filter(|bytes| *bytes > 0).map_or(String::new(), |bytes| format!("size={bytes}"));
        let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
        rustix::mount::mount("tmpfs", dir, "tmpfs", rustix::mount::MountFlags::empty(), Some(options.as_c_str()))?;
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777))?;
    if group.is_some() {
        chown(dir, None, group)?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o2777))?;
    }
    Ok(())
}

// k8s 1.33 pkg/volume/hostpath/host_path.go, checkType; the texts are its.
fn host_path(source: &HostPathVolumeSource) -> io::Result<()> {
    let path = Path::new(&source.path);
    let kind = source.type_.as_deref().unwrap_or_default();
    let wrong = |what: &str| io::Error::other(format!("hostPath type check failed: {} is not {what}", source.path));
    match kind {
        "DirectoryOrCreate" if !path.exists() => std::fs::create_dir_all(path),
        "FileOrCreate" if !path.exists() => std::fs::write(path, b""),
        "Directory" | "DirectoryOrCreate" if !path.is_dir() => Err(wrong("a directory")),
        "File" | "FileOrCreate" if !path.is_file() => Err(wrong("a file")),
        "Socket" | "CharDevice" | "BlockDevice" if !path.exists() => Err(wrong("there")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_inside_a_volume_is_not_removed_with_it() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: mounting needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let (foreign, volumes) = (dir.path().join("foreign"), dir.path().join("volume"));
        let inside = volumes.join("shared/data");
        std::fs::create_dir_all(&foreign).unwrap();
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(foreign.join("kept"), b"1").unwrap();
        rustix::mount::mount_bind(&foreign, &inside).unwrap();
        remove_all(&volumes).unwrap();
        assert!(foreign.join("kept").exists() && !volumes.exists());
    }
}
