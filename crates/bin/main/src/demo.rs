//! `km demo`: two pods behind a Service, and the proof that they answer by name.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use km_api::resource::{DEPLOYMENTS, PODS, SERVICES};
use km_api::{Event, Options, Reason, Resource};
use km_client::{Client, NetworkBackend};
use km_kinds::api::apps::v1::Deployment;
use km_kinds::api::core::v1::{Pod, Service};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::cli::DataOptions;
use crate::layout::Layout;

/// What the demo may take, image and first executor included.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two tries to reach the Service: its rules reach the kernel a moment after its pods are ready.
const TRY_EVERY: Duration = Duration::from_millis(50);
const IMAGE: &str = "localhost/demo:latest";

/// Deploys the demo, unless it is there, and waits for its answer.
pub(crate) async fn run(options: &DataOptions) -> anyhow::Result<()> {
    let path = Layout::new(&options.data_dir)?.kubeconfig();
    let backend = NetworkBackend::from_kubeconfig(&path).await?;
    let client = Client::new(std::sync::Arc::new(backend));
    create(&client, &DEPLOYMENTS, deployment()).await?;
    create(&client, &SERVICES, service()).await?;
    match tokio::time::timeout(PATIENCE, answered(&client)).await {
        Ok(text) => {
            print!("{}", text?);
            Ok(())
        }
        Err(_) => {
            let why = reasons(&client).await.unwrap_or_else(|error| vec![error.to_string()]);
            bail!("the demo did not answer within {} s:\n  {}", PATIENCE.as_secs(), why.join("\n  "))
        }
    }
}

async fn create(client: &Client, resource: &'static Resource, object: Value) -> anyhow::Result<()> {
    match client.create(resource, "default", object.to_string().into_bytes()).await {
        Err(status) if !status.is(Reason::AlreadyExists) => {
            Err(status).with_context(|| format!("failed to create the demo's {}", resource.kind))
        }
        _ => Ok(()),
    }
}

fn deployment() -> Value {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "demo", "labels": {"app": "demo"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "demo"}}, "template": {
            "metadata": {"labels": {"app": "demo"}},
            "spec": {"containers": [{
                "name": "demo", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"),
                        field("NODE_NAME", "spec.nodeName"), field("POD_IP", "status.podIP")],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
            }]},
        }},
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo", "labels": {"app": "demo"}},
        "spec": {"selector": {"app": "demo"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    })
}

/// Waits until a pod is ready, then until the Service answers by its name.
async fn answered(client: &Client) -> anyhow::Result<String> {
    available(client).await?;
    let dns = client.get(&SERVICES, "kube-system", "kube-dns").await.context("failed to read the DNS Service")?;
    let dns: Service = dns.decode().context("failed to read the DNS Service")?;
    let ip = dns.spec.and_then(|s| s.cluster_ip).and_then(|ip| ip.parse::<Ipv4Addr>().ok());
    let dns = SocketAddr::from((ip.context("the DNS Service has no cluster IP")?, 53));
    loop {
        let attempt = async {
            let ip = resolve(dns, "demo.default.svc.cluster.local.").await?;
            get(SocketAddr::from((ip, 80))).await
        };
        match tokio::time::timeout(Duration::from_secs(2), attempt).await {
            Ok(Ok(text)) => return Ok(text),
            Ok(Err(_)) | Err(_) => tokio::time::sleep(TRY_EVERY).await,
        }
    }
}

/// Waits until the Deployment has an available pod.
async fn available(client: &Client) -> anyhow::Result<()> {
    loop {
        let options = || Options { field_selector: "metadata.name=demo".to_owned(), ..Options::default() };
        let list = client.list(&DEPLOYMENTS, "default", options()).await.context("failed to read the demo")?;
        let is_available = |object: &km_api::Object| -> anyhow::Result<bool> {
            let deployment: Deployment = object.decode()?;
            Ok(deployment.status.and_then(|s| s.available_replicas).unwrap_or(0) > 0)
        };
        for object in &list.items {
            if is_available(object)? {
                return Ok(());
            }
        }
        let watch = Options { resource_version: list.revision.to_string(), ..options() };
        let mut events = client.watch(&DEPLOYMENTS, "default", watch).await.context("failed to watch the demo")?;
        while let Some(event) = events.next().await {
            match event {
                Event::Object(_, object) if is_available(&object)? => return Ok(()),
                Event::Object(..) => {}
                Event::Error(_) => break,
            }
        }
    }
}

async fn resolve(server: SocketAddr, name: &str) -> anyhow::Result<Ipv4Addr> {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii(name)?, RecordType::A));
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect(server).await?;
    socket.send(&question.to_vec()?).await?;
    let mut buffer = [0; 512];
    let len = socket.recv(&mut buffer).await?;
    let answer = Message::from_vec(&buffer[..len])?;
    let address = answer.answers.iter().find_map(|r| if let RData::A(a) = &r.data { Some(a.0) } else { None });
    address.with_context(|| format!("{name} has no address"))
}

async fn get(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: demo.default.svc\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("the demo answered {:?}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

/// Says of each of the demo's pods what it waits for.
async fn reasons(client: &Client) -> anyhow::Result<Vec<String>> {
    let options = Options { label_selector: "app=demo".to_owned(), ..Options::default() };
    let list = client.list(&PODS, "default", options).await?;
    if list.items.is_empty() {
        return Ok(vec!["it has no pods yet; see 'kubectl describe deployment demo'".to_owned()]);
    }
    let mut all = Vec::new();
    for object in &list.items {
        let pod: Pod = object.decode()?;
        let status = pod.status.unwrap_or_default();
        let scheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
        let waiting = status.container_statuses.iter().flatten().find_map(|c| c.state.clone()?.waiting);
        let why = scheduled
            .and_then(|c| c.message.clone())
            .or_else(|| waiting.map(|w| format!("{}: {}", w.reason.unwrap_or_default(), w.message.unwrap_or_default())))
            .unwrap_or_else(|| format!("phase {}", status.phase.unwrap_or_default()));
        all.push(format!("pod {}: {why}", object.meta().name));
    }
    Ok(all)
}
