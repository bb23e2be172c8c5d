//! A full disk: changes are refused, nothing that was refused is ever seen, and it recovers. What one record cannot hold
//! is written in several.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use km_api::resource::CONFIG_MAPS;
use km_api::{Event, Options, Request, Response, Verb};
use km_store::{Disk, DiskFile, OsDisk};
use serde_json::json;

use crate::server::Server;

/// The machine's disk, which can be told to be full.
#[derive(Clone, Default)]
struct FullDisk(Arc<AtomicBool>);

struct FullFile {
    file: Box<dyn DiskFile>,
    full: Arc<AtomicBool>,
}

impl Disk for FullDisk {
    fn create(&self, path: &Path, contents: &[u8]) -> io::Result<Box<dyn DiskFile>> {
        let file = OsDisk.create(path, contents)?;
        Ok(Box::new(FullFile { file, full: Arc::clone(&self.0) }))
    }
}

impl DiskFile for FullFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_at(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
}

fn config_map(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_changes_shows_none_of_them_and_recovers() {
    use futures::StreamExt;
    let dir = tempfile::tempdir().unwrap();
    let disk = FullDisk::default();
    let server = Server::start_on(dir.path(), Arc::new(disk.clone())).await;
    let client = server.client();
    client.create(&CONFIG_MAPS, "default", config_map("before")).await.unwrap();
    let options = Options { send_initial_events: Some(false), ..Options::default() };
    let mut watch = client.watch(&CONFIG_MAPS, "default", options).await.unwrap();

    disk.0.store(true, Ordering::SeqCst);
    let attempts = (0..50).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { client.create(&CONFIG_MAPS, "default", config_map(&format!("lost{n}"))).await })
    });
    let mut told_why = false;
    for attempt in attempts.collect::<Vec<_>>() {
        let refused = attempt.await.unwrap().unwrap_err();
        assert_eq!(refused.code, 503, "{refused:?}");
        told_why |= refused.message.contains("no storage space");
    }
    assert!(told_why, "the first of each batch is told what the disk says");
    let list = client.list(&CONFIG_MAPS, "default", Options::default()).await.unwrap();
    assert!(list.items.iter().all(|o| !o.meta().name.starts_with("lost")));
    assert_eq!(server.kubectl(&["get", "cm", "before", "-o", "name"]).await, "configmap/before\n", "reads go on");
    let ready = server.try_kubectl(&["get", "--raw", "/readyz"], "").await;
    assert!(!ready.status.success(), "a server that stores nothing is not ready");

    disk.0.store(false, Ordering::SeqCst);
    let mut made = Vec::new();
    for n in 0..10 {
        let name = format!("after{n}");
        made.push(loop {
            // The first may still be of the failed epoch.
            match client.create(&CONFIG_MAPS, "default", config_map(&name)).await {
                Ok(object) => break object,
                Err(status) => assert!(status.retryable(), "{status:?}"),
            }
        });
    }
    for object in &made {
        let event = tokio::time::timeout(crate::server::PATIENCE, watch.next()).await.unwrap().unwrap();
        let Event::Object(_, seen) = event else { panic!("{event:?}") };
        assert_eq!(seen.bytes(), object.bytes(), "the watch goes on with what was stored, and with nothing else");
    }
    assert_eq!(server.kubectl(&["get", "--raw", "/readyz"]).await, "ok");
    server.stop().await;
    let server = Server::start(dir.path()).await;
    let list = server.client().list(&CONFIG_MAPS, "default", Options::default()).await.unwrap();
    assert_eq!(list.items.iter().filter(|o| o.meta().name.starts_with("after")).count(), 10);
    assert!(list.items.iter().all(|o| !o.meta().name.starts_with("lost")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_may_be_larger_than_what_the_store_takes_at_once() {
    const COUNT: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let client = server.client();
    for n in 0..COUNT {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("m{n}"), "finalizers": ["example.org/held"]},
            "data": {"a": "x".repeat(1 << 20)}});
        client.create(&CONFIG_MAPS, "default", object.to_string()).await.unwrap();
    }
    let answer = client.call(Request::new(Verb::DeleteCollection, &CONFIG_MAPS, "default", "")).await.unwrap();
    let Response::List(deleted) = answer else { panic!("{answer:?}") };
    assert_eq!((deleted.items.len(), deleted.remaining), (COUNT, None));
    let left = client.list(&CONFIG_MAPS, "default", Options::default()).await.unwrap();
    assert!(left.items.len() == COUNT && left.items.iter().all(|object| object.meta().is_terminating()));
    server.stop().await;
}
