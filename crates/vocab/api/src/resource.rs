//! The table of resources: which kinds the API serves and how clients name them.
//!
//! A row is all that routing, discovery and clients need of a kind; its defaults, validation and printed
//! columns are rows of the registry. Source of names: upstream v1.37 discovery documents.

use std::fmt;

/// Whether objects of a resource live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One set for the cluster.
    Cluster,
    /// One set per namespace.
    Namespaced,
}

/// Whether objects of a resource are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Stored, listed, watched.
    Stored,
    /// Only created: the answer is the result (reviews, bindings).
    CreateOnly,
}

/// One resource of the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind of its objects.
    pub kind: &'static str,
    /// Name in paths and rules.
    pub plural: &'static str,
    /// Name for one object.
    pub singular: &'static str,
    /// Abbreviations for kubectl.
    pub short_names: &'static [&'static str],
    /// Groups of resources for kubectl, e.g. `all`.
    pub categories: &'static [&'static str],
    /// Scope.
    pub scope: Scope,
    /// Whether objects are kept.
    pub persistence: Persistence,
    /// Subresources served.
    pub subresources: &'static [&'static str],
}

impl Resource {
    /// Returns `group/version`, or the version alone for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Returns `plural.group`, as error messages name the resource.
    #[must_use]
    pub fn group_resource(&self) -> GroupName {
        GroupName { name: self.plural, group: self.group }
    }

    /// Returns `Kind.group`, as validation messages name the kind.
    #[must_use]
    pub fn group_kind(&self) -> GroupName {
        GroupName { name: self.kind, group: self.group }
    }

    /// Tells whether objects live in namespaces.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Returns the path of the collection, e.g. `/apis/apps/v1/namespaces/default/deployments`; an empty
    /// namespace means all namespaces.
    #[must_use]
    pub fn path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        if namespace.is_empty() || !self.is_namespaced() {
            format!("{root}/{}/{}", self.version, self.plural)
        } else {
            format!("{root}/{}/namespaces/{namespace}/{}", self.version, self.plural)
        }
    }
}

/// A resource or kind with its group, displayed as `name.group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupName {
    name: &'static str,
    group: &'static str,
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// Returns the resource served under this group, version and plural name.
#[must_use]
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    ALL.iter().copied().find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// Returns the resource whose objects carry this `apiVersion` and `kind`.
#[must_use]
pub fn find_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ALL.iter().copied().find(|r| r.group == group && r.version == version && r.kind == kind)
}

/// `namespaces` of `v1`.
pub static NAMESPACES: Resource = Resource {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::Stored,
    subresources: &["status", "finalize"],
};

/// `nodes` of `v1`.
pub static NODES: Resource = Resource {
    group: "",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::Stored,
    subresources: &["status", "proxy"],
};

/// `pods` of `v1`.
pub static PODS: Resource = Resource {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[
        "status",
        "binding",
        "log",
        "exec",
        "attach",
        "portforward",
        "eviction",
        "proxy",
        "ephemeralcontainers",
        "resize",
    ],
};

/// `bindings` of `v1`.
pub static BINDINGS: Resource = Resource {
    group: "",
    version: "v1",
    kind: "Binding",
    plural: "bindings",
    singular: "binding",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::CreateOnly,
    subresources: &[],
};

/// `replicationcontrollers` of `v1`.
pub static REPLICATION_CONTROLLERS: Resource = Resource {
    group: "",
    version: "v1",
    kind: "ReplicationController",
    plural: "replicationcontrollers",
    singular: "replicationcontroller",
    short_names: &["rc"],
    categories: &["all"],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &["status", "scale"],
};

/// `services` of `v1`.
pub static SERVICES: Resource = Resource {
    group: "",
    version: "v1",
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &["status", "proxy"],
};

/// `endpoints` of `v1`.
pub static ENDPOINTS: Resource = Resource {
    group: "",
    version: "v1",
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `configmaps` of `v1`.
pub static CONFIG_MAPS: Resource = Resource {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `secrets` of `v1`.
pub static SECRETS: Resource = Resource {
    group: "",
    version: "v1",
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `serviceaccounts` of `v1`.
pub static SERVICE_ACCOUNTS: Resource = Resource {
    group: "",
    version: "v1",
    kind: "ServiceAccount",
    plural: "serviceaccounts",
    singular: "serviceaccount",
    short_names: &["sa"],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &["token"],
};

/// `events` of `v1`.
pub static EVENTS: Resource = Resource {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `deployments` of `apps/v1`.
pub static DEPLOYMENTS: Resource = Resource {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &["status", "scale"],
};

/// `replicasets` of `apps/v1`.
pub static REPLICA_SETS: Resource = Resource {
    group: "apps",
    version: "v1",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &["status", "scale"],
};

/// `endpointslices` of `discovery.k8s.io/v1`.
pub static ENDPOINT_SLICES: Resource = Resource {
    group: "discovery.k8s.io",
    version: "v1",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `leases` of `coordination.k8s.io/v1`.
pub static LEASES: Resource = Resource {
    group: "coordination.k8s.io",
    version: "v1",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `events` of `events.k8s.io/v1`.
pub static EVENTS_V1: Resource = Resource {
    group: "events.k8s.io",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `roles` of `rbac.authorization.k8s.io/v1`.
pub static ROLES: Resource = Resource {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "Role",
    plural: "roles",
    singular: "role",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `rolebindings` of `rbac.authorization.k8s.io/v1`.
pub static ROLE_BINDINGS: Resource = Resource {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "RoleBinding",
    plural: "rolebindings",
    singular: "rolebinding",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `clusterroles` of `rbac.authorization.k8s.io/v1`.
pub static CLUSTER_ROLES: Resource = Resource {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "ClusterRole",
    plural: "clusterroles",
    singular: "clusterrole",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `clusterrolebindings` of `rbac.authorization.k8s.io/v1`.
pub static CLUSTER_ROLE_BINDINGS: Resource = Resource {
    group: "rbac.authorization.k8s.io",
    version: "v1",
    kind: "ClusterRoleBinding",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::Stored,
    subresources: &[],
};

/// `certificatesigningrequests` of `certificates.k8s.io/v1`.
pub static CERTIFICATE_SIGNING_REQUESTS: Resource = Resource {
    group: "certificates.k8s.io",
    version: "v1",
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    short_names: &["csr"],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::Stored,
    subresources: &["approval", "status"],
};

/// `tokenreviews` of `authentication.k8s.io/v1`.
pub static TOKEN_REVIEWS: Resource = Resource {
    group: "authentication.k8s.io",
    version: "v1",
    kind: "TokenReview",
    plural: "tokenreviews",
    singular: "tokenreview",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::CreateOnly,
    subresources: &[],
};

/// `selfsubjectreviews` of `authentication.k8s.io/v1`.
pub static SELF_SUBJECT_REVIEWS: Resource = Resource {
    group: "authentication.k8s.io",
    version: "v1",
    kind: "SelfSubjectReview",
    plural: "selfsubjectreviews",
    singular: "selfsubjectreview",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::CreateOnly,
    subresources: &[],
};

/// `subjectaccessreviews` of `authorization.k8s.io/v1`.
pub static SUBJECT_ACCESS_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SubjectAccessReview",
    plural: "subjectaccessreviews",
    singular: "subjectaccessreview",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::CreateOnly,
    subresources: &[],
};

/// `localsubjectaccessreviews` of `authorization.k8s.io/v1`.
pub static LOCAL_SUBJECT_ACCESS_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "LocalSubjectAccessReview",
    plural: "localsubjectaccessreviews",
    singular: "localsubjectaccessreview",
    short_names: &[],
    categories: &[],
    scope: Scope::Namespaced,
    persistence: Persistence::CreateOnly,
    subresources: &[],
};

/// `selfsubjectaccessreviews` of `authorization.k8s.io/v1`.
pub static SELF_SUBJECT_ACCESS_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SelfSubjectAccessReview",
    plural: "selfsubjectaccessreviews",
    singular: "selfsubjectaccessreview",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::CreateOnly,
    subresources: &[],
};

/// `selfsubjectrulesreviews` of `authorization.k8s.io/v1`.
pub static SELF_SUBJECT_RULES_REVIEWS: Resource = Resource {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SelfSubjectRulesReview",
    plural: "selfsubjectrulesreviews",
    singular: "selfsubjectrulesreview",
    short_names: &[],
    categories: &[],
    scope: Scope::Cluster,
    persistence: Persistence::CreateOnly,
    subresources: &[],
};

/// Every resource, core group first.
pub static ALL: &[&Resource] = &[
    &NAMESPACES,
    &NODES,
    &PODS,
    &BINDINGS,
    &REPLICATION_CONTROLLERS,
    &SERVICES,
    &ENDPOINTS,
    &CONFIG_MAPS,
    &SECRETS,
    &SERVICE_ACCOUNTS,
    &EVENTS,
    &DEPLOYMENTS,
    &REPLICA_SETS,
    &ENDPOINT_SLICES,
    &LEASES,
    &EVENTS_V1,
    &ROLES,
    &ROLE_BINDINGS,
    &CLUSTER_ROLES,
    &CLUSTER_ROLE_BINDINGS,
    &CERTIFICATE_SIGNING_REQUESTS,
    &TOKEN_REVIEWS,
    &SELF_SUBJECT_REVIEWS,
    &SUBJECT_ACCESS_REVIEWS,
    &LOCAL_SUBJECT_ACCESS_REVIEWS,
    &SELF_SUBJECT_ACCESS_REVIEWS,
    &SELF_SUBJECT_RULES_REVIEWS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_group_and_scope() {
        assert_eq!(PODS.path("default"), "/api/v1/namespaces/default/pods");
        assert_eq!(DEPLOYMENTS.path(""), "/apis/apps/v1/deployments");
        assert_eq!(NODES.path("ignored"), "/api/v1/nodes");
    }

    #[test]
    fn every_name_is_unique_within_its_group() {
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                assert!(a.group != b.group || a.plural != b.plural, "{} twice", a.plural);
            }
            assert_eq!(find(a.group, a.version, a.plural), Some(*a));
            assert_eq!(find_kind(&a.api_version(), a.kind), Some(*a));
        }
    }
}
