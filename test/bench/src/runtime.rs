//! The same containers through CRI alone: RunPodSandbox, CreateContainer, StartContainer on a private containerd that is
//! configured as an executor's, with nothing of km in the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use km_cri::image::{import, pause};
use km_cri::{Cri, CriClient, CriTimeouts, pb};
use km_executor::runtime::cgroup::Limits;
use km_executor::runtime::{PodNetwork, Runtime, RuntimeConfig};

use crate::Pace;
use crate::series::Series;

const IMAGE: &str = "localhost/demo:latest";
/// A range of its own: clusters of the benchmark are gone, but their links may still be going.
const SUBNET: &str = "10.203.0.0/24";

/// Starts the runtime, measures, takes it down and prints.
pub(crate) async fn run(folder: &Path, image: &Path, pace: Pace) -> anyhow::Result<()> {
    let folder = std::path::absolute(folder)?;
    let pause_archive = folder.join("pause.tar");
    fs::write(&pause_archive, pause::archive()?).context("failed to write the pause image")?;
    let logs = folder.join("logs");
    fs::create_dir_all(&logs).context("failed to make the log folder")?;
    let config = config(&folder)?;
    let runtime = Runtime::start(config).await.context("failed to start containerd")?;
    let measured = measure(&runtime, &[pause_archive, image.to_owned()], &logs, pace).await;
    let report = runtime.shutdown().await;
    anyhow::ensure!(report.left.is_empty(), "the runtime left {}", report.left.join("; "));
    let (sandboxes, all) = measured?;
    println!("{}", sandboxes.line("sandbox"));
    println!("{}", all.line("sandbox and container"));
    Ok(())
}

fn config(folder: &Path) -> anyhow::Result<RuntimeConfig> {
    let work_dir = folder.join("work");
    fs::create_dir_all(&work_dir).context("failed to make the work folder")?;
    let id = format!("{:08x}", std::process::id());
    Ok(RuntimeConfig {
        socket_dir: folder.join("run"),
        work_dir,
        id,
        pause_image: pause::REFERENCE.to_owned(),
        network: Some(PodNetwork { subnet: SUBNET.to_owned(), mtu: None }),
        registry_config: None,
        path: std::env::var_os("PATH").unwrap_or_default(),
        environment: Vec::new(),
    })
}

async fn measure(runtime: &Runtime, images: &[PathBuf], logs: &Path, pace: Pace) -> anyhow::Result<(Series, Series)> {
    let cri = CriClient::connect(&runtime.endpoint(), CriTimeouts::kubelet()).await?;
    for image in images {
        import::import(&runtime.import_target(), &cri, image).await?;
    }
    let cri: Arc<dyn Cri> = Arc::new(cri);
    // As for an executor's pods, the first is not counted.
    start(Arc::clone(&cri), sandbox(runtime, "warm", logs)?).await?;
    let mut ticks = tokio::time::interval(pace.every());
    let mut starting = tokio::task::JoinSet::new();
    for number in 0..pace.pods {
        let config = sandbox(runtime, &format!("bench-{number}"), logs)?;
        ticks.tick().await;
        starting.spawn(start(Arc::clone(&cri), config));
    }
    let (mut sandboxes, mut all) = (Series::default(), Series::default());
    while let Some(done) = starting.join_next().await {
        let (sandbox, whole) = done.context("starting a container panicked")??;
        sandboxes.push(sandbox);
        all.push(whole);
    }
    Ok((sandboxes, all))
}

/// Starts one container in a sandbox of its own; returns the times until the sandbox and until the container ran.
async fn start(cri: Arc<dyn Cri>, config: pb::PodSandboxConfig) -> anyhow::Result<(Duration, Duration)> {
    let begun = Instant::now();
    let sandbox = cri.run_pod_sandbox(config.clone(), "").await?;
    let sandboxed = begun.elapsed();
    let container = pb::ContainerConfig {
        metadata: Some(pb::ContainerMetadata { name: "demo".to_owned(), attempt: 0 }),
        image: Some(pb::ImageSpec { image: IMAGE.to_owned(), ..Default::default() }),
        log_path: format!("{}.log", config.hostname),
        linux: Some(pb::LinuxContainerConfig::default()),
        ..Default::default()
    };
    let container = cri.create_container(&sandbox, container, config).await?;
    cri.start_container(&container).await?;
    Ok((sandboxed, begun.elapsed()))
}

fn sandbox(runtime: &Runtime, name: &str, logs: &Path) -> anyhow::Result<pb::PodSandboxConfig> {
    let limits = Limits { cpu_shares: Some(10), ..Limits::default() };
    let cgroup_parent = runtime.cgroups().create_pod(name, &limits).context("failed to make a pod's cgroup")?;
    let metadata = pb::PodSandboxMetadata {
        name: name.to_owned(),
        uid: name.to_owned(),
        namespace: "default".to_owned(),
        attempt: 0,
    };
    Ok(pb::PodSandboxConfig {
        metadata: Some(metadata),
        hostname: name.to_owned(),
        log_directory: logs.display().to_string(),
        linux: Some(pb::LinuxPodSandboxConfig { cgroup_parent, ..Default::default() }),
        ..Default::default()
    })
}
