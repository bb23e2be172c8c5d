//! Requests that lead to a node, with a kubelet that is a few lines.

use std::net::Ipv4Addr;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use km_api::ContentType;
use km_api::resource::{NODES, PODS, SERVICE_ACCOUNTS};
use km_base::Timestamp;
use km_net::client::ClientIdentity;
use km_net::pki::{PeerCertificate, Validity};
use km_net::tls::Alpn;
use km_net::{HttpClient, ServeConfig, Shutdown, serve_tls, tls};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::Server;

/// Answers logs with what it was asked, and upgraded connections with an echo.
async fn kubelet(mut request: Request<km_net::Body>) -> Response<km_net::Body> {
    let user = request.extensions().get::<PeerCertificate>().map(|peer| peer.common_name.clone()).unwrap_or_default();
    assert!(request.headers().get("authorization").is_none(), "no caller's token reaches a kubelet");
    let asked = request.uri().path_and_query().unwrap().to_string();
    if !request.headers().contains_key("upgrade") {
        return Response::new(km_net::body::full(format!("{user} asked {asked}\n")));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut buffer = [0; 64];
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            stream.write_all(&buffer[..n]).await.unwrap();
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("x-asked", asked)
        .body(km_net::body::empty())
        .unwrap()
}

async fn server_with_running_pod(dir: &std::path::Path) -> (Server, Shutdown) {
    let server = Server::start(dir).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let validity = Validity::starting(Timestamp::from_secs(now.as_secs().cast_signed()), std::time::Duration::from_secs(600));
    let credential = server.ca.issue_server("system:node:n1", &["127.0.0.1".to_owned()], validity).unwrap();
    let tls = tls::server_config(&credential, Some(server.ca.certificate_pem())).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let shutdown = Shutdown::new();
    tokio::spawn(serve_tls(listener, tls, Arc::new(kubelet), ServeConfig::usual(), shutdown.clone()));

    let admin = server.client();
    let create = async |resource, namespace, value: serde_json::Value| {
        admin.create(resource, namespace, value.to_string()).await.unwrap();
    };
    create(&NODES, "", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})).await;
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
    admin.patch(&NODES, "", "n1", "status", ContentType::MergePatch, status.to_string()).await.unwrap();
    create(&SERVICE_ACCOUNTS, "default", json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})).await;
    create(&PODS, "default", json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}]}})).await;
    (server, shutdown)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_come_from_the_pods_node() {
    let dir = tempfile::tempdir().unwrap();
    let (server, kubelet) = server_with_running_pod(dir.path()).await;
    let logs = server.kubectl(&["logs", "web", "--tail=5", "-f"]).await;
    assert_eq!(logs, "kube-apiserver-kubelet-client asked /containerLogs/default/web/c?follow=true&tailLines=5\n");
    let wrong = server.try_kubectl(&["logs", "web", "-c", "nope"], "").await;
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("container nope is not valid for pod web"));
    let raw = server.kubectl(&["get", "--raw", "/api/v1/nodes/n1/proxy/stats/summary"]).await;
    assert_eq!(raw, "kube-apiserver-kubelet-client asked /stats/summary\n");
    kubelet.begin();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exec_is_a_tunnel_to_the_pods_node() {
    let dir = tempfile::tempdir().unwrap();
    let (server, kubelet) = server_with_running_pod(dir.path()).await;
    let credential = server
        .ca
        .issue_client("admin", Some("system:masters"), Validity::starting(Timestamp::from_secs(1), std::time::Duration::from_secs(1 << 33)))
        .unwrap();
    let identity = ClientIdentity {
        ca_pem: Some(server.ca.certificate_pem().to_owned()),
        credential: Some(credential),
        bearer: None,
    };
    let client = HttpClient::new(&identity, Alpn::Http1, 5_000).unwrap();
    let request = Request::builder()
        .uri(format!("{}/api/v1/namespaces/default/pods/web/exec?command=cat&stdout=true&stderr=true", server.url))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(km_net::body::empty())
        .unwrap();
    let mut response = client.send(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["x-asked"], "/exec/default/web/c?command=cat&output=1&error=1");
    let mut stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"hello");
    drop(stream);
    kubelet.begin();
    server.stop().await;
}
