//! What every task of the executor needs: who the node is, the way to the API and to the runtime, the folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use km_base::{ObjectKey, Timestamp, Uid};
use km_client::Client;
use km_cri::Cri;
use km_cri::image::import::ImportTarget;
use km_kinds::api::core::v1::Pod;
use km_podwire::ExecutorData;
use tokio::sync::{mpsc, watch};

use crate::owner::Message;
use crate::services::Services;

/// Label of everything that this executor makes in the runtime: the node's name.
pub(crate) const NODE_LABEL: &str = "k8s.mesosphere.io/node";
/// Labels by which every tool that looks at CRI finds pods; a kubelet writes the same.
pub(crate) const POD_NAME_LABEL: &str = "io.kubernetes.pod.name";
/// Namespace of the pod.
pub(crate) const POD_NAMESPACE_LABEL: &str = "io.kubernetes.pod.namespace";
/// UID of the pod.
pub(crate) const POD_UID_LABEL: &str = "io.kubernetes.pod.uid";
/// Name of the container.
pub(crate) const CONTAINER_NAME_LABEL: &str = "io.kubernetes.container.name";
/// Annotation: the container's attempt.
pub(crate) const RESTART_COUNT_ANNOTATION: &str = "io.kubernetes.container.restartCount";

/// Makes a pod's cgroup and names it for CRI.
pub type CgroupParent = Arc<dyn Fn(&Uid) -> Option<String> + Send + Sync>;
/// Removes a pod's cgroup.
pub type CgroupRemove = Arc<dyn Fn(&Uid) + Send + Sync>;

/// A container runtime that is up.
#[derive(Clone)]
pub struct RuntimeAccess {
    /// Its CRI.
    pub cri: Arc<dyn Cri>,
    /// Where image archives are imported; absent: pulls only.
    pub import: Option<ImportTarget>,
    /// Makes a pod's cgroup and returns its CRI `cgroup_parent`; `None`: the runtime's own place.
    pub cgroup_parent: CgroupParent,
    /// Removes a pod's cgroup after the pod.
    pub cgroup_remove: CgroupRemove,
    /// Lowest `oom_score_adj` that processes may be given here: 0 without CAP_SYS_RESOURCE.
    pub oom_score_adj_min: i64,
}

/// Shared by all tasks; cheap to clone behind its [`Arc`].
pub(crate) struct Context {
    pub(crate) data: ExecutorData,
    pub(crate) client: Client,
    pub(crate) runtime: RuntimeAccess,
    pub(crate) dirs: Dirs,
    pub(crate) services: watch::Receiver<Services>,
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) http: km_net::HttpClient,
}

/// The folders under the work folder.
#[derive(Clone, Debug)]
pub(crate) struct Dirs {
    pub(crate) work: PathBuf,
}

impl Dirs {
    /// Logs of a pod: `<work>/pods/<ns>_<name>_<uid>`, as a kubelet names them.
    pub(crate) fn logs(&self, key: &ObjectKey, uid: &Uid) -> PathBuf {
        self.work.join("pods").join(format!("{}_{}_{uid}", key.namespace, key.name))
    }

    /// Log of one run of a container, relative to [`Dirs::logs`].
    pub(crate) fn log_file(container: &str, attempt: u32) -> String {
        format!("{container}/{attempt}.log")
    }

    /// What belongs to a pod besides its logs.
    pub(crate) fn pod(&self, uid: &Uid) -> PathBuf {
        self.work.join("volumes").join(uid.as_str())
    }

    /// A volume of a pod.
    pub(crate) fn volume(&self, uid: &Uid, name: &str) -> PathBuf {
        self.pod(uid).join("volume").join(name)
    }

    /// The file behind a run's termination message.
    pub(crate) fn termination(&self, uid: &Uid, container: &str, attempt: u32) -> PathBuf {
        self.pod(uid).join("termination").join(container).join(attempt.to_string())
    }

    /// Where the executor's own passing files are.
    pub(crate) fn own(&self) -> &Path {
        &self.work
    }
}

/// One pod as the tasks that work for it see it.
#[derive(Clone)]
pub(crate) struct PodContext {
    pub(crate) pod: Arc<Pod>,
    pub(crate) key: ObjectKey,
    pub(crate) uid: Uid,
    pub(crate) pod_ips: Vec<String>,
}

/// Reads the clock.
pub(crate) fn now() -> Timestamp {
    let age = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_micros(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
pub(crate) mod tests {
    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use km_api::{Reason, Request, Response, Status};
    use km_client::{Backend, WatchStream};
    use km_cri::fake::FakeCri;

    use super::*;

    struct Answers<F>(F);

    impl<F: Fn(&Request) -> Result<Response, Status> + Send + Sync + 'static> Backend for Answers<F> {
        fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Status>> {
            let answer = (self.0)(&request);
            async move { answer }.boxed()
        }

        fn watch(&self, _: Request) -> BoxFuture<'_, Result<WatchStream, Status>> {
            async { Err(Status::failure(404, Reason::NotFound, "no watches here")) }.boxed()
        }
    }

    /// Makes a context with a runtime in memory and an API server that answers as told.
    pub(crate) fn context(
        work: &Path,
        cri: FakeCri,
        answer: impl Fn(&Request) -> Result<Response, Status> + Send + Sync + 'static,
    ) -> Context {
        let data = ExecutorData {
            version: km_podwire::VERSION,
            node_name: "node-1".into(),
            api_server: String::new(),
            api_server_ca: String::new(),
            artifact_server: String::new(),
            node_ip: "127.0.0.1".into(),
            kubelet_port: 10_250,
            pod_cidr: "10.244.0.0/24".into(),
            cluster_cidr: "10.244.0.0/16".into(),
            service_cidr: "10.96.0.0/16".into(),
            cluster_dns: String::new(),
            cluster_domain: "cluster.local".into(),
            container_runtime_endpoint: None,
        };
        let runtime = RuntimeAccess {
            cri: Arc::new(cri),
            import: None,
            cgroup_parent: Arc::new(|_| None),
            cgroup_remove: Arc::new(|_| ()),
            oom_score_adj_min: 0,
        };
        let identity = km_net::client::ClientIdentity::default();
        Context {
            data,
            client: Client::new(Arc::new(Answers(answer))),
            runtime,
            dirs: Dirs { work: work.to_owned() },
            services: watch::channel(Services::default()).1,
            messages: mpsc::channel(16).0,
            http: km_net::HttpClient::new(&identity, km_net::tls::Alpn::Http1, 5_000).unwrap(),
        }
    }
}
