//! [`CriClient`]: CRI v1 over a unix socket.
//!
//! One HTTP/2 connection, made again when it breaks (a containerd restart shows as one failed call at most).
//! It does not retry: whoever called knows whether the call may be repeated.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Response, Status};

use crate::cri::{Cri, CriFuture, ExecOutput};
use crate::error::{CriError, Result};
use crate::pb;
use crate::pb::image_service_client::ImageServiceClient;
use crate::pb::runtime_service_client::RuntimeServiceClient;

/// The most that one answer may hold: k8s 1.33 pkg/kubelet/cri/remote/utils.go, maxMsgSize = 16 MiB.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// How long the runtime may take to answer; when it is over, the call fails with DeadlineExceeded.
#[derive(Clone, Copy, Debug)]
pub struct CriTimeouts {
    /// To accept the connection.
    pub connect: Duration,
    /// For calls that read or change one thing. The kubelet's `--runtime-request-timeout` is 2 min.
    pub request: Duration,
    /// For RunPodSandbox, which waits for CNI and may pull the pause image. The kubelet takes 4 min.
    pub run_pod_sandbox: Duration,
}

impl CriTimeouts {
    /// What a kubelet uses unless told otherwise.
    #[must_use]
    pub const fn kubelet() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(120),
            run_pod_sandbox: Duration::from_secs(240),
        }
    }
}

/// A connection to a container runtime. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CriClient {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    timeouts: CriTimeouts,
}

impl CriClient {
    /// Connects to `endpoint`: `unix:///run/containerd/containerd.sock`, or the path alone.
    ///
    /// # Errors
    /// [`CriError::BadEndpoint`], or [`CriError::Connect`] when nobody listens there.
    pub async fn connect(endpoint: &str, timeouts: CriTimeouts) -> Result<Self> {
        let socket = socket_path(endpoint)?;
        let dialled = socket.clone();
        // gRPC needs an authority though a unix socket has none; containerd refuses an empty one.
        let channel = Endpoint::from_static("http://localhost")
            .connect_timeout(timeouts.connect)
            .connect_with_connector(tower::service_fn(move |_: Uri| {
                let path = dialled.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            }))
            .await
            .map_err(|source| CriError::Connect { socket, source })?;
        Ok(Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            images: ImageServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX),
            timeouts,
        })
    }

    fn short<T>(&self, message: T) -> Request<T> {
        within(message, self.timeouts.request)
    }
}

/// Returns the file-system path of a runtime endpoint.
///
/// # Errors
/// [`CriError::BadEndpoint`].
pub fn socket_path(endpoint: &str) -> Result<PathBuf> {
    let path = Path::new(endpoint.strip_prefix("unix://").unwrap_or(endpoint));
    if path.is_absolute() { Ok(path.to_owned()) } else { Err(CriError::BadEndpoint { endpoint: endpoint.to_owned() }) }
}

/// A request that both ends give up after `limit`: the runtime through `grpc-timeout`, tonic's channel here.
fn within<T>(message: T, limit: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

async fn answer<T>(
    operation: &'static str,
    call: impl Future<Output = std::result::Result<Response<T>, Status>>,
) -> Result<T> {
    match call.await {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => Err(rpc_error(operation, &status)),
    }
}

fn rpc_error(operation: &'static str, status: &Status) -> CriError {
    // tonic 0.14 reports its own timer as Cancelled "Timeout expired"; Go's client, and so the kubelet, as DeadlineExceeded.
    let (code, message) = match (status.code(), status.message()) {
        (Code::Cancelled, "Timeout expired") => (Code::DeadlineExceeded, "context deadline exceeded"),
        (Code::Unknown, text) if text.contains("Service was not ready") => (Code::Unavailable, text),
        other => other,
    };
    CriError::Rpc { operation, code, message: message.to_owned() }
}

fn seconds(duration: Duration) -> i64 {
    // Rounded up, so that a short wish does not become CRI's "none".
    i64::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX)
}

fn missing(operation: &'static str, field: &'static str) -> CriError {
    CriError::Incomplete { operation, field }
}

impl Cri for CriClient {
    fn version(&self) -> CriFuture<'_, pb::VersionResponse> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::VersionRequest { version: "v1".to_owned() });
        Box::pin(async move { answer("Version", rpc.version(request)).await })
    }

    fn status(&self) -> CriFuture<'_, pb::RuntimeStatus> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::StatusRequest { verbose: false });
        Box::pin(async move {
            answer("Status", rpc.status(request)).await?.status.ok_or_else(|| missing("Status", "status"))
        })
    }

    fn update_runtime_config<'a>(&'a self, pod_cidr: &'a str) -> CriFuture<'a, ()> {
        let mut rpc = self.runtime.clone();
        let network_config = Some(pb::NetworkConfig { pod_cidr: pod_cidr.to_owned() });
        let request =
            self.short(pb::UpdateRuntimeConfigRequest { runtime_config: Some(pb::RuntimeConfig { network_config }) });
        Box::pin(async move {
            answer("UpdateRuntimeConfig", rpc.update_runtime_config(request)).await?;
            Ok(())
        })
    }

    fn run_pod_sandbox<'a>(&'a self, config: pb::PodSandboxConfig, handler: &'a str) -> CriFuture<'a, String> {
        let mut rpc = self.runtime.clone();
        let message = pb::RunPodSandboxRequest { config: Some(config), runtime_handler: handler.to_owned() };
        let request = within(message, self.timeouts.run_pod_sandbox);
        Box::pin(async move { Ok(answer("RunPodSandbox", rpc.run_pod_sandbox(request)).await?.pod_sandbox_id) })
    }

    fn stop_pod_sandbox<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, ()> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::StopPodSandboxRequest { pod_sandbox_id: sandbox.to_owned() });
        Box::pin(async move { answer("StopPodSandbox", rpc.stop_pod_sandbox(request)).await.map(drop) })
    }

    fn remove_pod_sandbox<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, ()> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::RemovePodSandboxRequest { pod_sandbox_id: sandbox.to_owned() });
        Box::pin(async move { answer("RemovePodSandbox", rpc.remove_pod_sandbox(request)).await.map(drop) })
    }

    fn pod_sandbox_status<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, pb::PodSandboxStatus> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::PodSandboxStatusRequest { pod_sandbox_id: sandbox.to_owned(), verbose: false });
        Box::pin(async move {
            let response = answer("PodSandboxStatus", rpc.pod_sandbox_status(request)).await?;
            response.status.ok_or_else(|| missing("PodSandboxStatus", "status"))
        })
    }

    fn list_pod_sandboxes(&self, filter: Option<pb::PodSandboxFilter>) -> CriFuture<'_, Vec<pb::PodSandbox>> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::ListPodSandboxRequest { filter });
        Box::pin(async move { Ok(answer("ListPodSandbox", rpc.list_pod_sandbox(request)).await?.items) })
    }

    fn create_container<'a>(
        &'a self,
        sandbox: &'a str,
        config: pb::ContainerConfig,
        sandbox_config: pb::PodSandboxConfig,
    ) -> CriFuture<'a, String> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        });
        Box::pin(
            async move { Ok(answer("CreateContainer", Box::pin(rpc.create_container(request))).await?.container_id) },
        )
    }

    fn start_container<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::StartContainerRequest { container_id: container.to_owned() });
        Box::pin(async move { answer("StartContainer", rpc.start_container(request)).await.map(drop) })
    }

    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> CriFuture<'a, ()> {
        let mut rpc = self.runtime.clone();
        let message = pb::StopContainerRequest { container_id: container.to_owned(), timeout: seconds(grace) };
        let request = within(message, self.timeouts.request.saturating_add(grace));
        Box::pin(async move { answer("StopContainer", rpc.stop_container(request)).await.map(drop) })
    }

    fn remove_container<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::RemoveContainerRequest { container_id: container.to_owned() });
        Box::pin(async move { answer("RemoveContainer", rpc.remove_container(request)).await.map(drop) })
    }

    fn list_containers(&self, filter: Option<pb::ContainerFilter>) -> CriFuture<'_, Vec<pb::Container>> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::ListContainersRequest { filter });
        Box::pin(async move { Ok(answer("ListContainers", rpc.list_containers(request)).await?.containers) })
    }

    fn container_status<'a>(&'a self, container: &'a str) -> CriFuture<'a, pb::ContainerStatus> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::ContainerStatusRequest { container_id: container.to_owned(), verbose: false });
        Box::pin(async move {
            let response = answer("ContainerStatus", rpc.container_status(request)).await?;
            response.status.ok_or_else(|| missing("ContainerStatus", "status"))
        })
    }

    fn update_container_resources<'a>(
        &'a self,
        container: &'a str,
        resources: pb::LinuxContainerResources,
    ) -> CriFuture<'a, ()> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::UpdateContainerResourcesRequest {
            container_id: container.to_owned(),
            linux: Some(resources),
            ..Default::default()
        });
        Box::pin(
            async move { answer("UpdateContainerResources", rpc.update_container_resources(request)).await.map(drop) },
        )
    }

    fn reopen_container_log<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::ReopenContainerLogRequest { container_id: container.to_owned() });
        Box::pin(async move { answer("ReopenContainerLog", rpc.reopen_container_log(request)).await.map(drop) })
    }

    fn exec_sync<'a>(&'a self, container: &'a str, command: &[String], timeout: Duration) -> CriFuture<'a, ExecOutput> {
        let mut rpc = self.runtime.clone();
        let message = pb::ExecSyncRequest {
            container_id: container.to_owned(),
            cmd: command.to_vec(),
            timeout: seconds(timeout),
        };
        let request = if timeout.is_zero() {
            Request::new(message)
        } else {
            within(message, self.timeouts.request.saturating_add(timeout))
        };
        Box::pin(async move {
            let response = answer("ExecSync", rpc.exec_sync(request)).await?;
            Ok(ExecOutput { stdout: response.stdout, stderr: response.stderr, exit_code: response.exit_code })
        })
    }

    fn exec(&self, request: pb::ExecRequest) -> CriFuture<'_, String> {
        let mut rpc = self.runtime.clone();
        let request = self.short(request);
        Box::pin(async move { Ok(answer("Exec", rpc.exec(request)).await?.url) })
    }

    fn attach(&self, request: pb::AttachRequest) -> CriFuture<'_, String> {
        let mut rpc = self.runtime.clone();
        let request = self.short(request);
        Box::pin(async move { Ok(answer("Attach", rpc.attach(request)).await?.url) })
    }

    fn port_forward(&self, request: pb::PortForwardRequest) -> CriFuture<'_, String> {
        let mut rpc = self.runtime.clone();
        let request = self.short(request);
        Box::pin(async move { Ok(answer("PortForward", rpc.port_forward(request)).await?.url) })
    }

    fn container_stats<'a>(&'a self, container: &'a str) -> CriFuture<'a, pb::ContainerStats> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::ContainerStatsRequest { container_id: container.to_owned() });
        Box::pin(async move {
            let response = answer("ContainerStats", rpc.container_stats(request)).await?;
            response.stats.ok_or_else(|| missing("ContainerStats", "stats"))
        })
    }

    fn list_container_stats(&self, filter: Option<pb::ContainerStatsFilter>) -> CriFuture<'_, Vec<pb::ContainerStats>> {
        let mut rpc = self.runtime.clone();
        let request = self.short(pb::ListContainerStatsRequest { filter });
        Box::pin(async move { Ok(answer("ListContainerStats", rpc.list_container_stats(request)).await?.stats) })
    }

    fn image_status<'a>(&'a self, image: &'a str) -> CriFuture<'a, Option<pb::Image>> {
        let mut rpc = self.images.clone();
        let request = self.short(pb::ImageStatusRequest { image: Some(image_spec(image)), verbose: false });
        Box::pin(async move { Ok(answer("ImageStatus", rpc.image_status(request)).await?.image) })
    }

    fn list_images(&self) -> CriFuture<'_, Vec<pb::Image>> {
        let mut rpc = self.images.clone();
        let request = self.short(pb::ListImagesRequest { filter: None });
        Box::pin(async move { Ok(answer("ListImages", rpc.list_images(request)).await?.images) })
    }

    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        auth: Option<pb::AuthConfig>,
        sandbox_config: Option<pb::PodSandboxConfig>,
    ) -> CriFuture<'a, String> {
        let mut rpc = self.images.clone();
        let request = Request::new(pb::PullImageRequest { image: Some(image_spec(image)), auth, sandbox_config });
        Box::pin(async move { Ok(answer("PullImage", Box::pin(rpc.pull_image(request))).await?.image_ref) })
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> CriFuture<'a, ()> {
        let mut rpc = self.images.clone();
        let request = self.short(pb::RemoveImageRequest { image: Some(image_spec(image)) });
        Box::pin(async move { answer("RemoveImage", rpc.remove_image(request)).await.map(drop) })
    }

    fn image_fs_info(&self) -> CriFuture<'_, Vec<pb::FilesystemUsage>> {
        let mut rpc = self.images.clone();
        let request = self.short(pb::ImageFsInfoRequest {});
        Box::pin(async move { Ok(answer("ImageFsInfo", rpc.image_fs_info(request)).await?.image_filesystems) })
    }
}

fn image_spec(image: &str) -> pb::ImageSpec {
    pb::ImageSpec { image: image.to_owned(), ..Default::default() }
}
