//! What was acknowledged is there after a restart, however the server ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use km_api::resource::{CLUSTER_ROLES, CONFIG_MAPS};
use km_api::{ContentType, Options};
use serde_json::json;

use crate::child;
use crate::server::Server;

fn config_map(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_keeps_everything_and_revisions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let made = server.client().create(&CONFIG_MAPS, "default", config_map("kept")).await.unwrap();
    server.stop().await;
    let server = Server::start(dir.path()).await;
    let found = server.client().get(&CONFIG_MAPS, "default", "kept").await.unwrap();
    assert_eq!(found.bytes(), made.bytes());
    let next = server.client().create(&CONFIG_MAPS, "default", config_map("next")).await.unwrap();
    assert!(next.meta().revision() > made.meta().revision());
    assert!(server.kubectl(&["get", "cm", "kept", "-o", "name"]).await.contains("kept"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_gives_older_roles_what_they_lack() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let older = json!({"rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]}).to_string();
    let role = "system:node-proxier";
    server.client().patch(&CLUSTER_ROLES, "", role, "", ContentType::MergePatch, older).await.unwrap();
    server.stop().await;
    for _ in 0..2 {
        let server = Server::start(dir.path()).await;
        let found = server.client().get(&CLUSTER_ROLES, "", role).await.unwrap();
        let rules = found.to_value()["rules"].to_string();
        assert!(rules.contains("endpointslices") && rules.matches("nodes").count() == 2, "{rules}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_that_cannot_be_decided_takes_nobody_with_it() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing that the server stores itself is so deep that it cannot be read.
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let value = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"deep","namespace":"default"}},"data":{deep}}}"#
    );
    let deps = km_store::StoreDeps { disk: Arc::new(km_store::OsDisk) };
    let config = km_store::StoreConfig::new(dir.path().join("store"));
    let store =
        tokio::task::spawn_blocking(|| km_store::Store::open(config, deps, &mut |_| ()).unwrap().0).await.unwrap();
    let ops = vec![("/registry/configmaps/default/deep".into(), Some(value.into()))];
    let record = km_store::Record { revision: km_base::Revision(2), ops };
    store.append(record, km_store::Durability::Sync).await.unwrap();
    store.close().await.unwrap();
    tokio::task::spawn_blocking(|| drop(store)).await.unwrap();

    let server = Server::start(dir.path()).await;
    let patch = json!({"data": {"a": "b"}}).to_string();
    let refused = server.client().patch(&CONFIG_MAPS, "default", "deep", "", ContentType::MergePatch, patch).await;
    assert_eq!(refused.unwrap_err().code, 500);
    server.client().create(&CONFIG_MAPS, "default", config_map("next")).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_during_writes_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3u64 {
        let mut child = child::start(dir.path()).await;
        let client = network_client(dir.path());
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..4 {
            let (client, stop) = (client.clone(), Arc::clone(&stop));
            writers.push(tokio::spawn(async move {
                let mut done = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let name = format!("r{round}-w{writer}-{}", done.len());
                    match client.create(&CONFIG_MAPS, "default", config_map(&name)).await {
                        Ok(_) => done.push(name),
                        Err(_) => break,
                    }
                }
                done
            }));
        }
        tokio::time::sleep(Duration::from_millis(300 + 170 * round)).await;
        child.kill().await.unwrap();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
    }
    assert!(!acknowledged.is_empty(), "nothing was written before the kill");
    let server = Server::start(dir.path()).await;
    let list = server.client().list(&CONFIG_MAPS, "default", Options::default()).await.unwrap();
    let names: Vec<&str> = list.items.iter().map(|o| o.meta().name.as_str()).collect();
    for name in &acknowledged {
        assert!(names.contains(&name.as_str()), "{name} was acknowledged and is lost");
    }
    server.stop().await;
}

/// Makes a client over the network from the kubeconfig that the child wrote.
fn network_client(dir: &std::path::Path) -> km_client::Client {
    let text = std::fs::read_to_string(dir.join("admin.kubeconfig")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    km_client::Client::new(Arc::new(crate::server::network(&config)))
}
