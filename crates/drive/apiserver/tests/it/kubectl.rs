//! What a person does with kubectl.

use crate::server::Server;

async fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    (dir, server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_maps_are_created_read_changed_and_deleted() {
    let (_dir, server) = server().await;
    server.kubectl(&["create", "configmap", "settings", "--from-literal=color=red"]).await;
    assert_eq!(server.kubectl(&["get", "configmap", "settings", "-o", "jsonpath={.data.color}"]).await, "red");
    let table = server.kubectl(&["get", "cm", "settings"]).await;
    assert!(table.starts_with("NAME") && table.contains("DATA") && table.contains("settings"), "{table}");
    server.kubectl(&["label", "cm", "settings", "tier=front"]).await;
    server.kubectl(&["annotate", "cm", "settings", "note=hello"]).await;
    server.kubectl(&["patch", "cm", "settings", "-p", r#"{"data":{"size":"big"}}"#]).await;
    server
        .kubectl(&["patch", "cm", "settings", "--type=json", "-p", r#"[{"op":"remove","path":"/data/color"}]"#])
        .await;
    assert_eq!(
        server.kubectl(&["get", "cm", "-l", "tier=front", "-o", "jsonpath={.items[0].data}"]).await,
        r#"{"size":"big"}"#
    );
    assert_eq!(server.kubectl(&["get", "cm", "-l", "tier=back", "-o", "name"]).await, "");
    assert!(server.kubectl(&["describe", "cm", "settings"]).await.contains("big"));
    assert!(server.kubectl(&["get", "cm", "settings", "-o", "yaml"]).await.contains("size: big"));
    server.kubectl(&["wait", "cm/settings", "--for=jsonpath={.data.size}=big", "--timeout=20s"]).await;
    server.edit(&["edit", "cm", "settings"], "sed -i s/big/small/").await;
    assert_eq!(server.kubectl(&["get", "cm", "settings", "-o", "jsonpath={.data.size}"]).await, "small");
    server.kubectl(&["delete", "cm", "settings"]).await;
    let gone = server.try_kubectl(&["get", "cm", "settings"], "").await;
    assert_eq!(
        String::from_utf8_lossy(&gone.stderr).trim(),
        r#"Error from server (NotFound): configmaps "settings" not found"#
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_are_applied_twice_without_change() {
    let (_dir, server) = server().await;
    let manifest = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {a: '1'}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: nginx}]}
";
    let first = server.kubectl_with(&["apply", "-f", "-"], manifest).await;
    assert!(first.contains("configmap/app created") && first.contains("deployment.apps/web created"), "{first}");
    let second = server.kubectl_with(&["apply", "-f", "-"], manifest).await;
    assert!(second.contains("configmap/app unchanged") && second.contains("deployment.apps/web unchanged"), "{second}");
    let third = server.kubectl_with(&["apply", "-f", "-"], &manifest.replace("replicas: 2", "replicas: 3")).await;
    assert!(third.contains("deployment.apps/web configured"), "{third}");
    server.kubectl(&["scale", "deployment", "web", "--replicas=5"]).await;
    assert_eq!(server.kubectl(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]).await, "5");
    let diff = server.kubectl_with(&["diff", "-f", "-"], &manifest.replace("replicas: 2", "replicas: 5")).await;
    assert_eq!(diff, "");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unscheduled_pods_are_listed_and_deleted_at_once() {
    let (_dir, server) = server().await;
    server.kubectl(&["create", "serviceaccount", "default"]).await;
    server.kubectl(&["run", "web", "--image=nginx", "--port=80"]).await;
    let table = server.kubectl(&["get", "pods", "-A"]).await;
    assert!(table.contains("web") && table.contains("Pending"), "{table}");
    assert!(server.kubectl(&["describe", "pod", "web"]).await.contains("Image:"));
    let logs = server.try_kubectl(&["logs", "web"], "").await;
    assert!(!logs.status.success());
    server.kubectl(&["delete", "pod", "web", "--wait=true", "--timeout=20s"]).await;
    assert_eq!(server.kubectl(&["get", "pods", "-o", "name"]).await, "");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_cannot_be_patched_are_created_from_manifests() {
    let (_dir, server) = server().await;
    let review = r#"{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "nobody", "resourceAttributes": {"verb": "list", "resource": "pods"}}}"#;
    let answer = server.kubectl_with(&["create", "-f", "-", "-o", "jsonpath={.status.allowed}"], review).await;
    assert_eq!(answer, "false");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_describes_itself() {
    let (_dir, server) = server().await;
    assert!(server.kubectl(&["version"]).await.contains("Server Version: v1.37"));
    let resources = server.kubectl(&["api-resources"]).await;
    assert!(resources.contains("deployments") && resources.contains("rolebindings"), "{resources}");
    assert!(server.kubectl(&["explain", "pod.spec.containers"]).await.contains("image"));
    assert_eq!(server.kubectl(&["get", "--raw", "/readyz"]).await, "ok");
    assert!(server.kubectl(&["get", "--raw", "/metrics"]).await.contains("apiserver_request_total"));
    assert_eq!(server.kubectl(&["auth", "can-i", "create", "pods"]).await.trim(), "yes");
    let as_nobody = server.try_kubectl(&["auth", "can-i", "create", "pods", "--as=nobody"], "").await;
    drop(as_nobody);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_refused_in_upstreams_words() {
    let (_dir, server) = server().await;
    let bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n";
    let refused = server.try_kubectl(&["create", "-f", "-"], bad).await;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains(r#"The ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value"#), "{text}");
    let unknown = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatta: {}\n";
    let refused = server.try_kubectl(&["create", "-f", "-"], unknown).await;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("unknown field \"datta\""), "{text}");
    let missing = server.try_kubectl(&["get", "pods", "-n", "default", "none"], "").await;
    assert!(String::from_utf8_lossy(&missing.stderr).contains(r#"pods "none" not found"#));
    server.stop().await;
}
