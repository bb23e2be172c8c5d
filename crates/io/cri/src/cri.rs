//! The calls that a kubelet makes to a container runtime, as one object-safe trait.
//!
//! A trait because there are two of it: [`crate::CriClient`] (the real runtime) and [`crate::fake::FakeCri`]
//! (the executor's tests). Arguments are CRI's own messages where they carry more than an id.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::error::Result;
use crate::pb;

/// What every call returns.
pub type CriFuture<'a, T> = BoxFuture<'a, Result<T>>;

/// How a command that ran in a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// What it wrote to standard output, at most 16 MiB.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, at most 16 MiB.
    pub stderr: Vec<u8>,
    /// Its exit code.
    pub exit_code: i32,
}

/// A container runtime that speaks CRI v1.
///
/// Stopping and removing are idempotent (CRI says so), also for ids that no longer exist.
pub trait Cri: Send + Sync {
    /// Names the runtime and its version.
    fn version(&self) -> CriFuture<'_, pb::VersionResponse>;
    /// Tells whether the runtime and its network are ready.
    fn status(&self) -> CriFuture<'_, pb::RuntimeStatus>;
    /// Hands the node's pod range to runtimes that render their own CNI configuration from it.
    fn update_runtime_config<'a>(&'a self, pod_cidr: &'a str) -> CriFuture<'a, ()>;

    /// Creates and starts a sandbox and returns its id; `handler` is the RuntimeClass's, or empty.
    fn run_pod_sandbox<'a>(&'a self, config: pb::PodSandboxConfig, handler: &'a str) -> CriFuture<'a, String>;
    /// Kills what runs in the sandbox and gives its addresses back.
    fn stop_pod_sandbox<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, ()>;
    /// Removes the sandbox and its containers.
    fn remove_pod_sandbox<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, ()>;
    /// Describes one sandbox.
    fn pod_sandbox_status<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, pb::PodSandboxStatus>;
    /// Lists sandboxes.
    fn list_pod_sandboxes(&self, filter: Option<pb::PodSandboxFilter>) -> CriFuture<'_, Vec<pb::PodSandbox>>;

    /// Creates a container in a sandbox and returns its id.
    fn create_container<'a>(
        &'a self,
        sandbox: &'a str,
        config: pb::ContainerConfig,
        sandbox_config: pb::PodSandboxConfig,
    ) -> CriFuture<'a, String>;
    /// Starts a created container.
    fn start_container<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()>;
    /// Sends the stop signal, and SIGKILL after `grace`; returns when the container has ended.
    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> CriFuture<'a, ()>;
    /// Removes a container, killing it when it runs.
    fn remove_container<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()>;
    /// Lists containers.
    fn list_containers(&self, filter: Option<pb::ContainerFilter>) -> CriFuture<'_, Vec<pb::Container>>;
    /// Describes one container.
    fn container_status<'a>(&'a self, container: &'a str) -> CriFuture<'a, pb::ContainerStatus>;
    /// Changes the limits of a running container.
    fn update_container_resources<'a>(
        &'a self,
        container: &'a str,
        resources: pb::LinuxContainerResources,
    ) -> CriFuture<'a, ()>;
    /// Makes the runtime open the container's log path again, after a rotation.
    fn reopen_container_log<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()>;

    /// Runs a command to its end; `timeout` zero means none. Running out of it is [`crate::CriError::is_timeout`].
    fn exec_sync<'a>(&'a self, container: &'a str, command: &[String], timeout: Duration) -> CriFuture<'a, ExecOutput>;
    /// Prepares a streaming exec and returns the URL to speak WebSocket or SPDY to.
    fn exec(&self, request: pb::ExecRequest) -> CriFuture<'_, String>;
    /// Prepares a streaming attach and returns its URL.
    fn attach(&self, request: pb::AttachRequest) -> CriFuture<'_, String>;
    /// Prepares port forwarding and returns its URL.
    fn port_forward(&self, request: pb::PortForwardRequest) -> CriFuture<'_, String>;

    /// Measures one container.
    fn container_stats<'a>(&'a self, container: &'a str) -> CriFuture<'a, pb::ContainerStats>;
    /// Measures containers.
    fn list_container_stats(&self, filter: Option<pb::ContainerStatsFilter>) -> CriFuture<'_, Vec<pb::ContainerStats>>;

    /// Finds an image by reference or id; `None` when it is not here.
    fn image_status<'a>(&'a self, image: &'a str) -> CriFuture<'a, Option<pb::Image>>;
    /// Lists images.
    fn list_images(&self) -> CriFuture<'_, Vec<pb::Image>>;
    /// Pulls an image and returns its id; takes as long as it takes, the caller may drop the future.
    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        auth: Option<pb::AuthConfig>,
        sandbox_config: Option<pb::PodSandboxConfig>,
    ) -> CriFuture<'a, String>;
    /// Removes an image by reference or id.
    fn remove_image<'a>(&'a self, image: &'a str) -> CriFuture<'a, ()>;
    /// Measures the file systems that hold images.
    fn image_fs_info(&self) -> CriFuture<'_, Vec<pb::FilesystemUsage>>;
}
