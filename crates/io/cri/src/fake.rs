//! [`FakeCri`]: a container runtime in memory, for tests of what drives one.
//!
//! Deterministic: ids, addresses and times are counters, nothing sleeps, and a container runs until a test says
//! that it [`FakeCri::exit`]s or somebody stops it. It checks what containerd checks (unknown ids, a missing image,
//! starting twice), so that a driver that only works against a lenient fake fails here. It has no processes, no
//! cgroups and no network.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;
use tonic::Code;

use crate::cri::{Cri, CriFuture, ExecOutput};
use crate::error::{CriError, Result};
use crate::pb;
use crate::pb::{ContainerState, PodSandboxState};

/// One call as it arrived: its CRI name and the id, name or reference it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The CRI name, `StartContainer`.
    pub operation: &'static str,
    /// Sandbox id, container id, `pod/container` name or image, whichever the call carries.
    pub subject: String,
}

type Exec = Arc<dyn Fn(&str, &[String]) -> ExecOutput + Send + Sync>;

/// A container runtime in memory. Clones share their state.
#[derive(Clone)]
pub struct FakeCri {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

struct State {
    sandboxes: BTreeMap<String, pb::PodSandboxStatus>,
    containers: BTreeMap<String, FakeContainer>,
    images: BTreeSet<String>,
    pullable: BTreeSet<String>,
    failures: BTreeMap<&'static str, VecDeque<CriError>>,
    calls: Vec<Call>,
    exec: Exec,
    stop_exit_code: i32,
    next_id: u64,
    now_ns: i64,
}

struct FakeContainer {
    sandbox: String,
    config: pb::ContainerConfig,
    status: pb::ContainerStatus,
}

impl Default for FakeCri {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeCri {
    /// Makes an empty runtime that is ready.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            images: BTreeSet::new(),
            pullable: BTreeSet::new(),
            failures: BTreeMap::new(),
            calls: Vec::new(),
            exec: Arc::new(|_, _| ExecOutput::default()),
            stop_exit_code: 143,
            next_id: 0,
            now_ns: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), changed: watch::Sender::new(0) }
    }

    /// Puts an image here, as an import would.
    pub fn add_image(&self, reference: &str) {
        self.change(|state| state.images.insert(reference.to_owned()));
    }

    /// Lets [`Cri::pull_image`] find `reference`; every other pull answers NotFound.
    pub fn add_pullable(&self, reference: &str) {
        self.change(|state| state.pullable.insert(reference.to_owned()));
    }

    /// Sets the clock that stamps what follows, in nanoseconds since the epoch.
    pub fn set_now_ns(&self, now_ns: i64) {
        self.lock().now_ns = now_ns;
    }

    /// Makes the next call of `operation` (its CRI name) fail; several queue up.
    pub fn fail_next(&self, operation: &'static str, code: Code, message: &str) {
        let error = rpc(operation, code, message);
        self.lock().failures.entry(operation).or_default().push_back(error);
    }

    /// Answers ExecSync from now on: gets the container's name and the command.
    pub fn on_exec(&self, answer: impl Fn(&str, &[String]) -> ExecOutput + Send + Sync + 'static) {
        self.lock().exec = Arc::new(answer);
    }

    /// Sets what a running container's exit code is when it is stopped (143 at first: it died of SIGTERM).
    pub fn set_stop_exit_code(&self, exit_code: i32) {
        self.lock().stop_exit_code = exit_code;
    }

    /// Ends a running container by itself.
    ///
    /// # Panics
    /// When no running container has this id: the test is wrong.
    pub fn exit(&self, container: &str, exit_code: i32) {
        self.change(|state| {
            let now_ns = state.tick();
            let found = state.containers.get_mut(container).expect("test ends a container that exists");
            assert_eq!(found.status.state(), ContainerState::ContainerRunning, "container {container} does not run");
            finish(&mut found.status, exit_code, now_ns);
        });
    }

    /// Kills a sandbox's pause process: it becomes not ready, its containers end with 137.
    ///
    /// # Panics
    /// When no sandbox has this id: the test is wrong.
    pub fn kill_sandbox(&self, sandbox: &str) {
        self.change(|state| {
            assert!(state.sandboxes.contains_key(sandbox), "sandbox {sandbox} does not exist");
            state.stop_sandbox(sandbox);
        });
    }

    /// Returns the newest container with this pod and container name, by its metadata.
    #[must_use]
    pub fn container(&self, pod: &str, name: &str) -> Option<String> {
        let state = self.lock();
        let of_pod = |found: &FakeContainer| {
            let metadata = state.sandboxes.get(&found.sandbox).and_then(|sandbox| sandbox.metadata.as_ref());
            metadata.is_some_and(|metadata| metadata.name == pod)
        };
        let named = |found: &FakeContainer| found.config.metadata.as_ref().is_some_and(|it| it.name == name);
        let found = state.containers.iter().rev().find(|(_, found)| named(found) && of_pod(found));
        found.map(|(id, _)| id.clone())
    }

    /// Returns the configuration that a container was created with.
    #[must_use]
    pub fn container_config(&self, container: &str) -> Option<pb::ContainerConfig> {
        self.lock().containers.get(container).map(|found| found.config.clone())
    }

    /// Returns every call so far, oldest first. Reads (status and lists) are left out.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Waits until `ready` answers `Some`, looking again after every change.
    pub async fn wait_for<T>(&self, mut ready: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            changed.mark_unchanged();
            if let Some(found) = ready(self) {
                return found;
            }
            changed.changed().await.expect("the sender lives in self");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the fake's state")
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_modify(|version| *version += 1);
        result
    }

    /// Records a call, fails it when the test said so, else performs it.
    fn call<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        subject: impl Into<String>,
        perform: impl FnOnce(&mut State) -> Result<T> + Send + 'a,
    ) -> CriFuture<'a, T> {
        let subject = subject.into();
        Box::pin(async move {
            self.change(|state| {
                state.calls.push(Call { operation, subject });
                state.injected(operation)?;
                perform(state)
            })
        })
    }

    /// A call that changes nothing.
    fn read<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        perform: impl FnOnce(&State) -> Result<T> + Send + 'a,
    ) -> CriFuture<'a, T> {
        Box::pin(async move {
            let mut state = self.lock();
            state.injected(operation)?;
            perform(&state)
        })
    }
}

impl State {
    fn tick(&mut self) -> i64 {
        self.now_ns += 1_000_000;
        self.now_ns
    }

    fn new_id(&mut self, kind: &str) -> String {
        self.next_id += 1;
        format!("{kind}-{:04}", self.next_id)
    }

    fn injected(&mut self, operation: &'static str) -> Result<()> {
        match self.failures.get_mut(operation).and_then(VecDeque::pop_front) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn found(&mut self, operation: &'static str, container: &str) -> Result<&mut FakeContainer> {
        let missing = || not_found(operation, "container", container);
        self.containers.get_mut(container).ok_or_else(missing)
    }

    fn stop_sandbox(&mut self, sandbox: &str) {
        let now_ns = self.tick();
        if let Some(found) = self.sandboxes.get_mut(sandbox) {
            found.set_state(PodSandboxState::SandboxNotready);
            found.network = None;
        }
        for container in self.containers.values_mut().filter(|container| container.sandbox == sandbox) {
            if container.status.state() == ContainerState::ContainerRunning {
                finish(&mut container.status, 137, now_ns);
            }
        }
    }

    fn has_image(&self, image: &str) -> bool {
        self.images.iter().any(|reference| reference == image || image_id(reference) == image)
    }
}

fn finish(status: &mut pb::ContainerStatus, exit_code: i32, now_ns: i64) {
    status.set_state(ContainerState::ContainerExited);
    status.exit_code = exit_code;
    status.finished_at = now_ns;
    status.reason = if exit_code == 0 { "Completed" } else { "Error" }.to_owned();
}

fn rpc(operation: &'static str, code: Code, message: &str) -> CriError {
    CriError::Rpc { operation, code, message: message.to_owned() }
}

fn not_found(operation: &'static str, kind: &str, id: &str) -> CriError {
    rpc(operation, Code::NotFound, &format!("an error occurred when try to find {kind} {id:?}: not found"))
}

/// An id that differs per reference and reads like one.
fn image_id(reference: &str) -> String {
    format!("sha256:{}", crate::image::sha256_hex(reference.as_bytes()))
}

fn image(reference: &str) -> pb::Image {
    pb::Image { id: image_id(reference), repo_tags: vec![reference.to_owned()], size: 1 << 20, ..Default::default() }
}

fn labels_match(
    labels: &std::collections::HashMap<String, String>,
    wanted: &std::collections::HashMap<String, String>,
) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

impl Cri for FakeCri {
    fn version(&self) -> CriFuture<'_, pb::VersionResponse> {
        self.read("Version", |_| {
            Ok(pb::VersionResponse {
                version: "0.1.0".to_owned(),
                runtime_name: "fake".to_owned(),
                runtime_version: "1".to_owned(),
                runtime_api_version: "v1".to_owned(),
            })
        })
    }

    fn status(&self) -> CriFuture<'_, pb::RuntimeStatus> {
        let ready = |name: &str| pb::RuntimeCondition { r#type: name.to_owned(), status: true, ..Default::default() };
        let conditions = vec![ready("RuntimeReady"), ready("NetworkReady")];
        self.read("Status", |_| Ok(pb::RuntimeStatus { conditions }))
    }

    fn update_runtime_config<'a>(&'a self, pod_cidr: &'a str) -> CriFuture<'a, ()> {
        self.call("UpdateRuntimeConfig", pod_cidr, |_| Ok(()))
    }

    fn run_pod_sandbox<'a>(&'a self, config: pb::PodSandboxConfig, handler: &'a str) -> CriFuture<'a, String> {
        let name = config.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
        self.call("RunPodSandbox", name, move |state| {
            let same = state
                .sandboxes
                .values()
                .any(|other| other.metadata == config.metadata && other.state() == PodSandboxState::SandboxReady);
            if same {
                return Err(rpc("RunPodSandbox", Code::Unknown, "failed to reserve sandbox name: name is reserved"));
            }
            let id = state.new_id("sandbox");
            let ip = format!("10.88.{}.{}", state.next_id / 250, state.next_id % 250 + 2);
            let status = pb::PodSandboxStatus {
                id: id.clone(),
                metadata: config.metadata,
                created_at: state.tick(),
                network: Some(pb::PodSandboxNetworkStatus { ip, ..Default::default() }),
                labels: config.labels,
                annotations: config.annotations,
                runtime_handler: handler.to_owned(),
                ..Default::default()
            };
            state.sandboxes.insert(id.clone(), status);
            Ok(id)
        })
    }

    fn stop_pod_sandbox<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, ()> {
        self.call("StopPodSandbox", sandbox, |state| {
            state.stop_sandbox(sandbox);
            Ok(())
        })
    }

    fn remove_pod_sandbox<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, ()> {
        self.call("RemovePodSandbox", sandbox, move |state| {
            state.containers.retain(|_, container| container.sandbox != sandbox);
            state.sandboxes.remove(sandbox);
            Ok(())
        })
    }

    fn pod_sandbox_status<'a>(&'a self, sandbox: &'a str) -> CriFuture<'a, pb::PodSandboxStatus> {
        self.read("PodSandboxStatus", |state| {
            let found = state.sandboxes.get(sandbox).cloned();
            found.ok_or_else(|| not_found("PodSandboxStatus", "sandbox", sandbox))
        })
    }

    fn list_pod_sandboxes(&self, filter: Option<pb::PodSandboxFilter>) -> CriFuture<'_, Vec<pb::PodSandbox>> {
        let filter = filter.unwrap_or_default();
        self.read("ListPodSandbox", move |state| {
            let wanted = |status: &&pb::PodSandboxStatus| {
                (filter.id.is_empty() || status.id == filter.id)
                    && filter.state.as_ref().is_none_or(|state| state.state == status.state)
                    && labels_match(&status.labels, &filter.label_selector)
            };
            let item = |status: &pb::PodSandboxStatus| pb::PodSandbox {
                id: status.id.clone(),
                metadata: status.metadata.clone(),
                state: status.state,
                created_at: status.created_at,
                labels: status.labels.clone(),
                annotations: status.annotations.clone(),
                runtime_handler: status.runtime_handler.clone(),
            };
            Ok(state.sandboxes.values().filter(wanted).map(item).collect())
        })
    }

    fn create_container<'a>(
        &'a self,
        sandbox: &'a str,
        config: pb::ContainerConfig,
        sandbox_config: pb::PodSandboxConfig,
    ) -> CriFuture<'a, String> {
        let name = config.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
        let pod = sandbox_config.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
        self.call("CreateContainer", format!("{pod}/{name}"), move |state| {
            let ready = state.sandboxes.get(sandbox).map(pb::PodSandboxStatus::state);
            if ready != Some(PodSandboxState::SandboxReady) {
                return Err(not_found("CreateContainer", "sandbox", sandbox));
            }
            let image = config.image.clone().unwrap_or_default();
            if !state.has_image(&image.image) {
                return Err(not_found("CreateContainer", "image", &image.image));
            }
            let id = state.new_id("container");
            let log_path = format!("{}/{}", sandbox_config.log_directory, config.log_path);
            let status = pb::ContainerStatus {
                id: id.clone(),
                metadata: config.metadata.clone(),
                state: ContainerState::ContainerCreated.into(),
                created_at: state.tick(),
                image_ref: image_id(&image.image),
                image: Some(image),
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
                mounts: config.mounts.clone(),
                log_path,
                ..Default::default()
            };
            state.containers.insert(id.clone(), FakeContainer { sandbox: sandbox.to_owned(), config, status });
            Ok(id)
        })
    }

    fn start_container<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()> {
        self.call("StartContainer", container, |state| {
            let now_ns = state.tick();
            let status = &mut state.found("StartContainer", container)?.status;
            if status.state() != ContainerState::ContainerCreated {
                return Err(rpc("StartContainer", Code::Unknown, "container is not in created state"));
            }
            status.set_state(ContainerState::ContainerRunning);
            status.started_at = now_ns;
            Ok(())
        })
    }

    fn stop_container<'a>(&'a self, container: &'a str, _grace: Duration) -> CriFuture<'a, ()> {
        self.call("StopContainer", container, |state| {
            let (now_ns, exit_code) = (state.tick(), state.stop_exit_code);
            if let Some(found) = state.containers.get_mut(container)
                && found.status.state() == ContainerState::ContainerRunning
            {
                finish(&mut found.status, exit_code, now_ns);
            }
            Ok(())
        })
    }

    fn remove_container<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()> {
        self.call("RemoveContainer", container, |state| {
            state.containers.remove(container);
            Ok(())
        })
    }

    fn list_containers(&self, filter: Option<pb::ContainerFilter>) -> CriFuture<'_, Vec<pb::Container>> {
        let filter = filter.unwrap_or_default();
        self.read("ListContainers", move |state| {
            let wanted = |found: &&FakeContainer| {
                (filter.id.is_empty() || found.status.id == filter.id)
                    && (filter.pod_sandbox_id.is_empty() || found.sandbox == filter.pod_sandbox_id)
                    && filter.state.as_ref().is_none_or(|state| state.state == found.status.state)
                    && labels_match(&found.status.labels, &filter.label_selector)
            };
            let item = |found: &FakeContainer| pb::Container {
                id: found.status.id.clone(),
                pod_sandbox_id: found.sandbox.clone(),
                metadata: found.status.metadata.clone(),
                image: found.status.image.clone(),
                image_ref: found.status.image_ref.clone(),
                state: found.status.state,
                created_at: found.status.created_at,
                labels: found.status.labels.clone(),
                annotations: found.status.annotations.clone(),
                ..Default::default()
            };
            Ok(state.containers.values().filter(wanted).map(item).collect())
        })
    }

    fn container_status<'a>(&'a self, container: &'a str) -> CriFuture<'a, pb::ContainerStatus> {
        self.read("ContainerStatus", |state| {
            let found = state.containers.get(container).map(|found| found.status.clone());
            found.ok_or_else(|| not_found("ContainerStatus", "container", container))
        })
    }

    fn update_container_resources<'a>(
        &'a self,
        container: &'a str,
        resources: pb::LinuxContainerResources,
    ) -> CriFuture<'a, ()> {
        self.call("UpdateContainerResources", container, move |state| {
            let found = state.found("UpdateContainerResources", container)?;
            found.config.linux.get_or_insert_default().resources = Some(resources);
            Ok(())
        })
    }

    fn reopen_container_log<'a>(&'a self, container: &'a str) -> CriFuture<'a, ()> {
        self.call("ReopenContainerLog", container, |state| state.found("ReopenContainerLog", container).map(drop))
    }

    fn exec_sync<'a>(
        &'a self,
        container: &'a str,
        command: &[String],
        _timeout: Duration,
    ) -> CriFuture<'a, ExecOutput> {
        let command = command.to_vec();
        Box::pin(async move {
            // The test's answer runs without the lock, so that it may look at the fake.
            let (exec, name) = self.change(|state| {
                state.calls.push(Call { operation: "ExecSync", subject: container.to_owned() });
                state.injected("ExecSync")?;
                let exec = state.exec.clone();
                let found = state.found("ExecSync", container)?;
                if found.status.state() != ContainerState::ContainerRunning {
                    return Err(rpc("ExecSync", Code::Unknown, "container is in CONTAINER_EXITED state"));
                }
                Ok((exec, found.config.metadata.clone().unwrap_or_default().name))
            })?;
            Ok(exec(&name, &command))
        })
    }

    fn exec(&self, request: pb::ExecRequest) -> CriFuture<'_, String> {
        let url = format!("http://127.0.0.1:1/exec/{}", request.container_id);
        self.call("Exec", request.container_id, |_| Ok(url))
    }

    fn attach(&self, request: pb::AttachRequest) -> CriFuture<'_, String> {
        let url = format!("http://127.0.0.1:1/attach/{}", request.container_id);
        self.call("Attach", request.container_id, |_| Ok(url))
    }

    fn port_forward(&self, request: pb::PortForwardRequest) -> CriFuture<'_, String> {
        let url = format!("http://127.0.0.1:1/portforward/{}", request.pod_sandbox_id);
        self.call("PortForward", request.pod_sandbox_id, |_| Ok(url))
    }

    fn container_stats<'a>(&'a self, container: &'a str) -> CriFuture<'a, pb::ContainerStats> {
        self.read("ContainerStats", |state| {
            let found = state.containers.get(container).map(stats);
            found.ok_or_else(|| not_found("ContainerStats", "container", container))
        })
    }

    fn list_container_stats(&self, filter: Option<pb::ContainerStatsFilter>) -> CriFuture<'_, Vec<pb::ContainerStats>> {
        let filter = filter.unwrap_or_default();
        self.read("ListContainerStats", move |state| {
            let wanted = |found: &&FakeContainer| {
                (filter.id.is_empty() || found.status.id == filter.id)
                    && (filter.pod_sandbox_id.is_empty() || found.sandbox == filter.pod_sandbox_id)
            };
            Ok(state.containers.values().filter(wanted).map(stats).collect())
        })
    }

    fn image_status<'a>(&'a self, reference: &'a str) -> CriFuture<'a, Option<pb::Image>> {
        self.read("ImageStatus", |state| Ok(state.has_image(reference).then(|| image(reference))))
    }

    fn list_images(&self) -> CriFuture<'_, Vec<pb::Image>> {
        self.read("ListImages", |state| Ok(state.images.iter().map(|reference| image(reference)).collect()))
    }

    fn pull_image<'a>(
        &'a self,
        reference: &'a str,
        _auth: Option<pb::AuthConfig>,
        _sandbox_config: Option<pb::PodSandboxConfig>,
    ) -> CriFuture<'a, String> {
        self.call("PullImage", reference, |state| {
            if !state.pullable.contains(reference) {
                return Err(not_found("PullImage", "image", reference));
            }
            state.images.insert(reference.to_owned());
            Ok(image_id(reference))
        })
    }

    fn remove_image<'a>(&'a self, reference: &'a str) -> CriFuture<'a, ()> {
        self.call("RemoveImage", reference, |state| {
            state.images.remove(reference);
            Ok(())
        })
    }

    fn image_fs_info(&self) -> CriFuture<'_, Vec<pb::FilesystemUsage>> {
        self.read("ImageFsInfo", |_| Ok(Vec::new()))
    }
}

fn stats(found: &FakeContainer) -> pb::ContainerStats {
    pb::ContainerStats {
        attributes: Some(pb::ContainerAttributes {
            id: found.status.id.clone(),
            metadata: found.config.metadata.clone(),
            labels: found.config.labels.clone(),
            annotations: found.config.annotations.clone(),
        }),
        ..Default::default()
    }
}
