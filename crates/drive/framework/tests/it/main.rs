//! The real driver against an API and a Mesos in memory: a pod's way from its creation to its end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod mesos;
mod sim;

use std::sync::Arc;
use std::time::Duration;

use km_client::Client;
use km_framework::{ClusterNetwork, Framework, FrameworkConfig, FrameworkDeps, FrameworkError, Timings, status};
use km_net::Shutdown;
use km_scheduler::{PortMapping, Scoring};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::api::Api;
use crate::mesos::FakeMesos;

/// Far above what any step takes: a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

struct Cluster {
    api: Arc<Api>,
    mesos: Arc<FakeMesos>,
    url: String,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), FrameworkError>>,
    folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        Self::start_on(Arc::new(Api::default()), Arc::new(FakeMesos::default())).await
    }

    async fn start_on(api: Arc<Api>, mesos: Arc<FakeMesos>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("km");
        std::fs::write(&binary, vec![7u8; 1_000_000]).unwrap();
        std::fs::write(folder.path().join("pause.tar"), km_cri::image::pause::archive().unwrap()).unwrap();
        let artifacts = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", artifacts.local_addr().unwrap());
        let config = FrameworkConfig {
            framework_name: "Kubernetes".into(),
            user: "root".into(),
            principal: None,
            roles: vec!["*".into()],
            scheduler_name: "default-scheduler".into(),
            executor_cpu_milli: 250,
            executor_mem_mb: 128,
            pods_max: 110,
            port_mapping: PortMapping::Fixed,
            scoring: Scoring::LeastAllocated,
            artifact_server: url.clone(),
            api_server: "https://127.0.0.1:6443".into(),
            api_server_ca: "ca".into(),
            network: ClusterNetwork {
                cluster_cidr: "10.244.0.0/16".into(),
                service_cidr: "10.96.0.0/16".into(),
                cluster_dns: "10.96.0.10".into(),
                cluster_domain: "cluster.local".into(),
            },
            container_runtime_endpoint: None,
            binary,
            images: Some(folder.path().to_owned()),
            timings: Timings { poll_interval_ms: 100, idle_after_ms: 200, ..Timings::usual() },
        };
        let deps = FrameworkDeps { client: Client::new(api.clone()), mesos: mesos.clone(), artifacts };
        let shutdown = Shutdown::new();
        let framework = Framework::new(config, deps).unwrap();
        let running = tokio::spawn(framework.run(shutdown.clone()));
        Self { api, mesos, url, shutdown, running, folder }
    }

    async fn stop(self) {
        self.shutdown.begin();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap().unwrap();
    }
}

fn pod(name: &str, spec: serde_json::Value) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "default", "uid": format!("uid-{name}") },
        "spec": spec, "status": { "phase": "Pending" } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_goes_all_the_way() {
    let cluster = Cluster::start().await;
    let (api, mesos) = (&cluster.api, &cluster.mesos);
    api.put("pods", pod("web", json!({ "containers": [{ "name": "c" }] })));

    // The agent becomes a Node; the offer becomes a launch, with the token made first.
    let node = api.wait_for("nodes", "n1", |n| n["status"]["conditions"][0]["status"] == "True").await;
    assert_eq!(node["spec"]["podCIDR"], "10.244.0.0/24");
    assert_eq!(node["status"]["allocatable"]["cpu"], "3750m");
    mesos.wait_for_call("REVIVE").await;
    mesos.offer("o1");
    let accept = mesos.wait_for_call("ACCEPT").await.accept.unwrap();
    let task = accept.operations[0].launch.as_ref().unwrap().task_infos[0].clone();
    assert_eq!(task.name, "web.default.pod");
    let data = km_podwire::LaunchData::decode(task.data.as_ref().unwrap()).unwrap();
    let token = data.bootstrap_token.unwrap();
    assert!(api.get("secrets", &format!("bootstrap-token-{}", &token[..6])).is_some());
    assert!(api.get("pods", "web").unwrap()["spec"]["nodeName"].is_null(), "bound before the executor has it");

    // The executor has it: the Binding, then the acknowledgement.
    mesos.update(&task.task_id, km_mesos::TaskState::Starting);
    let acknowledged = mesos.wait_for_call("ACKNOWLEDGE").await.acknowledge.unwrap();
    assert_eq!(acknowledged.task_id, task.task_id);
    let bound = api.get("pods", "web").unwrap();
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["metadata"]["annotations"]["k8s.mesosphere.io/taskId"], task.task_id.value);
    api.wait_for_event("Successfully assigned default/web to n1").await;

    // What it does then is acknowledged when the API shows it.
    mesos.update(&task.task_id, km_mesos::TaskState::Running);
    api.change("pods", "web", json!({ "status": { "phase": "Running" } }));
    mesos.wait_for_call("ACKNOWLEDGE").await;
    let seen = status::status(&cluster.url).await.unwrap();
    assert_eq!(seen["tasks"][0]["stage"], "bound");
    assert!(status::text(&seen).contains("default/web"), "{}", status::text(&seen));

    // Nothing waits: no more offers are wanted.
    mesos.wait_for_call("SUPPRESS").await;

    // A deleted pod's task is killed, and its end acknowledged.
    api.delete("pods", "web");
    assert_eq!(mesos.wait_for_call("KILL").await.kill.unwrap().task_id, task.task_id);
    mesos.update(&task.task_id, km_mesos::TaskState::Killed);
    mesos.wait_for_call("ACKNOWLEDGE").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_cannot_be_placed_says_why() {
    let cluster = Cluster::start().await;
    cluster.api.put(
        "pods",
        pod("big", json!({ "containers": [{ "name": "c", "resources": { "requests": { "memory": "64Gi" } } }] })),
    );
    let reason = "0/1 agents fit: 1 has 3968Mi in all of 64Gi asked";
    let said = |p: &serde_json::Value| p["status"]["conditions"][0]["message"] == reason;
    cluster.api.wait_for("pods", "big", said).await;
    cluster.api.wait_for_event(reason).await;
    let status = status::status(&cluster.url).await.unwrap();
    let why = status::why(&status, &km_base::ObjectKey::namespaced("default", "big"));
    assert_eq!(why, format!("default/big waits: {reason}"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_run_takes_over_with_the_same_framework_id_and_the_next_epoch() {
    let first = Cluster::start().await;
    let (api, mesos) = (first.api.clone(), first.mesos.clone());
    let before = mesos.wait_for_call("SUBSCRIBE").await.framework_id.unwrap();
    api.wait_for("nodes", "n1", |_| true).await;
    first.stop().await;
    let bound = json!({ "containers": [{ "name": "c" }], "nodeName": "n1" });
    let mut lost = pod("lost", bound);
    lost["metadata"]["annotations"] = json!({ "k8s.mesosphere.io/taskId": "uid-lost.1.1" });
    api.put("pods", lost);

    let second = Cluster::start_on(api.clone(), mesos.clone()).await;
    let after = mesos.wait_for_call("SUBSCRIBE").await.framework_id.unwrap();
    assert_eq!(before, after);
    // Its task is not known to Mesos any more: launched again on its agent, under a new ID.
    mesos.wait_for_call("REVIVE").await;
    mesos.offer("o1");
    let accept = mesos.wait_for_call("ACCEPT").await.accept.unwrap();
    let task = &accept.operations[0].launch.as_ref().unwrap().task_infos[0];
    assert!(task.task_id.value.starts_with("uid-lost.2."), "{}", task.task_id);
    mesos.update(&task.task_id, km_mesos::TaskState::Starting);
    mesos.wait_for_call("ACKNOWLEDGE").await;
    let annotations = api.get("pods", "lost").unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations["k8s.mesosphere.io/taskId"], task.task_id.value);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_subscription_is_opened_again() {
    let cluster = Cluster::start().await;
    cluster.mesos.wait_for_call("SUBSCRIBE").await;
    cluster.mesos.break_off();
    cluster.mesos.wait_for_call("SUBSCRIBE").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_scheduler_that_takes_over_ends_this_one() {
    let cluster = Cluster::start().await;
    cluster.mesos.wait_for_call("SUBSCRIBE").await;
    cluster.mesos.error("Framework failed over");
    let ended = tokio::time::timeout(PATIENCE, cluster.running).await.unwrap().unwrap();
    assert!(matches!(ended, Err(FrameworkError::Ended { .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_and_executors_fetch_what_they_need() {
    use km_net::client::{ClientIdentity, HttpClient};
    let cluster = Cluster::start().await;
    let identity = ClientIdentity { ca_pem: None, credential: None, bearer: None };
    let client = HttpClient::new(&identity, km_net::tls::Alpn::Http1, 5_000).unwrap();
    let fetch = async |path: &str| {
        let request = http::Request::get(format!("{}{path}", cluster.url)).body(km_net::body::empty()).unwrap();
        let answer = client.fetch(request, 5_000, 64 << 20).await.unwrap();
        (answer.status().as_u16(), answer.into_body())
    };
    assert_eq!(fetch("/healthz").await.0, 200);
    let (code, binary) = fetch("/km").await;
    assert_eq!((code, binary.len()), (200, 1_000_000));
    let index: serde_json::Value = serde_json::from_slice(&fetch("/images/index.json").await.1).unwrap();
    let file = index[0]["file"].as_str().unwrap();
    let image = std::fs::read(cluster.folder.path().join(file)).unwrap();
    assert_eq!(fetch(&format!("/images/{file}")).await, (200, image.into()));
    assert_eq!(fetch("/images/..%2Fkm").await.0, 404);
    assert_eq!(fetch("/images/missing.tar").await.0, 404);
    let (_, metrics) = fetch("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics).contains("km_scheduler_pods_waiting 0"));
    let (_, tasks) = fetch("/debug/registry/tasks").await;
    assert_eq!(&tasks[..], b"task_count=0\n");
    cluster.stop().await;
}
