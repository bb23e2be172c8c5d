//! What a cluster starts with, and how it is printed.

use expect_test::expect;
use km_api::resource::{ENDPOINTS, PODS, ROLE_BINDINGS, SECRETS, SERVICES};
use km_api::{Identity, Object, Request, Verb};
use serde_json::{Value, json};

use super::{World, pod, pretty};
use crate::{Attributes, Include, authorize, bootstrap_objects, key, table};

/// A world with everything that a cluster starts with, written through the one write path.
fn started() -> World {
    let mut world = World::new();
    world.view.objects.clear();
    for (resource, object) in bootstrap_objects(&World::config()) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let mut request = World::request(Verb::Create, resource, "", &object);
        request.namespace = namespace;
        world.run(&request).unwrap();
    }
    world
}

#[test]
fn the_first_services_have_the_addresses_that_everybody_expects() {
    let world = started();
    let ip = |namespace: &str, name: &str| {
        world.view.objects[&key(&SERVICES, namespace, name)].to_value()["spec"]["clusterIP"].clone()
    };
    assert_eq!(ip("default", "kubernetes"), "10.96.0.1");
    assert_eq!(ip("kube-system", "kube-dns"), "10.96.0.10");
}

#[test]
fn components_may_do_their_work_and_no_more() {
    let world = started();
    let may_in = |namespace: &str, user: &str, groups: &[&str], verb: Verb, resource, subresource: &str| {
        let request = Request::new(verb, resource, namespace, "x").subresource(subresource);
        authorize(&world.view, &Identity::authenticated(user, groups), &Attributes::of(&request)).is_ok()
    };
    let may = |user: &str, groups: &[&str], verb: Verb, resource, subresource: &str| {
        may_in("default", user, groups, verb, resource, subresource)
    };
    let framework = crate::bootstrap::FRAMEWORK_USER;
    let manager = crate::bootstrap::MANAGER_USER;
    assert!(may(framework, &[], Verb::Create, &PODS, "binding"));
    assert!(!may(manager, &[], Verb::Create, &PODS, "binding"));
    assert!(may(manager, &[], Verb::Create, &PODS, ""));
    assert!(!may(framework, &[], Verb::Create, &PODS, ""));
    assert!(may_in("kube-system", framework, &[], Verb::Create, &SECRETS, ""));
    assert!(!may_in("kube-system", framework, &[], Verb::Get, &SECRETS, ""));
    assert!(!may(framework, &[], Verb::Create, &SECRETS, ""));
    assert!(!may("jane", &[], Verb::Get, &SECRETS, ""));
    let anonymous =
        |path| authorize(&world.view, &Identity::anonymous(), &Attributes::non_resource("get", path)).is_ok();
    assert!(anonymous("/healthz") && !anonymous("/api"));
}

#[test]
fn who_edits_a_namespace_does_not_lead_its_traffic_elsewhere() {
    let mut world = started();
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "b", "namespace": "default"}, "subjects": [{"kind": "User", "name": "jane"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}});
    world.put(&ROLE_BINDINGS, binding);
    let may = |verb: Verb, resource| {
        let request = Request::new(verb, resource, "default", "x");
        authorize(&world.view, &Identity::authenticated("jane", &[]), &Attributes::of(&request)).is_ok()
    };
    assert!(may(Verb::Get, &ENDPOINTS) && !may(Verb::Create, &ENDPOINTS) && !may(Verb::Patch, &ENDPOINTS));
    assert!(may(Verb::Create, &SERVICES));
}

#[test]
fn older_stores_get_what_roles_and_bindings_lack() {
    let rule = |resources: &[&str]| json!({"apiGroups": [""], "resources": resources, "verbs": ["get", "list"]});
    let role = |rules: Value| json!({"kind": "ClusterRole", "metadata": {"name": "r", "resourceVersion": "7"}, "rules": rules});
    let wanted = role(json!([rule(&["pods", "services"])]));
    let found = role(json!([rule(&["pods"]), rule(&["nodes"])]));
    let updated = crate::bootstrap::reconciled(&found, &wanted).unwrap();
    assert_eq!(updated["rules"], json!([rule(&["pods"]), rule(&["nodes"]), rule(&["services"])]));
    assert_eq!(updated["metadata"]["resourceVersion"], "7");
    assert_eq!(crate::bootstrap::reconciled(&updated, &wanted), None, "nothing is taken away or given twice");
    let mut kept = found;
    kept["metadata"]["annotations"] = json!({"rbac.authorization.kubernetes.io/autoupdate": "false"});
    assert_eq!(crate::bootstrap::reconciled(&kept, &wanted), None, "an administrator's own");

    let binding = |users: &[&str]| {
        let subjects: Vec<Value> = users.iter().map(|name| json!({"kind": "User", "name": name})).collect();
        json!({"kind": "ClusterRoleBinding", "roleRef": {"name": "r"}, "subjects": subjects})
    };
    let updated = crate::bootstrap::reconciled(&binding(&["jane"]), &binding(&["km"])).unwrap();
    assert_eq!(updated["subjects"], binding(&["jane", "km"])["subjects"]);
    let service = json!({"kind": "Service", "spec": {"ports": []}});
    assert_eq!(crate::bootstrap::reconciled(&json!({"kind": "Service"}), &service), None);
}

#[test]
fn pods_are_printed_as_kubectl_shows_them() {
    let world = World::new();
    let cells = |change: &dyn Fn(&mut Value)| {
        let mut object = pod("web");
        object["metadata"]["creationTimestamp"] = json!("2026-11-21T22:25:00Z");
        object["status"] = json!({"phase": "Pending"});
        change(&mut object);
        let object = Object::parse(object.to_string()).unwrap();
        let table = table(&PODS, &[object], Include::None, world.now);
        table["rows"][0]["cells"].as_array().unwrap()[1..5]
            .iter()
            .map(|cell| cell.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" | ")
    };
    let state = |state: Value, ready: bool, restarts: i64| json!({"name": "c", "state": state, "ready": ready, "restartCount": restarts});
    assert_eq!(cells(&|_| {}), "0/1 | Pending | 0 | 100s");
    assert_eq!(
        cells(&|p| p["status"] =
            json!({"phase": "Running", "containerStatuses": [state(json!({"running": {}}), true, 0)]})),
        "1/1 | Running | 0 | 100s"
    );
    assert_eq!(
        cells(&|p| {
            let mut status = state(json!({"waiting": {"reason": "CrashLoopBackOff"}}), false, 3);
            status["lastState"] = json!({"terminated": {"exitCode": 1, "finishedAt": "2026-11-21T22:26:30Z"}});
            p["status"] = json!({"phase": "Running", "containerStatuses": [status]});
        }),
        "0/1 | CrashLoopBackOff | 3 (10s ago) | 100s"
    );
    assert_eq!(
        cells(
            &|p| p["status"] = json!({"phase": "Succeeded", "containerStatuses": [state(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}), false, 0)]})
        ),
        "0/1 | Completed | 0 | 100s"
    );
    assert_eq!(
        cells(&|p| {
            p["spec"]["initContainers"] = json!([{"name": "i"}]);
            p["status"] =
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]});
        }),
        "0/1 | Init:0/1 | 0 | 100s"
    );
    assert_eq!(
        cells(&|p| p["metadata"]["deletionTimestamp"] = json!("2026-11-21T22:26:40Z")),
        "0/1 | Terminating | 0 | 100s"
    );
}

#[test]
fn a_table_carries_columns_cells_and_metadata() {
    let world = started();
    let object = world.view.objects[&key(&SERVICES, "kube-system", "kube-dns")].clone();
    let table = table(&SERVICES, &[object], Include::Metadata, world.now);
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names.join(" "), "Name Type Cluster-IP External-IP Port(s) Age Selector");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    expect![[r#"
        [
          "kube-dns",
          "ClusterIP",
          "10.96.0.10",
          "<none>",
          "53/UDP,53/TCP",
          "0s",
          "<none>"
        ]"#]]
    .assert_eq(&pretty(&table["rows"][0]["cells"]));
}
