//! Starts and stops servers, and finds kubectl.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use km_api::Identity;
use km_api::identity::SYSTEM_MASTERS;
use km_apiserver::{ApiServer, ApiServerConfig, ApiServerDeps, Service, Storage, write_kubeconfig};
use km_base::Timestamp;
use km_client::Client;
use km_net::pki::Ca;
use km_net::{ServeConfig, Shutdown};
use km_registry::{PortRange, ServiceCidr};
use tokio::net::TcpListener;

/// How long any step may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub(crate) service: Arc<Service>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) ca: Arc<Ca>,
    pub(crate) url: String,
    shutdown: Shutdown,
    running: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Starts a server on the state in `dir`.
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::start_on(dir, Arc::new(km_store::OsDisk)).await
    }

    /// Starts a server on a disk that the test controls.
    pub(crate) async fn start_on(dir: &Path, disk: Arc<dyn km_store::Disk>) -> Self {
        let store = dir.join("store");
        let storage = tokio::task::spawn_blocking(move || Storage::open_on(store, disk)).await.unwrap().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let config = ApiServerConfig {
            pki_dir: dir.join("pki"),
            advertise_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            host_name: String::new(),
            extra_names: Vec::new(),
            cluster_domain: "cluster.local".into(),
            service_cidr: ServiceCidr { network: Ipv4Addr::new(10, 96, 0, 0), prefix_len: 16 },
            node_ports: PortRange { first: 30_000, last: 32_767 },
            default_resources: true,
            serve: ServeConfig { drain_ms: 2_000, ..ServeConfig::usual() },
        };
        let clock = Arc::new(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap())
        });
        let server = ApiServer::new(config, ApiServerDeps { listener, storage, clock }).await.unwrap();
        let kubeconfig = dir.join("admin.kubeconfig");
        write_kubeconfig(&kubeconfig, &server.admin_kubeconfig().unwrap()).unwrap();
        let (service, shutdown) = (server.service(), Shutdown::new());
        let (ca, url) = (server.ca(), server.url());
        let stop = shutdown.clone();
        let running = tokio::spawn(async move { server.run(stop).await.unwrap() });
        Self { service, kubeconfig, ca, url, shutdown, running }
    }

    /// Returns an administrator's client in this process.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.service.in_process(Identity::authenticated("admin", &[SYSTEM_MASTERS])))
    }

    /// Returns a client over the network: with a token, or anonymous.
    pub(crate) fn network(&self, token: Option<&str>) -> Client {
        let endpoint = km_client::Endpoint {
            url: self.url.clone(),
            ca_pem: self.ca.certificate_pem().to_owned(),
            certificate: None,
            token: token.map(str::to_owned),
        };
        Client::new(Arc::new(km_client::NetworkBackend::new(&endpoint).unwrap()))
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
    }

    /// Runs kubectl as the administrator; fails the test when it fails.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, "").await
    }

    /// Runs kubectl with an input.
    pub(crate) async fn kubectl_with(&self, arguments: &[&str], input: &str) -> String {
        let output = self.try_kubectl(arguments, input).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "kubectl {arguments:?}:\n{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs kubectl with a command as the editor; fails the test when it fails.
    pub(crate) async fn edit(&self, arguments: &[&str], editor: &str) {
        let output = self.spawn_kubectl(arguments, "", editor).await;
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs kubectl, whatever comes of it.
    pub(crate) async fn try_kubectl(&self, arguments: &[&str], input: &str) -> Output {
        self.spawn_kubectl(arguments, input, "false").await
    }

    async fn spawn_kubectl(&self, arguments: &[&str], input: &str, editor: &str) -> Output {
        use tokio::io::AsyncWriteExt;
        let mut child = tokio::process::Command::new(kubectl())
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--cache-dir", self.kubeconfig.with_extension("cache").to_str().unwrap()])
            .args(arguments)
            .env("KUBE_EDITOR", editor)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("kubectl ends in time").unwrap()
    }
}

/// Finds kubectl: `KM_KUBECTL`, what `make tools` fetched, or the machine's.
fn kubectl() -> PathBuf {
    if let Some(path) = std::env::var_os("KM_KUBECTL") {
        return path.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
    let fetched = root.join("target/tools/kubectl");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(fetched)
        .chain(std::env::split_paths(&path).map(|dir| dir.join("kubectl")))
        .find(|candidate| candidate.is_file())
        .expect("these tests need kubectl: `make tools` fetches it, or set KM_KUBECTL to one")
}

/// Makes a backend over the network from an administrator's kubeconfig.
pub(crate) fn network(kubeconfig: &serde_json::Value) -> km_client::NetworkBackend {
    use base64::Engine;
    let pem = |pointer: &str| {
        let encoded = kubeconfig.pointer(pointer).unwrap().as_str().unwrap();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()).unwrap()
    };
    let endpoint = km_client::Endpoint {
        url: kubeconfig.pointer("/clusters/0/cluster/server").unwrap().as_str().unwrap().to_owned(),
        ca_pem: pem("/clusters/0/cluster/certificate-authority-data"),
        certificate: Some((pem("/users/0/user/client-certificate-data"), pem("/users/0/user/client-key-data"))),
        token: None,
    };
    km_client::NetworkBackend::new(&endpoint).unwrap()
}
