//! The one writer: decides each change on the newest state, applies it and hands it to the journal.
//!
//! ```text
//!   requests ─▶ decide ─▶ mvcc ─▶ store.append ─▶ pending ─▶ publisher (waits for durability, shows, answers)
//!                 ▲                                             │ refused: the epoch failed
//!                 └────── roll back to the last durable state ◀─┘
//! ```
//!
//! Decisions see commits that are not durable yet, so many changes share one fsync. Every outcome, also an
//! error or an answer without a write, waits behind the commits it was decided on, so nobody learns of a
//! state that may still be taken back.
//!
//! **Invariant:** a refused append takes back every later commit too (the store refuses them as out of
//! sequence): the writer notices the failed epoch before its next decision and starts again from the last
//! published snapshot. All of their clients get a 503.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use km_api::{ContentType, Identity, Request, Response, Status, Verb};
use km_base::{Timestamp, chain};
use km_mvcc::{Change, Durability, Event, Expect, Mvcc, Op, Snapshot, Txn};
use km_net::Shutdown;
use km_registry::{Call, Commit, Config, Decision, Entropy, Question};
use km_store::{Record, Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

use crate::view::SnapshotView;

/// Changes waiting for a decision: a second of work at the rates of DESIGN 7.
pub(crate) const WRITE_QUEUE_LEN: usize = 4_096;
/// Decisions waiting for durability; below the store's own queue, so that it never overflows.
pub(crate) const PENDING_QUEUE_LEN: usize = 8_192;

/// Tells the time; injected, so that tests can set it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a request is answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The answer.
    pub(crate) response: Response,
    /// Texts for `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

/// A decision that ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is answered.
    Answered(Answer),
    /// Something must be found out first.
    Asked(Question),
}

pub(crate) type Reply = oneshot::Sender<Result<Outcome, Status>>;

/// A request for the writer.
pub(crate) struct WriteRequest {
    pub(crate) request: Request,
    pub(crate) identity: Identity,
    pub(crate) reply: Reply,
}

/// Durability of one record.
pub(crate) type Ack = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// A decision on its way to the publisher.
pub(crate) struct Pending {
    /// Counts roll-backs: decisions of a failed epoch are void.
    pub(crate) epoch: u64,
    /// The commit, if there is one.
    pub(crate) commit: Option<Committing>,
    /// What to answer.
    pub(crate) outcome: Result<Outcome, Status>,
    /// Whom.
    pub(crate) reply: Reply,
}

/// A commit that the store was given.
pub(crate) struct Committing {
    pub(crate) ack: Ack,
    pub(crate) after: Snapshot,
    pub(crate) events: Vec<Arc<Event>>,
}

/// What the writer stands on.
pub(crate) struct WriterDeps {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Clock,
    pub(crate) config: Arc<Config>,
    /// The last durable state.
    pub(crate) published: watch::Receiver<Snapshot>,
    /// The newest epoch that failed, plus one; 0 when none did.
    pub(crate) failed: watch::Receiver<u64>,
    pub(crate) pending: mpsc::Sender<Pending>,
}

/// The objects that every cluster has cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// One is refused.
    #[error("failed to make {resource} {name:?}")]
    Refused {
        /// Plural name of its resource.
        resource: &'static str,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        status: Status,
    },
    /// They cannot be stored.
    #[error("failed to store them")]
    Store(#[from] StoreError),
}

pub(crate) struct Writer {
    mvcc: Mvcc,
    deps: WriterDeps,
    epoch: u64,
}

impl Writer {
    pub(crate) fn new(mvcc: Mvcc, deps: WriterDeps) -> Self {
        Self { mvcc, deps, epoch: 0 }
    }

    /// Makes the objects that every cluster has and this one lacks, gives older ones what they lack, waits until
    /// that is durable, shows and returns the state that has it.
    pub(crate) async fn bootstrap(&mut self, published: &watch::Sender<Snapshot>) -> Result<Snapshot, BootstrapError> {
        let identity = Identity::authenticated("system:apiserver", &[km_api::identity::SYSTEM_MASTERS]);
        let mut last = None;
        for (resource, object) in km_registry::bootstrap_objects(&self.deps.config) {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            let key = km_registry::key(resource, &namespace, &name);
            let found = self.mvcc.head().get(&key).and_then(|entry| crate::view::object(entry));
            let (verb, name_in_path, object) = match found {
                None => (Verb::Create, "", object),
                Some(found) => match km_registry::bootstrap::reconciled(&found.to_value(), &object) {
                    None => continue,
                    Some(updated) => (Verb::Update, name.as_str(), updated),
                },
            };
            let request = Request::new(verb, resource, &namespace, name_in_path);
            let request = request.body(ContentType::Json, object.to_string());
            let failed = |status| BootstrapError::Refused { resource: resource.plural, name: name.clone(), status };
            // The acknowledgement of the last one is that of all.
            last = self.outcome(&request, &identity).map_err(failed)?.0.or(last);
        }
        if let Some(committing) = last {
            committing.ack.await?;
            published.send_replace(committing.after);
        }
        Ok(self.mvcc.snapshot())
    }

    /// Serves until shutdown; what was queued before is still decided.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<WriteRequest>, shutdown: Shutdown) {
        loop {
            let next = tokio::select! {
                next = requests.recv() => next,
                () = shutdown.begun(), if !requests.is_closed() => {
                    requests.close();
                    continue;
                }
            };
            let Some(change) = next else { return };
            if change.reply.is_closed() {
                // Nobody waits for it any more, so it need not happen.
                continue;
            }
            self.roll_back_if_failed();
            let pending = self.decide(change);
            if self.deps.pending.send(pending).await.is_err() {
                return;
            }
        }
    }

    fn roll_back_if_failed(&mut self) {
        let failed = *self.deps.failed.borrow_and_update();
        if failed > self.epoch {
            let durable = self.deps.published.borrow().clone();
            warn!(from = %self.mvcc.head().revision(), to = %durable.revision(), "took back changes that the store refused");
            self.mvcc.rollback_to(durable);
            self.epoch = failed;
        }
    }

    fn decide(&mut self, change: WriteRequest) -> Pending {
        let WriteRequest { request, identity, reply } = change;
        let (commit, outcome) = match self.outcome(&request, &identity) {
            Ok((commit, outcome)) => (commit, Ok(outcome)),
            Err(status) => (None, Err(status)),
        };
        Pending { epoch: self.epoch, commit, outcome, reply }
    }

    fn outcome(&mut self, request: &Request, identity: &Identity) -> Result<(Option<Committing>, Outcome), Status> {
        let call = Call {
            request,
            identity,
            now: (self.deps.clock)(),
            revision: self.mvcc.next_revision(),
            entropy: &entropy(),
            config: &self.deps.config,
        };
        match decide(self.mvcc.head(), &call)? {
            Decision::Answer { response, warnings } => Ok((None, Outcome::Answered(Answer { response, warnings }))),
            Decision::Ask(question) => Ok((None, Outcome::Asked(question))),
            Decision::Commit(Commit { writes, response, warnings }) => {
                let committing = self.commit(writes)?;
                Ok((Some(committing), Outcome::Answered(Answer { response, warnings })))
            }
        }
    }

    fn commit(&mut self, writes: Vec<km_registry::Write>) -> Result<Committing, Status> {
        let relaxed = writes.iter().all(|w| w.durability == km_registry::Durability::Relaxed);
        let ops = writes.into_iter().map(op).collect();
        let durability = if relaxed { Durability::Batched } else { Durability::Sync };
        let before = self.mvcc.snapshot();
        let committed = self.mvcc.apply(Txn { ops, durability }).map_err(|err| Status::internal(&err))?;
        if committed.events.is_empty() {
            let ack: Ack = Box::pin(std::future::ready(Ok(())));
            return Ok(Committing { ack, after: before, events: Vec::new() });
        }
        let ops = committed.events.iter().map(|e| (Arc::clone(&e.key), e.value().cloned())).collect();
        let record = Record { revision: committed.revision, ops };
        let durability = if relaxed { km_store::Durability::Batched } else { km_store::Durability::Sync };
        let ack = Box::pin(self.deps.store.append(record, durability));
        Ok(Committing { ack, after: self.mvcc.snapshot(), events: committed.events })
    }
}

/// Decides. A decision that panics is the fault of one request, which gets a 500; all others need this task.
pub(crate) fn decide(state: &Snapshot, call: &Call<'_>) -> Result<Decision, Status> {
    // It only reads, so nothing is left half done.
    let decided = catch_unwind(AssertUnwindSafe(|| km_registry::decide(&SnapshotView(state), call)));
    decided.unwrap_or_else(|_| {
        let Request { verb, resource, namespace, name, .. } = call.request;
        error!(verb = verb.as_str(), resource = resource.plural, namespace, name, "a decision panicked");
        Err(Status::internal("the request could not be decided; the server's log says why"))
    })
}

fn op(write: km_registry::Write) -> Op {
    // The decision read the state that it is applied to, so nothing needs to be compared.
    let change = write.value.map_or(Change::Delete, Change::Put);
    Op { key: write.key.into(), expect: Expect::Any, change }
}

/// Returns fresh random bytes.
pub(crate) fn entropy() -> Entropy {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    Entropy(bytes)
}

/// The answer to a client whose change the store refused.
pub(crate) fn refused(error: &StoreError) -> Status {
    match error {
        StoreError::TooLarge { .. } => Status::too_large(error.to_string()),
        _ => {
            let mut status = Status::unavailable(format!("the change was not stored: {}", chain(error)));
            status.details =
                Some(km_api::status::Details { retry_after_seconds: 1, ..km_api::status::Details::default() });
            status
        }
    }
}
