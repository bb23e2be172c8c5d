//! Everything that the controllers read.

use std::collections::BTreeMap;

use km_api::lister::Lister;
use km_kinds::api::apps::v1::{Deployment, ReplicaSet};
use km_kinds::api::core::v1::Endpoints;
use km_kinds::api::core::v1::{
    ConfigMap, Namespace, Node, Pod, ReplicationController, Secret, Service, ServiceAccount,
};
use km_kinds::api::discovery::v1::EndpointSlice;

/// The state of the cluster as the informers last told it.
#[derive(Default)]
pub struct Listers {
    /// Namespaces.
    pub namespaces: Lister<Namespace>,
    /// Nodes.
    pub nodes: Lister<Node>,
    /// Pods.
    pub pods: Lister<Pod>,
    /// ReplicaSets.
    pub replica_sets: Lister<ReplicaSet>,
    /// ReplicationControllers.
    pub replication_controllers: Lister<ReplicationController>,
    /// Deployments.
    pub deployments: Lister<Deployment>,
    /// Services.
    pub services: Lister<Service>,
    /// Endpoints.
    pub endpoints: Lister<Endpoints>,
    /// EndpointSlices.
    pub endpoint_slices: Lister<EndpointSlice>,
    /// ServiceAccounts.
    pub service_accounts: Lister<ServiceAccount>,
    /// ConfigMaps named `kube-root-ca.crt`.
    pub root_ca_config_maps: Lister<ConfigMap>,
    /// Bootstrap tokens: Secrets of `kube-system` of type `bootstrap.kubernetes.io/token`.
    pub bootstrap_tokens: Lister<Secret>,
    /// Metadata of every stored resource by plural and group, for garbage collection and namespace deletion.
    pub metadata: BTreeMap<(&'static str, &'static str), Lister<()>>,
}
