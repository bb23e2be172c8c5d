//! What admission adds or refuses, and what bodies may be made of.

use expect_test::expect;
use km_api::resource::{CONFIG_MAPS, LEASES, NODES, PODS, SERVICE_ACCOUNTS};
use km_api::{ContentType, Request, Verb};
use serde_json::{Value, json};

use super::{World, pod};
use crate::key;

/// Creates a pod with one container of these resources and returns what was made of them.
fn resources(asked: Value) -> String {
    let mut object = pod("web");
    object["spec"]["containers"][0]["resources"] = asked;
    let created = World::new().create(&object).unwrap();
    created["spec"]["containers"][0]["resources"].to_string()
}

#[test]
fn containers_that_say_little_are_completed() {
    expect![[r#"{"limits":{"cpu":"250m","memory":"64Mi"},"requests":{"cpu":"250m","memory":"64Mi"}}"#]]
        .assert_eq(&resources(json!({})));
    expect![[r#"{"limits":{"cpu":"1","memory":"64Mi"},"requests":{"cpu":"1","memory":"64Mi"}}"#]]
        .assert_eq(&resources(json!({"requests": {"cpu": "1"}})));
    expect![[r#"{"limits":{"cpu":"250m","memory":"1Gi"},"requests":{"cpu":"250m","memory":"1Gi"}}"#]]
        .assert_eq(&resources(json!({"limits": {"memory": "1Gi"}})));
    expect![[r#"{"limits":{"cpu":"10m","memory":"32Mi"},"requests":{"cpu":"10m","memory":"32Mi"}}"#]]
        .assert_eq(&resources(json!({"requests": {"cpu": "1m", "memory": "1Mi"}})));
    expect![[r#"{"limits":{"cpu":"2","memory":"2Gi"},"requests":{"cpu":"1","memory":"1Gi"}}"#]].assert_eq(&resources(
        json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}),
    ));
}

#[test]
fn a_pod_without_its_service_account_is_refused() {
    let mut world = World::new();
    world.view.objects.remove(&key(&SERVICE_ACCOUNTS, "default", "default")).unwrap();
    expect![[r#"pods "web" is forbidden: error looking up service account default/default: serviceaccount "default" not found"#]]
        .assert_eq(&world.create(&pod("web")).unwrap_err().message);
}

#[test]
fn a_pod_that_wants_no_token_gets_none() {
    let mut object = pod("web");
    object["spec"]["automountServiceAccountToken"] = json!(false);
    let created = World::new().create(&object).unwrap();
    assert_eq!(created["spec"]["volumes"], Value::Null);
}

#[test]
fn unknown_priority_classes_are_refused() {
    let mut object = pod("web");
    object["spec"]["priorityClassName"] = json!("high");
    expect![[r#"pods "web" is forbidden: no PriorityClass with name high was found"#]]
        .assert_eq(&World::new().create(&object).unwrap_err().message);
}

#[test]
fn a_node_registers_with_its_status_and_changes_it_apart() {
    let mut world = World::new();
    let node =
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"capacity": {"cpu": "4"}}});
    assert_eq!(world.create(&node).unwrap()["status"]["capacity"]["cpu"], "4");
    let cordon = World::request(Verb::Patch, &NODES, "n1", &Value::Null)
        .body(ContentType::StrategicMergePatch, r#"{"spec":{"unschedulable":true},"status":{"capacity":{"cpu":"8"}}}"#);
    let changed = world.run(&cordon).unwrap();
    assert_eq!((&changed["spec"]["unschedulable"], &changed["status"]["capacity"]["cpu"]), (&json!(true), &json!("4")));
}

#[test]
fn protobuf_and_yaml_bodies_make_the_object_that_json_makes() {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}});
    let from_json = World::new().create(&body).unwrap();
    let ty = km_schema::definition("", "v1", "ConfigMap").unwrap();
    for (content_type, bytes) in [
        (ContentType::Protobuf, km_schema::proto::encode(&ty, &body)),
        (ContentType::Yaml, b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: \"1\"}\n".to_vec()),
    ] {
        let request = Request::new(Verb::Create, &CONFIG_MAPS, "default", "").body(content_type, bytes);
        assert_eq!(World::new().run(&request).unwrap(), from_json, "{content_type:?}");
    }
}

#[test]
fn a_lease_is_created_by_an_update_and_then_needs_its_version() {
    let mut world = World::new();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}});
    let update = |body: &Value| World::request(Verb::Update, &LEASES, "l", body);
    let created = world.run(&update(&lease)).unwrap();
    expect![[r#"Lease.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"#]]
        .assert_eq(&world.run(&update(&lease)).unwrap_err().message);
    let mut renewed = created;
    renewed["spec"]["holderIdentity"] = json!("b");
    assert_eq!(world.run(&update(&renewed)).unwrap()["spec"]["holderIdentity"], "b");
}

#[test]
fn deletions_hold_to_their_preconditions() {
    let mut world = World::new();
    world.create(&pod("web")).unwrap();
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "other"}});
    expect![[r#"Operation cannot be fulfilled on pods "web": Precondition failed: UID in precondition: other, UID in object meta: 07070707-0707-4707-8707-070707070707"#]]
        .assert_eq(&world.run(&World::request(Verb::Delete, &PODS, "web", &options)).unwrap_err().message);
}

#[test]
fn typed_clients_delete_with_options_in_protobuf_of_any_group() {
    for api_version in ["v1", "apps/v1"] {
        let mut world = World::new();
        let mut object = pod("web");
        object["spec"]["nodeName"] = json!("n1");
        world.create(&object).unwrap();
        let ty = km_schema::definition("", "v1", "DeleteOptions").unwrap();
        let options = json!({"apiVersion": api_version, "kind": "DeleteOptions", "gracePeriodSeconds": 7});
        let request = Request::new(Verb::Delete, &PODS, "default", "web")
            .body(ContentType::Protobuf, km_schema::proto::encode(&ty, &options));
        assert_eq!(world.run(&request).unwrap()["metadata"]["deletionGracePeriodSeconds"], 7, "{api_version}");
    }
}
