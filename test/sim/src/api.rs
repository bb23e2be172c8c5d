//! A small API server: core/registry decides, core/mvcc keeps, a disk with a slow fsync makes durable, watches tell.
//!
//! What is left of the real one: authentication, authorization, HTTP. A crash keeps every acknowledged change and a
//! chance part of those that nobody was told of.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use km_api::{EventType, Identity, Object, Options, Request, Resource, Response, Status, Verb};
use km_base::{Revision, Uid};
use km_core_framework::Purpose;
use km_mvcc::{Change, Durability, Entry, Event, Expect, Key, Limits, Mvcc, Op, Snapshot, Txn};
use km_registry::{Call, Config, Decision, Entropy, PortRange, Selection, ServiceCidr, View};

use crate::world::{Input, Line, World};

/// Who asks; a client of an earlier life is told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Framework(u64),
    Manager(u64),
    Executor { host: usize, id: u64 },
    User,
}

/// What an answer is for.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    List(usize),
    Framework(Purpose),
    Plan {
        number: u64,
        index: usize,
    },
    Status(Uid),
    Delete(Uid),
    LookUp(Uid),
    NodeStatus,
    /// The user's, by what was asked.
    User(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) client: Client,
    pub(crate) want: Want,
}

/// A published change, its objects read once.
pub(crate) struct Shown {
    pub(crate) revision: Revision,
    pub(crate) key: Key,
    pub(crate) before: Option<Object>,
    pub(crate) now: Option<Object>,
}

pub(crate) struct Api {
    pub(crate) life: u64,
    pub(crate) up: bool,
    mvcc: Mvcc,
    pub(crate) published: Snapshot,
    pending: VecDeque<Pending>,
    fsync: bool,
    disk: Vec<Record>,
    watches: BTreeMap<u64, Watch>,
    config: Config,
    /// How many more commits the process lives.
    pub(crate) fuse: Option<usize>,
}

/// A transaction as the disk holds it.
type Record = (Revision, Vec<(Key, Option<Bytes>)>);

struct Pending {
    revision: Revision,
    commit: Option<(Snapshot, Vec<Arc<Event>>)>,
    caller: Caller,
    outcome: Result<Response, Status>,
}

struct Watch {
    client: Client,
    at: usize,
    prefix: String,
    selection: Selection,
}

/// Few enough that a watcher that was away long has to list again.
const LIMITS: Limits = Limits { events_max: 60, events_bytes_max: 4 << 20 };

struct SnapshotView<'a>(&'a Snapshot);

impl View for SnapshotView<'_> {
    fn get(&self, key: &str) -> Option<Object> {
        self.0.get(key).map(|entry| parse(entry))
    }

    fn range(&self, prefix: &str, visit: &mut dyn FnMut(&str, &Object) -> ControlFlow<()>) {
        for entry in self.0.iter(prefix) {
            if visit(&entry.key, &parse(entry)).is_break() {
                return;
            }
        }
    }

    fn revision(&self) -> Revision {
        self.0.revision()
    }
}

pub(crate) fn parse(entry: &Entry) -> Object {
    Object::parse(entry.value.clone()).expect("the registry writes objects only")
}

impl Api {
    pub(crate) fn new() -> Self {
        let mvcc = Mvcc::new(LIMITS);
        let config = Config {
            service_cidr: ServiceCidr { network: [10, 96, 0, 0].into(), prefix_len: 16 },
            node_ports: PortRange { first: 30000, last: 32767 },
            api_server_port: 6443,
            default_resources: true,
            api_audiences: vec!["https://kubernetes.default.svc.cluster.local".into()],
        };
        Self {
            life: 0,
            up: true,
            published: mvcc.snapshot(),
            mvcc,
            pending: VecDeque::new(),
            fsync: false,
            disk: Vec::new(),
            watches: BTreeMap::new(),
            config,
            fuse: None,
        }
    }

    #[cfg(test)]
    fn forget_last(&mut self) {
        self.disk.pop();
    }

    /// Reads the published objects of a resource.
    pub(crate) fn objects(&self, resource: &Resource) -> Vec<Object> {
        self.published.iter(&km_registry::prefix(resource, "")).map(|entry| parse(entry)).collect()
    }
}

fn lost() -> Status {
    Status::unavailable("the connection was lost")
}

impl World {
    pub(crate) fn is_alive(&self, client: Client) -> bool {
        match client {
            Client::Framework(life) => self.framework.up && self.framework.life == life,
            Client::Manager(life) => self.manager.up && self.manager.life == life,
            Client::Executor { host, id } => self.hosts[host].executors.get(&id).is_some_and(|e| e.runs),
            Client::User => true,
        }
    }

    /// Tells whether the client's machine is cut off.
    fn is_isolated(&self, client: Client) -> bool {
        matches!(client, Client::Executor { host, .. } if self.hosts[host].isolated_until > self.now)
    }

    /// Breaks the watches of a machine.
    pub(crate) fn watches_break(&mut self, host: usize) {
        let of_host = |watch: &Watch| matches!(watch.client, Client::Executor { host: of, .. } if of == host);
        let broken: Vec<u64> = self.api.watches.iter().filter(|(_, w)| of_host(w)).map(|(id, _)| *id).collect();
        for id in broken {
            if let Some(watch) = self.api.watches.remove(&id) {
                self.watch_end(id, watch.client, watch.at, false);
            }
        }
    }

    fn identity(&self, client: Client) -> Identity {
        match client {
            Client::Framework(_) => Identity::authenticated("system:km:framework", &[]),
            Client::Manager(_) => Identity::authenticated("system:kube-controller-manager", &[]),
            Client::Executor { host, .. } => {
                Identity::authenticated(format!("system:node:{}", self.hosts[host].name), &["system:nodes"])
            }
            Client::User => Identity::authenticated("admin", &["system:masters"]),
        }
    }

    /// Sends a request; it or its answer may be lost, which the client sees as a broken connection.
    pub(crate) fn api_send(&mut self, caller: Caller, request: Request) {
        let delay = self.delay();
        if self.is_isolated(caller.client) || (self.is_lossy() && self.dice.chance(10)) {
            return self.post(delay, Input::ApiReply { caller, result: Err(lost()) });
        }
        let life = self.api.life;
        self.post(delay, Input::ApiArrive { life, caller, request: Box::new(request) });
    }

    fn api_reply(&mut self, caller: Caller, result: Result<Response, Status>) {
        let delay = self.delay();
        let is_lost = self.is_isolated(caller.client) || (self.is_lossy() && self.dice.chance(10));
        let result = if is_lost { Err(lost()) } else { result };
        self.post(delay, Input::ApiReply { caller, result });
    }

    pub(crate) fn api_arrive(&mut self, life: u64, caller: Caller, request: &Request) {
        if life != self.api.life || !self.api.up {
            return self.api_reply(caller, Err(lost()));
        }
        let read = match request.verb {
            Verb::Get if request.subresource.is_empty() => {
                Some(km_registry::get(&SnapshotView(&self.api.published), request).map(Response::Object))
            }
            Verb::List => Some(km_registry::list(&SnapshotView(&self.api.published), request).map(Response::List)),
            _ => None,
        };
        match read {
            Some(result) => self.api_reply(caller, result),
            None => self.api_change(caller, request),
        }
    }

    fn api_change(&mut self, caller: Caller, request: &Request) {
        let identity = self.identity(caller.client);
        let entropy = Entropy(self.dice.bytes());
        let revision = self.api.mvcc.next_revision();
        let call =
            Call { request, identity: &identity, now: self.now, revision, entropy: &entropy, config: &self.api.config };
        let decision = km_registry::decide(&SnapshotView(self.api.mvcc.head()), &call);
        let (commit, outcome) = match decision {
            Err(status) => (None, Err(status)),
            Ok(Decision::Answer { response, .. }) => (None, Ok(response)),
            Ok(Decision::Ask(_)) => (None, Err(Status::internal("tokens are not simulated"))),
            Ok(Decision::Commit(commit)) => (Some(commit.writes), Ok(commit.response)),
        };
        let code = outcome.as_ref().err().map_or(200, |status| status.code);
        self.trace(|| {
            let sub = if request.subresource.is_empty() { String::new() } else { format!("/{}", request.subresource) };
            let (verb, plural) = (request.verb.as_str(), request.resource.plural);
            let why = outcome.as_ref().err().map(|s| format!(" {}", s.message)).unwrap_or_default();
            format!(
                "api {revision} {verb} {plural}{sub} {}/{} {:?} -> {code}{why}",
                request.namespace, request.name, caller.client
            )
        });
        let commit = commit.map(|writes| self.api_commit(writes));
        let revision = self.api.mvcc.head().revision();
        if commit.is_none() && revision == self.api.published.revision() {
            return self.api_reply(caller, outcome);
        }
        let commits = commit.is_some();
        self.api.pending.push_back(Pending { revision, commit, caller, outcome });
        self.api_schedule_fsync();
        match &mut self.api.fuse {
            Some(0) => self.fault_api_dies(),
            Some(fuse) if commits => *fuse -= 1,
            _ => {}
        }
    }

    fn api_commit(&mut self, writes: Vec<km_registry::Write>) -> (Snapshot, Vec<Arc<Event>>) {
        let ops = writes.into_iter().map(|write| {
            let change = write.value.map_or(Change::Delete, Change::Put);
            Op { key: write.key.into(), expect: Expect::Any, change }
        });
        let txn = Txn { ops: ops.collect(), durability: Durability::Sync };
        let committed = self.api.mvcc.apply(txn).expect("a decision is applied to the state that it read");
        let record = committed.events.iter().map(|event| (Arc::clone(&event.key), event.value().cloned())).collect();
        self.api.disk.push((committed.revision, record));
        (self.api.mvcc.snapshot(), committed.events)
    }

    fn api_schedule_fsync(&mut self) {
        if !std::mem::replace(&mut self.api.fsync, true) {
            let wait = self.dice.millis(1, 8);
            let (life, revision) = (self.api.life, self.api.mvcc.head().revision());
            self.post(wait, Input::ApiFsync { life, revision });
        }
    }

    /// Everything up to `revision` is on disk: shows it, and answers who waited for it.
    pub(crate) fn api_fsync(&mut self, life: u64, revision: Revision) {
        if life != self.api.life {
            return;
        }
        self.api.fsync = false;
        while self.api.pending.front().is_some_and(|pending| pending.revision <= revision) {
            let Some(pending) = self.api.pending.pop_front() else { break };
            if let Some((after, events)) = pending.commit {
                self.api.published = after;
                for event in events {
                    self.api_publish(&event);
                }
            }
            self.judge_acknowledged(pending.revision);
            self.api_reply(pending.caller, pending.outcome);
        }
        if !self.api.pending.is_empty() {
            self.api_schedule_fsync();
        }
    }

    fn api_publish(&mut self, event: &Event) {
        let shown = Rc::new(Shown {
            revision: event.revision,
            key: Arc::clone(&event.key),
            before: event.prev.as_deref().map(parse),
            now: event.now.as_deref().map(parse),
        });
        self.judge_published(&shown);
        let watches: Vec<u64> =
            self.api.watches.iter().filter(|(_, w)| shown.key.starts_with(&w.prefix)).map(|(id, _)| *id).collect();
        for id in watches {
            self.watch_send(id, &shown);
        }
    }

    fn watch_send(&mut self, id: u64, shown: &Shown) {
        let Some(watch) = self.api.watches.get(&id) else { return };
        let Some((kind, object)) = seen_by(&watch.selection, shown) else { return };
        let (client, at) = (watch.client, watch.at);
        if self.is_lossy() && self.dice.chance(5) {
            self.api.watches.remove(&id);
            return self.watch_end(id, client, at, false);
        }
        self.send(Line::Watch(id), Input::WatchEvent { watch: id, client, at, kind, object: Box::new(object) });
    }

    fn watch_end(&mut self, watch: u64, client: Client, at: usize, relist: bool) {
        self.send(Line::Watch(watch), Input::WatchEnd { watch, client, at, relist });
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(crate) fn watch_arrive(
        &mut self,
        life: u64,
        id: u64,
        client: Client,
        at: usize,
        resource: &'static Resource,
        options: &Options,
        from: Revision,
    ) {
        if life != self.api.life || !self.api.up || self.is_isolated(client) {
            return self.watch_end(id, client, at, false);
        }
        let prefix = km_registry::prefix(resource, "");
        let selection = km_registry::selection(resource, options).expect("informers use known fields");
        let snapshot = self.api.published.clone();
        let events: Vec<Shown> = match snapshot.events_since(from, &prefix) {
            Ok(events) => events
                .map(|event| Shown {
                    revision: event.revision,
                    key: Arc::clone(&event.key),
                    before: event.prev.as_deref().map(parse),
                    now: event.now.as_deref().map(parse),
                })
                .collect(),
            Err(km_mvcc::RevisionError::Compacted { .. }) => return self.watch_end(id, client, at, true),
            Err(error) => {
                self.fail(format!("{client:?} watches from a revision that was never shown: {error}"));
                return;
            }
        };
        self.judge_watch(id, &prefix, selection.clone(), from);
        self.api.watches.insert(id, Watch { client, at, prefix, selection });
        for shown in events {
            self.watch_send(id, &shown);
        }
    }

    /// Takes the newest record from the disk, as no disk may.
    #[cfg(test)]
    pub(crate) fn api_forget_last(&mut self) {
        self.api.forget_last();
    }

    /// The process dies: what was not durable is lost, but for a chance part that had reached the disk.
    pub(crate) fn api_crash(&mut self) {
        self.api.life += 1;
        self.api.up = false;
        self.api.fuse = None;
        self.api.fsync = false;
        let durable = self.api.published.revision();
        let unsynced = self.api.disk.iter().filter(|(revision, _)| *revision > durable).count();
        let kept = self.dice.below(unsynced + 1);
        if kept < unsynced {
            self.judge.count("crashes that lost unacknowledged changes");
        }
        let keep = self.api.disk.len() - unsynced + kept;
        self.api.disk.truncate(keep);
        for pending in std::mem::take(&mut self.api.pending) {
            self.api_reply(pending.caller, Err(lost()));
        }
        for (id, watch) in std::mem::take(&mut self.api.watches) {
            self.watch_end(id, watch.client, watch.at, false);
        }
    }

    pub(crate) fn api_restart(&mut self) {
        let mut mvcc = Mvcc::new(LIMITS);
        for (revision, changes) in &self.api.disk {
            if let Err(error) = mvcc.replay(*revision, changes.iter().cloned()) {
                return self.fail(format!("the journal cannot be replayed: {error}"));
            }
        }
        let shown = self.api.published.revision();
        self.api.mvcc = mvcc;
        self.api.published = self.api.mvcc.snapshot();
        self.api.up = true;
        self.judge_recovered();
        // What had reached the disk unacknowledged is shown now.
        let snapshot = self.api.published.clone();
        let late: Vec<Arc<Event>> = match snapshot.events_since(shown, "") {
            Ok(events) => events.cloned().collect(),
            Err(error) => return self.fail(format!("events after {shown} are gone with the crash: {error}")),
        };
        for event in late {
            self.api_publish(&event);
        }
    }
}

/// What a watcher with this selection is told of a change.
pub(crate) fn seen_by(selection: &Selection, shown: &Shown) -> Option<(EventType, Object)> {
    let matches = |object: &Option<Object>| object.as_ref().is_some_and(|o| selection.matches(o));
    match (matches(&shown.before), matches(&shown.now)) {
        (false, true) => Some((EventType::Added, shown.now.clone()?)),
        (true, true) => Some((EventType::Modified, shown.now.clone()?)),
        (true, false) => Some((EventType::Deleted, km_registry::at_revision(shown.before.as_ref()?, shown.revision))),
        (false, false) => None,
    }
}
