//! What framework and executor tell each other through Mesos: the contents of `ExecutorInfo.data`,
//! `TaskInfo.data` and `TaskStatus.data`.
//!
//! JSON with a version number, so that a person can read it in Mesos's own endpoints and an executor of one
//! release understands a framework of another: unknown fields are ignored, missing ones have defaults.
//!
//! **Invariant:** no pod and no lasting secret is in here. Mesos shows `ExecutorInfo` and its data to anyone;
//! the one secret in [`LaunchData`] is a bootstrap token for one use within five minutes.
//! Deliberately absent: the pod itself and its status (both are read from and written to the API server).

use km_base::{ObjectKey, Uid};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Version written by this release.
pub const VERSION: u32 = 1;

/// Annotation of a bound pod: the Mesos task that may run it. Written by the Binding, compared by the executor.
pub const TASK_ID_ANNOTATION: &str = "k8s.mesosphere.io/taskId";
/// Annotation of a bound pod: the Mesos agent on which it runs.
pub const AGENT_ID_ANNOTATION: &str = "k8s.mesosphere.io/slaveId";
/// Annotation of a bound pod: the executor that runs it.
pub const EXECUTOR_ID_ANNOTATION: &str = "k8s.mesosphere.io/executorId";
/// Annotation of a bound pod: the node it was bound to.
pub const BINDING_HOST_ANNOTATION: &str = "k8s.mesosphere.io/bindingHost";

/// Configuration of an executor (`ExecutorInfo.data`): the same for all pods of its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorData {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// Name of the Node that this executor serves.
    pub node_name: String,
    /// URL of the API server, e.g. `https://127.0.0.1:6443`.
    pub api_server: String,
    /// PEM of the CA that signed the API server's certificate (public).
    pub api_server_ca: String,
    /// URL of the framework's artifact server, e.g. `http://127.0.0.1:10251`; images are looked up below it.
    pub artifact_server: String,
    /// IP on which the agent is reached: the node's InternalIP.
    pub node_ip: String,
    /// Port for the kubelet endpoints, taken from the agent's `ports`.
    pub kubelet_port: u16,
    /// Address range of the node's pods, e.g. `10.244.3.0/24`.
    pub pod_cidr: String,
    /// Address range of all pods of the cluster, e.g. `10.244.0.0/16`.
    pub cluster_cidr: String,
    /// Address range of cluster IPs, e.g. `10.96.0.0/16`.
    pub service_cidr: String,
    /// Cluster IP of the DNS service.
    pub cluster_dns: String,
    /// DNS domain of the cluster, e.g. `cluster.local`.
    pub cluster_domain: String,
    /// Endpoint of an existing CRI runtime; absent: the executor runs a containerd of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_runtime_endpoint: Option<String>,
}

/// What comes with one task (`TaskInfo.data`): which pod it is for and what was taken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchData {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// UID of the pod.
    pub uid: Uid,
    /// Namespace and name of the pod.
    pub key: ObjectKey,
    /// Host ports taken from the offer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<HostPort>,
    /// Credential with which an executor that has none yet gets its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_token: Option<String>,
}

/// A host port that stands for a container's port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostPort {
    /// Container that declares the port.
    pub container: String,
    /// Port in the pod.
    pub container_port: u16,
    /// Port on the agent.
    pub host_port: u16,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// What an executor adds to a task's status (`TaskStatus.data`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusData {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// Phase of the pod as the executor last wrote it, or empty.
    #[serde(default)]
    pub phase: String,
    /// `resourceVersion` of the pod's status as the executor last wrote it, or empty.
    #[serde(default)]
    pub resource_version: String,
}

/// Data that this release cannot read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {what} from Mesos data")]
pub struct WireError {
    what: &'static str,
    #[source]
    source: serde_json::Error,
}

macro_rules! wire {
    ($($message:ident),*) => {$(
        impl $message {
            /// Encodes the message for Mesos.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                serde_json::to_vec(self).expect("wire messages hold only text, numbers and lists")
            }

            /// Decodes the message from Mesos.
            ///
            /// # Errors
            /// [`WireError`] when the bytes are not this message.
            pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
                decode(stringify!($message), bytes)
            }
        }
    )*};
}

wire!(ExecutorData, LaunchData, StatusData);

fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(bytes).map_err(|source| WireError { what, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_a_later_release_is_understood() {
        let later = br#"{"version":7,"uid":"u","key":{"namespace":"default","name":"web"},"colour":"blue"}"#;
        let launch = LaunchData::decode(later).unwrap();
        assert_eq!(launch.key.to_string(), "default/web");
        assert!(launch.ports.is_empty() && launch.bootstrap_token.is_none());
        assert_eq!(LaunchData::decode(&launch.encode()).unwrap(), launch);
        assert!(LaunchData::decode(b"null").is_err());
    }
}
