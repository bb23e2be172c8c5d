//! Brings the executor's two halves up beside its loop: the container runtime, and an identity for the API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use km_base::{Backoff, Uid, chain};
use km_client::{Backend, Client, Endpoint, NetworkBackend};
use km_cri::image::import::{ImportTarget, import};
use km_cri::image::pause::{self, REFERENCE as PAUSE_REFERENCE};
use km_cri::{Cri, CriClient, CriTimeouts};
use km_net::pki::Credential;
use km_podwire::ExecutorData;
use tokio::sync::watch;
use tracing::warn;

use crate::context::{RuntimeAccess, now};
use crate::identity::{self, Kind};
use crate::runtime::capabilities::BoundingSet;
use crate::runtime::cgroup::{CgroupRoot, Limits};
use crate::runtime::{self, PodNetwork, RuntimeConfig};

/// Waits between attempts; nothing can run before both halves are up, so they go on for ever.
const RETRY: Backoff = Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(10) };

/// Refusals of the bootstrap token in a row after which no more is hoped for: some half a minute.
const TOKEN_REFUSALS_MAX: u32 = 6;

/// How long an executor without identity waits for a token each time. Its first task brings one, unless the framework
/// took it for an executor that lives: a task that was on the way when that one died starts a new one in its name.
const TOKEN_WAIT: Duration = Duration::from_secs(5);

/// How the executor gets its runtime.
#[derive(Clone)]
pub enum RuntimeSource {
    /// The framework's choice: its endpoint, or a private containerd with these settings.
    Configured(PrivateRuntime),
    /// One that is there already, as in tests.
    Given(RuntimeAccess),
}

/// Where a private containerd lives.
#[derive(Clone, Debug)]
pub struct PrivateRuntime {
    /// Tells this runtime from others on the host: at most 8 of `[0-9a-f]`.
    pub id: String,
    /// Short folder for sockets, e.g. `/run/km/<id>`.
    pub socket_dir: PathBuf,
    /// PATH's value, to search programs in.
    pub path: std::ffi::OsString,
    /// Variables to pass to containerd besides PATH: proxies for pulling.
    pub environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    /// A folder of `hosts.toml` files for registries, if there is one.
    pub registry_config: Option<PathBuf>,
}

/// How the executor reaches the API server.
#[derive(Clone)]
pub enum ApiSource {
    /// By HTTPS, with a certificate that a bootstrap token buys.
    Network,
    /// A backend, and a serving certificate, that are there already, as in tests.
    Given(Arc<dyn Backend>, Option<Credential>),
}

/// A runtime with its keeper, if it is a private one.
pub(crate) struct Up {
    pub(crate) access: RuntimeAccess,
    pub(crate) private: Option<runtime::Runtime>,
}

/// Starts or finds the runtime; tries until it is there.
pub(crate) async fn runtime(source: RuntimeSource, data: &ExecutorData, work_dir: PathBuf, bridge_id: &str) -> Up {
    let mut failures = 0;
    loop {
        let attempt = match &source {
            RuntimeSource::Given(access) => return Up { access: access.clone(), private: None },
            RuntimeSource::Configured(_) if data.container_runtime_endpoint.is_some() => {
                existing(data, bridge_id).await
            }
            RuntimeSource::Configured(private) => own(private, data, work_dir.clone()).await,
        };
        match attempt {
            Ok(up) => return up,
            Err(error) => {
                failures += 1;
                warn!(error, failures, "the container runtime is not up");
                tokio::time::sleep(RETRY.delay(failures)).await;
            }
        }
    }
}

async fn existing(data: &ExecutorData, id: &str) -> Result<Up, String> {
    let endpoint = data.container_runtime_endpoint.as_deref().unwrap_or_default();
    let cri = CriClient::connect(endpoint, CriTimeouts::kubelet()).await.map_err(|error| chain(&error).to_string())?;
    let cgroups =
        CgroupRoot::locate_for_foreign_runtime(&format!("km-{id}")).map_err(|error| chain(&error).to_string())?;
    cgroups.create().map_err(|error| chain(&error).to_string())?;
    let socket = km_cri::socket_path(endpoint).map_err(|error| chain(&error).to_string())?;
    let target = ImportTarget { ctr: PathBuf::from("ctr"), socket };
    Ok(Up { access: access(Arc::new(cri), Some(target), cgroups), private: None })
}

async fn own(private: &PrivateRuntime, data: &ExecutorData, work_dir: PathBuf) -> Result<Up, String> {
    let config = RuntimeConfig {
        id: private.id.clone(),
        work_dir: work_dir.clone(),
        socket_dir: private.socket_dir.clone(),
        pause_image: PAUSE_REFERENCE.to_owned(),
        network: Some(PodNetwork { subnet: data.pod_cidr.clone(), mtu: None }),
        registry_config: private.registry_config.clone(),
        path: private.path.clone(),
        environment: private.environment.clone(),
    };
    let started = runtime::Runtime::start(config).await.map_err(|error| chain(&error).to_string())?;
    let client = CriClient::connect(&started.endpoint(), CriTimeouts::kubelet()).await;
    let cri: Arc<dyn Cri> = Arc::new(client.map_err(|error| chain(&error).to_string())?);
    let target = started.import_target();
    ensure_pause(cri.as_ref(), &target, &work_dir).await?;
    let access = access(cri, Some(target), started.cgroups().clone());
    Ok(Up { access, private: Some(started) })
}

/// Imports the sandbox image, which no registry is needed for.
async fn ensure_pause(cri: &dyn Cri, target: &ImportTarget, work_dir: &std::path::Path) -> Result<(), String> {
    let found = cri.image_status(PAUSE_REFERENCE).await.map_err(|error| error.to_string())?;
    if found.is_some() {
        return Ok(());
    }
    let archive = pause::archive().map_err(|error| chain(&error).to_string())?;
    let file = work_dir.join("pause.tar");
    tokio::fs::write(&file, archive).await.map_err(|error| error.to_string())?;
    let imported = import(target, cri, &file).await.map_err(|error| chain(&error).to_string());
    let _ = tokio::fs::remove_file(&file).await;
    imported.map(drop)
}

fn access(cri: Arc<dyn Cri>, import: Option<ImportTarget>, cgroups: CgroupRoot) -> RuntimeAccess {
    let making = cgroups.clone();
    let cgroup_parent = move |uid: &Uid| match making.create_pod(&format!("pod{uid}"), &Limits::default()) {
        Ok(parent) => Some(parent),
        Err(error) => {
            warn!(%uid, error = %chain(&error), "failed to make the pod's cgroup");
            None
        }
    };
    let cgroup_remove = move |uid: &Uid| {
        if let Err(error) = cgroups.remove_pod(&format!("pod{uid}")) {
            warn!(%uid, error = %chain(&error), "failed to remove the pod's cgroup");
        }
    };
    let may_lower = BoundingSet::of_self().is_ok_and(BoundingSet::may_lower_oom_score);
    RuntimeAccess {
        cri,
        import,
        cgroup_parent: Arc::new(cgroup_parent),
        cgroup_remove: Arc::new(cgroup_remove),
        oom_score_adj_min: if may_lower { -1_000 } else { 0 },
    }
}

/// Gets a client with the node's identity, and a serving certificate; tries until they are there.
///
/// `token` holds the newest bootstrap token that Mesos brought. `None` when the API server refuses it for good: an
/// executor that lives gets no other, but a new one would.
pub(crate) async fn identity(
    source: ApiSource,
    data: &ExecutorData,
    private_dir: PathBuf,
    mut token: watch::Receiver<Option<String>>,
) -> Option<(Client, Option<Credential>)> {
    if let ApiSource::Given(backend, serving) = source {
        return Some((Client::new(backend), serving));
    }
    let (mut failures, mut refusals) = (0, 0);
    loop {
        match network(data, &private_dir, &mut token).await {
            Ok((client, serving)) => return Some((client, Some(serving))),
            Err(NoIdentity { error, token_refused }) => {
                failures += 1;
                refusals = if token_refused { refusals + 1 } else { 0 };
                warn!(error, failures, "no identity yet");
                if refusals >= TOKEN_REFUSALS_MAX {
                    return None;
                }
                tokio::time::sleep(RETRY.delay(failures)).await;
            }
        }
    }
}

struct NoIdentity {
    error: String,
    token_refused: bool,
}

impl From<String> for NoIdentity {
    fn from(error: String) -> Self {
        Self { error, token_refused: false }
    }
}

async fn network(
    data: &ExecutorData,
    private_dir: &std::path::Path,
    token: &mut watch::Receiver<Option<String>>,
) -> Result<(Client, Credential), NoIdentity> {
    let endpoint =
        Endpoint { url: data.api_server.clone(), ca_pem: data.api_server_ca.clone(), certificate: None, token: None };
    let connect = |endpoint: Endpoint| {
        let backend = NetworkBackend::new(&endpoint).map_err(|error| chain(&error).to_string())?;
        Ok::<_, String>(Client::new(Arc::new(backend)))
    };
    let credential = match identity::kept(private_dir, Kind::Client, now()) {
        Some(credential) => credential,
        None => {
            let token = match tokio::time::timeout(TOKEN_WAIT, token.wait_for(Option::is_some)).await {
                Ok(token) => token.map_err(|_| "the executor ends".to_owned())?.clone(),
                Err(_) => {
                    return Err(NoIdentity {
                        error: "no task brought a bootstrap token".to_owned(),
                        token_refused: true,
                    });
                }
            };
            let bootstrap = connect(Endpoint { token, ..endpoint.clone() })?;
            let obtained = identity::obtain(&bootstrap, data, private_dir, Kind::Client).await;
            obtained
                .map_err(|error| NoIdentity { token_refused: error.is_refusal(), error: chain(&error).to_string() })?
        }
    };
    let certificate = Some((credential.certificate_pem, credential.key_pem));
    let client = connect(Endpoint { certificate, ..endpoint })?;
    let serving = match identity::kept(private_dir, Kind::Serving, now()) {
        Some(serving) => serving,
        None => {
            let obtained = identity::obtain(&client, data, private_dir, Kind::Serving).await;
            obtained.map_err(|error| chain(&error).to_string())?
        }
    };
    Ok((client, serving))
}
