//! A private containerd for real: pods start, survive containerd's death, are adopted, and leave nothing behind.
//!
//! Needs root, containerd, runc, iproute2 and the CNI plugins, and fails when one is missing. It has a `main` of its own
//! because it is three programs: the test, the supervisor that the runtime starts from the same file, and an executor
//! to be killed. Everything happens in a network namespace that ends with the test.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use km_cri::image::layout::{Content, Entry, ImageConfig, ImageSpec, pack};
use km_cri::image::{import, pause};
use km_cri::logs::{LogOptions, LogReader};
use km_cri::{Cri, CriClient, CriTimeouts, pb};
use km_executor::runtime::cgroup::Limits;
use km_executor::runtime::{
    Footprint, PodNetwork, ProcessId, Runtime, RuntimeConfig, SUPERVISOR_COMMAND, supervise, sweep_dead,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const DEMO: &str = "localhost/demo:test";
/// Everything here takes seconds; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let done = match args.next() {
        Some(mode) if mode == SUPERVISOR_COMMAND => return supervise(args),
        Some(mode) if mode == "inside" => block_on(inside()),
        Some(mode) if mode == "executor" => block_on(executor(args)),
        _ => outside(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

/// Runs this program again in a network namespace of its own.
fn outside() -> Outcome {
    let status = fs::read_to_string("/proc/self/status")?;
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t0")) {
        return Err("this test starts containers: run it as root".into());
    }
    let inside = Command::new("unshare").arg("--net").arg(std::env::current_exe()?).arg("inside").status()?;
    if inside.success() { Ok(()) } else { Err(format!("test in its network namespace: {inside}").into()) }
}

async fn inside() -> Outcome {
    run("ip", &["link", "set", "lo", "up"])?;
    let demo = build_demo()?;
    let folder = tempfile::Builder::new().prefix("km-runtime").tempdir()?;
    let archives = [("pause.tar", pause::archive()?), ("demo.tar", demo_image(&demo)?)];
    for (name, bytes) in archives {
        fs::write(folder.path().join(name), bytes)?;
    }
    step("a pod lives through containerd's death and adoption");
    lives_through_everything(folder.path()).await?;
    step("a killed executor's runtime is swept by its supervisor");
    killed_executor_leaves_nothing(folder.path())?;
    step("a runtime without a supervisor is swept by the next executor");
    next_executor_sweeps_what_is_left(folder.path())?;
    Ok(())
}

async fn lives_through_everything(folder: &Path) -> Outcome {
    let config = config(folder, 0xa)?;
    let mut runtime = Runtime::start(config.clone()).await?;
    let pod = start_pod(&runtime, folder).await?;
    let footprint = runtime.footprint().clone();
    let leaves = Leaves::of(&footprint);
    let cri = CriClient::connect(&runtime.endpoint(), CriTimeouts::kubelet()).await?;

    let get = ["/demo", "get", "http://127.0.0.1:8080/"].map(str::to_owned);
    let answer = cri.exec_sync(&pod.container, &get, Duration::from_secs(10)).await?;
    let body = String::from_utf8(answer.stdout)?;
    ensure(body.contains("pod: web-0"), format!("demo answered {body:?}"))?;
    let usage = runtime.cgroups().usage("pod-web")?;
    ensure(usage.cpu_ns > 0 && usage.memory_working_set_bytes > 0, format!("pod's cgroup is unused: {usage:?}"))?;

    let first = runtime.process();
    run("kill", &["-KILL", &first.pid.to_string()])?;
    let again = async {
        tokio::select! {
            () = runtime.keep_running() => {}
            answer = answers(&footprint, first) => answer?,
        }
        Outcome::Ok(())
    };
    tokio::time::timeout(PATIENCE, again).await??;
    ensure(runtime.process() != first, "containerd was not started again")?;
    let answer = cri.exec_sync(&pod.container, &get, Duration::from_secs(10)).await?;
    ensure(answer.exit_code == 0, "container did not outlive containerd")?;

    let running = runtime.process();
    drop(runtime);
    let runtime = Runtime::start(config).await?;
    ensure(runtime.process() == running, "running containerd was not adopted")?;

    cri.stop_container(&pod.container, Duration::from_secs(10)).await?;
    let status = cri.container_status(&pod.container).await?;
    ensure(status.exit_code == 0 && status.reason == "Completed", format!("graceful end: {status:?}"))?;
    let (_ended, ended) = tokio::sync::watch::channel(true);
    let mut log = LogReader::open(&pod.log, LogOptions::default(), ended).await?;
    let mut text = Vec::new();
    while let Some(chunk) = log.next().await? {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text)?;
    ensure(
        text.starts_with("serving on port 8080\n") && text.ends_with("got SIGTERM, bye\n"),
        format!("log: {text:?}"),
    )?;

    // The sandbox still runs: the sweep must end it.
    let report = runtime.shutdown().await;
    ensure(report.left.is_empty(), format!("sweep left {:?}", report.left))?;
    leaves.are_gone()
}

/// Waits until another containerd than `first` answers.
async fn answers(footprint: &Footprint, first: ProcessId) -> Outcome {
    loop {
        let restarted = ProcessId::read(&footprint.pid_file()).is_some_and(|process| process != first);
        let endpoint = footprint.socket().display().to_string();
        if restarted
            && let Ok(cri) = CriClient::connect(&endpoint, CriTimeouts::kubelet()).await
            && cri.version().await.is_ok()
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn killed_executor_leaves_nothing(folder: &Path) -> Outcome {
    let (mut child, footprint) = start_executor(folder, 0xb)?;
    let supervisor = ProcessId::read(&footprint.supervisor_file()).ok_or("there is no supervisor")?;
    let leaves = Leaves::of(&footprint);
    child.kill()?;
    child.wait()?;
    ensure(supervisor.wait_ended(Some(PATIENCE)), "supervisor did not end")?;
    leaves.are_gone()
}

fn next_executor_sweeps_what_is_left(folder: &Path) -> Outcome {
    let (mut child, footprint) = start_executor(folder, 0xc)?;
    let supervisor = ProcessId::read(&footprint.supervisor_file()).ok_or("there is no supervisor")?;
    let leaves = Leaves::of(&footprint);
    run("kill", &["-KILL", &supervisor.pid.to_string()])?;
    ensure(supervisor.wait_ended(Some(PATIENCE)), "supervisor did not die")?;
    child.kill()?;
    child.wait()?;
    let swept = sweep_dead(footprint.socket_dir.parent().ok_or("socket folder has no parent")?);
    ensure(swept.iter().all(|(_, report)| report.left.is_empty()), format!("sweep left {swept:?}"))?;
    ensure(swept.iter().any(|(path, _)| *path == footprint.socket_dir), "dead runtime was not found")?;
    leaves.are_gone()
}

fn start_executor(folder: &Path, number: u32) -> Outcome<(std::process::Child, Footprint)> {
    let mut child = Command::new("/proc/self/exe")
        .arg("executor")
        .arg(folder)
        .arg(number.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    ensure(line == "ready\n", "executor did not get ready")?;
    let footprint = Footprint::read(&config(folder, number)?.socket_dir).ok_or("there is no footprint")?;
    Ok((child, footprint))
}

/// An executor with one pod, to be killed.
async fn executor(mut args: impl Iterator<Item = OsString>) -> Outcome {
    let folder = PathBuf::from(args.next().ok_or("want a folder")?);
    let number: u32 = args.next().and_then(|text| text.to_str()?.parse().ok()).ok_or("want a number")?;
    let runtime = Runtime::start(config(&folder, number)?).await?;
    start_pod(&runtime, &folder).await?;
    println!("ready");
    std::future::pending().await
}

fn config(folder: &Path, number: u32) -> Outcome<RuntimeConfig> {
    let work_dir = folder.join(format!("executor-{number}"));
    fs::create_dir_all(&work_dir)?;
    // The folder's random name keeps two runs of this test apart, its sum keeps the id short.
    let sum =
        folder.as_os_str().as_encoded_bytes().iter().fold(number, |sum, byte| sum.wrapping_mul(31) ^ u32::from(*byte));
    let id = format!("{sum:08x}");
    Ok(RuntimeConfig {
        socket_dir: folder.join("run").join(&id),
        work_dir,
        id,
        pause_image: pause::REFERENCE.to_owned(),
        network: Some(PodNetwork { subnet: format!("10.203.{number}.0/24"), mtu: None }),
        registry_config: None,
        path: std::env::var_os("PATH").unwrap_or_default(),
        environment: Vec::new(),
    })
}

struct Pod {
    container: String,
    log: PathBuf,
}

async fn start_pod(runtime: &Runtime, folder: &Path) -> Outcome<Pod> {
    let cri = CriClient::connect(&runtime.endpoint(), CriTimeouts::kubelet()).await?;
    for name in ["pause.tar", "demo.tar"] {
        import::import(&runtime.import_target(), &cri, &folder.join(name)).await?;
    }
    let limits = Limits { memory_bytes: Some(256 << 20), cpu_shares: Some(256), ..Limits::default() };
    let cgroup_parent = runtime.cgroups().create_pod("pod-web", &limits)?;
    let logs = folder.join("logs");
    fs::create_dir_all(&logs)?;
    let metadata = pb::PodSandboxMetadata {
        name: "web-0".to_owned(),
        uid: "u".to_owned(),
        namespace: "default".to_owned(),
        attempt: 0,
    };
    let sandbox_config = pb::PodSandboxConfig {
        metadata: Some(metadata),
        hostname: "web-0".to_owned(),
        log_directory: logs.display().to_string(),
        linux: Some(pb::LinuxPodSandboxConfig { cgroup_parent, ..Default::default() }),
        ..Default::default()
    };
    let sandbox = cri.run_pod_sandbox(sandbox_config.clone(), "").await?;
    let status = cri.pod_sandbox_status(&sandbox).await?;
    let ip = status.network.unwrap_or_default().ip;
    ensure(ip.starts_with("10.203."), format!("sandbox has address {ip:?}"))?;
    let config = pb::ContainerConfig {
        metadata: Some(pb::ContainerMetadata { name: "web".to_owned(), attempt: 0 }),
        image: Some(pb::ImageSpec { image: DEMO.to_owned(), ..Default::default() }),
        envs: vec![pb::KeyValue { key: "POD_NAME".to_owned(), value: "web-0".to_owned() }],
        log_path: format!("{}.log", runtime.process().pid),
        linux: Some(pb::LinuxContainerConfig::default()),
        ..Default::default()
    };
    let log = logs.join(&config.log_path);
    let container = cri.create_container(&sandbox, config, sandbox_config).await?;
    cri.start_container(&container).await?;
    // The container serves once it has said so in its log.
    let (_running, running) = tokio::sync::watch::channel(false);
    let mut reader = LogReader::open(&log, LogOptions { follow: true, ..LogOptions::default() }, running).await?;
    tokio::time::timeout(PATIENCE, reader.next()).await??;
    Ok(Pod { container, log })
}

/// What exists while a pod runs and must not exist afterwards.
struct Leaves {
    footprint: Footprint,
    shim_sockets: Vec<PathBuf>,
}

impl Leaves {
    fn of(footprint: &Footprint) -> Self {
        let tasks = footprint.folders[0].join("state/io.containerd.runtime.v2.task/k8s.io");
        let bundles = fs::read_dir(tasks).into_iter().flatten().flatten();
        let address = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("address")).ok();
        let shim_sockets: Vec<_> =
            bundles.filter_map(address).map(|text| PathBuf::from(text.trim_start_matches("unix://"))).collect();
        assert!(shim_sockets.iter().all(|socket| socket.exists()) && !shim_sockets.is_empty(), "{shim_sockets:?}");
        assert!(find_folder(Path::new("/sys/fs/cgroup"), &footprint.network).is_some(), "pods have no cgroup of ours");
        Self { footprint: footprint.clone(), shim_sockets }
    }

    fn are_gone(&self) -> Outcome {
        let footprint = &self.footprint;
        let paths = footprint.cgroups.iter().chain(&footprint.folders).chain(&self.shim_sockets);
        for path in paths.chain([&footprint.socket_dir]) {
            ensure(!path.exists(), format!("{} is left", path.display()))?;
        }
        let marks = [footprint.socket_dir.display().to_string(), footprint.volumes.display().to_string()];
        let marks = marks.into_iter().chain(footprint.folders.iter().map(|folder| folder.display().to_string()));
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        for mark in marks {
            let mount = mounts.lines().find(|line| line.contains(&mark));
            ensure(mount.is_none(), format!("mount is left: {mount:?}"))?;
            let process = fs::read_dir("/proc")?.flatten().find(|entry| {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                // This runtime's supervisor may still be looking whether there is anything to do.
                let line = String::from_utf8_lossy(&line).into_owned();
                line.contains(&mark) && !line.contains(SUPERVISOR_COMMAND)
            });
            ensure(process.is_none(), format!("process is left: {process:?}"))?;
        }
        let cgroup = find_folder(Path::new("/sys/fs/cgroup"), &footprint.network);
        ensure(cgroup.is_none(), format!("cgroup is left: {cgroup:?}"))?;
        let links = fs::read_to_string("/proc/self/net/dev")?;
        let links: Vec<_> = links.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        ensure(links == ["lo"], format!("links are left: {links:?}"))?;
        let cached = fs::read_dir("/var/lib/cni/results").into_iter().flatten().flatten();
        let cached: Vec<_> = cached.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        ensure(
            !cached.iter().any(|name| name.starts_with(&footprint.network)),
            format!("CNI results are left: {cached:?}"),
        )
    }
}

fn find_folder(root: &Path, name: &str) -> Option<PathBuf> {
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    let mut folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders
        .find_map(|entry| if entry.file_name() == name { Some(entry.path()) } else { find_folder(&entry.path(), name) })
}

fn demo_image(program: &Path) -> Outcome<Vec<u8>> {
    let entries = vec![Entry { path: "demo".to_owned(), mode: 0o755, content: Content::File(fs::read(program)?) }];
    let config = ImageConfig { entrypoint: vec!["/demo".to_owned()], ..ImageConfig::default() };
    Ok(pack(&ImageSpec { references: vec![DEMO.to_owned()], layers: vec![entries], config })?)
}

/// Builds images/demo as the Makefile does, in a target folder of its own.
fn build_demo() -> Outcome<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../images/demo/Cargo.toml").canonicalize()?;
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", &triple, "--manifest-path"])
        .arg(manifest)
        .env("CARGO_TARGET_DIR", &target_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status()?;
    ensure(status.success(), "demo does not build")?;
    Ok(target_dir.join(triple).join("release/demo"))
}

fn run(program: &str, args: &[&str]) -> Outcome {
    let status = Command::new(program).args(args).status()?;
    ensure(status.success(), format!("{program} {args:?}: {status}"))
}

fn ensure(holds: bool, otherwise: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}

fn step(what: &str) {
    println!("test {what} ...");
}
