//! A client's informer: lists, watches from there, lists again when the watch cannot go on. As io/client's, without
//! its tasks: the world carries its requests.

use std::collections::BTreeMap;
use std::time::Duration;

use km_api::{EventType, Object, Options, Request, Resource, Response, Status, Verb};
use km_base::{Backoff, ObjectKey, Revision};

use crate::api::{Caller, Client, Want};
use crate::world::{Input, Line, World};

const RETRY: Backoff = Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(5) };

/// What an informer tells its owner.
pub(crate) enum Told {
    Upsert(Object),
    Delete(ObjectKey),
    Synced,
}

#[derive(Debug)]
pub(crate) struct Informer {
    pub(crate) resource: &'static Resource,
    pub(crate) field_selector: String,
    pub(crate) known: BTreeMap<ObjectKey, String>,
    synced: bool,
    revision: Revision,
    failures: u32,
    watch: Option<u64>,
    /// Whether the watch has told anything.
    progress: bool,
}

impl Informer {
    pub(crate) fn new(resource: &'static Resource, field_selector: String) -> Self {
        Self {
            resource,
            field_selector,
            known: BTreeMap::new(),
            synced: false,
            revision: Revision(0),
            failures: 0,
            watch: None,
            progress: false,
        }
    }
}

impl World {
    pub(crate) fn informer(&mut self, client: Client, at: usize) -> Option<&mut Informer> {
        if !self.is_alive(client) {
            return None;
        }
        match client {
            Client::Framework(_) => self.framework.informers.get_mut(at),
            Client::Manager(_) => self.manager.informers.get_mut(at),
            Client::Executor { host, id } => self.hosts[host].executors.get_mut(&id).map(|e| &mut e.informer),
            Client::User => None,
        }
    }

    pub(crate) fn informer_list(&mut self, client: Client, at: usize) {
        let Some(informer) = self.informer(client, at) else { return };
        informer.watch = None;
        let mut request = Request::new(Verb::List, informer.resource, "", "");
        request.options.field_selector.clone_from(&informer.field_selector);
        self.api_send(Caller { client, want: Want::List(at) }, request);
    }

    pub(crate) fn informer_listed(&mut self, client: Client, at: usize, result: Result<Response, Status>) {
        let Ok(Response::List(list)) = result else { return self.informer_retry(client, at) };
        let Some(informer) = self.informer(client, at) else { return };
        let mut gone = std::mem::take(&mut informer.known);
        let mut told = Vec::new();
        for object in list.items {
            let version = object.meta().resource_version.clone();
            let unchanged = gone.remove(&object.key()).is_some_and(|known| known == version);
            informer.known.insert(object.key(), version);
            if !unchanged {
                told.push(Told::Upsert(object));
            }
        }
        told.extend(gone.into_keys().map(Told::Delete));
        if !std::mem::replace(&mut informer.synced, true) {
            told.push(Told::Synced);
        }
        informer.revision = list.revision;
        self.informer_watch(client, at);
        for told in told {
            self.changed(client, at, told);
        }
    }

    fn informer_watch(&mut self, client: Client, at: usize) {
        let watch = self.number();
        let Some(informer) = self.informer(client, at) else { return };
        informer.watch = Some(watch);
        informer.progress = false;
        let options = Options { field_selector: informer.field_selector.clone(), ..Options::default() };
        let (resource, from) = (informer.resource, informer.revision);
        let delay = self.delay();
        let life = self.api.life;
        self.post(delay, Input::WatchArrive { life, watch, client, at, resource, options, from });
    }

    pub(crate) fn informer_event(&mut self, watch: u64, client: Client, at: usize, kind: EventType, object: Object) {
        let Some(informer) = self.informer(client, at) else { return };
        if informer.watch != Some(watch) {
            return;
        }
        informer.failures = 0;
        informer.progress = true;
        informer.revision = informer.revision.max(object.meta().revision());
        let told = if kind == EventType::Deleted {
            informer.known.remove(&object.key());
            Told::Delete(object.key())
        } else {
            informer.known.insert(object.key(), object.meta().resource_version.clone());
            Told::Upsert(object.clone())
        };
        self.judge_delivery(watch, &object);
        self.changed(client, at, told);
    }

    /// The watch ended: `relist` when its history is gone.
    pub(crate) fn informer_ended(&mut self, watch: u64, client: Client, at: usize, relist: bool) {
        self.lines_end(Line::Watch(watch));
        let Some(informer) = self.informer(client, at) else { return };
        if informer.watch != Some(watch) {
            return;
        }
        let goes_on = informer.progress && !relist;
        if relist {
            self.judge.count("watches whose history was gone");
        }
        if goes_on { self.informer_watch(client, at) } else { self.informer_retry(client, at) }
    }

    fn informer_retry(&mut self, client: Client, at: usize) {
        let Some(informer) = self.informer(client, at) else { return };
        informer.failures += 1;
        let wait = RETRY.delay(informer.failures);
        self.post(wait, Input::InformerList { client, at });
    }

    fn changed(&mut self, client: Client, at: usize, told: Told) {
        match client {
            Client::Framework(_) => self.framework_changed(at, told),
            Client::Manager(_) => self.manager_changed(at, told),
            Client::Executor { host, id } => self.executor_pod_changed(host, id, told),
            Client::User => {}
        }
    }
}
