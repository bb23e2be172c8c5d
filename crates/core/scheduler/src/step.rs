//! The scheduler's state and its one transition function.

use std::collections::BTreeSet;
use std::sync::Arc;

use km_api::pod;
use km_base::{Timestamp, Uid};
use km_kinds::api::core::v1::Pod;
use km_mesos::{AgentId, Offer};

use crate::ask::Ask;
use crate::book::Book;
use crate::queue::{Queue, Waiting};
use crate::solve::solve;
use crate::view::{NodeView, View};
use crate::{Action, Config, Event};

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    queue: Queue,
    book: Book,
    view: View,
    /// Agents with an executor of ours, running or being started.
    executors: BTreeSet<AgentId>,
    /// Counts the events that may let a waiting pod fit.
    generation: u64,
    /// Whether such an event came since demand was last told.
    news: bool,
    /// Roles last told as wanted.
    demand: BTreeSet<String>,
    /// Since when nothing waits.
    idle_since: Option<Timestamp>,
}

impl Scheduler {
    /// Makes a scheduler that knows nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            queue: Queue::default(),
            book: Book::default(),
            view: View::default(),
            executors: BTreeSet::new(),
            generation: 1,
            news: false,
            demand: BTreeSet::new(),
            idle_since: None,
        }
    }

    /// Takes one event in; only [`Event::Solve`] decides and emits, but for offers that nothing can want.
    pub fn step(&mut self, now: Timestamp, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Wait(pod) => self.wait(now, pod),
            Event::Forget(uid) => {
                // A pod that was placed stays counted on its node only when `Bound` says so.
                if self.queue.get(&uid).is_some_and(|e| e.placed && pod::node_name(&e.pod).is_none())
                    && self.view.located.get(&uid).is_some_and(|(_, p)| pod::node_name(p).is_none())
                {
                    self.view.remove(&uid);
                }
                self.queue.remove(&uid);
            }
            Event::Retry(uid) => {
                self.queue.retry(now, &uid, self.config.backoff);
                // The place of a bound pod is kept for it.
                if self.view.located.get(&uid).is_some_and(|(_, p)| pod::node_name(p).is_none()) {
                    self.view.remove(&uid);
                }
                self.helped();
            }
            Event::Bound(pod) => {
                if let Some(node) = pod::node_name(&pod).map(str::to_owned) {
                    self.view.locate(uid_of(&pod), &node, pod);
                }
            }
            Event::Unbound(uid) => {
                if self.view.remove(&uid) {
                    self.helped();
                }
            }
            Event::Node(node) => {
                let view = NodeView::of(&node);
                self.view.nodes.insert(view.name.clone(), view);
                self.generation += 1;
            }
            Event::NodeGone(name) => {
                self.view.nodes.remove(&name);
            }
            Event::Offers(offers) => self.offers(now, &offers),
            Event::Rescind(offer) => self.book.remove(&offer),
            Event::DropOffers(Some(agent)) => self.book.remove_agent(&agent),
            Event::DropOffers(None) => {
                self.book.clear();
            }
            Event::Executor { agent_id, present: true } => {
                self.executors.insert(agent_id);
            }
            Event::Executor { agent_id, present: false } => {
                self.executors.remove(&agent_id);
            }
            Event::Solve => self.solve(now, out),
        }
    }

    /// Shows the waiting pods, best first.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        self.queue
            .waiting()
            .map(|(uid, e)| Waiting {
                key: e.key.clone(),
                uid: uid.clone(),
                priority: e.priority,
                since: e.since,
                failures: e.failures,
                not_before: e.not_before,
                reason: e.reason.clone(),
            })
            .collect()
    }

    /// Counts the offers in hand.
    #[must_use]
    pub fn offers_held(&self) -> usize {
        self.book.len()
    }

    fn wait(&mut self, now: Timestamp, pod: Arc<Pod>) {
        let uid = uid_of(&pod);
        if self.queue.get(&uid).is_none() {
            self.news = true;
        }
        let ask = Ask::of(&pod, &self.config.roles, self.config.port_mapping);
        self.queue.upsert(now, uid, pod, ask);
    }

    fn offers(&mut self, now: Timestamp, offers: &[Offer]) {
        for offer in offers {
            self.book.add(now, offer);
        }
        self.generation += 1;
    }

    /// Something came free: look at all pods again, and ask Mesos again.
    fn helped(&mut self) {
        self.generation += 1;
        self.news = true;
    }

    fn solve(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let outcome = solve(
            now,
            &self.config,
            self.generation,
            &mut self.queue,
            &mut self.book,
            &mut self.view,
            &mut self.executors,
        );
        out.extend(outcome.plans.into_iter().map(Action::Place));
        for (uid, reason, offers_may_help) in outcome.misfits {
            self.explain(now, &uid, reason, offers_may_help, out);
        }
        self.expire(now, out);
        self.tell_demand(now, out);
        if let Some(time) = self.next_wake(now) {
            out.push(Action::WakeAt(time));
        }
    }

    /// Tells why a pod waits, unless an offer that is still on its way may settle it.
    fn explain(&mut self, now: Timestamp, uid: &Uid, reason: String, offers_may_help: bool, out: &mut Vec<Action>) {
        let grace = self.config.reason_grace;
        let Some(entry) = self.queue.get_mut(uid) else { return };
        if offers_may_help && now < entry.since + grace {
            entry.tried = 0;
            return;
        }
        if entry.reason != reason {
            entry.reason.clone_from(&reason);
            out.push(Action::Unschedulable { uid: uid.clone(), key: entry.key.clone(), reason });
        }
    }

    /// Gives back offers that were held long enough, or all when nothing waits for a while.
    fn expire(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let (offers, refuse) = if self.queue.is_idle() {
            let since = *self.idle_since.get_or_insert(now);
            if now < since + self.config.idle_after {
                return;
            }
            (self.book.clear(), self.config.refuse_long)
        } else {
            self.idle_since = None;
            (self.book.take_older(now.saturating_sub(self.config.hold_max)), self.config.refuse_short)
        };
        if !offers.is_empty() {
            out.push(Action::Decline { offers, refuse });
        }
    }

    fn tell_demand(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let idle_long = self.idle_since.is_some_and(|since| now >= since + self.config.idle_after);
        let mut roles = self.queue.roles(now);
        if roles.is_empty() && !idle_long {
            // Keep what was wanted until nothing has waited for a while.
            roles.clone_from(&self.demand);
            self.news = false;
        }
        if roles != self.demand || (self.news && !roles.is_empty()) {
            out.push(Action::Demand { roles: roles.clone(), news: std::mem::take(&mut self.news) });
            self.demand = roles;
        }
    }

    fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let backoff = self.queue.next_due(now);
        let grace = self
            .queue
            .waiting()
            .filter(|(_, e)| e.reason.is_empty())
            .map(|(_, e)| e.since + self.config.reason_grace)
            .filter(|t| *t > now)
            .min();
        let expiry = match self.idle_since {
            Some(since) => Some(since + self.config.idle_after).filter(|t| *t > now),
            None => self.book.oldest().map(|came| came + self.config.hold_max),
        };
        [backoff, grace, expiry].into_iter().flatten().min()
    }
}

fn uid_of(pod: &Pod) -> Uid {
    Uid(pod.metadata.uid.clone().unwrap_or_default())
}
