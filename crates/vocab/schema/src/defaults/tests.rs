//! Defaults as a client sees them.

use serde_json::{Value, json};

use super::default;
use crate::definition_named;

#[track_caller]
fn check(definition: &str, mut value: Value, expected: Value) {
    let ty = definition_named(&format!("io.k8s.api.{definition}")).unwrap();
    default(&ty, &mut value);
    assert_eq!(value, expected);
}

#[test]
fn a_bare_pod_gets_what_upstream_gives_it() {
    check(
        "core.v1.Pod",
        json!({"spec": {
            "containers": [{"name": "a", "image": "nginx", "ports": [{"containerPort": 80}],
                "livenessProbe": {"httpGet": {"port": 80}},
                "resources": {"limits": {"cpu": "1"}},
                "env": [{"name": "n", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}],
            "volumes": [{"name": "e"}, {"name": "s", "secret": {"secretName": "x"}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
                {"name": "h", "hostPath": {"path": "/"}}],
        }}),
        json!({"spec": {
            "containers": [{"name": "a", "image": "nginx", "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
                    "successThreshold": 1, "failureThreshold": 3},
                "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
                "env": [{"name": "n", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}]}],
            "volumes": [{"name": "e", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
                {"name": "p", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]}},
                {"name": "h", "hostPath": {"path": "/", "type": ""}}],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
        }}),
    );
}

#[test]
fn the_pull_policy_follows_the_tag() {
    for (image, policy) in [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("localhost:5000/nginx", "Always"),
        ("localhost:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("nginx:latest@sha256:abc", "Always"),
    ] {
        let ty = definition_named("io.k8s.api.core.v1.Container").unwrap();
        let mut value = json!({"image": image});
        default(&ty, &mut value);
        assert_eq!(value["imagePullPolicy"], policy, "{image}");
    }
}

#[test]
fn host_network_copies_container_ports_in_pods_but_not_in_templates() {
    let spec =
        json!({"hostNetwork": true, "containers": [{"name": "a", "image": "b:1", "ports": [{"containerPort": 80}]}]});
    let pod = definition_named("io.k8s.api.core.v1.Pod").unwrap();
    let mut value = json!({"spec": spec});
    default(&pod, &mut value);
    assert_eq!(value["spec"]["containers"][0]["ports"][0]["hostPort"], 80);
    let template = definition_named("io.k8s.api.core.v1.PodTemplateSpec").unwrap();
    let mut value = json!({"spec": spec});
    default(&template, &mut value);
    assert_eq!(value["spec"]["containers"][0]["ports"][0].get("hostPort"), None);
    assert_eq!(value["spec"].get("enableServiceLinks"), None);
}

#[test]
fn workloads_get_replicas_and_strategies() {
    check(
        "apps.v1.DeploymentSpec",
        json!({}),
        json!({"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "template": {"spec": {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
                "securityContext": {}, "terminationGracePeriodSeconds": 30}}}),
    );
    check("apps.v1.DeploymentStrategy", json!({"type": "Recreate"}), json!({"type": "Recreate"}));
    check(
        "core.v1.ReplicationController",
        json!({"spec": {"replicas": 0, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "dnsPolicy": "Default", "restartPolicy": "Always", "schedulerName": "x", "securityContext": {}, "terminationGracePeriodSeconds": 0}}}}),
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 0, "selector": {"a": "b"},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "dnsPolicy": "Default", "restartPolicy": "Always", "schedulerName": "x", "securityContext": {}, "terminationGracePeriodSeconds": 0}}}}),
    );
}

#[test]
fn services_get_policies_by_type() {
    check(
        "core.v1.ServiceSpec",
        json!({"ports": [{"port": 80}, {"port": 81, "targetPort": "http", "protocol": "UDP"}]}),
        json!({"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}, {"port": 81, "targetPort": "http", "protocol": "UDP"}],
            "sessionAffinity": "None", "type": "ClusterIP", "internalTrafficPolicy": "Cluster"}),
    );
    check(
        "core.v1.ServiceSpec",
        json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP"}),
        json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
            "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": true}),
    );
    check(
        "core.v1.ServiceSpec",
        json!({"type": "ExternalName"}),
        json!({"type": "ExternalName", "sessionAffinity": "None"}),
    );
}

#[test]
fn smaller_kinds_get_theirs() {
    check(
        "core.v1.Namespace",
        json!({"metadata": {"name": "prod"}}),
        json!({"metadata": {"name": "prod", "labels": {"kubernetes.io/metadata.name": "prod"}}, "status": {"phase": "Active"}}),
    );
    check("core.v1.Secret", json!({}), json!({"type": "Opaque"}));
    check(
        "core.v1.NodeStatus",
        json!({"capacity": {"cpu": "1"}}),
        json!({"capacity": {"cpu": "1"}, "allocatable": {"cpu": "1"}}),
    );
    check(
        "rbac.v1.RoleBinding",
        json!({"subjects": [{"kind": "User", "name": "a"}, {"kind": "ServiceAccount", "name": "b"}], "roleRef": {"kind": "Role", "name": "r"}}),
        json!({"subjects": [{"kind": "User", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "ServiceAccount", "name": "b"}],
            "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}}),
    );
    check("discovery.v1.EndpointPort", json!({}), json!({"name": "", "protocol": "TCP"}));
    check("authentication.v1.TokenRequestSpec", json!({}), json!({"expirationSeconds": 3600}));
    check(
        "core.v1.LimitRangeItem",
        json!({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}),
        json!({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}, "default": {"cpu": "2"}, "defaultRequest": {"cpu": "2", "memory": "1Mi"}}),
    );
    check(
        "networking.v1.NetworkPolicySpec",
        json!({"egress": [{}]}),
        json!({"egress": [{}], "policyTypes": ["Ingress", "Egress"]}),
    );
    let job = definition_named("io.k8s.api.batch.v1.JobSpec").unwrap();
    let mut value = json!({"parallelism": 2});
    default(&job, &mut value);
    assert_eq!(
        (value.get("completions"), &value["backoffLimit"], &value["podReplacementPolicy"]),
        (None, &json!(6), &json!("TerminatingOrFailed"))
    );
}
