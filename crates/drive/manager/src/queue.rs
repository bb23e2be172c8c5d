//! Keys that wait for their controller.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use km_api::Resource;
use km_base::{Backoff, ObjectKey, Timestamp};

/// Wait after a plan that failed.
const RETRY: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(60) };

/// One key of one controller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    BootstrapToken(ObjectKey),
    Deployment(ObjectKey),
    Endpoints(ObjectKey),
    Eviction(ObjectKey),
    /// Plural and group, which name a resource.
    Garbage((&'static str, &'static str), ObjectKey),
    Namespace(ObjectKey),
    PodCollection(ObjectKey),
    ReplicaSet(ObjectKey),
    ReplicationController(ObjectKey),
    ServiceAccounts(ObjectKey),
    Taints(ObjectKey),
}

impl Work {
    pub(crate) fn garbage(resource: &Resource, key: ObjectKey) -> Self {
        Self::Garbage((resource.plural, resource.group), key)
    }
}

/// The queue: each key is in it once, and not given out while its plan is being performed.
#[derive(Default)]
pub(crate) struct Queue {
    ready: BTreeSet<Work>,
    running: BTreeSet<Work>,
    /// Keys that were woken while running.
    again: BTreeSet<Work>,
    later: BTreeMap<Work, Timestamp>,
    failures: BTreeMap<Work, u32>,
}

impl Queue {
    /// Queues a key.
    pub(crate) fn add(&mut self, work: Work) {
        if self.running.contains(&work) {
            self.again.insert(work);
        } else {
            self.ready.insert(work);
        }
    }

    /// Queues a key at `time`, unless an earlier time is set.
    pub(crate) fn add_at(&mut self, work: Work, time: Timestamp) {
        let at = self.later.entry(work).or_insert(time);
        *at = time.min(*at);
    }

    /// Returns a key to work on and marks it as running.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Work> {
        let due: Vec<Work> = self.later.iter().filter(|(_, t)| **t <= now).map(|(w, _)| w.clone()).collect();
        for work in due {
            self.later.remove(&work);
            self.add(work);
        }
        let work = self.ready.pop_first()?;
        self.running.insert(work.clone());
        Some(work)
    }

    /// Returns when the next waiting key is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.later.values().min().copied()
    }

    /// Marks a key's plan as performed.
    pub(crate) fn done(&mut self, work: Work, now: Timestamp, outcome: Outcome) {
        self.running.remove(&work);
        match outcome {
            Outcome::Done => {
                self.failures.remove(&work);
            }
            Outcome::Failed => {
                let failures = self.failures.entry(work.clone()).or_insert(0);
                *failures += 1;
                let time = now + RETRY.delay(*failures);
                self.add_at(work.clone(), time);
            }
        }
        if self.again.remove(&work) {
            self.ready.insert(work);
        }
    }
}

/// How a plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every write succeeded, or was not needed any more.
    Done,
    /// Some write failed.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        Work::Deployment(ObjectKey::namespaced("d", "web"))
    }

    #[test]
    fn a_running_key_waits_for_itself_and_is_not_forgotten() {
        let now = Timestamp::EPOCH;
        let mut queue = Queue::default();
        queue.add(work());
        queue.add(work());
        assert_eq!(queue.take(now), Some(work()));
        queue.add(work());
        assert_eq!(queue.take(now), None);
        queue.done(work(), now, Outcome::Done);
        assert_eq!(queue.take(now), Some(work()));
        queue.done(work(), now, Outcome::Done);
        assert_eq!(queue.take(now), None);
    }

    #[test]
    fn failures_back_off_until_one_success() {
        let mut now = Timestamp::EPOCH;
        let mut queue = Queue::default();
        queue.add(work());
        for wait_ms in [100, 200, 400] {
            queue.take(now).unwrap();
            queue.done(work(), now, Outcome::Failed);
            assert_eq!(queue.next_due(), Some(now + Duration::from_millis(wait_ms)));
            now = now + Duration::from_millis(wait_ms);
        }
        queue.take(now).unwrap();
        queue.done(work(), now, Outcome::Done);
        assert_eq!(queue.next_due(), None);
    }
}
