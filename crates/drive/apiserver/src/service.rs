//! The API as a service: what HTTP requests and components in this process both call.
//!
//! Authorization, reads, writes and watches are the same for both. A component in this process is handed an
//! [`InProcess`] backend with its identity: a type that nothing on the network can make.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use km_api::resource::Persistence;
use km_api::{Identity, Request, Response, Status, Verb, resource};
use km_base::{Revision, Timestamp, chain};
use km_client::{Backend, WatchStream};
use km_mvcc::{RevisionError, Snapshot};
use km_registry::authorize::{Policy, authorize_with};
use km_registry::{Attributes, Call, Config, Decision, Question, Reply};
use km_store::Store;
use tokio::sync::{mpsc, oneshot, watch as channel};

use crate::authn::{self, Tokens};
use crate::publisher::Subscribe;
use crate::read::{self, Page};
use crate::view::SnapshotView;
use crate::watch::stream::{self, Initial, Terms};
use crate::watch::{Filter, Watch};
use crate::writer::{Answer, Clock, Outcome, WriteRequest, decide, entropy};

/// How long a watch lasts that does not say: between half an hour and an hour, so that clients do not all
/// come back at once. k8s 1.37 --min-request-timeout.
const WATCH_TIMEOUT_SECS: u64 = 1_800;
/// How long a change may wait for the disk before its client is told to look again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(34);

/// The API. Cheap to share; holds no state but the ends of channels.
pub struct Service {
    pub(crate) writes: mpsc::Sender<WriteRequest>,
    pub(crate) subscribe: mpsc::Sender<Subscribe>,
    pub(crate) published: channel::Receiver<Snapshot>,
    pub(crate) dispatched: Arc<AtomicU64>,
    pub(crate) policy_revision: Arc<AtomicU64>,
    pub(crate) policy: Mutex<(u64, Arc<Policy>)>,
    pub(crate) clock: Clock,
    pub(crate) config: Arc<Config>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) store: Arc<Store>,
    pub(crate) stores: Arc<AtomicBool>,
}

impl Service {
    /// Returns a backend that acts as `identity`, for a component in this process.
    #[must_use]
    pub fn in_process(self: &Arc<Self>, identity: Identity) -> Arc<dyn Backend> {
        Arc::new(InProcess { service: Arc::clone(self), identity: Arc::new(identity) })
    }

    /// Tells whether the identity may make the request.
    ///
    /// # Errors
    /// 403 in upstream's words.
    pub(crate) fn authorize(&self, identity: &Identity, asked: &Attributes) -> Result<(), Status> {
        if identity.in_group(km_api::identity::SYSTEM_MASTERS) {
            return Ok(());
        }
        // Before the state: who reads this revision reads a state that has it.
        let revision = self.policy_revision.load(Ordering::Acquire);
        let state = self.state();
        let policy = self.policy(revision, &state);
        authorize_with(&SnapshotView(&state), &policy, identity, asked).map(|_| ()).map_err(Status::from)
    }

    /// Performs an authorized request other than a list or watch.
    pub(crate) async fn perform(&self, identity: &Identity, request: Request) -> Result<Answer, Status> {
        if request.verb == Verb::List {
            let page = self.list(&request).await?;
            return Ok(Answer { response: Response::List(page.into_list()), warnings: Vec::new() });
        }
        if request.verb == Verb::DeleteCollection {
            return self.delete_collection(identity, request).await;
        }
        let outcome = if needs_writer(&request) {
            self.write(identity, request.clone()).await?
        } else {
            self.decide_on_durable(identity, &request).await?
        };
        match outcome {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::Asked(question) => self.answer_question(identity, &request, question),
        }
    }

    /// Deletes a collection in as many commits as it takes.
    async fn delete_collection(&self, identity: &Identity, request: Request) -> Result<Answer, Status> {
        // What one commit marked is seen by the next as being deleted already.
        let mut seen = BTreeMap::new();
        loop {
            let Outcome::Answered(mut answer) = self.write(identity, request.clone()).await? else {
                return Err(Status::internal("the deletion of a collection asked a question"));
            };
            let Response::List(list) = &mut answer.response else { return Ok(answer) };
            seen.extend(list.items.drain(..).map(|object| (object.key(), object)));
            if list.remaining.take().is_none() {
                list.items.extend(seen.into_values());
                return Ok(answer);
            }
        }
    }

    /// Reads a page of a collection.
    pub(crate) async fn list(&self, request: &Request) -> Result<Page, Status> {
        let state = read::fresh(&self.published, &request.options).await?;
        read::list(&state, request)
    }

    /// Starts an authorized watch.
    pub(crate) async fn watch(&self, request: &Request) -> Result<Watch, Status> {
        let options = &request.options;
        let filter = Arc::new(Filter::new(request.resource, &request.namespace, options)?);
        let from = read::revision(&options.resource_version)?;
        let (reply, subscribed) = oneshot::channel();
        let stopping = |_| Status::unavailable("the API server is stopping");
        self.subscribe.send(Subscribe { filter: Arc::clone(&filter), reply }).await.map_err(|_| stopping(()))?;
        let (state, live) = subscribed.await.map_err(|_| stopping(()))?;
        let timeout = Duration::from_secs(options.timeout_seconds.filter(|s| *s > 0).unwrap_or_else(default_timeout));
        let lists = options.send_initial_events == Some(true);
        let initial = match (lists, from) {
            (true, _) => Initial::List(state.clone()),
            (false, None) if options.send_initial_events == Some(false) => Initial::None,
            (false, None) => Initial::List(state.clone()),
            (false, Some(from)) => replay(&filter, &state, from),
        };
        let terms = Terms {
            filter,
            bookmarks: options.allow_watch_bookmarks,
            marks_list_end: lists && options.allow_watch_bookmarks,
            timeout,
        };
        Ok(Watch::new(terms, initial, state.revision(), live, Arc::clone(&self.dispatched)))
    }

    /// Returns the newest durable state.
    pub(crate) fn state(&self) -> Snapshot {
        self.published.borrow().clone()
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Tells whether changes can be made: the last one was.
    pub(crate) fn is_ready(&self) -> bool {
        !self.writes.is_closed() && self.stores.load(Ordering::Relaxed)
    }

    /// Returns the bytes of journal that a restart would read.
    pub(crate) fn journal_bytes(&self) -> u64 {
        self.store.journal_bytes()
    }

    fn policy(&self, revision: u64, state: &Snapshot) -> Arc<Policy> {
        let mut cached = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.0 != revision {
            *cached = (revision, Arc::new(Policy::of(&SnapshotView(state))));
        }
        Arc::clone(&cached.1)
    }

    async fn write(&self, identity: &Identity, request: Request) -> Result<Outcome, Status> {
        let (reply, outcome) = oneshot::channel();
        let write = WriteRequest { request, identity: identity.clone(), reply };
        self.writes.try_send(write).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Status::too_many_requests("too many changes are waiting, please try again later", 1)
            }
            mpsc::error::TrySendError::Closed(_) => Status::unavailable("the API server is stopping"),
        })?;
        match tokio::time::timeout(WRITE_TIMEOUT, outcome).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(Status::unavailable("the API server is stopping"))),
            Err(_) => {
                Err(Status::timeout("the disk did not confirm the change in time; it may or may not take effect"))
            }
        }
    }

    async fn decide_on_durable(&self, identity: &Identity, request: &Request) -> Result<Outcome, Status> {
        let state = read::fresh(&self.published, &request.options).await?;
        let entropy = entropy();
        let call = self.call(identity, request, &entropy, state.revision());
        match decide(&state, &call)? {
            Decision::Answer { response, warnings } => Ok(Outcome::Answered(Answer { response, warnings })),
            Decision::Ask(question) => Ok(Outcome::Asked(question)),
            Decision::Commit(_) => Err(Status::internal("a read decided to write")),
        }
    }

    fn answer_question(&self, identity: &Identity, request: &Request, question: Question) -> Result<Answer, Status> {
        let reply = match &question {
            Question::SignToken { claims, .. } => {
                Reply::Token(self.tokens.sign(claims).map_err(|error| Status::internal(chain(&error)))?)
            }
            Question::ReviewToken { token, audiences, .. } => {
                match authn::bearer(&self.tokens, &self.state(), token, audiences, self.now()) {
                    Ok(bearer) => Reply::Authenticated { identity: bearer.identity, audiences: bearer.audiences },
                    Err(error) => Reply::Unauthenticated(chain(&error).to_string()),
                }
            }
        };
        let entropy = entropy();
        let call = self.call(identity, request, &entropy, self.state().revision());
        match km_registry::resume(&call, question, reply)? {
            Decision::Answer { response, warnings } => Ok(Answer { response, warnings }),
            Decision::Commit(_) | Decision::Ask(_) => Err(Status::internal("a review did not end in an answer")),
        }
    }

    fn call<'a>(
        &'a self,
        identity: &'a Identity,
        request: &'a Request,
        entropy: &'a km_registry::Entropy,
        revision: Revision,
    ) -> Call<'a> {
        Call { request, identity, now: self.now(), revision, entropy, config: &self.config }
    }
}

/// Whether a request may change the state, so that the writer must decide it.
fn needs_writer(request: &Request) -> bool {
    let reviews = request.resource.persistence == Persistence::CreateOnly && request.resource != &resource::BINDINGS;
    request.verb != Verb::Get && !reviews && request.subresource != "token"
}

/// What authorization is asked about a request. A Namespace lies in itself (k8s 1.37 RequestInfoFactory), so that
/// a Role in it can allow reading it.
pub(crate) fn attributes(request: &Request) -> Attributes {
    let mut asked = Attributes::of(request);
    if request.resource == &resource::NAMESPACES && !request.name.is_empty() {
        asked.namespace.clone_from(&request.name);
    }
    asked
}

fn replay(filter: &Filter, state: &Snapshot, from: Revision) -> Initial {
    match state.events_since(from, &filter.prefix) {
        Ok(events) => {
            let changes: VecDeque<_> = stream::replay(filter, events.cloned());
            Initial::Replay(changes)
        }
        Err(RevisionError::Compacted { asked, oldest }) => Initial::Error(stream::too_old(asked, oldest)),
        // From a state that this server does not know (a restored backup): the client must list again.
        Err(RevisionError::Future { asked, current } | RevisionError::Backwards { asked, current }) => {
            Initial::Error(stream::too_old(asked, current))
        }
    }
}

fn default_timeout() -> u64 {
    WATCH_TIMEOUT_SECS + entropy().number(0) % WATCH_TIMEOUT_SECS
}

/// The API for a component in this process.
struct InProcess {
    service: Arc<Service>,
    identity: Arc<Identity>,
}

impl Backend for InProcess {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Status>> {
        async move {
            self.service.authorize(&self.identity, &attributes(&request))?;
            self.service.perform(&self.identity, request).await.map(|answer| answer.response)
        }
        .boxed()
    }

    fn watch(&self, request: Request) -> BoxFuture<'_, Result<WatchStream, Status>> {
        async move {
            self.service.authorize(&self.identity, &attributes(&request))?;
            let watch = self.service.watch(&request).await?;
            let resource = watch.resource();
            Ok(watch.filter_map(move |item| std::future::ready(item.event(resource))).boxed())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use km_api::Options;
    use km_api::resource::CONFIG_MAPS;
    use km_mvcc::{Durability, Expect, Limits, Mvcc, Op, Txn};

    use super::*;

    #[test]
    fn watch_from_a_compacted_or_unknown_revision_must_list_again() {
        let mut mvcc = Mvcc::new(Limits { events_max: 2, events_bytes_max: 1 << 20 });
        for n in 0..5 {
            let key = km_registry::key(&CONFIG_MAPS, "d", &format!("m{n}"));
            let ops = vec![Op::put(key, Expect::Any, Bytes::from_static(b"{}"))];
            mvcc.apply(Txn { ops, durability: Durability::Sync }).unwrap();
        }
        let filter = Filter::new(&CONFIG_MAPS, "d", &Options::default()).unwrap();
        for from in [Revision(1), Revision(99)] {
            let Initial::Error(status) = replay(&filter, mvcc.head(), from) else { panic!("{from} is readable") };
            assert_eq!(status.code, 410);
            assert!(status.message.starts_with(&format!("too old resource version: {from} (")), "{}", status.message);
        }
        let Initial::Replay(changes) = replay(&filter, mvcc.head(), Revision(4)) else { panic!("4 is kept") };
        assert_eq!(changes.len(), 2);
    }
}
