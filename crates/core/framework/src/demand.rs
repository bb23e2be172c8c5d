//! When Mesos is asked for offers and when it is told that none are wanted.
//!
//! A REVIVE lifts all filters of its roles and re-offers every agent: good for one pod in milliseconds, a flood
//! on a big cluster if done for each. So they keep a distance that grows with the agents, and grows again while
//! they do not help; roles without waiting pods are suppressed.

use std::collections::BTreeSet;
use std::time::Duration;

use km_base::{Backoff, Timestamp};
use km_mesos::OfferId;
use km_mesos::scheduler::call::{self, Decline, Revive, Suppress};

use crate::Action;
use crate::step::Framework;

#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    /// Roles with waiting pods.
    pub roles: BTreeSet<String>,
    revived: Option<Timestamp>,
    /// REVIVEs since the last news.
    repeats: u32,
    due: Option<Timestamp>,
}

impl Framework {
    pub(crate) fn demanded(&mut self, now: Timestamp, roles: BTreeSet<String>, news: bool, out: &mut Vec<Action>) {
        let idle: Vec<String> = self.demand.roles.difference(&roles).cloned().collect();
        let grown = roles.difference(&self.demand.roles).next().is_some();
        self.demand.roles = roles;
        if !idle.is_empty() && self.session.is_subscribed() {
            self.call(call::Type::Suppress, out, |call| call.suppress = Some(Suppress { roles: idle }));
        }
        if self.demand.roles.is_empty() {
            self.demand.due = None;
        } else if grown || news || self.demand.due.is_none() {
            self.demand.repeats = 0;
            self.plan_revive(now, out);
        }
        self.demand_tick(now, out);
    }

    /// A new subscription suppresses what was not wanted when it was asked for, and no more.
    pub(crate) fn demand_subscribed(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.demand.revived = None;
        self.demand.repeats = 0;
        if !self.demand.roles.is_empty() {
            self.demand.due = Some(now);
            self.demand_tick(now, out);
        }
    }

    pub(crate) fn demand_tick(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if !self.session.is_subscribed() || self.demand.roles.is_empty() || self.demand.due.is_none_or(|d| now < d) {
            return;
        }
        if self.waiting.is_empty() {
            self.demand.due = None;
            return;
        }
        let roles: Vec<String> = self.demand.roles.iter().cloned().collect();
        self.call(call::Type::Revive, out, |call| call.revive = Some(Revive { roles }));
        self.counters.revived += 1;
        self.demand.revived = Some(now);
        self.demand.repeats += 1;
        self.plan_revive(now, out);
    }

    fn plan_revive(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let agents = u64::try_from(self.agents.len()).unwrap_or(u64::MAX);
        let initial = self.config.revive_interval + Duration::from_millis(agents);
        let backoff = Backoff { initial, max: self.config.revive_interval_max.max(initial) };
        let due = self.demand.revived.map_or(now, |last| now.max(last + backoff.delay(self.demand.repeats.max(1))));
        self.demand.due = Some(due);
        if due > now {
            out.push(Action::WakeAt(due));
        }
    }

    pub(crate) fn decline(&mut self, offers: Vec<OfferId>, refuse: Duration, out: &mut Vec<Action>) {
        if offers.is_empty() || !self.session.is_subscribed() {
            return;
        }
        self.counters.declined += offers.len() as u64;
        let filters = Some(km_mesos::Filters { refuse_seconds: Some(refuse.as_secs_f64()) });
        self.call(call::Type::Decline, out, |call| call.decline = Some(Decline { offer_ids: offers, filters }));
    }
}
