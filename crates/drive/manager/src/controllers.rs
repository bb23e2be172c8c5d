//! What the manager's loop owns: listers and queue, and the three things that happen to them.
//!
//! A change comes in ([`Controllers::take`]), a plan goes out ([`Controllers::next`]), what its writes came to comes
//! back ([`Controllers::finish`]). Pure, so the simulation runs exactly this under its own clock; how requests are
//! made and informers run is the loop's.

use std::time::Duration;

use km_api::resource::{ALL, EVENTS_V1, Persistence};
use km_api::{Object, Resource};
use km_base::Timestamp;
use km_client::Change;
use km_controllers::{
    Plan, Write, bootstrap_tokens, deployment, endpoints, garbage, namespace, nodes, pods, replicas, service_accounts,
};
use km_kinds::DecodeError;
use serde_json::Value;
use tracing::{debug, warn};

use crate::delta::{Cache, Projection};
use crate::events::Sizes;
use crate::perform::{Attempt, Written};
use crate::queue::{Outcome, Queue, Work};
use crate::{events, wake};

/// A key whose plan is being performed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    work: Work,
    /// Number of the plan.
    plan: u64,
    /// Replicas of the replica sets that the plan scales, as they were when it was made.
    sizes: Sizes,
}

impl Key {
    /// Tells whether what the plan deletes is garbage: taken for it because its owners are not known.
    pub(crate) fn is_garbage(&self) -> bool {
        matches!(self.work, Work::Garbage(..))
    }
}

/// All controllers over one cache.
pub struct Controllers {
    root_ca: String,
    cache: Cache,
    queue: Queue,
    unsynced: usize,
}

impl Controllers {
    /// Makes controllers that know nothing yet; `root_ca` is published to every namespace.
    #[must_use]
    pub fn new(root_ca: String) -> Self {
        let followed = Self::followed();
        Self { root_ca, cache: Cache::new(&followed), queue: Queue::default(), unsynced: followed.len() }
    }

    /// Returns the resources to follow: all that are stored. The two groups of events are one set of objects.
    #[must_use]
    pub fn followed() -> Vec<&'static Resource> {
        ALL.iter().copied().filter(|r| r.persistence == Persistence::Stored && **r != EVENTS_V1).collect()
    }

    /// Reads as much of an object of `resource` as a controller needs.
    ///
    /// # Errors
    /// When the object is not of its kind.
    pub fn project(resource: &'static Resource, object: &Object) -> Result<Projection, DecodeError> {
        Projection::of(resource, object)
    }

    /// Takes an informer's change.
    pub fn take(&mut self, resource: &'static Resource, change: Change<Projection>) {
        if matches!(change, Change::Synced) {
            self.unsynced -= 1;
        } else if let Some(effect) = self.cache.take(resource, change) {
            wake::wake(&mut self.queue, &self.cache, resource, &effect);
        }
    }

    /// Tells whether every list is complete: before that, what is missing may only be unknown, and nothing is planned.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.unsynced == 0
    }

    /// Returns when a key that waits for its time is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.queue.next_due()
    }

    /// Returns the next key with something to write. It is not given out again before [`Controllers::finish`].
    pub fn next(&mut self, now: Timestamp) -> Option<(Key, Vec<Write>)> {
        while self.is_synced() {
            let work = self.queue.take(now)?;
            let plan = self.plan(&work, now);
            if let Some(wait) = plan.again_after {
                self.queue.add_at(work.clone(), now + wait);
            }
            if !plan.writes.is_empty() {
                let sizes = events::sizes(&self.cache.listers, &plan.writes);
                let key = Key { work, plan: self.cache.plan_begins(), sizes };
                return Some((key, plan.writes));
            }
            self.queue.done(work, now, Outcome::Done);
        }
        None
    }

    fn plan(&self, work: &Work, now: Timestamp) -> Plan {
        let listers = &self.cache.listers;
        match work {
            Work::BootstrapToken(key) => bootstrap_tokens::reconcile(listers, key, now),
            Work::Deployment(key) => deployment::reconcile(listers, key, now),
            Work::Endpoints(key) => endpoints::reconcile(listers, key),
            Work::Eviction(key) => nodes::reconcile_eviction(listers, key, now),
            Work::Garbage((plural, group), key) => {
                let resource = Self::followed().into_iter().find(|r| r.plural == *plural && r.group == *group);
                resource.map_or_else(Plan::done, |resource| garbage::reconcile(listers, resource, key))
            }
            Work::Namespace(key) => namespace::reconcile(listers, key),
            Work::PodCollection(key) => pods::reconcile(listers, key, now),
            Work::ReplicaSet(key) => replicas::reconcile_replica_set(listers, key, now),
            Work::ReplicationController(key) => replicas::reconcile_replication_controller(listers, key, now),
            Work::ServiceAccounts(key) => service_accounts::reconcile(listers, key, &self.root_ca),
            Work::Taints(key) => nodes::reconcile_taints(listers, key, now),
        }
    }

    /// Takes what a key's writes came to; returns the Events to post, each with its namespace.
    pub fn finish(&mut self, now: Timestamp, key: Key, attempts: Vec<Attempt>) -> Vec<(String, Value)> {
        let Key { work, plan, sizes } = key;
        let mut outcome = Outcome::Done;
        let mut told: Vec<(String, Value)> = Vec::new();
        for attempt in attempts {
            // Names are made of the time: two of one moment must differ.
            let at = now + Duration::from_micros(told.len() as u64);
            told.extend(events::of(&self.cache.listers, &work, &sizes, &attempt, at));
            let effect = match attempt.result {
                Ok(Written::Object(resource, object)) => {
                    self.cache.written(resource, &object).map(|effect| (resource, effect))
                }
                Ok(Written::Gone(resource, key, uid)) => {
                    self.cache.deleted(resource, &key, &uid).map(|effect| (resource, effect))
                }
                Ok(Written::Nothing) => None,
                Err(status) => {
                    // A conflict is the ordinary answer to a plan made of what has changed since.
                    if status.code == 409 {
                        debug!(?work, error = %status, "plan was overtaken");
                    } else {
                        warn!(?work, error = %status, "write refused");
                    }
                    outcome = Outcome::Failed;
                    None
                }
            };
            if let Some((resource, effect)) = effect {
                wake::wake(&mut self.queue, &self.cache, resource, &effect);
            }
        }
        self.cache.plan_ends(plan);
        self.queue.done(work, now, outcome);
        told
    }
}
