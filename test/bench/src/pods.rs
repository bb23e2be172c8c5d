//! Pods through the API: from just before the POST to the watch events that show the pod bound, then running.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use km_api::resource::{NODES, PODS};
use km_api::{Event, EventType, Object, Options};
use km_client::{Client, DeleteOptions, NetworkBackend, WatchStream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::Pace;
use crate::series::Series;

const NAMESPACE: &str = "default";
const IMAGE: &str = "localhost/demo:latest";
/// What the first pod of a node may take: its executor starts with it.
const WARM_UP: Duration = Duration::from_secs(60);
/// How long to wait for pods after the last was created, and for their end after the last was deleted.
const PATIENCE: Duration = Duration::from_secs(60);

/// When things were seen of one pod.
struct Seen {
    created: Instant,
    bound: Option<Duration>,
    running: Option<Duration>,
}

/// Warms every node up, measures, removes the pods and prints.
pub(crate) async fn run(kubeconfig: &Path, pace: Pace) -> anyhow::Result<()> {
    let client = Client::new(Arc::new(NetworkBackend::from_kubeconfig(kubeconfig).await?));
    let warm = warm_up(&client).await;
    delete(&client, "warm").await?;
    warm?;
    let measured = measure(&client, pace).await;
    delete(&client, "measured").await?;
    let seen = measured?;
    let (mut bound, mut running) = (Series::default(), Series::default());
    for pod in seen.values() {
        pod.bound.into_iter().for_each(|after| bound.push(after));
        pod.running.into_iter().for_each(|after| running.push(after));
    }
    println!("{}", bound.line("created to bound"));
    println!("{}", running.line("created to running"));
    Ok(())
}

/// Runs one pod on every node, so that executors and runtimes are there.
async fn warm_up(client: &Client) -> anyhow::Result<()> {
    let nodes = client.list(&NODES, "", Options::default()).await.context("failed to list nodes")?;
    let mut events = watch(client, "warm").await?;
    let mut waiting = Vec::new();
    for node in &nodes.items {
        let name = format!("warm-{}", waiting.len());
        let mut body = pod(&name, "warm");
        let host = node.meta().labels.get("kubernetes.io/hostname").unwrap_or(&node.meta().name);
        body["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": host });
        create(client, &body).await?;
        waiting.push(name);
    }
    if waiting.is_empty() {
        bail!("the cluster has no nodes");
    }
    let all = async {
        while !waiting.is_empty() {
            let pod = next(&mut events).await?;
            if is_running(&pod.to_value()) {
                waiting.retain(|name| *name != pod.meta().name);
            }
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(WARM_UP, all).await {
        Ok(done) => done,
        Err(_) => bail!("the first pod of some node did not run within {WARM_UP:?}"),
    }
}

async fn measure(client: &Client, pace: Pace) -> anyhow::Result<BTreeMap<String, Seen>> {
    let mut events = watch(client, "measured").await?;
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    // One message a pod.
    let (sender, mut created) = mpsc::channel(usize::try_from(pace.pods)?);
    let creator = client.clone();
    let creating = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(pace.every());
        for number in 0..pace.pods {
            ticks.tick().await;
            let name = format!("bench-{number}");
            let body = pod(&name, "measured");
            if sender.send((name, Instant::now())).await.is_err() {
                break;
            }
            create(&creator, &body).await?;
        }
        anyhow::Ok(())
    });
    let deadline = tokio::time::sleep(pace.every() * pace.pods + PATIENCE);
    tokio::pin!(deadline);
    let mut left = pace.pods;
    while left > 0 {
        tokio::select! {
            // The creation is noted before its request is sent, so before any event of it.
            biased;
            Some((name, at)) = created.recv() => {
                seen.insert(name, Seen { created: at, bound: None, running: None });
            }
            object = next(&mut events) => {
                let object = object?;
                let Some(pod) = seen.get_mut(object.meta().name.as_str()) else { continue };
                let value = object.to_value();
                if pod.bound.is_none() && value["spec"]["nodeName"].is_string() {
                    pod.bound = Some(pod.created.elapsed());
                }
                if pod.running.is_none() && is_running(&value) {
                    pod.running = Some(pod.created.elapsed());
                    left -= 1;
                }
            }
            () = &mut deadline => break,
        }
    }
    creating.await.context("creating pods panicked")??;
    Ok(seen)
}

async fn delete(client: &Client, series: &str) -> anyhow::Result<()> {
    let mut events = watch(client, series).await?;
    let list = client.list(&PODS, NAMESPACE, selected(series)).await.context("failed to list pods")?;
    let mut left: Vec<String> = list.items.iter().map(|pod| pod.meta().name.to_string()).collect();
    for name in &left {
        let options = DeleteOptions { grace_period_seconds: Some(1), ..DeleteOptions::default() };
        client.delete(&PODS, NAMESPACE, name, options).await.with_context(|| format!("failed to delete {name}"))?;
    }
    let all = async {
        while !left.is_empty() {
            if let Some(Event::Object(EventType::Deleted, pod)) = events.next().await {
                left.retain(|name| *name != pod.meta().name);
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.context("the pods did not end")
}

fn selected(series: &str) -> Options {
    Options { label_selector: format!("km-bench={series}"), ..Options::default() }
}

/// Watches from now on, present objects first.
async fn watch(client: &Client, series: &str) -> anyhow::Result<WatchStream> {
    client.watch(&PODS, NAMESPACE, selected(series)).await.context("failed to watch pods")
}

async fn next(events: &mut WatchStream) -> anyhow::Result<Object> {
    loop {
        match events.next().await {
            Some(Event::Object(EventType::Added | EventType::Modified, object)) => return Ok(object),
            Some(Event::Object(..)) => {}
            Some(Event::Error(status)) => return Err(status).context("the watch broke"),
            None => bail!("the watch ended"),
        }
    }
}

async fn create(client: &Client, body: &Value) -> anyhow::Result<()> {
    let name = &body["metadata"]["name"];
    let created = client.create(&PODS, NAMESPACE, body.to_string().into_bytes()).await;
    created.map(drop).with_context(|| format!("failed to create pod {name}"))
}

/// A pod that asks for so little that a hundred fit on a small machine.
fn pod(name: &str, series: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"km-bench": series}},
        "spec": {"containers": [{
            "name": "demo", "image": IMAGE, "imagePullPolicy": "IfNotPresent",
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        }]},
    })
}

fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running"
}
