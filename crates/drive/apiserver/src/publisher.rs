//! What becomes visible, and when: awaits the durability of each commit, in order, then shows it.
//!
//! For each decision: wait for the store; make its state the one that readers see; send its changes to the
//! watchers; answer its client. New watchers are added between two commits, so each knows the exact revision
//! from which it sees everything.
//!
//! **Invariant:** nothing is shown or answered before it is durable (batched kinds: written).
//! **Invariant:** watchers get changes in revision order, without gaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use km_base::chain;
use km_mvcc::Snapshot;
use km_net::Shutdown;
use km_store::StoreError;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use crate::watch::Filter;
use crate::watch::hub::{Delivery, Hub};
use crate::writer::{Committing, Pending, refused};

/// Requests for a watch that wait for the current commit.
pub(crate) const SUBSCRIBE_QUEUE_LEN: usize = 1_024;
/// Forgotten watchers are looked for this often.
const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(30);

/// A request to follow changes.
pub(crate) struct Subscribe {
    pub(crate) filter: Arc<Filter>,
    /// The state at which the subscription begins, and everything after it.
    pub(crate) reply: oneshot::Sender<(Snapshot, mpsc::Receiver<Delivery>)>,
}

/// What the publisher shares with readers.
pub(crate) struct PublisherDeps {
    pub(crate) published: watch::Sender<Snapshot>,
    pub(crate) failed: watch::Sender<u64>,
    /// Revision up to which watchers were sent everything.
    pub(crate) dispatched: Arc<AtomicU64>,
    pub(crate) watchers: Arc<AtomicU64>,
    /// Revision of the last change of a role or binding.
    pub(crate) policy_revision: Arc<AtomicU64>,
    /// Whether the store took the last change.
    pub(crate) stores: Arc<AtomicBool>,
}

pub(crate) struct Publisher {
    deps: PublisherDeps,
    hub: Hub,
    failed_epoch: u64,
}

impl Publisher {
    pub(crate) fn new(deps: PublisherDeps) -> Self {
        Self { deps, hub: Hub::new(), failed_epoch: 0 }
    }

    /// Serves until the writer is gone. When `shutdown` begins every watch ends, so that connections can drain.
    pub(crate) async fn run(
        mut self,
        mut pending: mpsc::Receiver<Pending>,
        mut subscribe: mpsc::Receiver<Subscribe>,
        shutdown: Shutdown,
    ) {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        let mut subscribing = true;
        loop {
            tokio::select! {
                next = pending.recv() => match next {
                    Some(next) => self.finish(next).await,
                    None => return,
                },
                request = subscribe.recv(), if subscribing => match request {
                    Some(request) => self.subscribe(request),
                    None => subscribing = false,
                },
                () = shutdown.begun(), if subscribing => {
                    subscribing = false;
                    subscribe.close();
                    self.hub = Hub::new();
                }
                _ = sweep.tick() => {
                    self.hub.sweep();
                    self.count_watchers();
                }
            }
        }
    }

    fn subscribe(&mut self, request: Subscribe) {
        let snapshot = self.deps.published.borrow().clone();
        let events = self.hub.subscribe(request.filter);
        // A requester that stopped waiting drops its end, and the sweep finds it.
        let _ = request.reply.send((snapshot, events));
        self.count_watchers();
    }

    async fn finish(&mut self, pending: Pending) {
        let Pending { epoch, commit, outcome, reply } = pending;
        let outcome = if epoch < self.failed_epoch {
            Err(km_api::Status::unavailable("a change before this one was not stored; try again"))
        } else {
            match commit {
                None => outcome,
                Some(commit) => self.publish(epoch, commit).await.and(outcome),
            }
        };
        // A client that stopped waiting does not take its change back.
        let _ = reply.send(outcome);
    }

    async fn publish(&mut self, epoch: u64, commit: Committing) -> Result<(), km_api::Status> {
        let Committing { ack, after, events } = commit;
        if let Err(error) = ack.await {
            error!(error = %chain(&error), "the store refused a change");
            self.failed_epoch = epoch + 1;
            self.deps.failed.send_replace(self.failed_epoch);
            self.deps.stores.store(matches!(error, StoreError::TooLarge { .. }), Ordering::Relaxed);
            return Err(refused(&error));
        }
        self.deps.stores.store(true, Ordering::Relaxed);
        let revision = after.revision();
        self.deps.published.send_replace(after);
        for event in &events {
            if changes_policy(&event.key) {
                // After the state is visible: who reads this revision reads a state that has it.
                self.deps.policy_revision.store(revision.0, Ordering::Release);
            }
            self.hub.dispatch(event);
        }
        self.deps.dispatched.store(revision.0, Ordering::Release);
        Ok(())
    }

    fn count_watchers(&self) {
        let count: usize = self.hub.counts().map(|(_, count)| count).sum();
        self.deps.watchers.store(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn changes_policy(key: &str) -> bool {
    ["/registry/roles/", "/registry/rolebindings/", "/registry/clusterroles/", "/registry/clusterrolebindings/"]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}
