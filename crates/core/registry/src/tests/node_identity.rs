//! What the identity of one node does not open: other namespaces, other nodes' pods, other accounts.

use expect_test::expect;
use km_api::resource::{CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS};
use km_api::{ContentType, Identity, Request, Resource, Verb};
use serde_json::{Value, json};

use super::{World, pod};
use crate::{Attributes, authorize};

fn on(node: &str, name: &str) -> Value {
    let mut pod = pod(name);
    pod["spec"]["nodeName"] = json!(node);
    pod
}

/// A world with a pod on `n1` that mounts the secret `shared`, one on `n2`, and the identity of `n1`.
fn world() -> World {
    let mut world = World::new();
    let mut own = on("n1", "own");
    own["spec"]["volumes"] = json!([{"name": "s", "secret": {"secretName": "shared"}}]);
    world.create(&own).unwrap();
    world.create(&on("n2", "other")).unwrap();
    world.identity = Identity::authenticated("system:node:n1", &["system:nodes"]);
    world
}

fn may_select(world: &World, resource: &'static Resource, namespace: &str, fields: &str) -> bool {
    [Verb::List, Verb::Watch].into_iter().all(|verb| {
        let mut request = Request::new(verb, resource, namespace, "");
        request.options.field_selector = fields.into();
        authorize(&world.view, &world.identity, &Attributes::of(&request)).is_ok()
    })
}

#[test]
fn a_name_is_of_one_namespace() {
    let world = world();
    assert!(may_select(&world, &SECRETS, "default", "metadata.name=shared"));
    assert!(!may_select(&world, &SECRETS, "", "metadata.name=shared"));
    assert!(!may_select(&world, &CONFIG_MAPS, "", "metadata.name=kube-root-ca.crt"));
    assert!(may_select(&world, &SERVICE_ACCOUNTS, "default", "metadata.name=default"));
    assert!(!may_select(&world, &SERVICE_ACCOUNTS, "", "metadata.name=default"));
}

#[test]
fn pods_of_other_nodes_are_not_found_by_their_name() {
    let world = world();
    assert!(may_select(&world, &PODS, "default", "metadata.name=own"));
    assert!(may_select(&world, &PODS, "", "metadata.name=own,spec.nodeName=n1"));
    for namespace in ["", "default"] {
        for name in ["other", "not-yet"] {
            let fields = format!("metadata.name={name}");
            assert!(!may_select(&world, &PODS, namespace, &fields), "{name} in {namespace:?}");
        }
    }
}

#[test]
fn mirror_pods_open_nothing() {
    let mut world = world();
    let container = |extra: Value| {
        let mut container = json!({"name": "c", "image": "i"});
        container.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"containers": [container]})
    };
    let volume = |source: Value| json!({"volumes": [source]});
    let mut told = String::new();
    for spec in [
        json!({"serviceAccountName": "default"}),
        json!({"serviceAccount": "default"}),
        json!({"imagePullSecrets": [{"name": "x"}]}),
        volume(json!({"name": "v", "secret": {"secretName": "x"}})),
        volume(json!({"name": "v", "projected": {"sources": [{"secret": {"name": "x"}}]}})),
        volume(json!({"name": "v", "configMap": {"name": "x"}})),
        volume(json!({"name": "v", "persistentVolumeClaim": {"claimName": "x"}})),
        container(json!({"envFrom": [{"secretRef": {"name": "x"}}]})),
        container(json!({"env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}]})),
        container(json!({"envFrom": [{"configMapRef": {"name": "x"}}]})),
    ] {
        let mut mirror = on("n1", "static");
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        mirror["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        told.push_str(&world.create(&mirror).unwrap_err().message);
        told.push('\n');
    }
    expect![[r#"
        pods "static" is forbidden: node "n1" can not create pods that reference a service account
        pods "static" is forbidden: node "n1" can not create pods that reference a service account
        pods "static" is forbidden: node "n1" can not create pods that reference secrets
        pods "static" is forbidden: node "n1" can not create pods that reference secrets
        pods "static" is forbidden: node "n1" can not create pods that reference secrets
        pods "static" is forbidden: node "n1" can not create pods that reference configmaps
        pods "static" is forbidden: node "n1" can not create pods that reference persistentvolumeclaims
        pods "static" is forbidden: node "n1" can not create pods that reference secrets
        pods "static" is forbidden: node "n1" can not create pods that reference secrets
        pods "static" is forbidden: node "n1" can not create pods that reference configmaps
    "#]]
    .assert_eq(&told);
    let mut plain = on("n1", "static");
    plain["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    world.create(&plain).unwrap();
}

#[test]
fn tokens_for_a_node_are_bound_to_its_pods() {
    let mut world = world();
    world.put(&SECRETS, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shared", "namespace": "default", "uid": "s"}}));
    let mut ask = |kind: &str, name: &str| {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name}}});
        let request = Request::new(Verb::Create, &SERVICE_ACCOUNTS, "default", "default").subresource("token");
        world.run(&request.body(ContentType::Json, body.to_string())).map_err(|status| status.message)
    };
    assert!(ask("Pod", "own").is_ok());
    expect![[r#"serviceaccounts "default" is forbidden: node requested token not bound to a pod"#]]
        .assert_eq(&ask("Secret", "shared").unwrap_err());
}
