//! Who may do what.

use expect_test::expect;
use km_api::resource::{
    CERTIFICATE_SIGNING_REQUESTS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NODES, PODS, ROLES, SECRETS,
    SELF_SUBJECT_ACCESS_REVIEWS, SERVICES,
};
use km_api::{ContentType, Identity, Request, Resource, Verb};
use serde_json::{Value, json};

use super::{World, pod};
use crate::{Attributes, authorize};

const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// A world where jane may read pods everywhere.
fn world() -> World {
    let mut world = World::new();
    world.put(
        &CLUSTER_ROLES,
        json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
        {"nonResourceURLs": ["/healthz*"], "verbs": ["get"]}]}),
    );
    world.put(
        &CLUSTER_ROLE_BINDINGS,
        json!({"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "User", "name": "jane"}]}),
    );
    world
}

fn may(
    world: &World,
    identity: &Identity,
    verb: Verb,
    resource: &'static Resource,
    namespace: &str,
    name: &str,
) -> Result<(), String> {
    let request = Request::new(verb, resource, namespace, name);
    authorize(&world.view, identity, &Attributes::of(&request)).map_err(|denied| denied.into_status().message)
}

#[test]
fn rules_grant_verbs_on_resources() {
    let (world, jane) = (world(), Identity::authenticated("jane", &[]));
    assert_eq!(may(&world, &jane, Verb::List, &PODS, "default", ""), Ok(()));
    expect![[r#"pods "web" is forbidden: User "jane" cannot delete resource "pods" in API group "" in the namespace "default""#]].assert_eq(&may(&world, &jane, Verb::Delete, &PODS, "default", "web").unwrap_err());
    expect![[r#"nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope"#]]
        .assert_eq(&may(&world, &jane, Verb::List, &NODES, "", "").unwrap_err());
    assert!(authorize(&world.view, &jane, &Attributes::non_resource("GET", "/healthz/ping")).is_ok());
    let denied = authorize(&world.view, &jane, &Attributes::non_resource("GET", "/metrics")).unwrap_err();
    expect![[r#"forbidden: User "jane" cannot get path "/metrics""#]].assert_eq(&denied.into_status().message);
    let admin = Identity::authenticated("admin", &["system:masters"]);
    assert_eq!(may(&world, &admin, Verb::Delete, &NODES, "", "n1"), Ok(()));
}

#[test]
fn a_node_reads_what_its_pods_refer_to() {
    let mut world = world();
    let mut own = pod("own");
    own["spec"]["nodeName"] = json!("n1");
    own["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "mine"}}]);
    world.create(&own).unwrap();
    let node = Identity::authenticated("system:node:n1", &["system:nodes"]);
    assert_eq!(may(&world, &node, Verb::Get, &SECRETS, "default", "mine"), Ok(()));
    expect![[r#"secrets "other" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the namespace "default": no relationship found between node 'n1' and this object"#]].assert_eq(&may(&world, &node, Verb::Get, &SECRETS, "default", "other").unwrap_err());
    assert!(may(&world, &node, Verb::List, &PODS, "", "").is_err());
    let mut list = Request::new(Verb::List, &PODS, "", "");
    list.options.field_selector = "spec.nodeName=n1".into();
    assert!(authorize(&world.view, &node, &Attributes::of(&list)).is_ok());
    assert_eq!(may(&world, &node, Verb::Get, &NODES, "", "n1"), Ok(()));
    assert!(may(&world, &node, Verb::Get, &NODES, "", "n2").is_err());
}

#[test]
fn a_node_writes_only_its_own_objects() {
    let mut world = World::new();
    let mut other = pod("other");
    other["spec"]["nodeName"] = json!("n2");
    world.create(&other).unwrap();
    world.identity = Identity::authenticated("system:node:n1", &["system:nodes"]);
    let status = World::request(Verb::Patch, &PODS, "other", &Value::Null)
        .subresource("status")
        .body(ContentType::MergePatch, r#"{"status":{"phase":"Running"}}"#);
    expect![[
        r#"pods "other" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself"#
    ]]
    .assert_eq(&world.run(&status).unwrap_err().message);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2"}});
    expect![[r#"nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2""#]]
        .assert_eq(&world.create(&node).unwrap_err().message);
    let deletion = World::request(Verb::Delete, &PODS, "other", &Value::Null);
    expect![[r#"pods "other" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself"#]]
        .assert_eq(&world.run(&deletion).unwrap_err().message);
}

#[test]
fn nobody_grants_what_they_do_not_have() {
    let mut world = world();
    world.identity = Identity::authenticated("jane", &[]);
    let role = json!({"apiVersion": RBAC, "kind": "Role", "metadata": {"name": "r"}, "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "delete"]}]});
    expect![[r#"
        roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#]].assert_eq(&world.create(&role).unwrap_err().message);
    let mut own = role;
    own["rules"][0]["verbs"] = json!(["get"]);
    world.create(&own).unwrap();
    assert!(world.stored(&ROLES, "r").is_some());
}

#[test]
fn an_update_that_would_create_needs_the_right_to_create() {
    let mut world = world();
    world.put(
        &CLUSTER_ROLES,
        json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["update"]}]}),
    );
    world.identity = Identity::authenticated("jane", &[]);
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let put = World::request(Verb::Update, &SERVICES, "s", &service);
    expect![[r#"services "s" is forbidden: User "jane" cannot create resource "services" in API group "" in the namespace "default""#]]
        .assert_eq(&world.run(&put).unwrap_err().message);
    world.identity = Identity::authenticated("admin", &["system:masters"]);
    world.run(&put).unwrap();
}

#[test]
fn reviews_answer_without_writing() {
    let mut world = world();
    world.identity = Identity::authenticated("jane", &[]);
    for (verb, allowed) in [("get", true), ("delete", false)] {
        let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}}});
        let review = world.run(&World::request(Verb::Create, &SELF_SUBJECT_ACCESS_REVIEWS, "", &body)).unwrap();
        assert_eq!(review["status"]["allowed"], allowed, "{verb}");
    }
}

#[test]
fn signing_requests_name_their_requester_and_are_approved_by_those_who_may() {
    let mut world = World::new();
    world.identity = Identity::authenticated("system:bootstrap:abc", &["system:bootstrappers"]);
    let csr = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "n1"},
        "spec": {"request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==", "signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": ["client auth"],
            "username": "admin", "groups": ["system:masters"]}});
    let created = world.create(&csr).unwrap();
    assert_eq!(created["spec"]["username"], "system:bootstrap:abc");
    let mut approved = created;
    approved["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}]});
    let approval = World::request(Verb::Update, &CERTIFICATE_SIGNING_REQUESTS, "n1", &approved).subresource("approval");
    expect![[r#"certificatesigningrequests.certificates.k8s.io "n1" is forbidden: user not permitted to approve requests with signerName "kubernetes.io/kube-apiserver-client-kubelet""#]].assert_eq(&world.run(&approval).unwrap_err().message);
    world.identity = Identity::authenticated("admin", &["system:masters"]);
    assert_eq!(world.run(&approval).unwrap()["status"]["conditions"][0]["type"], "Approved");
    // The signer's status cannot take the approval away.
    let signed = World::request(Verb::Patch, &CERTIFICATE_SIGNING_REQUESTS, "n1", &Value::Null)
        .subresource("status")
        .body(ContentType::MergePatch, r#"{"status":{"certificate":"LS0t","conditions":[]}}"#);
    assert_eq!(world.run(&signed).unwrap()["status"]["conditions"][0]["type"], "Approved");
}

#[test]
fn reviews_name_the_field_that_is_wrong() {
    let mut world = World::new();
    let mut refused = |spec: Value| {
        let body = json!({"spec": spec});
        let resource = &km_api::resource::LOCAL_SUBJECT_ACCESS_REVIEWS;
        world.run(&World::request(Verb::Create, resource, "", &body)).expect_err("invalid").message
    };
    expect![[r#"LocalSubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace"#]]
        .assert_eq(&refused(json!({"user": "bob", "resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "other"}})));
    expect![[r#"LocalSubjectAccessReview.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified"#]]
        .assert_eq(&refused(json!({"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}})));
    expect![[r#"LocalSubjectAccessReview.authorization.k8s.io "" is invalid: spec.nonResourceAttributes: Invalid value: {"path":"/"}: cannot be specified in combination with resourceAttributes"#]]
        .assert_eq(&refused(json!({"user": "bob", "resourceAttributes": {"verb": "list"}, "nonResourceAttributes": {"path": "/"}})));
}

#[test]
fn a_request_for_a_certificate_is_a_pem_block() {
    let mut world = World::new();
    let body = json!({"metadata": {"name": "x"},
        "spec": {"request": "YQ==", "signerName": "example.com/signer", "usages": ["client auth"]}});
    let refused =
        world.run(&World::request(Verb::Create, &CERTIFICATE_SIGNING_REQUESTS, "", &body)).expect_err("no PEM");
    expect![[r#"CertificateSigningRequest.certificates.k8s.io "x" is invalid: spec.request: Invalid value: "YQ==": PEM block type must be CERTIFICATE REQUEST"#]]
        .assert_eq(&refused.message);
}
