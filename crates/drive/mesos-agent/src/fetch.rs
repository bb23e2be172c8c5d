//! The fetcher: puts what a command's URIs name into the sandbox.
//!
//! Source of rules: Apache Mesos 1.11 docs/fetcher.md. http and local files; archives are unpacked unless `extract` is
//! false; an executable is never unpacked. Absent: caching, hdfs, ftp, docker.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;

use http::Request;
use http_body_util::BodyExt;
use km_base::chain;
use km_mesos::command_info::Uri;
use km_net::{HttpClient, body};
use tokio::io::AsyncWriteExt;

/// How long one URI may send nothing. Mesos 1.11 --fetcher_stall_timeout.
const STALL_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// Written at once: an executor has tens of MB, and each write is a trip to another thread.
const WRITE_BYTES: usize = 1024 * 1024;

const ARCHIVES: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz"];

/// Fetches one URI.
///
/// # Errors
/// A sentence for the task's status.
pub(crate) async fn fetch(client: &HttpClient, uri: &Uri, sandbox: &Path) -> Result<(), String> {
    let failed = |why: String| format!("Failed to fetch '{}': {why}", uri.value);
    let target = target(uri, sandbox).map_err(failed)?;
    if let Some(folder) = target.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|error| failed(error.to_string()))?;
    }
    let local = uri.value.strip_prefix("file://").unwrap_or(&uri.value);
    if uri.value.starts_with("http://") || uri.value.starts_with("https://") {
        download(client, &uri.value, &target).await.map_err(failed)?;
    } else if local.starts_with('/') {
        tokio::fs::copy(local, &target).await.map_err(|error| failed(error.to_string()))?;
    } else {
        return Err(failed("only http and absolute local paths are supported".to_owned()));
    }
    if uri.executable() {
        return tokio::fs::set_permissions(&target, Permissions::from_mode(0o755))
            .await
            .map_err(|error| failed(error.to_string()));
    }
    if uri.extract() && ARCHIVES.iter().any(|end| target.to_string_lossy().ends_with(end)) {
        unpack(&target, sandbox).await.map_err(failed)?;
    }
    Ok(())
}

/// Where a URI's content goes: `output_file`, else the last part of its path. Never out of the sandbox.
fn target(uri: &Uri, sandbox: &Path) -> Result<PathBuf, String> {
    let path = uri.value.split(['?', '#']).next().unwrap_or_default();
    let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = uri.output_file.as_deref().unwrap_or(base);
    let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !is_inside {
        return Err(format!("'{name}' is no file name inside the sandbox"));
    }
    Ok(sandbox.join(name))
}

async fn download(client: &HttpClient, url: &str, target: &Path) -> Result<(), String> {
    let request = Request::get(url).body(body::empty()).map_err(|error| error.to_string())?;
    let response = tokio::time::timeout(STALL_TIMEOUT, client.send(request))
        .await
        .map_err(|_| "no answer within a minute".to_owned())?
        .map_err(|error| chain(&error).to_string())?;
    if !response.status().is_success() {
        return Err(format!("the server answered {}", response.status()));
    }
    let file = tokio::fs::File::create(target).await.map_err(|error| error.to_string())?;
    let mut file = tokio::io::BufWriter::with_capacity(WRITE_BYTES, file);
    let mut body = response.into_body();
    loop {
        let frame = tokio::time::timeout(STALL_TIMEOUT, body.frame())
            .await
            .map_err(|_| "nothing came for a minute".to_owned())?;
        let Some(frame) = frame else { break };
        if let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() {
            file.write_all(&data).await.map_err(|error| error.to_string())?;
        }
    }
    file.flush().await.map_err(|error| error.to_string())
}

async fn unpack(archive: &Path, sandbox: &Path) -> Result<(), String> {
    let mut tar = tokio::process::Command::new("tar");
    tar.arg("-x").arg("-f").arg(archive).arg("-C").arg(sandbox).stdin(Stdio::null()).kill_on_drop(true);
    let output = tar.output().await.map_err(|error| format!("tar: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stay_in_the_sandbox() {
        let check = |value: &str, output: Option<&str>| {
            let uri = Uri { value: value.to_owned(), output_file: output.map(str::to_owned), ..Uri::default() };
            target(&uri, Path::new("/s")).map(|path| path.display().to_string()).ok()
        };
        assert_eq!(check("http://h:1/a/km?x=/y", None).as_deref(), Some("/s/km"));
        assert_eq!(check("http://h:1/a/km", Some("bin/k")).as_deref(), Some("/s/bin/k"));
        assert_eq!(check("http://h:1/a/km", Some("../k")), None);
        assert_eq!(check("http://h:1/a/km", Some("/k")), None);
        assert_eq!(check("/", None), None);
    }
}
