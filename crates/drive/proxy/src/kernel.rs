//! Runs the programs that change the kernel's network state, and writes its settings.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::ProxyError;

/// Applies one nftables transaction.
pub(crate) async fn nft(script: &str) -> Result<(), ProxyError> {
    run("nft", "nftables", Command::new("nft").args(["-f", "-"]), Some(script)).await
}

/// Runs a program to its end, with `input` on its standard input.
pub(crate) async fn run(
    program: &'static str,
    package: &'static str,
    command: &mut Command,
    input: Option<&str>,
) -> Result<(), ProxyError> {
    let start = |source| ProxyError::Start { program, package, source };
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().map_err(start)?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A program that ends early closes the pipe; what it printed says why.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let arguments: Vec<String> =
        command.as_std().get_args().take(4).map(|a| a.to_string_lossy().into_owned()).collect();
    Err(ProxyError::Failed {
        program: format!("{program} {}", arguments.join(" ")),
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Writes a kernel setting of this network namespace unless it has the value; `path` is below `/proc/sys`.
pub(crate) async fn sysctl(path: &str, value: &str) -> Result<(), ProxyError> {
    let path = format!("/proc/sys/{path}");
    let current = tokio::fs::read_to_string(&path).await.unwrap_or_default();
    if current.trim() == value {
        return Ok(());
    }
    tokio::fs::write(&path, value).await.map_err(|source| ProxyError::Sysctl { path, source })
}
