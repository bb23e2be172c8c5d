//! Pods for real: the executor between a fake agent, an API server in memory and a private containerd.
//!
//! Needs root, containerd, runc, iproute2 and the CNI plugins, and fails when one is missing. It has a `main` of its
//! own because it is two programs: the test, and the supervisor that the runtime starts from the same file.
//! Everything happens in a network namespace that ends with the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod api;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use km_base::{ObjectKey, Timestamp, Uid};
use km_cri::image::layout::{Content, Entry, ImageConfig, ImageSpec, pack};
use km_executor::runtime::{SUPERVISOR_COMMAND, supervise};
use km_executor::{
    ApiSource, Executor, ExecutorConfig, ExecutorDeps, Hooks, MesosEnvironment, PrivateRuntime, RuntimeSource,
};
use km_mesos::TaskState;
use km_net::body::{self, Body};
use km_net::client::ClientIdentity;
use km_net::pki::{Ca, Validity};
use km_net::tls::Alpn;
use km_net::{HttpClient, ServeConfig, Shutdown, TaskSet, serve_plain};
use km_podwire::{ExecutorData, HostPort, LaunchData, TASK_ID_ANNOTATION, VERSION};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::agent::Agent;
use crate::api::Api;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const IMAGE: &str = "localhost/demo:latest";
const NODE: &str = "node-1";
const KUBELET_PORT: u16 = 10_250;
/// Everything here takes seconds; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let done = match args.next() {
        Some(mode) if mode == SUPERVISOR_COMMAND => return supervise(args),
        Some(mode) if mode == "inside" => block_on(inside()),
        _ => outside(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}");
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
    tracing_subscriber::fmt().with_env_filter(std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into())).init();
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    ensure(up.success(), "no loopback in the namespace")?;
    let folder = tempfile::Builder::new().prefix("km-pods").tempdir()?;
    let world = World::start(folder.path()).await?;
    let scenes: [(&str, LocalBoxFuture<'_, Outcome>); 5] = [
        ("a pod runs to its end with what it refers to", world.runs_to_its_end().boxed_local()),
        ("a served pod is probed, reached, and deleted", world.serves_until_deleted().boxed_local()),
        ("a pod without its ConfigMap says so", world.waits_for_its_reference().boxed_local()),
        ("a memory hog is killed and says why", world.runs_out_of_memory().boxed_local()),
        ("an agent that comes back finds its tasks", world.survives_its_agent().boxed_local()),
    ];
    for (name, scene) in scenes {
        println!("test {name} ...");
        match tokio::time::timeout(PATIENCE, scene).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(format!("{name}: hangs\n{}", world.describe()).into()),
        }
    }
    println!("test shutdown ends everything ...");
    world.shuts_down(folder.path()).await
}

struct World {
    agent: Agent,
    api: Api,
    /// A caller of the kubelet endpoints who is the API server, and one who is nobody.
    api_server: HttpClient,
    stranger: HttpClient,
    hooks: Hooks,
    tasks: TaskSet,
    run: tokio::sync::Mutex<Option<tokio::task::JoinHandle<Result<(), km_executor::ExecutorError>>>>,
    socket_dir: PathBuf,
    work_dir: PathBuf,
}

impl World {
    async fn start(folder: &Path) -> Outcome<Self> {
        let demo = build_demo()?;
        let entries = vec![Entry { path: "demo".to_owned(), mode: 0o755, content: Content::File(fs::read(demo)?) }];
        let config = ImageConfig { entrypoint: vec!["/demo".to_owned()], ..ImageConfig::default() };
        let archive = pack(&ImageSpec { references: vec![IMAGE.to_owned()], layers: vec![entries], config })?;
        let tasks = TaskSet::new(Shutdown::new());
        let artifacts = TcpListener::bind("127.0.0.1:0").await?;
        let agents = TcpListener::bind("127.0.0.1:0").await?;
        let agent_endpoint = agents.local_addr()?.to_string();
        let validity = Validity::starting(now(), Duration::from_secs(3_600));
        let ca = Ca::generate("test", validity)?;
        let serving = ca.issue_server(NODE, &["127.0.0.1".to_owned()], validity)?;
        let caller = ca.issue_client("kube-apiserver-kubelet-client", None, validity)?;
        let data = ExecutorData {
            version: VERSION,
            node_name: NODE.into(),
            api_server: "https://127.0.0.1:6443".into(),
            api_server_ca: ca.certificate_pem().to_owned(),
            artifact_server: format!("http://{}", artifacts.local_addr()?),
            node_ip: "127.0.0.1".into(),
            // Alone in the namespace.
            kubelet_port: KUBELET_PORT,
            pod_cidr: "10.204.1.0/24".into(),
            cluster_cidr: "10.204.0.0/16".into(),
            service_cidr: "10.96.0.0/16".into(),
            cluster_dns: "10.96.0.10".into(),
            cluster_domain: "cluster.local".into(),
            container_runtime_endpoint: None,
        };
        let agent = Agent::new(&data);
        let served = agent.clone();
        let service = move |request: Request<Body>| {
            let agent = served.clone();
            async move { agent.call(request).await }
        };
        tasks.spawn("agent", serve_plain(agents, Arc::new(service), ServeConfig::usual(), tasks.shutdown()));
        let archive = bytes::Bytes::from(archive);
        let service = move |request: Request<Body>| {
            let archive = archive.clone();
            async move { artifact(request.uri().path(), archive) }
        };
        tasks.spawn("artifacts", serve_plain(artifacts, Arc::new(service), ServeConfig::usual(), tasks.shutdown()));
        let api = Api::new();
        api.put("nodes", json!({"metadata": {"name": NODE}}));
        let id = format!("{:08x}", std::process::id());
        let socket_dir = folder.join("run").join(&id);
        let work_dir = folder.join("work");
        let private = PrivateRuntime {
            id,
            socket_dir: socket_dir.clone(),
            path: std::env::var_os("PATH").unwrap_or_default(),
            environment: Vec::new(),
            registry_config: None,
        };
        let config = ExecutorConfig {
            mesos: MesosEnvironment {
                framework_id: Agent::framework_id().value,
                executor_id: "e1".into(),
                agent_endpoint,
                sandbox: folder.to_owned(),
                recovery_timeout: Some(Duration::from_secs(60)),
                shutdown_grace: Duration::from_secs(6),
            },
            work_dir: work_dir.clone(),
            private_dir: socket_dir.join("private"),
        };
        let deps = ExecutorDeps {
            api: ApiSource::Given(Arc::new(api.clone()), Some(serving)),
            runtime: RuntimeSource::Configured(private),
        };
        let (executor, hooks) = Executor::new(config, deps);
        let run = tokio::spawn(executor.run(Shutdown::new()));
        agent.wait(|agent| !agent.subscriptions().is_empty()).await;
        let identity =
            ClientIdentity { ca_pem: Some(ca.certificate_pem().to_owned()), credential: Some(caller), bearer: None };
        let api_server = HttpClient::new(&identity, Alpn::Http1, 5_000)?;
        let stranger = ClientIdentity { credential: None, ..identity };
        let stranger = HttpClient::new(&stranger, Alpn::Http1, 5_000)?;
        Ok(Self {
            agent,
            api,
            api_server,
            stranger,
            hooks,
            tasks,
            run: tokio::sync::Mutex::new(Some(run)),
            socket_dir,
            work_dir,
        })
    }

    /// Launches a pod and binds it once it is starting, as the framework does.
    async fn launch(&self, name: &str, spec: Value, ports: Vec<HostPort>) -> String {
        let uid = format!("uid-{name}");
        let task_id = format!("{uid}.1.1");
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"namespace": "default", "name": name, "uid": uid, "labels": {"app": name}}});
        self.api.put("pods", pod.clone());
        let key = ObjectKey::namespaced("default", name);
        let launch = LaunchData { version: VERSION, uid: Uid(uid), key, ports, bootstrap_token: None };
        self.agent.launch(&task_id, &launch).await;
        self.agent.wait(|agent| agent.states(&task_id).contains(&TaskState::Starting)).await;
        pod["spec"]["nodeName"] = json!(NODE);
        pod["metadata"]["annotations"] = json!({ TASK_ID_ANNOTATION: task_id });
        self.api.put("pods", pod);
        task_id
    }

    fn phase(&self, name: &str) -> String {
        let pod = self.api.get("pods", "default", name).unwrap_or_default();
        pod["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    fn log(&self, name: &str, container: &str) -> String {
        let path = self.work_dir.join(format!("pods/default_{name}_uid-{name}/{container}/0.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    fn delete(&self, name: &str) {
        let mut pod = self.api.get("pods", "default", name).unwrap_or_default();
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(5);
        self.api.put("pods", pod);
    }

    fn describe(&self) -> String {
        let pods = ["batch", "web", "late", "hog", "stay"].iter().filter_map(|name| {
            let pod = self.api.get("pods", "default", name)?;
            Some(format!("{name}: {}\nevents: {:?}", pod["status"], self.api.reasons(name)))
        });
        pods.collect::<Vec<_>>().join("\n")
    }

    async fn runs_to_its_end(&self) -> Outcome {
        self.api.put(
            "configmaps",
            json!({"metadata": {"namespace": "default", "name": "conf"},
            "data": {"greeting": "hello", "file.txt": "from a file"}}),
        );
        self.api.put(
            "secrets",
            json!({"metadata": {"namespace": "default", "name": "keys"},
            "data": {"password": "c2VzYW1l"}}),
        );
        self.api.put(
            "services",
            json!({"metadata": {"namespace": "default", "name": "kubernetes"},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443}]}}),
        );
        let mounts = json!([{"name": "conf", "mountPath": "/conf"}, {"name": "all", "mountPath": "/all"},
            {"name": "shared", "mountPath": "/shared"}]);
        let task = self
            .launch(
                "batch",
                json!({
                    "restartPolicy": "Never",
                    "initContainers": [{"name": "first", "image": "localhost/demo", "args": ["echo", "prepared"]}],
                    "containers": [
                        {"name": "env", "image": "localhost/demo", "args": ["env"], "env": [
                            {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "greeting"}}},
                            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
                            {"name": "BOTH", "value": "$(GREETING)-$(NODE)-$(KUBERNETES_SERVICE_HOST)"},
                            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                        ]},
                        {"name": "files", "image": "localhost/demo", "volumeMounts": mounts, "args": ["cat",
                            "/conf/file.txt", "/all/token", "/all/labels", "/all/secret/password", "/etc/hosts",
                            "/etc/resolv.conf"]},
                    ],
                    "volumes": [
                        {"name": "conf", "configMap": {"name": "conf"}},
                        {"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                        {"name": "all", "projected": {"sources": [
                            {"serviceAccountToken": {"path": "token"}},
                            {"secret": {"name": "keys", "items": [{"key": "password", "path": "secret/password"}]}},
                            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                        ]}},
                    ],
                }),
                Vec::new(),
            )
            .await;
        self.agent.wait(|agent| agent.states(&task).last().is_some_and(|state| state.is_terminal())).await;
        ensure(self.agent.states(&task).last() == Some(&TaskState::Finished), self.describe())?;
        ensure(self.phase("batch") == "Succeeded", "the status is stored before the task finishes")?;
        let env = self.log("batch", "env");
        for line in ["GREETING=hello", "PASSWORD=sesame", "BOTH=hello-$(NODE)-10.96.0.1", "NODE=node-1", "IP=10.204.1."]
        {
            ensure(env.contains(line), format!("no {line} in {env}"))?;
        }
        let files = self.log("batch", "files");
        for text in ["from a file", "secret-token", "app=\"batch\"", "sesame", "\tbatch", "nameserver 10.96.0.10"] {
            ensure(files.contains(text), format!("no {text} in {files}"))?;
        }
        ensure(self.log("batch", "first").contains("prepared"), "the init container ran")?;
        self.api
            .wait(|api| {
                let reasons = api.reasons("batch");
                ["Pulling", "Pulled", "Created", "Started"].iter().all(|r| reasons.iter().any(|o| o == r)).then_some(())
            })
            .await;
        // It is kept for its logs until its object is deleted.
        self.delete("batch");
        self.api.wait(|api| api.get("pods", "default", "batch").is_none().then_some(())).await;
        Ok(())
    }

    async fn serves_until_deleted(&self) -> Outcome {
        let probe = json!({"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1});
        let ports =
            vec![HostPort { container: "web".into(), container_port: 8080, host_port: 31_000, protocol: "TCP".into() }];
        let spec = json!({"terminationGracePeriodSeconds": 5, "containers": [{"name": "web", "image": "localhost/demo",
            "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe, "livenessProbe": probe,
            "securityContext": {"runAsUser": 1000, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
            "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}}}]});
        let task = self.launch("web", spec, ports).await;
        let ip = self
            .api
            .wait(|api| {
                let status = api.get("pods", "default", "web")?["status"].clone();
                let ready = |c: &&Value| c["type"] == "Ready" && c["status"] == "True";
                status["conditions"].as_array()?.iter().find(ready)?;
                Some(status["podIP"].as_str()?.to_owned())
            })
            .await;
        let published = self.hooks.host_ports.borrow().clone();
        ensure(published.len() == 1 && published[0].pod_ip == ip && published[0].host_port == 31_000, "host port")?;
        ensure(self.agent.states(&task).contains(&TaskState::Running), "Mesos knows that it runs")?;
        self.reads_logs_and_executes().await?;
        self.delete("web");
        self.api.wait(|api| api.get("pods", "default", "web").is_none().then_some(())).await;
        self.agent.wait(|agent| agent.states(&task).last() == Some(&TaskState::Killed)).await;
        ensure(self.hooks.host_ports.borrow().is_empty(), "the host port is given back")?;
        ensure(!self.work_dir.join("volumes/uid-web/volume").exists(), "volumes are removed")
    }

    async fn reads_logs_and_executes(&self) -> Outcome {
        let url = |rest: &str| format!("https://127.0.0.1:{KUBELET_PORT}{rest}");
        let get = |rest: &str| Request::get(url(rest)).body(body::empty());
        let log = "/containerLogs/default/web/web?tailLines=1";
        let refused = self.stranger.fetch(get(log)?, 5_000, 1 << 20).await?;
        ensure(refused.status() == StatusCode::UNAUTHORIZED, "a stranger is refused")?;
        let answer = self.api_server.fetch(get(log)?, 5_000, 1 << 20).await?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        ensure(answer.status() == StatusCode::OK && text.lines().count() == 1, format!("log {text:?}"))?;
        let missing = self.api_server.fetch(get("/containerLogs/default/none/web")?, 5_000, 1 << 20).await?;
        ensure(missing.status() == StatusCode::NOT_FOUND, "no such pod")?;

        // v5 alone, without input: what kubectl asks first.
        let exec = Request::get(url("/exec/default/web/web?command=/demo&command=exit&command=7&output=1&error=1"))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Protocol", "v5.channel.k8s.io")
            .body(body::empty())?;
        let mut answer = self.api_server.send(exec).await?;
        ensure(answer.status() == StatusCode::SWITCHING_PROTOCOLS, format!("exec answered {}", answer.status()))?;
        ensure(answer.headers()["sec-websocket-protocol"] == "v5.channel.k8s.io", "the protocol asked for")?;
        let mut stream = TokioIo::new(hyper::upgrade::on(&mut answer).await?);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        ensure(text.contains("NonZeroExitCode") && text.contains("\"7\""), format!("exec ended with {text:?}"))
    }

    async fn waits_for_its_reference(&self) -> Outcome {
        let spec = json!({"restartPolicy": "Never", "containers": [{"name": "late", "image": "localhost/demo",
            "args": ["env"], "envFrom": [{"configMapRef": {"name": "missing"}}]}]});
        self.launch("late", spec, Vec::new()).await;
        let message = self
            .api
            .wait(|api| {
                let waiting =
                    api.get("pods", "default", "late")?["status"]["containerStatuses"][0]["state"]["waiting"].clone();
                (waiting["reason"] == "CreateContainerConfigError").then(|| waiting["message"].clone())
            })
            .await;
        ensure(message == "configmap \"missing\" not found", format!("message {message}"))?;
        self.delete("late");
        self.api.wait(|api| api.get("pods", "default", "late").is_none().then_some(())).await;
        Ok(())
    }

    async fn runs_out_of_memory(&self) -> Outcome {
        let spec = json!({"restartPolicy": "Never", "containers": [{"name": "hog", "image": "localhost/demo",
            "args": ["alloc", "128"], "resources": {"limits": {"memory": "32Mi"}}}]});
        let task = self.launch("hog", spec, Vec::new()).await;
        self.agent.wait(|agent| agent.states(&task).last().is_some_and(|state| state.is_terminal())).await;
        ensure(self.agent.states(&task).last() == Some(&TaskState::Failed), self.describe())?;
        let pod = self.api.get("pods", "default", "hog").unwrap_or_default();
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        ensure(ended["reason"] == "OOMKilled" && ended["exitCode"] == 137, format!("ended with {ended}"))
    }

    async fn survives_its_agent(&self) -> Outcome {
        let spec = json!({"containers": [{"name": "stay", "image": "localhost/demo"}]});
        let task = self.launch("stay", spec, Vec::new()).await;
        self.agent.wait(|agent| agent.states(&task).contains(&TaskState::Running)).await;
        let before = self.agent.subscriptions().len();
        let began = std::time::Instant::now();
        self.agent.disconnect().await;
        self.agent.wait(|agent| agent.subscriptions().len() > before).await;
        ensure(began.elapsed() < Duration::from_secs(2), "the agent would have given the executor up")?;
        ensure(self.phase("stay") == "Running", "the pod did not notice")
    }

    async fn shuts_down(&self, folder: &Path) -> Outcome {
        self.agent.shut_down().await;
        let run = self.run.lock().await.take().ok_or("it runs once")?;
        tokio::time::timeout(PATIENCE, run).await???;
        ensure(self.agent.states("uid-stay.1.1").last() == Some(&TaskState::Killed), "Mesos knows the end")?;
        ensure(self.phase("stay") == "Running", "the pod may be launched again")?;
        ensure(!self.work_dir.join("ledger").exists(), "what holds tokens is not in the sandbox")?;
        ensure(!self.socket_dir.exists(), "the runtime is swept, and the keys are gone")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mark = folder.display().to_string();
        ensure(!mounts.contains(&mark), "mounts are left")?;
        self.tasks.shutdown().begin();
        Ok(())
    }
}

fn now() -> Timestamp {
    let age = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_micros(i64::try_from(age.as_micros()).unwrap_or(0))
}

fn artifact(path: &str, archive: bytes::Bytes) -> Response<Body> {
    match path {
        "/images/index.json" => {
            let index = json!([{"reference": IMAGE, "digest": "", "size": archive.len(), "file": "demo.tar"}]);
            Response::new(body::full(index.to_string()))
        }
        "/images/demo.tar" => Response::new(body::full(archive)),
        _ => Response::builder().status(StatusCode::NOT_FOUND).body(body::empty()).expect("response"),
    }
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

fn ensure(holds: bool, otherwise: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into().into()) }
}
