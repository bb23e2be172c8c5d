//! Records Kubernetes events about pods and the node: one task, one queue; a full queue drops, as upstream does.

use std::collections::BTreeMap;

use km_api::ContentType;
use km_api::resource::EVENTS;
use km_base::{ObjectKey, Timestamp, Uid};
use km_client::Client;
use serde_json::json;
use tokio::sync::mpsc;
use tracing::debug;

use crate::context::now;

/// Events that may wait; more are dropped, because nothing may wait for an event to be recorded.
const QUEUE_LEN_MAX: usize = 1_000;
/// Events that are remembered to be counted up instead of written anew.
const REMEMBERED_MAX: usize = 2_048;

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) kind: &'static str,
    pub(crate) key: ObjectKey,
    pub(crate) uid: Uid,
    pub(crate) field_path: String,
}

#[derive(Debug)]
struct Entry {
    subject: Subject,
    warning: bool,
    reason: String,
    message: String,
    at: Timestamp,
}

/// Hands events to the recorder.
#[derive(Clone)]
pub(crate) struct Recorder(mpsc::Sender<Entry>);

impl Recorder {
    /// Makes a recorder and the task that writes for it.
    pub(crate) fn new(client: Client, node: String) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(QUEUE_LEN_MAX);
        (Self(sender), write_all(client, node, receiver))
    }

    pub(crate) fn record(&self, subject: Subject, warning: bool, reason: &str, message: &str) {
        let entry = Entry { subject, warning, reason: reason.to_owned(), message: message.to_owned(), at: now() };
        if self.0.try_send(entry).is_err() {
            debug!(reason, "dropped an event");
        }
    }
}

async fn write_all(client: Client, node: String, mut entries: mpsc::Receiver<Entry>) {
    let mut known: BTreeMap<(Subject, String, String), (String, u32)> = BTreeMap::new();
    while let Some(entry) = entries.recv().await {
        let id = (entry.subject.clone(), entry.reason.clone(), entry.message.clone());
        let namespace = if entry.subject.key.namespace.is_empty() { "default" } else { &entry.subject.key.namespace };
        let at = entry.at.rfc3339();
        if let Some((name, count)) = known.get_mut(&id) {
            *count += 1;
            let patch = json!({"count": *count, "lastTimestamp": at}).to_string();
            if client.patch(&EVENTS, namespace, name, "", ContentType::MergePatch, patch).await.is_ok() {
                continue;
            }
        }
        let name = format!("{}.{:x}", entry.subject.key.name, entry.at.as_micros() * 1_000);
        let body = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": entry.subject.kind,
                "namespace": entry.subject.key.namespace,
                "name": entry.subject.key.name,
                "uid": entry.subject.uid,
                "fieldPath": entry.subject.field_path,
            },
            "reason": entry.reason,
            "message": entry.message,
            "type": if entry.warning { "Warning" } else { "Normal" },
            "source": {"component": "kubelet", "host": node},
            "reportingComponent": "kubelet",
            "reportingInstance": node,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        });
        match client.create(&EVENTS, namespace, body.to_string()).await {
            Ok(_) => {
                if known.len() >= REMEMBERED_MAX {
                    known.clear();
                }
                known.insert(id, (name, 1));
            }
            Err(status) => debug!(error = %status, "failed to record an event"),
        }
    }
}
