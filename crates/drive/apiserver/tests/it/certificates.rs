//! A node's way from a bootstrap token to its own certificates.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use km_api::resource::{CERTIFICATE_SIGNING_REQUESTS as CSRS, NODES, SECRETS};
use km_api::{Options, Status};
use km_client::Client;
use km_net::pki::make_request;
use serde_json::{Value, json};

use crate::server::{PATIENCE, Server};

const TOKEN: &str = "abcdef.0123456789abcdef";

async fn server_with_token(dir: &std::path::Path) -> Server {
    let server = Server::start(dir).await;
    let admin = server.client();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
    "metadata": {"name": "bootstrap-token-abcdef"},
    "stringData": {
        "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:km", "expiration": "2099-01-01T00:00:00Z",
        "node-name": "n1", "agent-id": "a1",
    }});
    admin.create(&SECRETS, "kube-system", secret.to_string()).await.unwrap();
    server
}

/// Posts a request and waits until it is decided.
async fn ask(
    client: &Client,
    name: &str,
    signer: &str,
    usage: &str,
    pem: &str,
) -> Result<Result<String, String>, Status> {
    post(client, name, signer, usage, pem).await?;
    decided(client, name).await
}

async fn post(client: &Client, name: &str, signer: &str, usage: &str, pem: &str) -> Result<(), Status> {
    let csr = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"request": STANDARD.encode(pem), "signerName": signer, "usages": ["digital signature", usage]}});
    client.create(&CSRS, "", csr.to_string()).await.map(|_| ())
}

/// Waits until a request is decided: the certificate, or the type of the condition that ends it.
async fn decided(client: &Client, name: &str) -> Result<Result<String, String>, Status> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let csr: Value = client.get(&CSRS, "", name).await?.to_value();
        if let Some(certificate) = csr["status"]["certificate"].as_str() {
            return Ok(Ok(String::from_utf8(STANDARD.decode(certificate).unwrap()).unwrap()));
        }
        if let Some(ended) =
            csr["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] != "Approved")
        {
            return Ok(Err(ended["type"].as_str().unwrap().to_owned()));
        }
        assert!(tokio::time::Instant::now() < deadline, "{name} is not decided: {csr}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

const CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const SERVING: &str = "kubernetes.io/kubelet-serving";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_token_becomes_one_certificate_of_its_own_node() {
    let dir = tempfile::tempdir().unwrap();
    let server = server_with_token(dir.path()).await;
    let executor = server.network(Some(TOKEN));
    let (pem, _) = make_request("system:node:other", Some("system:nodes"), &[]).unwrap();
    assert_eq!(ask(&executor, "other", CLIENT, "client auth", &pem).await.unwrap().unwrap_err(), "Denied");
    let (pem, key) = make_request("system:node:n1", Some("system:nodes"), &[]).unwrap();
    let certificate = ask(&executor, "first", CLIENT, "client auth", &pem).await.unwrap().unwrap();
    let (again, _) = make_request("system:node:n1", Some("system:nodes"), &[]).unwrap();
    assert_eq!(ask(&executor, "second", CLIENT, "client auth", &again).await.unwrap().unwrap_err(), "Denied");

    let node = node_client(&server, certificate, key);
    let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    node.create(&NODES, "", object.to_string()).await.unwrap();
    let other = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2"}});
    assert_eq!(node.create(&NODES, "", other.to_string()).await.unwrap_err().code, 403);
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.1.2.3"}]}}).to_string();
    node.patch(&NODES, "", "n1", "status", km_api::ContentType::MergePatch, status).await.unwrap();
    // A node that calls itself the API server waits for a person; the next request shows that this one was looked at.
    let status = json!({"status": {"addresses": [
        {"type": "InternalIP", "address": "10.1.2.3"}, {"type": "Hostname", "address": "kubernetes.default.svc"}]}});
    node.patch(&NODES, "", "n1", "status", km_api::ContentType::MergePatch, status.to_string()).await.unwrap();
    let (pem, _) =
        make_request("system:node:n1", Some("system:nodes"), &["kubernetes.default.svc".to_owned()]).unwrap();
    post(&node, "disguised", SERVING, "server auth", &pem).await.unwrap();
    let names = ["10.1.2.3".to_owned(), "n1".to_owned()];
    let (pem, _) = make_request("system:node:n1", Some("system:nodes"), &names).unwrap();
    ask(&node, "serving", SERVING, "server auth", &pem).await.unwrap().unwrap();
    assert!(node.get(&CSRS, "", "disguised").await.unwrap().to_value()["status"]["conditions"].is_null());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_for_one_signer_makes_no_other_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let admin = server.client();
    let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "ByHand"}]}});
    for (name, signer, usage, user, group, names) in [
        ("masters", SERVING, "client auth", "admin", "system:masters", vec![]),
        ("both", SERVING, "client auth", "system:node:n1", "system:nodes", vec!["n1".to_owned()]),
        ("named", CLIENT, "client auth", "system:node:n1", "system:nodes", vec!["n1".to_owned()]),
        ("root", "kubernetes.io/kube-apiserver-client", "client auth", "me", "system:masters", vec![]),
    ] {
        let (pem, _) = make_request(user, Some(group), &names).unwrap();
        post(&admin, name, signer, usage, &pem).await.unwrap();
        let kind = km_api::ContentType::StrategicMergePatch;
        admin.patch(&CSRS, "", name, "approval", kind, approved.to_string()).await.unwrap();
        assert_eq!(decided(&admin, name).await.unwrap().unwrap_err(), "Failed", "{name}");
    }
    let (pem, _) = make_request("jane", Some("dev"), &[]).unwrap();
    post(&admin, "jane", "kubernetes.io/kube-apiserver-client", "client auth", &pem).await.unwrap();
    let kind = km_api::ContentType::StrategicMergePatch;
    admin.patch(&CSRS, "", "jane", "approval", kind, approved.to_string()).await.unwrap();
    decided(&admin, "jane").await.unwrap().unwrap();
    server.stop().await;
}

fn node_client(server: &Server, certificate: String, key: String) -> Client {
    let endpoint = km_client::Endpoint {
        url: server.url.clone(),
        ca_pem: server.ca.certificate_pem().to_owned(),
        certificate: Some((certificate, key)),
        token: None,
    };
    Client::new(std::sync::Arc::new(km_client::NetworkBackend::new(&endpoint).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cannot_list_what_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let server = server_with_token(dir.path()).await;
    let (pem, key) = make_request("system:node:n1", Some("system:nodes"), &[]).unwrap();
    let certificate = ask(&server.network(Some(TOKEN)), "csr", CLIENT, "client auth", &pem).await.unwrap().unwrap();
    let node = node_client(&server, certificate, key);
    assert_eq!(node.list(&SECRETS, "", Options::default()).await.unwrap_err().code, 403);
    server.stop().await;
}
