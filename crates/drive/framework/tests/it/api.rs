//! An API in memory: enough of get, list, watch, create, patch, bind and delete for the framework.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use km_api::{Event, EventType, List, Object, Request, Response, Status, Verb};
use km_base::Revision;
use km_client::{Backend, WatchStream};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use crate::PATIENCE;

pub(crate) struct Api {
    state: Mutex<State>,
    events: broadcast::Sender<(&'static str, EventType, Object)>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    revision: u64,
    objects: BTreeMap<(&'static str, String), Value>,
}

impl Default for Api {
    fn default() -> Self {
        Self { state: Mutex::default(), events: broadcast::channel(1_024).0, changed: watch::channel(()).0 }
    }
}

fn known(plural: &str) -> &'static str {
    km_api::resource::ALL.iter().find(|r| r.plural == plural).unwrap().plural
}

fn parse(value: &Value) -> Object {
    Object::parse(value.to_string()).unwrap()
}

impl Api {
    pub(crate) fn get(&self, plural: &str, name: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(&(known(plural), name.to_owned())).cloned()
    }

    pub(crate) fn put(&self, plural: &str, mut object: Value) -> Object {
        let plural = known(plural);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        object["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        let parsed = parse(&object);
        state.objects.insert((plural, name), object);
        let _ = self.events.send((plural, EventType::Modified, parsed.clone()));
        drop(state);
        self.changed.send_replace(());
        parsed
    }

    pub(crate) fn change(&self, plural: &str, name: &str, patch: Value) -> Object {
        let mut object = self.get(plural, name).unwrap();
        merge(&mut object, patch);
        self.put(plural, object)
    }

    pub(crate) fn delete(&self, plural: &str, name: &str) {
        let plural = known(plural);
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        let mut object = state.objects.remove(&(plural, name.to_owned())).unwrap();
        object["metadata"]["resourceVersion"] = json!(state.revision.to_string());
        let _ = self.events.send((plural, EventType::Deleted, parse(&object)));
        drop(state);
        self.changed.send_replace(());
    }

    pub(crate) async fn wait_for(&self, plural: &str, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                if let Some(object) = self.get(plural, name).filter(|o| is(o)) {
                    return object;
                }
                changes.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("{plural} {name} stays {:?}", self.get(plural, name)))
    }

    pub(crate) async fn wait_for_event(&self, message: &str) {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                let there =
                    |state: &State| state.objects.values().any(|o| o["kind"] == "Event" && o["message"] == message);
                if there(&self.state.lock().unwrap()) {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no event {message:?}"));
    }

    fn answer(&self, request: &Request) -> Result<Response, Status> {
        let (plural, name) = (request.resource.plural, request.name.as_str());
        let body = || serde_json::from_slice::<Value>(&request.body.bytes).unwrap();
        let missing = || Status::not_found(request.resource, name);
        match request.verb {
            Verb::Get => Ok(Response::Object(parse(&self.get(plural, name).ok_or_else(missing)?))),
            Verb::List => {
                let state = self.state.lock().unwrap();
                let items = state.objects.iter().filter(|((p, _), _)| *p == plural).map(|(_, o)| parse(o)).collect();
                Ok(Response::List(List { revision: Revision(state.revision), items, ..List::default() }))
            }
            Verb::Create if request.subresource == "binding" => {
                let binding = body();
                let pod = self.get(plural, name).ok_or_else(missing)?;
                if pod["metadata"]["uid"] != binding["metadata"]["uid"] || !pod["spec"]["nodeName"].is_null() {
                    return Err(Status::conflict(request.resource, name, "taken"));
                }
                let patch = json!({ "spec": { "nodeName": binding["target"]["name"] },
                    "metadata": { "annotations": binding["metadata"]["annotations"] } });
                Ok(Response::Created(self.change(plural, name, patch)))
            }
            Verb::Create => Ok(Response::Created(self.put(plural, body()))),
            Verb::Patch => {
                let object = self.get(plural, name).ok_or_else(missing)?;
                let patch = body();
                let version = &patch["metadata"]["resourceVersion"];
                if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
                    return Err(Status::modified(request.resource, name));
                }
                Ok(Response::Object(self.change(plural, name, patch)))
            }
            Verb::Delete => {
                self.get(plural, name).ok_or_else(missing)?;
                self.delete(plural, name);
                Ok(Response::Status(Status::deleted(request.resource, name, "")))
            }
            _ => Err(Status::method_not_allowed("not in this test")),
        }
    }
}

impl Backend for Api {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Status>> {
        let answer = self.answer(&request);
        async move { answer }.boxed()
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<WatchStream, Status>> {
        // What happened since the revision asked for is told first, as the last state of each object.
        let state = self.state.lock().unwrap();
        let since = Revision(request.options.resource_version.parse().unwrap());
        let plural = request.resource.plural;
        let newer = |o: &Object| o.meta().revision() > since;
        let missed: Vec<Event> = state
            .objects
            .iter()
            .filter(|((p, _), _)| *p == plural)
            .map(|(_, o)| parse(o))
            .filter(newer)
            .map(|o| Event::Object(EventType::Modified, o))
            .collect();
        let live = futures::stream::unfold(self.events.subscribe(), async |mut events| {
            let event = events.recv().await.ok()?;
            Some((event, events))
        });
        let live = live
            .filter_map(move |(p, kind, object)| async move { (p == plural).then_some(Event::Object(kind, object)) });
        let stream: WatchStream = futures::stream::iter(missed).chain(live).boxed();
        async move { Ok(stream) }.boxed()
    }
}

pub(crate) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut target[&key], value);
        }
    }
}
