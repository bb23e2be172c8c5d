//! Follows one resource: lists it, watches from there, and starts over when the watch cannot go on.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use km_api::lister::Cached;
use km_api::{Event, EventType, Object, Options, Resource, Status};
use km_base::{Backoff, ObjectKey, Revision, chain};
use km_kinds::DecodeError;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::Client;

/// Changes that may wait for an informer's owner. A full queue stops the informer from reading, which the
/// server bounds by cutting the watch off; the informer then lists again.
const QUEUE_LEN_MAX: usize = 1_024;

/// Wait after a failed list or watch.
const RETRY: Backoff = Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(5) };

/// Which objects an informer follows.
#[derive(Clone, Debug)]
pub struct InformerConfig {
    /// The resource.
    pub resource: &'static Resource,
    /// Namespace; empty for all.
    pub namespace: String,
    /// Label selector; empty for all.
    pub label_selector: String,
    /// Field selector; empty for all.
    pub field_selector: String,
}

impl InformerConfig {
    /// Follows every object of `resource`.
    #[must_use]
    pub fn all(resource: &'static Resource) -> Self {
        Self { resource, namespace: String::new(), label_selector: String::new(), field_selector: String::new() }
    }
}

/// A change that an informer's owner is told of.
#[derive(Clone, Debug)]
pub enum Change<T> {
    /// The object is new or changed.
    Upsert(Cached<T>),
    /// The object is gone.
    Delete(ObjectKey),
    /// Everything that existed when the informer started has been told; sent once.
    Synced,
}

/// The owner's end of an informer.
pub type Informer<T> = mpsc::Receiver<Change<T>>;

/// Makes an informer: a future that follows the resource until its receiver is dropped (to be spawned by the
/// caller), and the receiver.
///
/// `project` turns an object into what the owner needs of it. An object that it cannot read is logged and
/// left out, as if it did not exist.
pub fn informer<T: Send + Sync + 'static>(
    client: Client,
    config: InformerConfig,
    project: impl Fn(&Object) -> Result<T, DecodeError> + Send + Sync + 'static,
) -> (impl Future<Output = ()> + Send + 'static, Informer<T>) {
    let (sender, receiver) = mpsc::channel(QUEUE_LEN_MAX);
    let follower = Follower { client, config, project, sender, known: BTreeMap::new(), synced: false };
    (follower.run(), receiver)
}

/// The owner has dropped its end.
struct Closed;

struct Follower<T, P> {
    client: Client,
    config: InformerConfig,
    project: P,
    sender: mpsc::Sender<Change<T>>,
    /// Resource version of every object that the owner was told of.
    known: BTreeMap<ObjectKey, String>,
    synced: bool,
}

impl<T: Send + Sync + 'static, P: Fn(&Object) -> Result<T, DecodeError> + Send + Sync + 'static> Follower<T, P> {
    async fn run(mut self) {
        let mut failures = 0;
        let owner = self.sender.clone();
        loop {
            let outcome = tokio::select! {
                outcome = self.list_and_watch(&mut failures) => outcome,
                () = owner.closed() => return,
            };
            match outcome {
                Err(Closed) => return,
                Ok(status) => {
                    failures += 1;
                    if failures > 3 {
                        warn!(resource = self.config.resource.plural, error = %status, failures, "informer starts over");
                    } else {
                        debug!(resource = self.config.resource.plural, error = %status, "informer starts over");
                    }
                }
            }
            tokio::time::sleep(RETRY.delay(failures)).await;
        }
    }

    /// Follows until the watch can no longer go on; says why.
    async fn list_and_watch(&mut self, failures: &mut u32) -> Result<Status, Closed> {
        let mut revision = match self.list().await? {
            Ok(revision) => revision,
            Err(status) => return Ok(status),
        };
        loop {
            let options =
                Options { resource_version: revision.to_string(), allow_watch_bookmarks: true, ..self.options() };
            let watch = self.client.watch(self.config.resource, &self.config.namespace, options).await;
            let mut events = match watch {
                Ok(events) => events,
                Err(status) => return Ok(status),
            };
            let before = revision;
            while let Some(event) = events.next().await {
                match event {
                    Event::Error(status) if status.code == 410 => return Ok(status),
                    Event::Error(status) => {
                        debug!(resource = self.config.resource.plural, error = %status, "watch ended");
                        break;
                    }
                    Event::Object(kind, object) => {
                        *failures = 0;
                        revision = revision.max(object.meta().revision());
                        self.deliver(kind, &object).await?;
                    }
                }
            }
            if revision == before {
                // A watch that ends without progress is not retried in a tight loop.
                return Ok(Status::unavailable("the watch ended"));
            }
        }
    }

    /// Reads everything and tells the owner what differs from what it knows.
    async fn list(&mut self) -> Result<Result<Revision, Status>, Closed> {
        let listed = self.client.list(self.config.resource, &self.config.namespace, self.options()).await;
        let list = match listed {
            Ok(list) => list,
            Err(status) => return Ok(Err(status)),
        };
        let mut gone = std::mem::take(&mut self.known);
        for object in &list.items {
            let key = object.key();
            let known = gone.remove(&key);
            let unchanged = known.as_ref() == Some(&object.meta().resource_version);
            if let Some(version) = known {
                self.known.insert(key, version);
            }
            if !unchanged {
                self.deliver(EventType::Modified, object).await?;
            }
        }
        for key in gone.into_keys() {
            self.send(Change::Delete(key)).await?;
        }
        if !self.synced {
            self.synced = true;
            self.send(Change::Synced).await?;
        }
        Ok(Ok(list.revision))
    }

    async fn deliver(&mut self, kind: EventType, object: &Object) -> Result<(), Closed> {
        match kind {
            EventType::Bookmark => Ok(()),
            EventType::Deleted => {
                let key = object.key();
                self.known.remove(&key);
                self.send(Change::Delete(key)).await
            }
            EventType::Added | EventType::Modified => match (self.project)(object) {
                Ok(projection) => {
                    self.known.insert(object.key(), object.meta().resource_version.clone());
                    let cached = Cached { meta: object.shared_meta(), object: Arc::new(projection) };
                    self.send(Change::Upsert(cached)).await
                }
                Err(error) => {
                    let key = object.key();
                    warn!(resource = self.config.resource.plural, object = %key, error = %chain(&error), "left out an object that cannot be read");
                    // What the owner knows of it is no longer so.
                    match self.known.remove(&key) {
                        Some(_) => self.send(Change::Delete(key)).await,
                        None => Ok(()),
                    }
                }
            },
        }
    }

    async fn send(&self, change: Change<T>) -> Result<(), Closed> {
        self.sender.send(change).await.map_err(|_| Closed)
    }

    fn options(&self) -> Options {
        Options {
            label_selector: self.config.label_selector.clone(),
            field_selector: self.config.field_selector.clone(),
            ..Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::BoxFuture;
    use futures::{FutureExt as _, stream};
    use km_api::resource::CONFIG_MAPS;
    use km_api::{List, Request, Response};

    use super::*;
    use crate::{Backend, WatchStream};

    /// A server that plays back lists and watches, one per call, then hangs.
    struct Script {
        lists: Mutex<Vec<List>>,
        watches: Mutex<Vec<Vec<Event>>>,
    }

    impl Backend for Script {
        fn call(&self, _: Request) -> BoxFuture<'_, Result<Response, Status>> {
            let mut lists = self.lists.lock().unwrap();
            let list = if lists.is_empty() { None } else { Some(lists.remove(0)) };
            async move {
                match list {
                    Some(list) => Ok(Response::List(list)),
                    None => futures::future::pending().await,
                }
            }
            .boxed()
        }

        fn watch(&self, _: Request) -> BoxFuture<'_, Result<WatchStream, Status>> {
            let events = self.watches.lock().unwrap().remove(0);
            async move { Ok(stream::iter(events).boxed()) }.boxed()
        }
    }

    fn object(name: &str, version: u64) -> Object {
        let json = format!(r#"{{"metadata":{{"name":"{name}","namespace":"d","resourceVersion":"{version}"}}}}"#);
        Object::parse(json.into_bytes()).unwrap()
    }

    fn list(revision: u64, items: Vec<Object>) -> List {
        List { revision: Revision(revision), items, ..List::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_compacted_watch_is_repaired_by_a_list_that_tells_only_differences() {
        let script = Script {
            lists: Mutex::new(vec![
                list(5, vec![object("a", 3), object("b", 5)]),
                list(9, vec![object("a", 3), object("c", 8)]),
            ]),
            watches: Mutex::new(vec![
                vec![
                    Event::Object(EventType::Modified, object("b", 6)),
                    Event::Error(Status::expired("too old resource version")),
                ],
                vec![],
            ]),
        };
        let client = Client::new(Arc::new(script));
        let (run, mut changes) =
            informer(client, InformerConfig::all(&CONFIG_MAPS), |o| Ok(o.meta().resource_version.clone()));
        let task = tokio::spawn(run);
        let mut told = Vec::new();
        while told.len() < 6 {
            told.push(match changes.recv().await.unwrap() {
                Change::Upsert(cached) => format!("{}@{}", cached.meta.name, cached.object),
                Change::Delete(key) => format!("-{}", key.name),
                Change::Synced => "synced".to_owned(),
            });
        }
        assert_eq!(told, ["a@3", "b@5", "synced", "b@6", "c@8", "-b"]);
        drop(changes);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_becomes_unreadable_is_gone_to_the_owner() {
        let broken = |name: &str, version: u64| {
            let json = format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"d","resourceVersion":"{version}"}},"data":"no map"}}"#
            );
            Object::parse(json.into_bytes()).unwrap()
        };
        let script = Script {
            lists: Mutex::new(vec![
                list(5, vec![object("a", 3), object("b", 5)]),
                list(9, vec![broken("a", 6), broken("b", 8)]),
            ]),
            watches: Mutex::new(vec![vec![Event::Object(EventType::Modified, broken("a", 6))], vec![], vec![]]),
        };
        let project = |object: &Object| object.decode::<km_kinds::api::core::v1::ConfigMap>().map(|_| ());
        let (run, mut changes) = informer(Client::new(Arc::new(script)), InformerConfig::all(&CONFIG_MAPS), project);
        let task = tokio::spawn(run);
        let mut told = Vec::new();
        while told.len() < 5 {
            told.push(match changes.recv().await.unwrap() {
                Change::Upsert(cached) => cached.meta.name.clone(),
                Change::Delete(key) => format!("-{}", key.name),
                Change::Synced => "synced".to_owned(),
            });
        }
        assert_eq!(told, ["a", "b", "synced", "-a", "-b"]);
        drop(changes);
        task.await.unwrap();
    }
}
