//! The objects that a cluster starts with: namespaces, RBAC defaults, the first Services.
//!
//! The driver creates those that are absent at every start, through [`crate::decide()`] like any request, and gives
//! roles and bindings of an older store what they lack ([`reconciled`]).
//! Source of roles: upstream v1.37 `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`, cut to the kinds served here.

use km_api::Resource;
use km_api::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS, ROLES, SERVICES};
use serde_json::{Value, json};

use crate::call::Config;
use crate::rbac::{self, rules_of, uncovered};
use crate::value::{at, list, set, text};

/// User of the framework: the scheduler half of km.
pub const FRAMEWORK_USER: &str = "system:km:framework";
/// User of the controllers.
pub const MANAGER_USER: &str = "system:kube-controller-manager";

const RBAC: &str = "rbac.authorization.k8s.io";
/// Annotation that says whether a start may add to a role or binding.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CORE: &[&str] = &[""];
const APPS: &[&str] = &["apps"];
const EVENT_GROUPS: &[&str] = &["", "events.k8s.io"];
const EVENT_VERBS: &[&str] = &["create", "patch", "update"];

/// API groups, resources, verbs.
type Rule = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

const CORE_WORKLOADS: &[&str] =
    &["configmaps", "pods", "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services"];
const APPS_WORKLOADS: &[&str] = &["deployments", "deployments/scale", "replicasets", "replicasets/scale"];
const STATUS: &[&str] = &[
    "namespaces",
    "namespaces/status",
    "pods/log",
    "pods/status",
    "replicationcontrollers/status",
    "services/status",
    "events",
];
const APPS_STATUS: &[&str] = &["deployments/status", "replicasets/status"];
const STREAMS: &[&str] = &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"];
const SLICES: &[&str] = &["endpointslices"];
const REVIEWS: &[&str] = &["subjectaccessreviews", "localsubjectaccessreviews"];

const VIEW: &[Rule] = &[
    (CORE, CORE_WORKLOADS, READ),
    // Read only: who writes endpoints leads others' traffic where they may not go (CVE-2021-25740).
    (CORE, &["endpoints"], READ),
    (CORE, STATUS, READ),
    (APPS, APPS_WORKLOADS, READ),
    (APPS, APPS_STATUS, READ),
    (&["discovery.k8s.io"], SLICES, READ),
    (&["coordination.k8s.io"], &["leases"], READ),
];
const EDIT: &[Rule] = &[
    (CORE, CORE_WORKLOADS, WRITE),
    (CORE, &["pods/eviction", "serviceaccounts/token"], &["create"]),
    (CORE, &["secrets"], ALL),
    (CORE, STREAMS, &["create", "get", "list", "watch"]),
    (CORE, &["events"], WRITE),
    (CORE, &["serviceaccounts"], &["impersonate"]),
    (APPS, APPS_WORKLOADS, WRITE),
    (&["coordination.k8s.io"], &["leases"], WRITE),
];
const ADMIN: &[Rule] = &[
    (&[RBAC], &["roles", "rolebindings"], ALL),
    (&["authorization.k8s.io"], &["localsubjectaccessreviews"], &["create"]),
];
const SCHEDULER: &[Rule] = &[
    (EVENT_GROUPS, &["events"], EVENT_VERBS),
    (&["coordination.k8s.io"], &["leases"], ALL),
    (CORE, &["nodes", "namespaces", "services", "replicationcontrollers"], READ),
    (APPS, &["replicasets", "deployments"], READ),
    (CORE, &["pods"], &["delete", "get", "list", "watch"]),
    (CORE, &["bindings", "pods/binding"], &["create"]),
    (CORE, &["pods/status"], &["patch", "update"]),
    (&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
    (&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
];
/// Beyond what a scheduler does: nodes from agents.
const FRAMEWORK: &[Rule] = &[
    (CORE, &["nodes"], ALL),
    (CORE, &["nodes/status"], &["patch", "update"]),
    (CORE, &["pods"], &["patch", "update"]),
    (CORE, &["pods/eviction"], &["create"]),
];
/// In `kube-system` only: its own identity and epochs, and the one-use bootstrap tokens that it writes, never reads.
const FRAMEWORK_SYSTEM: &[Rule] = &[
    (CORE, &["configmaps"], &["create", "get", "list", "patch", "update", "watch"]),
    (CORE, &["secrets"], &["create", "delete"]),
];
const MANAGER: &[Rule] = &[
    (&["*"], &["*"], &["delete", "deletecollection", "get", "list", "patch", "update", "watch"]),
    (CORE, &["configmaps", "endpoints", "pods", "secrets", "serviceaccounts", "serviceaccounts/token"], &["create"]),
    (CORE, &["pods/eviction"], &["create"]),
    (APPS, &["replicasets", "deployments"], &["create"]),
    (&["discovery.k8s.io"], SLICES, &["create"]),
    (&["coordination.k8s.io"], &["leases"], &["create"]),
    (EVENT_GROUPS, &["events"], EVENT_VERBS),
    (&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
    (&["authorization.k8s.io"], REVIEWS, &["create"]),
];
/// What nodes may do beyond the node authorizer's rules is nothing; upstream keeps the role unbound too.
const NODE: &[Rule] = &[
    (CORE, &["services"], READ),
    (CORE, &["nodes"], &["create", "get", "list", "patch", "update", "watch"]),
    (CORE, &["nodes/status", "pods/status"], &["patch", "update"]),
    (CORE, &["pods"], &["create", "delete", "get", "list", "watch"]),
    (EVENT_GROUPS, &["events"], EVENT_VERBS),
];
const PROXIER: &[Rule] = &[
    (CORE, &["endpoints", "services", "nodes"], READ),
    (&["discovery.k8s.io"], SLICES, READ),
    (EVENT_GROUPS, &["events"], EVENT_VERBS),
];
const CSR_CREATE: &[Rule] =
    &[(&["certificates.k8s.io"], &["certificatesigningrequests"], &["create", "get", "list", "watch"])];
const BASIC_USER: &[Rule] = &[
    (&["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], &["create"]),
    (&["authentication.k8s.io"], &["selfsubjectreviews"], &["create"]),
];
const AUTH_DELEGATOR: &[Rule] = &[
    (&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
    (&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
];
const KUBELET_API: &[Rule] = &[
    (CORE, &["nodes"], READ),
    (CORE, &["nodes/proxy", "nodes/log", "nodes/metrics", "nodes/stats", "nodes/healthz", "nodes/pods"], &["*"]),
];
const PUBLIC_PATHS: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];
const DISCOVERY_PATHS: &[&str] = &[
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

/// Returns the objects, those that others need first.
#[must_use]
pub fn bootstrap_objects(config: &Config) -> Vec<(&'static Resource, Value)> {
    let mut objects: Vec<(&'static Resource, Value)> = Vec::new();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        objects.push((&NAMESPACES, namespace));
    }
    let view = rules(&[VIEW]);
    for (name, rules) in [
        (
            "cluster-admin",
            json!([
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]}]),
        ),
        ("admin", rules(&[ADMIN, EDIT, VIEW])),
        ("edit", rules(&[EDIT, VIEW])),
        ("view", view),
        ("system:basic-user", rules(&[BASIC_USER])),
        ("system:discovery", json!([{"nonResourceURLs": DISCOVERY_PATHS, "verbs": ["get"]}])),
        ("system:public-info-viewer", json!([{"nonResourceURLs": PUBLIC_PATHS, "verbs": ["get"]}])),
        ("system:node", rules(&[NODE])),
        ("system:node-proxier", rules(&[PROXIER])),
        ("system:node-bootstrapper", rules(&[CSR_CREATE])),
        ("system:auth-delegator", rules(&[AUTH_DELEGATOR])),
        ("system:kubelet-api-admin", rules(&[KUBELET_API])),
        ("system:kube-scheduler", rules(&[SCHEDULER])),
        ("system:kube-controller-manager", rules(&[MANAGER])),
        ("system:km:framework", rules(&[SCHEDULER, FRAMEWORK])),
    ] {
        objects.push((&CLUSTER_ROLES, role("ClusterRole", "", name, rules)));
    }
    for (name, kind, subjects) in [
        ("cluster-admin", "Group", &["system:masters"][..]),
        ("system:basic-user", "Group", &["system:authenticated"]),
        ("system:discovery", "Group", &["system:authenticated"]),
        ("system:public-info-viewer", "Group", &["system:authenticated", "system:unauthenticated"]),
        ("system:node-proxier", "User", &["system:kube-proxy"]),
        ("system:node-bootstrapper", "Group", &["system:bootstrappers"]),
        ("system:kube-scheduler", "User", &["system:kube-scheduler"]),
        ("system:kube-controller-manager", "User", &[MANAGER_USER]),
        ("system:km:framework", "User", &[FRAMEWORK_USER]),
        ("system:node", "Group", &[]),
    ] {
        objects.push((&CLUSTER_ROLE_BINDINGS, binding("ClusterRoleBinding", "", name, kind, subjects)));
    }
    // Upstream's public cluster-info, and what the framework keeps for itself.
    let info =
        json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"]}]);
    for (namespace, name, rules, kind, subject) in [
        ("kube-public", "system:controller:bootstrap-signer", info, "Group", "system:unauthenticated"),
        ("kube-system", "system:km:framework", rules(&[FRAMEWORK_SYSTEM]), "User", FRAMEWORK_USER),
    ] {
        objects.push((&ROLES, role("Role", namespace, name, rules)));
        objects.push((&ROLE_BINDINGS, binding("RoleBinding", namespace, name, kind, &[subject])));
    }
    objects.extend(services(config).map(|service| (&SERVICES, service)));
    objects
}

/// Returns `found`, a role or binding of an older store, with the rules or subjects of `wanted` that it lacks; `None`
/// where it lacks none, is of another kind, or was taken out of this by its annotation.
///
/// Source: upstream v1.37 `pkg/registry/rbac/rest` and `component-helpers/auth/rbac/reconciliation`: nothing is taken away.
#[must_use]
pub fn reconciled(found: &Value, wanted: &Value) -> Option<Value> {
    let annotations = at(found, "metadata.annotations");
    if annotations.and_then(|a| a.get(AUTO_UPDATE)).and_then(Value::as_str) == Some("false") {
        return None;
    }
    let (field, missing): (&str, Vec<Value>) = match text(wanted, "kind") {
        "Role" | "ClusterRole" => {
            let missing = uncovered(&rules_of(found), &rules_of(wanted));
            ("rules", missing.iter().map(rbac::Rule::to_value).collect())
        }
        "RoleBinding" | "ClusterRoleBinding" if found.get("roleRef") == wanted.get("roleRef") => {
            let own = list(found, "subjects");
            let same = |a: &Value, b: &Value| {
                ["kind", "namespace", "name"].iter().all(|field| text(a, field) == text(b, field))
            };
            let missing = list(wanted, "subjects").iter().filter(|s| !own.iter().any(|o| same(o, s)));
            ("subjects", missing.cloned().collect())
        }
        _ => return None,
    };
    if missing.is_empty() {
        return None;
    }
    let all: Vec<Value> = list(found, field).iter().cloned().chain(missing).collect();
    let mut updated = found.clone();
    set(&mut updated, field, all);
    Some(updated)
}

fn services(config: &Config) -> [Value; 2] {
    let address = |offset| config.service_cidr.address(offset).to_string();
    [
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubernetes", "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"type": "ClusterIP", "clusterIP": address(1), "clusterIPs": [address(1)], "ports": [
                {"name": "https", "port": 443, "protocol": "TCP", "targetPort": config.api_server_port}]}}),
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system",
                "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true"}},
            "spec": {"type": "ClusterIP", "clusterIP": address(10), "clusterIPs": [address(10)], "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53}]}}),
    ]
}

fn rules(parts: &[&[Rule]]) -> Value {
    parts
        .iter()
        .flat_map(|part| part.iter())
        .map(|(groups, resources, verbs)| json!({"apiGroups": groups, "resources": resources, "verbs": verbs}))
        .collect()
}

fn metadata(namespace: &str, name: &str) -> Value {
    let mut metadata = json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTO_UPDATE: "true"}});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

fn role(kind: &str, namespace: &str, name: &str, rules: Value) -> Value {
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata(namespace, name), "rules": rules})
}

fn binding(kind: &str, namespace: &str, name: &str, subject: &str, subjects: &[&str]) -> Value {
    let role = if namespace.is_empty() { "ClusterRole" } else { "Role" };
    let subjects: Vec<Value> =
        subjects.iter().map(|name| json!({"kind": subject, "apiGroup": RBAC, "name": name})).collect();
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata(namespace, name),
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": name}, "subjects": subjects})
}
