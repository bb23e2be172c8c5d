//! An API server in memory, as far as an executor needs one: objects, patches, watches; no admission, no rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use km_api::{Event, EventType, List, Object, Request, Response, Status, Verb};
use km_base::Revision;
use km_client::{Backend, WatchStream};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

type Key = (String, String, String);

/// Objects in memory; clones are the same.
#[derive(Clone)]
pub(crate) struct Api {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<(String, EventType, Object)>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    revision: u64,
}

impl Api {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), events: broadcast::channel(1_024).0, changed: watch::Sender::new(0) }
    }

    /// Stores an object as it is and tells the watchers.
    pub(crate) fn put(&self, plural: &str, mut value: Value) {
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        value["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        let text = |name: &str| value["metadata"][name].as_str().unwrap_or_default().to_owned();
        let key = (plural.to_owned(), text("namespace"), text("name"));
        let kind = if state.objects.contains_key(&key) { EventType::Modified } else { EventType::Added };
        state.objects.insert(key, value.clone());
        drop(state);
        self.tell(plural, kind, &value);
    }

    pub(crate) fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.state.lock().unwrap().objects.get(&key).cloned()
    }

    /// Returns the reasons of the events about an object.
    pub(crate) fn reasons(&self, name: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let events = state.objects.iter().filter(|((plural, ..), _)| plural == "events");
        let about = events.filter(|(_, event)| event["involvedObject"]["name"] == name);
        about.map(|(_, event)| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until the objects are so.
    pub(crate) async fn wait<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            changed.changed().await.expect("the sender lives in self");
        }
    }

    fn tell(&self, plural: &str, kind: EventType, value: &Value) {
        let object = Object::parse(value.to_string().into_bytes()).expect("an object");
        // Nobody watches before the executor does.
        let _ = self.events.send((plural.to_owned(), kind, object));
        self.changed.send_modify(|version| *version += 1);
    }

    fn answer(&self, request: &Request) -> Result<Response, Status> {
        let plural = request.resource.plural;
        let found = self.get(plural, &request.namespace, &request.name);
        let missing = || Status::not_found(request.resource, &request.name);
        let body = || serde_json::from_slice::<Value>(&request.body.bytes).expect("a JSON body");
        let object = |value: &Value| Object::parse(value.to_string().into_bytes()).expect("an object");
        match request.verb {
            Verb::Get => Ok(Response::Object(object(&found.ok_or_else(missing)?))),
            Verb::List => {
                let state = self.state.lock().unwrap();
                let of_kind = state.objects.iter().filter(|((found, ..), _)| found == plural);
                let items = of_kind.filter(|(_, value)| selected(request, value)).map(|(_, value)| object(value));
                Ok(Response::List(List {
                    items: items.collect(),
                    revision: Revision(state.revision),
                    ..List::default()
                }))
            }
            Verb::Create if request.subresource == "token" => {
                Ok(Response::Created(object(&json!({"metadata": {}, "status": {"token": "secret-token"}}))))
            }
            Verb::Create => {
                self.put(plural, body());
                let name = body()["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                Ok(Response::Created(object(&self.get(plural, &request.namespace, &name).ok_or_else(missing)?)))
            }
            Verb::Patch => {
                let mut value = found.ok_or_else(missing)?;
                let patch = body();
                let uid = &patch["metadata"]["uid"];
                if !uid.is_null() && *uid != value["metadata"]["uid"] {
                    return Err(Status::conflict(request.resource, &request.name, "the UID differs"));
                }
                merge(&mut value, &patch);
                self.put(plural, value.clone());
                Ok(Response::Object(object(&value)))
            }
            Verb::Delete => {
                let value = found.ok_or_else(missing)?;
                assert_eq!(request.options.grace_period_seconds, Some(0), "the executor deletes for good");
                assert_eq!(request.options.precondition_uid.as_deref(), value["metadata"]["uid"].as_str());
                let key = (plural.to_owned(), request.namespace.clone(), request.name.clone());
                self.state.lock().unwrap().objects.remove(&key);
                self.tell(plural, EventType::Deleted, &value);
                Ok(Response::Status(Status::deleted(request.resource, &request.name, "")))
            }
            other => panic!("unexpected {other:?} of {plural}"),
        }
    }
}

fn selected(request: &Request, value: &Value) -> bool {
    match request.options.field_selector.strip_prefix("spec.nodeName=") {
        Some(node) => value["spec"]["nodeName"] == node,
        None => true,
    }
}

/// A strategic merge as far as status needs it: maps merge, conditions merge by type, lists replace.
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                let slot = target.entry(key.clone()).or_insert(Value::Null);
                match (key.as_str(), &mut *slot, value) {
                    ("conditions", Value::Array(old), Value::Array(new)) => {
                        for condition in new {
                            old.retain(|other| other["type"] != condition["type"]);
                            old.push(condition.clone());
                        }
                    }
                    _ => merge(slot, value),
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

impl Backend for Api {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Status>> {
        async move { self.answer(&request) }.boxed()
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<WatchStream, Status>> {
        let events = self.events.subscribe();
        let stream = futures::stream::unfold((events, request), |(mut events, request)| async move {
            loop {
                let (plural, kind, object) = events.recv().await.ok()?;
                let wanted = plural == request.resource.plural && selected(&request, &object.to_value());
                if wanted {
                    return Some((Event::Object(kind, object), (events, request)));
                }
            }
        });
        async move { Ok(stream.boxed()) }.boxed()
    }
}
