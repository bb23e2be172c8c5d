//! Objects from creation to deletion.

use expect_test::{Expect, expect};
use km_api::resource::{
    BINDINGS, CONFIG_MAPS, DEPLOYMENTS, EVENTS, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS, SERVICES,
};
use km_api::{ContentType, Verb};
use serde_json::{Value, json};

use super::{World, pod, pretty};

fn check(value: &Value, expected: Expect) {
    expected.assert_eq(&pretty(value));
}

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}})
}

#[test]
fn a_config_map_lives_from_creation_to_deletion() {
    let mut world = World::new();
    check(
        &world.create(&config_map()).unwrap(),
        expect![[r#"
        {
          "apiVersion": "v1",
          "data": {
            "a": "1"
          },
          "kind": "ConfigMap",
          "metadata": {
            "creationTimestamp": "2026-11-21T22:26:40Z",
            "name": "c",
            "namespace": "default",
            "resourceVersion": "11",
            "uid": "07070707-0707-4707-8707-070707070707"
          }
        }"#]],
    );
    assert_eq!(world.create(&config_map()).unwrap_err().message, r#"configmaps "c" already exists"#);
    let patch = World::request(Verb::Patch, &CONFIG_MAPS, "c", &Value::Null)
        .body(ContentType::StrategicMergePatch, r#"{"data":{"b":"2"},"metadata":{"labels":{"x":"y"}}}"#);
    let patched = world.run(&patch).unwrap();
    assert_eq!(
        (&patched["data"], &patched["metadata"]["resourceVersion"]),
        (&json!({"a": "1", "b": "2"}), &json!("12"))
    );
    // The same patch again changes nothing and writes nothing.
    assert_eq!(world.run(&patch).unwrap(), patched);
    let mut stale = patched;
    stale["metadata"]["resourceVersion"] = json!("11");
    let update = World::request(Verb::Update, &CONFIG_MAPS, "c", &stale);
    assert_eq!(
        world.run(&update).unwrap_err().message,
        r#"Operation cannot be fulfilled on configmaps "c": the object has been modified; please apply your changes to the latest version and try again"#
    );
    let deletion = World::request(Verb::Delete, &CONFIG_MAPS, "c", &Value::Null);
    let deleted = world.run(&deletion).unwrap();
    assert_eq!((&deleted["status"], &deleted["details"]["kind"]), (&json!("Success"), &json!("configmaps")));
    assert_eq!(world.run(&deletion).unwrap_err().message, r#"configmaps "c" not found"#);
}

#[test]
fn a_pod_gets_defaults_service_account_and_resources() {
    let mut world = World::new();
    check(
        &world.create(&pod("web")).unwrap(),
        expect![[r#"
        {
          "apiVersion": "v1",
          "kind": "Pod",
          "metadata": {
            "creationTimestamp": "2026-11-21T22:26:40Z",
            "generation": 1,
            "name": "web",
            "namespace": "default",
            "resourceVersion": "11",
            "uid": "07070707-0707-4707-8707-070707070707"
          },
          "spec": {
            "containers": [
              {
                "image": "i",
                "imagePullPolicy": "Always",
                "name": "c",
                "resources": {
                  "limits": {
                    "cpu": "250m",
                    "memory": "64Mi"
                  },
                  "requests": {
                    "cpu": "250m",
                    "memory": "64Mi"
                  }
                },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "volumeMounts": [
                  {
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                    "name": "kube-api-access-lpvt4",
                    "readOnly": true
                  }
                ]
              }
            ],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "serviceAccount": "default",
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            "tolerations": [
              {
                "effect": "NoExecute",
                "key": "node.kubernetes.io/not-ready",
                "operator": "Exists",
                "tolerationSeconds": 300
              },
              {
                "effect": "NoExecute",
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "tolerationSeconds": 300
              }
            ],
            "volumes": [
              {
                "name": "kube-api-access-lpvt4",
                "projected": {
                  "defaultMode": 420,
                  "sources": [
                    {
                      "serviceAccountToken": {
                        "expirationSeconds": 3607,
                        "path": "token"
                      }
                    },
                    {
                      "configMap": {
                        "items": [
                          {
                            "key": "ca.crt",
                            "path": "ca.crt"
                          }
                        ],
                        "name": "kube-root-ca.crt"
                      }
                    },
                    {
                      "downwardAPI": {
                        "items": [
                          {
                            "fieldRef": {
                              "apiVersion": "v1",
                              "fieldPath": "metadata.namespace"
                            },
                            "path": "namespace"
                          }
                        ]
                      }
                    }
                  ]
                }
              }
            ]
          },
          "status": {
            "phase": "Pending",
            "qosClass": "Guaranteed"
          }
        }"#]],
    );
}

#[test]
fn generated_names_avoid_those_taken() {
    let mut world = World::new();
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "c-"}});
    let first = world.create(&body).unwrap()["metadata"]["name"].clone();
    let second = world.create(&body).unwrap()["metadata"]["name"].clone();
    assert_ne!(first, second);
    assert_eq!(first.as_str().unwrap().len(), "c-".len() + 5);
}

#[test]
fn a_pod_is_bound_once() {
    let mut world = World::new();
    let uid = world.create(&pod("web")).unwrap()["metadata"]["uid"].clone();
    let binding = |uid: &Value, node: &str| {
        json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web", "uid": uid, "annotations": {"task": "t1"}},
            "target": {"kind": "Node", "name": node}})
    };
    let request = |body: &Value| World::request(Verb::Create, &PODS, "web", body).subresource("binding");
    let wrong = world.run(&request(&binding(&json!("other"), "n1"))).unwrap_err();
    assert_eq!(
        wrong.message,
        r#"Operation cannot be fulfilled on pods "web": Precondition failed: UID in precondition: other, UID in object meta: 07070707-0707-4707-8707-070707070707"#
    );
    world.run(&request(&binding(&uid, "n1"))).unwrap();
    let stored = world.stored(&PODS, "web").unwrap();
    assert_eq!(stored["spec"]["nodeName"], "n1");
    assert_eq!(stored["metadata"]["annotations"]["task"], "t1");
    assert_eq!(stored["status"]["conditions"][0]["type"], "PodScheduled");
    let again = world.run(&World::request(Verb::Create, &BINDINGS, "", &binding(&uid, "n2"))).unwrap_err();
    assert_eq!(
        again.message,
        r#"Operation cannot be fulfilled on pods "web": pod web is already assigned to node "n1""#
    );
}

#[test]
fn a_bound_pod_is_deleted_gracefully_and_an_unbound_one_at_once() {
    let mut world = World::new();
    world.create(&pod("unbound")).unwrap();
    world.run(&World::request(Verb::Delete, &PODS, "unbound", &Value::Null)).unwrap();
    assert_eq!(world.stored(&PODS, "unbound"), None);

    let mut bound = pod("bound");
    bound["spec"]["nodeName"] = json!("n1");
    world.create(&bound).unwrap();
    let deletion = World::request(Verb::Delete, &PODS, "bound", &Value::Null);
    world.run(&deletion).unwrap();
    let metadata = world.stored(&PODS, "bound").unwrap()["metadata"].clone();
    assert_eq!(metadata["deletionGracePeriodSeconds"], 30);
    assert_eq!(metadata["deletionTimestamp"], "2026-11-21T22:27:10Z");
    let shorter = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 5});
    world.run(&World::request(Verb::Delete, &PODS, "bound", &shorter)).unwrap();
    assert_eq!(world.stored(&PODS, "bound").unwrap()["metadata"]["deletionTimestamp"], "2026-11-21T22:26:45Z");
    let now = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
    world.run(&World::request(Verb::Delete, &PODS, "bound", &now)).unwrap();
    assert_eq!(world.stored(&PODS, "bound"), None);
}

#[test]
fn finalizers_hold_up_deletion_until_the_last_goes() {
    let mut world = World::new();
    let mut body = config_map();
    body["metadata"]["finalizers"] = json!(["example.com/a"]);
    world.create(&body).unwrap();
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    world.run(&World::request(Verb::Delete, &CONFIG_MAPS, "c", &options)).unwrap();
    assert_eq!(world.stored(&CONFIG_MAPS, "c").unwrap()["metadata"]["deletionGracePeriodSeconds"], 0);
    let add = World::request(Verb::Patch, &CONFIG_MAPS, "c", &Value::Null)
        .body(ContentType::MergePatch, r#"{"metadata":{"finalizers":["example.com/a","example.com/b"]}}"#);
    assert_eq!(
        world.run(&add).unwrap_err().message,
        r#"ConfigMap "c" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/b"}"#
    );
    let clear = World::request(Verb::Patch, &CONFIG_MAPS, "c", &Value::Null)
        .body(ContentType::MergePatch, r#"{"metadata":{"finalizers":null}}"#);
    world.run(&clear).unwrap();
    assert_eq!(world.stored(&CONFIG_MAPS, "c"), None);
}

#[test]
fn foreground_and_orphan_deletion_leave_a_finalizer_for_the_garbage_collector() {
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        let mut world = World::new();
        world.create(&config_map()).unwrap();
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        world.run(&World::request(Verb::Delete, &CONFIG_MAPS, "c", &options)).unwrap();
        assert_eq!(world.stored(&CONFIG_MAPS, "c").unwrap()["metadata"]["finalizers"], json!([finalizer]));
    }
}

#[test]
fn a_namespace_terminates_before_it_goes() {
    let mut world = World::new();
    world.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})).unwrap();
    world.run(&World::request(Verb::Delete, &NAMESPACES, "shop", &Value::Null)).unwrap();
    let stored = world.stored(&NAMESPACES, "shop").unwrap();
    assert_eq!(
        (&stored["status"]["phase"], &stored["spec"]["finalizers"]),
        (&json!("Terminating"), &json!(["kubernetes"]))
    );
    let mut create = World::request(Verb::Create, &CONFIG_MAPS, "", &config_map());
    create.namespace = "shop".into();
    let refused = world.run(&create).unwrap_err();
    assert_eq!(
        refused.message,
        r#"configmaps "c" is forbidden: unable to create new content in namespace shop because it is being terminated"#
    );
    assert_eq!(refused.details.unwrap().causes[0].reason, "NamespaceTerminating");
    let mut finalized = stored;
    finalized["spec"]["finalizers"] = json!([]);
    world.run(&World::request(Verb::Update, &NAMESPACES, "shop", &finalized).subresource("finalize")).unwrap();
    assert_eq!(world.stored(&NAMESPACES, "shop"), None);
    assert_eq!(world.run(&create).unwrap_err().message, r#"namespaces "shop" not found"#);
    let immortal = World::request(Verb::Delete, &NAMESPACES, "default", &Value::Null);
    assert_eq!(
        world.run(&immortal).unwrap_err().message,
        r#"namespaces "default" is forbidden: this namespace may not be deleted"#
    );
}

#[test]
fn status_and_spec_are_written_apart() {
    let mut world = World::new();
    let mut body = pod("web");
    body["status"] = json!({"phase": "Running"});
    let created = world.create(&body).unwrap();
    assert_eq!(created["status"]["phase"], "Pending");
    let patch = r#"{"status":{"phase":"Running","podIP":"10.1.1.1"},"spec":{"hostname":"other"}}"#;
    let main = World::request(Verb::Patch, &PODS, "web", &Value::Null)
        .body(ContentType::MergePatch, r#"{"status":{"phase":"Running"}}"#);
    assert_eq!(world.run(&main).unwrap()["status"]["phase"], "Pending");
    let status = World::request(Verb::Patch, &PODS, "web", &Value::Null)
        .subresource("status")
        .body(ContentType::StrategicMergePatch, patch);
    let updated = world.run(&status).unwrap();
    assert_eq!((&updated["status"]["phase"], &updated["spec"]["hostname"]), (&json!("Running"), &Value::Null));
    assert_eq!(updated["metadata"]["generation"], 1);
}

#[test]
fn a_pod_that_has_ended_does_not_come_alive() {
    // test/sim: the last status of an executor that had died came when the next one had run the pod to its end.
    let mut world = World::new();
    world.create(&pod("job")).unwrap();
    let mut write = |phase: &str| {
        let patch = format!(r#"{{"status":{{"phase":"{phase}"}}}}"#);
        let request = World::request(Verb::Patch, &PODS, "job", &Value::Null).subresource("status");
        world.run(&request.body(ContentType::StrategicMergePatch, patch))
    };
    write("Running").unwrap();
    write("Succeeded").unwrap();
    assert_eq!(write("Running").unwrap_err().code, 422);
    write("Succeeded").unwrap();
}

#[test]
fn a_deployment_counts_generations_and_scales() {
    let mut world = World::new();
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    world
        .create(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}))
        .unwrap();
    let scale = World::request(Verb::Patch, &DEPLOYMENTS, "web", &Value::Null)
        .subresource("scale")
        .body(ContentType::MergePatch, r#"{"spec":{"replicas":3}}"#);
    check(
        &world.run(&scale).unwrap(),
        expect![[r#"
        {
          "apiVersion": "autoscaling/v1",
          "kind": "Scale",
          "metadata": {
            "creationTimestamp": "2026-11-21T22:26:40Z",
            "name": "web",
            "namespace": "default",
            "resourceVersion": "12",
            "uid": "07070707-0707-4707-8707-070707070707"
          },
          "spec": {
            "replicas": 3
          },
          "status": {
            "replicas": 0,
            "selector": "app=web"
          }
        }"#]],
    );
    let stored = world.stored(&DEPLOYMENTS, "web").unwrap();
    assert_eq!((&stored["spec"]["replicas"], &stored["metadata"]["generation"]), (&json!(3), &json!(2)));
}

#[test]
fn services_get_addresses_and_node_ports_that_are_free() {
    let mut world = World::new();
    let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    let ports = json!([{"port": 80}]);
    let a = world.create(&service("a", json!({"ports": ports, "selector": {"a": "b"}, "type": "NodePort"}))).unwrap();
    check(
        &a["spec"],
        expect![[r#"
        {
          "clusterIP": "10.96.104.81",
          "clusterIPs": [
            "10.96.104.81"
          ],
          "externalTrafficPolicy": "Cluster",
          "internalTrafficPolicy": "Cluster",
          "ipFamilies": [
            "IPv4"
          ],
          "ipFamilyPolicy": "SingleStack",
          "ports": [
            {
              "nodePort": 30194,
              "port": 80,
              "protocol": "TCP",
              "targetPort": 80
            }
          ],
          "selector": {
            "a": "b"
          },
          "sessionAffinity": "None",
          "type": "NodePort"
        }"#]],
    );
    let taken = service("b", json!({"ports": ports, "clusterIP": a["spec"]["clusterIP"]}));
    let text = world.create(&taken).unwrap_err().message;
    assert!(text.ends_with("provided IP is already allocated"), "{text}");
    let outside = world.create(&service("b", json!({"ports": ports, "clusterIP": "1.2.3.4"}))).unwrap_err().message;
    assert_eq!(
        outside,
        r#"Service "b" is invalid: spec.clusterIPs: Invalid value: ["1.2.3.4"]: failed to allocate IP 1.2.3.4: the provided IP (1.2.3.4) is not in the valid range. The range of valid IPs is 10.96.0.0/16"#
    );
    let headless = world.create(&service("h", json!({"clusterIP": "None", "selector": {"a": "b"}}))).unwrap();
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    let mut moved = a;
    moved["spec"]["clusterIP"] = json!("10.96.9.9");
    moved["spec"]["clusterIPs"] = json!(["10.96.9.9"]);
    let text = world.run(&World::request(Verb::Update, &SERVICES, "a", &moved)).unwrap_err().message;
    assert_eq!(
        text,
        r#"Service "a" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.9.9"]: may not change once set"#
    );
}

#[test]
fn secrets_take_string_data_and_keep_their_type() {
    let mut world = World::new();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}});
    let created = world.create(&secret).unwrap();
    assert_eq!(
        (&created["data"], &created["type"], &created["stringData"]),
        (&json!({"a": "Yg=="}), &json!("Opaque"), &Value::Null)
    );
    let mut other = created;
    other["type"] = json!("kubernetes.io/tls");
    let text = world.run(&World::request(Verb::Update, &SECRETS, "s", &other)).unwrap_err().message;
    assert_eq!(text, r#"Secret "s" is invalid: type: Invalid value: "kubernetes.io/tls": field is immutable"#);
}

#[test]
fn events_have_two_forms_of_one_object() {
    let mut world = World::new();
    let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "hello",
        "eventTime": "2026-11-21T22:26:40.000000Z", "action": "Test", "reportingController": "c", "reportingInstance": "i",
        "reason": "Tested", "type": "Normal", "regarding": {"kind": "Pod", "namespace": "default", "name": "web"}});
    world.create(&event).unwrap();
    let stored = world.stored(&EVENTS, "e").unwrap();
    assert_eq!((&stored["message"], &stored["involvedObject"]["name"]), (&json!("hello"), &json!("web")));
    let read = world.run(&World::request(Verb::Get, &km_api::resource::EVENTS_V1, "e", &Value::Null)).unwrap();
    assert_eq!((&read["note"], &read["apiVersion"]), (&json!("hello"), &json!("events.k8s.io/v1")));
}

#[test]
fn token_requests_are_signed_by_the_driver() {
    let mut world = World::new();
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let request = World::request(Verb::Create, &SERVICE_ACCOUNTS, "default", &body).subresource("token");
    check(
        &world.run(&request).unwrap(),
        expect![[r#"
        {
          "apiVersion": "authentication.k8s.io/v1",
          "kind": "TokenRequest",
          "metadata": {
            "creationTimestamp": "2026-11-21T22:26:40Z",
            "name": "default",
            "namespace": "default"
          },
          "spec": {
            "audiences": [
              "https://kubernetes.default.svc.cluster.local"
            ],
            "expirationSeconds": 3600
          },
          "status": {
            "expirationTimestamp": "2026-11-21T23:26:40Z",
            "token": "signed"
          }
        }"#]],
    );
}

#[test]
fn field_selectors_know_the_fields_of_their_kind() {
    let mut world = World::new();
    let mut bound = pod("bound");
    bound["spec"]["nodeName"] = json!("n1");
    world.create(&bound).unwrap();
    world.create(&pod("free")).unwrap();
    for (selector, names) in [
        ("spec.nodeName=n1", vec!["bound"]),
        ("spec.nodeName=", vec!["free"]),
        ("status.phase=Pending,metadata.name!=free", vec!["bound"]),
        ("spec.hostNetwork=false", vec!["bound", "free"]),
    ] {
        let mut request = World::request(Verb::List, &PODS, "", &Value::Null);
        request.options.field_selector = selector.into();
        let found = world.run(&request).unwrap();
        let found: Vec<&str> =
            found.as_array().unwrap().iter().map(|p| p["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{selector}");
    }
    let mut request = World::request(Verb::List, &PODS, "", &Value::Null);
    request.options.field_selector = "spec.color=red".into();
    assert_eq!(world.run(&request).unwrap_err().message, "field label not supported: spec.color");
}

#[test]
fn lists_go_on_where_they_were_cut() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})).unwrap();
    }
    let mut request = World::request(Verb::List, &CONFIG_MAPS, "", &Value::Null);
    request.options.limit = 2;
    let first = crate::list(&world.view, &request).unwrap();
    assert_eq!(first.items.len(), 2);
    request.options.continue_token = first.continue_token;
    let rest = crate::list(&world.view, &request).unwrap();
    assert_eq!((rest.items.len(), rest.continue_token.as_str()), (1, ""));
}

#[test]
fn dry_runs_write_nothing() {
    let mut world = World::new();
    let mut request = World::request(Verb::Create, &CONFIG_MAPS, "", &config_map());
    request.options.dry_run = true;
    assert_eq!(world.run(&request).unwrap()["metadata"]["name"], "c");
    assert_eq!(world.stored(&CONFIG_MAPS, "c"), None);
}

#[test]
fn a_collection_is_deleted_at_one_revision() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})).unwrap();
    }
    let before = world.view.revision.0;
    world.run(&World::request(Verb::DeleteCollection, &CONFIG_MAPS, "", &Value::Null)).unwrap();
    assert_eq!(world.view.revision.0, before + 1);
    assert_eq!((world.stored(&CONFIG_MAPS, "a"), world.stored(&CONFIG_MAPS, "b")), (None, None));
}

#[test]
fn generated_names_are_cut_between_characters() {
    let mut world = World::new();
    let mut long = pod("");
    // The 58th byte is the second of an umlaut's two.
    long["metadata"] = json!({"generateName": format!("{}ä-", "a".repeat(57))});
    assert_eq!(world.create(&long).unwrap_err().code, 422);
}

#[test]
fn what_is_nested_too_deep_to_be_read_again_is_not_stored() {
    let deployment = |depth: usize| {
        let deep = format!(r#"{}"x"{}"#, r#"{"f:a":"#.repeat(depth), "}".repeat(depth));
        format!(
            r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"d{depth}"}},"spec":{{"selector":{{"matchLabels":{{"a":"b"}}}},"template":{{"metadata":{{"labels":{{"a":"b"}},"managedFields":[{{"fieldsV1":{deep}}}]}},"spec":{{"containers":[{{"name":"c","image":"i"}}]}}}}}}}}"#
        )
    };
    let mut world = World::new();
    for content_type in [ContentType::Json, ContentType::Yaml] {
        for depth in [3, 40, 118, 119, 120, 121, 122, 123, 124, 125, 126, 300, 1_000] {
            let mut request = World::request(Verb::Create, &DEPLOYMENTS, "", &Value::Null);
            request = request.body(content_type, deployment(depth));
            let name = format!("d{depth}");
            match world.run(&request) {
                Ok(_) => drop(world.stored(&DEPLOYMENTS, &name).unwrap()),
                Err(status) => assert!(status.code < 500 && depth > 40, "{depth}: {}", status.message),
            }
            world.view.objects.remove(&crate::key(&DEPLOYMENTS, "default", &name));
        }
    }
}
