//! What a crash of the embedded Mesos does to running executors: nothing; and what the end of one leaves behind: nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use km_mesos::scheduler::call;
use km_mesos::{TaskState, scheduler};
use km_mesos_contract::life::Life;
use km_mesos_contract::observe::asked;

use crate::embedded::Embedded;

/// How long the kernel may take to bury what was killed.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn executors_and_tasks_outlive_a_crash() -> Result<()> {
    survive("posix").await
}

#[tokio::test]
async fn executors_in_cgroups_outlive_a_crash_and_leave_no_cgroup() -> Result<()> {
    if !has_cgroups() {
        println!("skipped: no writable cgroup hierarchies here");
        return Ok(());
    }
    survive("cgroups").await
}

async fn survive(isolation: &'static str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut embedded = Embedded::start(folder.path(), isolation)?;
    let target = embedded.target(isolation);
    let mut life = Life::subscribe(&target).await?;
    life.launch("t1").await?;
    life.until_state("t1", TaskState::Running).await?;
    let before = executors(folder.path());
    ensure!(before.len() == 1, "one executor wanted, found {before:?}");
    let agent = life.agent.clone();

    for round in 0..3 {
        embedded.crash_and_restart()?;
        life = Life::subscribe(&target).await?;
        // Before its agent is back, a restarted master does not answer.
        life.find_agent().await?;
        let known = call::Reconcile { tasks: vec![asked("t1", Some(&agent))] };
        life.watcher.call(scheduler::call::Type::Reconcile, |call| call.reconcile = Some(known)).await?;
        life.watcher
            .until("the answer", |seen| seen.has_seen("t1 TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION"))
            .await?;
        ensure!(executors(folder.path()) == before, "round {round}: the executor was touched");
        ensure!(life.agent == agent, "round {round}: the agent has a new id");
        // A task launched after the crash goes to the executor of before it.
        let name = format!("after-{round}");
        life.launch(&name).await?;
        life.until_state(&name, TaskState::Running).await?;
        ensure!(executors(folder.path()) == before, "round {round}: a second executor was started");
    }
    life.kill("t1").await?;
    life.until_state("t1", TaskState::Killed).await?;

    if isolation == "cgroups" {
        // Without cgroups a process that leaves the session outlives its executor, in a real Mesos too.
        life.message(b"children").await?;
        life.watcher.until("the echo", |seen| seen.has_seen("MESSAGE")).await?;
    }
    let container = container_of(folder.path())?;
    life.watcher.call(scheduler::call::Type::Teardown, |_| {}).await?;
    until("all processes gone", || executors(folder.path()).is_empty())?;
    if isolation == "cgroups" {
        let root = embedded.cgroups_root();
        until("all cgroups gone", || cgroups_named(&root, &container).is_empty())?;
        let setsid_children = sleepers_in(&container);
        ensure!(setsid_children.is_empty(), "left behind: {setsid_children:?}");
        remove_roots(&root);
    }
    Ok(())
}

#[tokio::test]
async fn an_executor_that_died_with_the_agent_down_is_reported() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut embedded = Embedded::start(folder.path(), "posix")?;
    let target = embedded.target("dead");
    let mut life = Life::subscribe(&target).await?;
    life.launch("t1").await?;
    life.until_state("t1", TaskState::Running).await?;
    let executor = *executors(folder.path()).first().context("an executor")?;
    embedded.crash()?;
    std::process::Command::new("kill").args(["-9", &executor.to_string()]).status()?;
    embedded.restart()?;
    let mut life = Life::subscribe(&target).await?;
    life.until_state("t1", TaskState::Failed).await?;
    ensure!(life.watcher.has_seen("REASON_EXECUTOR_TERMINATED"), "{:?}", life.watcher.observed());
    Ok(())
}

#[tokio::test]
async fn crashes_during_launches_orphan_nothing() -> Result<()> {
    let isolation = if has_cgroups() { "cgroups" } else { "posix" };
    let folder = tempfile::tempdir()?;
    let mut embedded = Embedded::start(folder.path(), isolation)?;
    let target = embedded.target("chaos");
    for round in 0..10_u64 {
        let mut life = Life::subscribe(&target).await?;
        life.launch_on(&format!("e{round}"), &format!("t{round}")).await?;
        // The moment of the crash walks through accepting, forking, releasing, subscribing and launching.
        std::thread::sleep(Duration::from_millis(round * 2));
        embedded.crash_and_restart()?;
    }
    let mut life = Life::subscribe(&target).await?;
    // The agent knows every executor that runs, and runs it once.
    life.find_agent().await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (known, found) = (embedded.executors_of_agent().await?, executors(folder.path()));
        if known.len() == found.len() {
            break;
        }
        // The dead of before the crash are still being buried.
        ensure!(Instant::now() < deadline, "the agent knows {known:?}, but there are the processes {found:?}");
    }
    life.watcher.call(scheduler::call::Type::Teardown, |_| {}).await?;
    until("all processes gone", || executors(folder.path()).is_empty())?;
    let root = embedded.cgroups_root();
    until("all cgroups gone", || {
        remove_roots(&root);
        hierarchies().iter().all(|folder| !folder.join(&root).exists())
    })
}

#[tokio::test]
async fn destroying_all_leaves_an_empty_agent_of_the_same_id() -> Result<()> {
    let isolation = if has_cgroups() { "cgroups" } else { "posix" };
    let folder = tempfile::tempdir()?;
    let mut embedded = Embedded::start(folder.path(), isolation)?;
    let target = embedded.target("down");
    let mut life = Life::subscribe(&target).await?;
    life.launch("t1").await?;
    life.until_state("t1", TaskState::Running).await?;
    let agent = life.agent.clone();
    let config = embedded.agent_config();
    ensure!(km_mesos_agent::destroy_all(&config).await.is_err(), "an agent still runs on that folder");
    embedded.crash()?;
    ensure!(km_mesos_agent::destroy_all(&config).await? == 1, "one container was there");
    ensure!(executors(folder.path()).is_empty(), "processes are left behind");
    let root = embedded.cgroups_root();
    ensure!(hierarchies().iter().all(|folder| !folder.join(&root).exists()), "cgroups are left behind");
    embedded.restart()?;
    let mut life = Life::subscribe(&target).await?;
    life.find_agent().await?;
    ensure!(life.agent == agent, "the agent has a new id");
    let known = call::Reconcile { tasks: vec![asked("t1", Some(&agent))] };
    life.watcher.call(scheduler::call::Type::Reconcile, |call| call.reconcile = Some(known)).await?;
    life.until_state("t1", TaskState::Gone).await?;
    drop(embedded);
    remove_roots(&root);
    Ok(())
}

#[tokio::test]
async fn nothing_is_answered_without_credentials() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let embedded = Embedded::start(folder.path(), "posix")?;
    for path in ["/api/v1/scheduler", "/master/api/v1", "/state", "/slaves", "/metrics/snapshot", "/version"] {
        let answer = get(embedded.master_port(), path, None)?;
        ensure!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
        ensure!(answer.to_ascii_lowercase().contains("www-authenticate: basic"), "{path}: {answer}");
        let answer = get(embedded.master_port(), path, Some("Y29udHJhY3Q6d3Jvbmc="))?;
        ensure!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
    for (path, status) in
        [("/api/v1/scheduler", 405), ("/state", 200), ("/slaves", 200), ("/health", 200), ("/nosuch", 404)]
    {
        let answer = get(embedded.master_port(), path, Some("Y29udHJhY3Q6Y29udHJhY3Q="))?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
    Ok(())
}

fn get(port: u16, path: &str, basic: Option<&str>) -> Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    let authorization = basic.map(|text| format!("Authorization: Basic {text}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{authorization}Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Waits for something that no event tells: the kernel's bookkeeping of what was killed.
fn until(what: &str, done: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        ensure!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Finds processes whose working folder is a sandbox of this agent.
fn executors(work_dir: &Path) -> BTreeSet<u32> {
    let sandboxes = work_dir.join("agent/slaves");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&sandboxes)))
        .collect()
}

fn container_of(work_dir: &Path) -> Result<String> {
    let pid = *executors(work_dir).first().context("an executor")?;
    let sandbox = std::fs::read_link(format!("/proc/{pid}/cwd"))?;
    Ok(sandbox.file_name().context("a sandbox")?.to_string_lossy().into_owned())
}

fn hierarchies() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]).collect()
}

fn has_cgroups() -> bool {
    ["freezer", "cpu", "cpuacct", "memory"].iter().all(|name| {
        let probe = Path::new("/sys/fs/cgroup").join(name).join("km-contract-probe");
        std::fs::create_dir(&probe).is_ok() && std::fs::remove_dir(&probe).is_ok()
    })
}

fn cgroups_named(root: &str, container: &str) -> Vec<PathBuf> {
    hierarchies().into_iter().map(|folder| folder.join(root).join(container)).filter(|path| path.exists()).collect()
}

fn remove_roots(root: &str) {
    for folder in hierarchies() {
        drop(std::fs::remove_dir(folder.join(root)));
    }
}

/// Finds processes that any hierarchy still counts to the container.
fn sleepers_in(container: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(container)))
        .collect()
}
