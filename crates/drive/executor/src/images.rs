//! Has a container's image on the node: local, from the framework's artifact server, or pulled.
//!
//! The artifact server's images come first, because no registry is needed then; what the pod's pull policy says
//! about asking again concerns registries only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use km_api::resource::SECRETS;
use km_base::chain;
use km_cri::pb;
use km_kinds::api::core::v1::Container;
use km_lifecycle::{Event, ImageFacts, ImageFailure, Pulled};
use km_net::body;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::context::{Context, PodContext};

/// One entry of `/images/index.json`.
#[derive(Debug, Deserialize)]
struct Indexed {
    reference: String,
    #[serde(default)]
    size: u64,
    file: String,
}

/// The index is small; more than this is not one.
const INDEX_BYTES_MAX: usize = 4 << 20;
const INDEX_TIMEOUT_MS: u64 = 5_000;
/// Longest transfer of an image file.
const TRANSFER_MAX: Duration = Duration::from_secs(600);

/// One fetch per image at a time: the second waits and finds it here.
#[derive(Clone, Default)]
pub(crate) struct Fetches(Arc<Mutex<BTreeMap<String, Arc<Mutex<()>>>>>);

/// Ensures the image of a container; the owner is told when something has to be fetched.
pub(crate) async fn ensure(
    ctx: &Context,
    fetches: &Fetches,
    pod: &PodContext,
    container: &Container,
    attempt: u32,
) -> Result<ImageFacts, ImageFailure> {
    let image = container.image.clone().unwrap_or_default();
    let reference = normalize(&image).ok_or_else(|| {
        ImageFailure::InvalidName(format!("couldn't parse image name {image:?}: invalid reference format"))
    })?;
    let default = if reference.ends_with(":latest") { "Always" } else { "IfNotPresent" };
    let policy = container.image_pull_policy.as_deref().unwrap_or(default);
    let turn = Arc::clone(fetches.0.lock().await.entry(reference.clone()).or_default());
    let _turn = turn.lock().await;
    let local = ctx.runtime.cri.image_status(&reference).await;
    let local = local.map_err(|error| ImageFailure::Pull(error.to_string()))?;
    match (&local, policy) {
        (Some(image), "IfNotPresent" | "Never") => return Ok(here(image)),
        // An image that was made on the spot has no registry that could hold a newer one.
        (Some(image), _) if reference.starts_with("localhost/") => return Ok(here(image)),
        (None, "Never") => return Err(ImageFailure::NeverPull),
        _ => {}
    }
    ctx.tell(pod.uid.clone(), Event::ImagePulling { container: container.name.clone(), attempt }).await;
    let began = Instant::now();
    if let Some(size) = from_artifacts(ctx, &reference).await {
        return found(ctx, &reference, began, Some(size)).await;
    }
    let auth = credentials(ctx, pod, &reference).await;
    match ctx.runtime.cri.pull_image(&reference, auth, None).await {
        Ok(_) => found(ctx, &reference, began, None).await,
        Err(error) => Err(ImageFailure::Pull(error.to_string())),
    }
}

fn here(image: &pb::Image) -> ImageFacts {
    ImageFacts { image_ref: image_ref(image), pulled: None }
}

/// Returns what `imageID` shows: a digest reference where there is one, as a kubelet does.
fn image_ref(image: &pb::Image) -> String {
    image.repo_digests.first().cloned().unwrap_or_else(|| image.id.clone())
}

async fn found(ctx: &Context, reference: &str, began: Instant, size: Option<u64>) -> Result<ImageFacts, ImageFailure> {
    match ctx.runtime.cri.image_status(reference).await {
        Ok(Some(image)) => {
            let pulled = Pulled { took: began.elapsed(), size: size.unwrap_or(image.size) };
            Ok(ImageFacts { image_ref: image_ref(&image), pulled: Some(pulled) })
        }
        Ok(None) => Err(ImageFailure::Pull(format!("image {reference:?} is not there after it was pulled"))),
        Err(error) => Err(ImageFailure::Pull(error.to_string())),
    }
}

/// Completes a reference as every runtime does: `busybox` is `docker.io/library/busybox:latest`.
pub(crate) fn normalize(image: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._/:@[]".contains(c);
    if image.is_empty() || !image.chars().all(allowed) || image.ends_with([':', '/', '@']) || image.starts_with('/') {
        return None;
    }
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last_part = name.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match name[last_part..].rfind(':') {
        Some(at) => (&name[..last_part + at], Some(&name[last_part + at + 1..])),
        None => (name, None),
    };
    let first = path.split('/').next().unwrap_or_default();
    let has_host = path.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let path = match (has_host, path.contains('/')) {
        (true, _) => path.to_owned(),
        (false, true) => format!("docker.io/{path}"),
        (false, false) => format!("docker.io/library/{path}"),
    };
    let repository = if has_host { path.split_once('/').map_or("", |(_, rest)| rest) } else { path.as_str() };
    if repository.is_empty() || repository.chars().any(|c| c.is_ascii_uppercase()) {
        return None;
    }
    Some(match (tag, digest) {
        (_, Some(digest)) => format!("{path}@{digest}"),
        (Some(tag), None) => format!("{path}:{tag}"),
        (None, None) => format!("{path}:latest"),
    })
}

/// Fetches the image from the framework where it has it; returns its size.
async fn from_artifacts(ctx: &Context, reference: &str) -> Option<u64> {
    let target = ctx.runtime.import.as_ref()?;
    let base = ctx.data.artifact_server.trim_end_matches('/');
    if base.is_empty() {
        return None;
    }
    let request = |path: &str| http::Request::get(format!("{base}{path}")).body(body::empty()).ok();
    let index = ctx.http.fetch(request("/images/index.json")?, INDEX_TIMEOUT_MS, INDEX_BYTES_MAX).await;
    let index = match index {
        Ok(answer) if answer.status().is_success() => answer.into_body(),
        Ok(answer) => {
            debug!(status = %answer.status(), "the artifact server has no image index");
            return None;
        }
        Err(error) => {
            debug!(error = %chain(&error), "failed to read the artifact server's image index");
            return None;
        }
    };
    let index: Vec<Indexed> = serde_json::from_slice(&index).ok()?;
    let entry = index.iter().find(|entry| normalize(&entry.reference).as_deref() == Some(reference))?;
    let safe: String = entry.file.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    let path = ctx.dirs.own().join(format!("image-{}-{safe}", uuid::Uuid::new_v4().simple()));
    let transfer = transfer(ctx, request(&format!("/images/{}", entry.file))?, &path);
    let transferred = tokio::time::timeout(TRANSFER_MAX, transfer).await;
    let outcome = match transferred {
        Ok(Ok(())) => km_cri::image::import::import(target, ctx.runtime.cri.as_ref(), &path)
            .await
            .map_err(|e| chain(&e).to_string()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err("the transfer took too long".to_owned()),
    };
    let _ = tokio::fs::remove_file(&path).await;
    match outcome {
        Ok(_) => Some(entry.size),
        Err(error) => {
            warn!(reference, %error, "failed to take an image from the artifact server");
            None
        }
    }
}

async fn transfer(ctx: &Context, request: http::Request<body::Body>, path: &std::path::Path) -> Result<(), String> {
    use http_body_util::BodyExt as _;
    let answer = ctx.http.send(request).await.map_err(|error| chain(&error).to_string())?;
    if !answer.status().is_success() {
        return Err(format!("the artifact server answered {}", answer.status()));
    }
    let mut body = answer.into_body();
    let mut file = tokio::fs::File::create(path).await.map_err(|error| error.to_string())?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        if let Ok(data) = frame.into_data() {
            file.write_all(&data).await.map_err(|error| error.to_string())?;
        }
    }
    file.flush().await.map_err(|error| error.to_string())
}

/// Returns the registry credentials of the pod's image pull secrets for the image's host.
async fn credentials(ctx: &Context, pod: &PodContext, reference: &str) -> Option<pb::AuthConfig> {
    use base64::Engine as _;
    let host = reference.split('/').next().unwrap_or_default();
    for named in pod.pod.spec.as_ref()?.image_pull_secrets.iter().flatten() {
        let Ok(Some(secret)) = ctx.client.find(&SECRETS, &pod.key.namespace, &named.name).await else { continue };
        let value = secret.to_value();
        let data = value["data"][".dockerconfigjson"].as_str().unwrap_or_default();
        let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(data) else { continue };
        let Ok(config) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
        for (server, entry) in config["auths"].as_object().into_iter().flatten() {
            let bare = server.trim_start_matches("https://").trim_start_matches("http://");
            let server_host = bare.split('/').next().unwrap_or_default();
            let is_hub = host == "docker.io" && server_host.ends_with("docker.io");
            if server_host == host || is_hub {
                let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
                return Some(pb::AuthConfig {
                    username: text("username"),
                    password: text("password"),
                    auth: text("auth"),
                    identity_token: text("identitytoken"),
                    ..pb::AuthConfig::default()
                });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_completed_or_refused() {
        for (image, normal) in [
            ("busybox", Some("docker.io/library/busybox:latest")),
            ("library/busybox:1", Some("docker.io/library/busybox:1")),
            ("localhost/demo", Some("localhost/demo:latest")),
            ("localhost:5000/demo:2", Some("localhost:5000/demo:2")),
            ("quay.io/a/b@sha256:0a", Some("quay.io/a/b@sha256:0a")),
            ("Upper/Case", None),
            ("", None),
            ("a b", None),
            ("a:", None),
        ] {
            assert_eq!(normalize(image).as_deref(), normal, "{image}");
        }
    }
}
