//! A server in a process of its own, so that it can be killed.

use std::path::PathBuf;
use std::time::Duration;

use crate::server::Server;

const DIR: &str = "KM_TEST_SERVE_DIR";

/// Not a test by itself: what a child process runs, see [`command`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_in_a_child_process() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = PathBuf::from(dir);
    let server = Server::start(&dir).await;
    std::fs::write(dir.join("ready"), "").unwrap();
    // Until it is killed; the bound is for a parent that died.
    tokio::time::sleep(Duration::from_secs(600)).await;
    server.stop().await;
}

/// Starts a child that serves the state in `dir`, and waits until it does.
pub(crate) async fn start(dir: &std::path::Path) -> tokio::process::Child {
    let ready = dir.join("ready");
    let _ = std::fs::remove_file(&ready);
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::serve_in_a_child_process", "--nocapture"])
        .env(DIR, dir)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let deadline = tokio::time::Instant::now() + crate::server::PATIENCE;
    while !ready.exists() {
        assert!(tokio::time::Instant::now() < deadline, "the child does not get ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child
}
