//! What is refused, in upstream's words.

use expect_test::{Expect, expect};
use km_api::resource::{CONFIG_MAPS, DEPLOYMENTS, PODS};
use km_api::{ContentType, Verb};
use serde_json::{Value, json};

use super::{World, pod};

/// Creates `object` and compares the refusal.
fn check(object: &Value, expected: Expect) {
    let status = World::new().create(object).expect_err("the object is invalid");
    expected.assert_eq(&format!("{} {}", status.code, status.message));
}

fn pod_with(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = pod("web");
    change(&mut pod);
    pod
}

#[test]
fn pods_need_containers_with_names_and_images() {
    check(
        &pod_with(|p| p["spec"]["containers"] = json!([])),
        expect![[r#"422 Pod "web" is invalid: spec.containers: Required value"#]],
    );
    check(
        &pod_with(|p| p["spec"]["containers"] = json!([{}])),
        expect![[
            r#"422 Pod "web" is invalid: [spec.containers[0].name: Required value, spec.containers[0].image: Required value]"#
        ]],
    );
    check(
        &pod_with(|p| p["spec"]["containers"] = json!([{"name": "a", "image": "i"}, {"name": "a", "image": "i"}])),
        expect![[r#"422 Pod "web" is invalid: spec.containers[1].name: Duplicate value: "a""#]],
    );
    check(
        &pod_with(|p| p["metadata"]["name"] = json!("Web_1")),
        expect![[
            r#"422 Pod "Web_1" is invalid: metadata.name: Invalid value: "Web_1": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#
        ]],
    );
    check(
        &pod_with(|p| p["metadata"]["labels"] = json!({"a/b/c": "-"})),
        expect![[
            r#"422 Pod "web" is invalid: [metadata.labels: Invalid value: "a/b/c": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName'), metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')]"#
        ]],
    );
}

#[test]
fn enumerations_list_what_they_know() {
    check(
        &pod_with(|p| p["spec"]["containers"][0]["imagePullPolicy"] = json!("Sometimes")),
        expect![[
            r#"422 Pod "web" is invalid: spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never""#
        ]],
    );
    check(
        &pod_with(|p| p["spec"]["restartPolicy"] = json!("Maybe")),
        expect![[
            r#"422 Pod "web" is invalid: spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never""#
        ]],
    );
    check(
        &pod_with(|p| p["spec"]["dnsPolicy"] = json!("None")),
        expect![[
            r#"422 Pod "web" is invalid: spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"#
        ]],
    );
    check(
        &pod_with(|p| p["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "protocol": "HTTP"}])),
        expect![[
            r#"422 Pod "web" is invalid: spec.containers[0].ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP""#
        ]],
    );
}

#[test]
fn resources_are_quantities_and_requests_lie_below_limits() {
    let resources = |value: Value| pod_with(|p| p["spec"]["containers"][0]["resources"] = value);
    check(
        &resources(json!({"limits": {"cpu": "lots"}})),
        expect![[
            r#"400 Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"#
        ]],
    );
    check(
        &resources(json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})),
        expect![[
            r#"422 Pod "web" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#
        ]],
    );
    check(
        &resources(json!({"limits": {"widgets": "1"}})),
        expect![[
            r#"422 Pod "web" is invalid: [spec.containers[0].resources.limits[widgets]: Invalid value: "widgets": must be a standard resource type or fully qualified, spec.containers[0].resources.limits[widgets]: Invalid value: "widgets": must be a standard resource for containers, spec.containers[0].resources.requests[widgets]: Invalid value: "widgets": must be a standard resource type or fully qualified, spec.containers[0].resources.requests[widgets]: Invalid value: "widgets": must be a standard resource for containers]"#
        ]],
    );
    check(
        &resources(json!({"limits": {"cpu": "-1"}})),
        expect![[
            r#"422 Pod "web" is invalid: [spec.containers[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0, spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0]"#
        ]],
    );
}

#[test]
fn security_contexts_do_not_contradict_themselves() {
    let context = |value: Value| pod_with(|p| p["spec"]["containers"][0]["securityContext"] = value);
    check(
        &context(json!({"runAsUser": -1})),
        expect![[
            r#"422 Pod "web" is invalid: spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"#
        ]],
    );
    check(
        &context(json!({"privileged": true, "allowPrivilegeEscalation": false})),
        expect![[
            r#"422 Pod "web" is invalid: spec.containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation":false,"privileged":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true"#
        ]],
    );
    check(
        &pod_with(|p| p["spec"]["securityContext"] = json!({"fsGroup": -5, "supplementalGroups": [1, -2]})),
        expect![[
            r#"422 Pod "web" is invalid: [spec.securityContext.fsGroup: Invalid value: -5: must be between 0 and 2147483647, inclusive, spec.securityContext.supplementalGroups[1]: Invalid value: -2: must be between 0 and 2147483647, inclusive]"#
        ]],
    );
}

#[test]
fn ports_are_in_range_and_unique() {
    let ports = |value: Value| pod_with(|p| p["spec"]["containers"][0]["ports"] = value);
    check(
        &ports(json!([{"containerPort": 70000}])),
        expect![[
            r#"422 Pod "web" is invalid: spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"#
        ]],
    );
    check(
        &ports(json!([{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}])),
        expect![[r#"422 Pod "web" is invalid: spec.containers[0].ports[1].name: Duplicate value: "a""#]],
    );
    check(
        &ports(json!([{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81, "hostPort": 8080}])),
        expect![[r#"422 Pod "web" is invalid: spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//8080""#]],
    );
}

#[test]
fn mounts_name_volumes_and_volumes_one_source() {
    check(
        &pod_with(|p| p["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}])),
        expect![[r#"422 Pod "web" is invalid: spec.containers[0].volumeMounts[0].name: Not found: "v""#]],
    );
    check(
        &pod_with(|p| p["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}])),
        expect![[
            r#"422 Pod "web" is invalid: spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type"#
        ]],
    );
    check(
        &pod_with(|p| p["spec"]["volumes"] = json!([{"name": "v", "secret": {}}, {"name": "v"}])),
        expect![[
            r#"422 Pod "web" is invalid: [spec.volumes[0].secret.secretName: Required value, spec.volumes[1].name: Duplicate value: "v"]"#
        ]],
    );
}

#[test]
fn environment_and_probes_have_one_source_each() {
    check(
        &pod_with(|p| p["spec"]["containers"][0]["env"] = json!([{"value": "x"}, {"name": "A", "valueFrom": {}}])),
        expect![[
            r#"422 Pod "web" is invalid: [spec.containers[0].env[0].name: Required value, spec.containers[0].env[1].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`]"#
        ]],
    );
    check(
        &pod_with(|p| {
            p["spec"]["containers"][0]["env"] =
                json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.color"}}}])
        }),
        expect![[
            r#"422 Pod "web" is invalid: spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "status.color": error converting fieldPath: field label not supported: status.color"#
        ]],
    );
    check(
        &pod_with(|p| p["spec"]["containers"][0]["livenessProbe"] = json!({"successThreshold": 2})),
        expect![[
            r#"422 Pod "web" is invalid: [spec.containers[0].livenessProbe: Required value: must specify a handler type, spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1]"#
        ]],
    );
    check(
        &pod_with(|p| p["spec"]["containers"][0]["readinessProbe"] = json!({"exec": {}, "httpGet": {"port": 80}})),
        expect![[
            r#"422 Pod "web" is invalid: [spec.containers[0].readinessProbe.exec.command: Required value, spec.containers[0].readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type]"#
        ]],
    );
}

#[test]
fn bodies_are_refused_in_the_words_of_the_decoder() {
    let mut world = World::new();
    let mut run = |body: &str, validation: &str, expected: Expect| {
        let mut request =
            World::request(Verb::Create, &PODS, "", &Value::Null).body(ContentType::Json, body.to_owned());
        request.options.field_validation = validation.into();
        let status = world.run(&request).expect_err("the body is bad");
        expected.assert_eq(&format!("{} {}", status.code, status.message));
    };
    run(
        "{",
        "",
        expect![
            "400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input ({)"
        ],
    );
    run(
        "[]",
        "",
        expect![[r#"
            400 the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (5b5d)"#]],
    );
    run(
        r#"{"apiVersion":"v1","kind":"ConfigMap"}"#,
        "",
        expect![[r#"400 ConfigMap in version "v1" cannot be handled as a Pod: the object is of kind ConfigMap"#]],
    );
    run(
        r#"{"apiVersion":"v2","kind":"Pod"}"#,
        "",
        expect!["400 the API version in the data (v2) does not match the expected API version (v1)"],
    );
    run(
        r#"{"apiVersion":"v1","kind":"Pod","spec":{"containers":"x"}}"#,
        "",
        expect![[
            r#"400 Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container"#
        ]],
    );
    run(
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","name":"b"},"spec":{"color":1}}"#,
        "Strict",
        expect![[
            r#"400 Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.color", duplicate field "metadata.name""#
        ]],
    );
}

#[test]
fn a_patch_of_the_wrong_type_names_its_cause() {
    let mut world = World::new();
    world.run(&World::request(Verb::Create, &CONFIG_MAPS, "", &json!({"metadata": {"name": "c"}}))).unwrap();
    let patch = World::request(Verb::Patch, &CONFIG_MAPS, "c", &Value::Null)
        .body(ContentType::MergePatch, r#"{"immutable":"x"}"#.to_owned());
    let status = world.run(&patch).expect_err("no boolean");
    let cause = &status.details.expect("kubectl shows causes").causes[0];
    assert_eq!((status.code, cause.field.as_str()), (422, "patch"));
}

#[test]
fn docker_credentials_are_json_and_sizes_are_of_all_data() {
    let mut world = World::new();
    let mut refused = |resource, object: Value| {
        world.run(&World::request(Verb::Create, resource, "", &object)).expect_err("invalid").message
    };
    let secret = json!({"metadata": {"name": "s"}, "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": "YQ=="}});
    expect![[r#"Secret "s" is invalid: data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character 'a' looking for beginning of value"#]]
        .assert_eq(&refused(&km_api::resource::SECRETS, secret));
    let big = json!({"metadata": {"name": "c"}, "data": {"a": "x".repeat(1024 * 1024 + 1)}});
    expect![[r#"ConfigMap "c" is invalid: []: Too long: may not be more than 1048576 bytes"#]]
        .assert_eq(&refused(&CONFIG_MAPS, big));
}

#[test]
fn the_path_says_what_the_body_leaves_out() {
    let mut world = World::new();
    let body = json!({"metadata": {"name": "c"}});
    let created = world.run(&World::request(Verb::Create, &CONFIG_MAPS, "", &body)).unwrap();
    assert_eq!((&created["apiVersion"], &created["kind"]), (&json!("v1"), &json!("ConfigMap")));
}

#[test]
fn unknown_fields_warn_or_are_dropped() {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "color": "red"});
    for (validation, expected) in [("Warn", vec![r#"unknown field "color""#]), ("Ignore", vec![])] {
        let world = World::new();
        let mut request = World::request(Verb::Create, &CONFIG_MAPS, "", &body);
        request.options.field_validation = validation.into();
        let crate::Decision::Commit(commit) = world.decide(&request).unwrap() else { panic!("creates") };
        assert_eq!(commit.warnings, expected);
    }
}

#[test]
fn a_running_pod_keeps_its_spec() {
    let mut world = World::new();
    world.create(&pod("web")).unwrap();
    let patch = |body: &str| {
        World::request(Verb::Patch, &PODS, "web", &Value::Null).body(ContentType::StrategicMergePatch, body.to_owned())
    };
    world.run(&patch(r#"{"spec":{"containers":[{"name":"c","image":"j"}]}}"#)).unwrap();
    assert_eq!(world.stored(&PODS, "web").unwrap()["metadata"]["generation"], 2);
    let refused = |world: &mut World, body: &str| world.run(&patch(body)).unwrap_err().message;
    expect![[r#"Pod "web" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"#]].assert_eq(&refused(&mut world, r#"{"spec":{"hostname":"x"}}"#));
    expect![[r#"Pod "web" is invalid: spec.containers: Forbidden: pod updates may not add or remove containers"#]]
        .assert_eq(&refused(&mut world, r#"{"spec":{"containers":[{"name":"d","image":"j"}]}}"#));
    expect![[r#"Pod "web" is invalid: spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"#]].assert_eq(&refused(&mut world, r#"{"spec":{"tolerations":null}}"#));
}

#[test]
fn workloads_select_their_own_template() {
    let deployment =
        |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec});
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    check(
        &deployment(json!({"template": template})),
        expect![[r#"422 Deployment.apps "web" is invalid: spec.selector: Required value"#]],
    );
    check(
        &deployment(json!({"selector": {}, "template": template})),
        expect![[
            r#"422 Deployment.apps "web" is invalid: spec.selector: Invalid value: {}: empty selector is invalid for deployment"#
        ]],
    );
    check(
        &deployment(json!({"selector": {"matchLabels": {"app": "x"}}, "template": template})),
        expect![[
            r#"422 Deployment.apps "web" is invalid: spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`"#
        ]],
    );
    let mut never = template.clone();
    never["spec"]["restartPolicy"] = json!("Never");
    check(
        &deployment(json!({"selector": {"matchLabels": {"app": "web"}}, "template": never, "replicas": -1})),
        expect![[
            r#"422 Deployment.apps "web" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"]"#
        ]],
    );
    let mut world = World::new();
    world.create(&deployment(json!({"selector": {"matchLabels": {"app": "web"}}, "template": template}))).unwrap();
    let patch = World::request(Verb::Patch, &DEPLOYMENTS, "web", &Value::Null)
        .body(ContentType::JsonPatch, r#"[{"op":"replace","path":"/spec/selector/matchLabels/app","value":"y"}]"#);
    expect![[r#"Deployment.apps "web" is invalid: spec.selector: Invalid value: {"matchLabels":{"app":"y"}}: field is immutable"#]].assert_eq(&world.run(&patch).unwrap_err().message);
}

#[test]
fn services_config_maps_and_roles_are_checked() {
    let object = |api: &str, kind: &str, rest: Value| {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    check(
        &object("v1", "Service", json!({"spec": {"type": "Magic"}})),
        expect![[
            r#"422 Service "x" is invalid: [spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort", spec.ports: Required value]"#
        ]],
    );
    check(
        &object("v1", "Service", json!({"spec": {"ports": [{"port": 80}, {"port": 80, "name": "a"}]}})),
        expect![[
            r#"422 Service "x" is invalid: [spec.ports[0].name: Required value, spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP","targetPort":0}]"#
        ]],
    );
    check(
        &object("v1", "ConfigMap", json!({"data": {"a b": "c"}})),
        expect![[
            r#"422 ConfigMap "x" is invalid: data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"#
        ]],
    );
    check(
        &object("v1", "Secret", json!({"type": "kubernetes.io/tls"})),
        expect![[r#"422 Secret "x" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value]"#]],
    );
    check(
        &object("rbac.authorization.k8s.io/v1", "Role", json!({"rules": [{"resources": ["pods"]}]})),
        expect![[
            r#"422 Role.rbac.authorization.k8s.io "x" is invalid: [rules[0].verbs: Required value: verbs must contain at least one value, rules[0].apiGroups: Required value: resource rules must supply at least one api group]"#
        ]],
    );
    check(
        &object("rbac.authorization.k8s.io/v1", "RoleBinding", json!({"roleRef": {"kind": "Rule", "name": "r"}})),
        expect![[
            r#"422 RoleBinding.rbac.authorization.k8s.io "x" is invalid: roleRef.kind: Unsupported value: "Rule": supported values: "Role", "ClusterRole""#
        ]],
    );
}

#[test]
fn a_frozen_config_map_stays() {
    let mut world = World::new();
    world
        .create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "immutable": true}))
        .unwrap();
    let patch = World::request(Verb::Patch, &CONFIG_MAPS, "c", &Value::Null)
        .body(ContentType::MergePatch, r#"{"data":{"a":"b"}}"#);
    expect![[r#"ConfigMap "c" is invalid: data: Forbidden: field is immutable when `immutable` is set"#]]
        .assert_eq(&world.run(&patch).unwrap_err().message);
}
