//! Pruned values and k8s-openapi's types of the same version must hold the same fields, since typed objects are
//! decoded from what the API server stored.

use km_kinds::api::apps::v1::{Deployment, ReplicaSet};
use km_kinds::api::certificates::v1::CertificateSigningRequest;
use km_kinds::api::coordination::v1::Lease;
use km_kinds::api::core::v1::{
    ConfigMap, Endpoints, Event, Namespace, Node, Pod, ReplicationController, Secret, Service, ServiceAccount,
};
use km_kinds::api::discovery::v1::EndpointSlice;
use km_kinds::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use km_kinds::{Codec, Resource};
use km_schema::{canonical, definition, prune};
use serde_json::{Value, json};

use crate::instances::Dice;

fn check<K: Codec>(group: &str, kind: &str, mut value: Value, unknown: &[&str]) {
    let ty = definition(group, "v1", kind).unwrap();
    assert_eq!(prune(&ty, &mut value), unknown);
    canonical(&ty, &mut value);
    let typed = K::decode(value.to_string().as_bytes()).unwrap();
    let mut back: Value = serde_json::from_slice(&typed.encode()).unwrap();
    canonical(&ty, &mut back);
    assert_eq!(back, value);
}

#[test]
fn a_pruned_pod_is_what_k8s_openapi_reads() {
    check::<Pod>(
        "",
        "Pod",
        json!({
            "apiVersion": "v1", "kind": "Pod", "foo": 1,
            "metadata": {"name": "a", "labels": {"a": "b"}, "nope": {}},
            "spec": {
                "containers": [
                    {"name": "a", "image": "b", "ports": [{"containerPort": 80, "hostprt": 1}], "imagePullPolicy": "Always",
                     "readinessProbe": {"httpGet": {"port": "http"}, "timeout": 1},
                     "env": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "x": 1}}}]},
                ],
                "volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}, "emptydir": {}}],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]}}},
                "tolerations": [{"operator": "Exists", "tolerationSeconds": 3}],
            },
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]},
        }),
        &[
            "foo",
            "metadata.nope",
            "spec.containers[0].ports[0].hostprt",
            "spec.containers[0].readinessProbe.timeout",
            "spec.containers[0].env[0].valueFrom.secretKeyRef.x",
            "spec.volumes[0].emptydir",
        ]
        .map(|path| path)
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>(),
    );
}

#[test]
fn pruned_deployments_and_services_too() {
    check::<Deployment>(
        "apps",
        "Deployment",
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "strategy": {"rollingUpdate": {"maxSurge": "25%"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}], "hostnetwork": true}},
            },
        }),
        &["spec.template.spec.hostnetwork"],
    );
    check::<Service>(
        "",
        "Service",
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
            "spec": {"ports": [{"port": 80, "targetPort": "http", "targetport": 1}], "selector": {"a": "b"}},
        }),
        &["spec.ports[0].targetport"],
    );
}

/// k8s-openapi prints required fields that are empty, where Go leaves some of them out.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(drop_empty);
            map.retain(|_, inner| ![json!([]), json!({}), json!(0), json!("")].contains(inner));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

/// A random instance has every field now and then; k8s-openapi must know them all and drop none.
fn agree<K: Codec + Resource>() {
    let ty = definition(K::GROUP, K::VERSION, K::KIND).unwrap();
    let index = ty.table().defs().iter().position(|def| def.name == ty.definition().name).unwrap();
    for seed in 0..40 {
        let mut value = Dice(seed).object(ty.table(), index, 8);
        value["apiVersion"] = K::API_VERSION.into();
        value["kind"] = K::KIND.into();
        canonical(&ty, &mut value);
        let typed = K::decode(value.to_string().as_bytes()).unwrap();
        let mut back: Value = serde_json::from_slice(&typed.encode()).unwrap();
        canonical(&ty, &mut back);
        drop_empty(&mut back);
        drop_empty(&mut value);
        assert_eq!(back, value, "{}", K::KIND);
    }
}

#[test]
fn k8s_openapi_keeps_every_field_that_pruning_keeps() {
    agree::<Pod>();
    agree::<Node>();
    agree::<Namespace>();
    agree::<ConfigMap>();
    agree::<Secret>();
    agree::<Service>();
    agree::<ServiceAccount>();
    agree::<Endpoints>();
    agree::<EndpointSlice>();
    agree::<Event>();
    agree::<Lease>();
    agree::<ReplicationController>();
    agree::<ReplicaSet>();
    agree::<Deployment>();
    agree::<CertificateSigningRequest>();
    agree::<Role>();
    agree::<RoleBinding>();
    agree::<ClusterRole>();
    agree::<ClusterRoleBinding>();
}
