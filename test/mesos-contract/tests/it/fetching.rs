//! An executor fetched over HTTP, as km's own is: what arrives in the sandbox, what it is told, what a failure says.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::{Request, Response};
use km_mesos::TaskState;
use km_mesos_contract::life::Life;
use km_net::{Body, ServeConfig, Shutdown, body};
use tokio::net::TcpListener;

use crate::embedded::{EXECUTOR, Embedded};

#[tokio::test]
async fn an_executor_is_fetched_and_told_where_it_is() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shutdown = Shutdown::new();
    let server =
        tokio::spawn(km_net::serve_plain(listener, Arc::new(artifacts), ServeConfig::usual(), shutdown.clone()));
    let folder = tempfile::tempdir()?;
    let embedded = Embedded::start(folder.path(), "posix")?;
    let mut life = Life::subscribe(&embedded.target("fetch")).await?;

    life.launch_fetched("good", "t1", &format!("http://{address}/executor")).await?;
    life.until_state("t1", TaskState::Running).await?;
    let executors =
        folder.path().join("agent/slaves").join(&life.agent.value).join("frameworks/contract-fetch/executors");
    let sandbox = executors.join("good/runs/latest").canonicalize()?;
    ensure!(std::fs::read_to_string(sandbox.join("stdout"))?.starts_with("contract executor good started"));
    let environment = environment_of(&sandbox)?;
    for (name, value) in [
        ("MESOS_DIRECTORY", sandbox.display().to_string()),
        ("MESOS_SANDBOX", sandbox.display().to_string()),
        ("MESOS_EXECUTOR_ID", "good".to_owned()),
        ("MESOS_FRAMEWORK_ID", "contract-fetch".to_owned()),
        ("MESOS_SLAVE_ID", life.agent.value.clone()),
        ("MESOS_CHECKPOINT", "1".to_owned()),
        ("MESOS_RECOVERY_TIMEOUT", "15mins".to_owned()),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs".to_owned()),
    ] {
        ensure!(environment.contains(&format!("{name}={value}")), "{name} is not {value}: {environment:?}");
    }

    life.launch_fetched("bad", "t2", &format!("http://{address}/nothing")).await?;
    life.until_state("t2", TaskState::Failed).await?;
    ensure!(
        life.watcher.has_seen("t2 TASK_FAILED SOURCE_AGENT REASON_CONTAINER_LAUNCH_FAILED"),
        "{:?}",
        life.watcher.observed()
    );
    life.watcher.call(km_mesos::scheduler::call::Type::Teardown, |_| {}).await?;
    shutdown.begin();
    server.await?;
    Ok(())
}

async fn artifacts(request: Request<Body>) -> Response<Body> {
    let found = request.uri().path() == "/executor";
    let bytes = std::fs::read(EXECUTOR).ok().filter(|_| found);
    let mut response = Response::new(bytes.map_or_else(body::empty, body::full));
    if !found {
        *response.status_mut() = http::StatusCode::NOT_FOUND;
    }
    response
}

fn environment_of(sandbox: &PathBuf) -> Result<Vec<String>> {
    let processes = std::fs::read_dir("/proc")?.flatten();
    let found = processes
        .map(|entry| entry.path())
        .find(|path| std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd == *sandbox));
    let bytes = std::fs::read(found.context("a process in the sandbox")?.join("environ"))?;
    Ok(String::from_utf8_lossy(&bytes).split('\0').map(str::to_owned).collect())
}
