//! Requests that lead to a node, with a kubelet that is a few lines.

use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
    if request.headers().contains_key("sec-websocket-protocol") {
        return exec_over_websocket(request);
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

/// Speaks `v5.channel.k8s.io`: prints the command to standard output and ends with exit code 3.
fn exec_over_websocket(mut request: Request<km_net::Body>) -> Response<km_net::Body> {
    let key = request.headers()["sec-websocket-key"].to_str().unwrap().to_owned();
    let accept = STANDARD.encode(sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()));
    let query = request.uri().query().unwrap().to_owned();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let failed = json!({"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": "command terminated with non-zero exit code: exit status 3",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
        stream.write_all(&frame(1, query.as_bytes())).await.unwrap();
        stream.write_all(&frame(3, failed.to_string().as_bytes())).await.unwrap();
        // A close frame with code 1000; then wait for the client's.
        stream.write_all(&[0x88, 2, 0x03, 0xe8]).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .header("sec-websocket-protocol", "v5.channel.k8s.io")
        .body(km_net::body::empty())
        .unwrap()
}

/// A binary frame of a channel.
fn frame(channel: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len() + 1).unwrap();
    let mut frame = vec![0x82, 126];
    frame.extend(len.to_be_bytes());
    frame.push(channel);
    frame.extend(data);
    frame
}

/// FIPS 180-4; only WebSocket's handshake wants it.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks(64) {
        let mut w: Vec<u32> = block.chunks(4).map(|b| u32::from_be_bytes(b.try_into().unwrap())).collect();
        for i in 16..80 {
            w.push((w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

async fn server_with_running_pod(dir: &std::path::Path) -> (Server, Shutdown) {
    let server = Server::start(dir).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let validity =
        Validity::starting(Timestamp::from_secs(now.as_secs().cast_signed()), std::time::Duration::from_secs(600));
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
    create(
        &SERVICE_ACCOUNTS,
        "default",
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}),
    )
    .await;
    create(
        &PODS,
        "default",
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}]}}),
    )
    .await;
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
        .issue_client(
            "admin",
            Some("system:masters"),
            Validity::starting(Timestamp::from_secs(1), std::time::Duration::from_secs(1 << 33)),
        )
        .unwrap();
    let identity = ClientIdentity {
        ca_pem: Some(server.ca.certificate_pem().to_owned()),
        credential: Some(credential),
        bearer: None,
    };
    let client = HttpClient::new(&identity, Alpn::Http1, 5_000).unwrap();
    for (method, protocol) in [("GET", "websocket"), ("POST", "SPDY/3.1")] {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/namespaces/default/pods/web/exec?command=cat&stdout=true&stderr=true", server.url))
            .header("connection", "Upgrade")
            .header("upgrade", protocol)
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
    }
    kubelet.begin();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_exec_gives_output_and_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let (server, kubelet) = server_with_running_pod(dir.path()).await;
    let output = server.try_kubectl(&["exec", "web", "--", "echo", "hi there"], "").await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&output.stdout), "command=echo&command=hi%20there&error=1&output=1", "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    kubelet.begin();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_and_services_are_reached_through_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let (server, kubelet) = server_with_running_pod(dir.path()).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = |request: Request<km_net::Body>| async move {
        Response::new(km_net::body::full(format!("web was asked {}", request.uri())))
    };
    let stop = Shutdown::new();
    tokio::spawn(km_net::serve_plain(listener, Arc::new(web), ServeConfig::usual(), stop.clone()));
    let status = json!({"status": {"podIP": "127.0.0.1"}}).to_string();
    server.client().patch(&PODS, "default", "web", "status", ContentType::MergePatch, status).await.unwrap();
    let pod = format!("/api/v1/namespaces/default/pods/web:{port}/proxy/a/b?c=d");
    assert_eq!(server.kubectl(&["get", "--raw", &pod]).await, "web was asked /a/b?c=d");
    // A pod that says it is where the kubelet is does not get the kubelet to obey.
    let node = server.client().get(&NODES, "", "n1").await.unwrap().to_value();
    let port = &node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"];
    let disguised = format!("/api/v1/namespaces/default/pods/https:web:{port}/proxy/exec/x");
    assert_eq!(server.kubectl(&["get", "--raw", &disguised]).await, " asked /exec/x\n");
    server.kubectl(&["create", "service", "clusterip", "web", "--tcp=80:80"]).await;
    let none = server.try_kubectl(&["get", "--raw", "/api/v1/namespaces/default/services/web:80/proxy/"], "").await;
    assert!(String::from_utf8_lossy(&none.stderr).contains("no endpoints available for service \"web\""));
    stop.begin();
    kubelet.begin();
    server.stop().await;
}
