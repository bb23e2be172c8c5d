//! The offers in hand, per agent and role.
//!
//! An ACCEPT may join offers only of one agent and one role (`spec`: Mesos 1.11 master validation), so that is
//! how they are kept. Knows nothing of pods.

use std::collections::BTreeMap;

use km_base::Timestamp;
use km_mesos::resources::Resources;
use km_mesos::{AgentId, Offer, OfferId};

/// All offers of one agent for one role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bag {
    /// When each came.
    offers: BTreeMap<OfferId, (Timestamp, Resources)>,
    /// Their sum.
    pub free: Resources,
}

impl Bag {
    pub(crate) fn offer_ids(&self) -> Vec<OfferId> {
        self.offers.keys().cloned().collect()
    }

    fn sum(&mut self) {
        self.free = Resources::new();
        for (_, resources) in self.offers.values() {
            self.free.add(resources);
        }
    }
}

/// The book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    bags: BTreeMap<AgentId, BTreeMap<String, Bag>>,
    places: BTreeMap<OfferId, (AgentId, String)>,
}

impl Book {
    pub(crate) fn add(&mut self, now: Timestamp, offer: &Offer) {
        self.remove(&offer.id);
        let role = offer.allocation_info.as_ref().and_then(|a| a.role.clone()).unwrap_or_else(|| "*".to_owned());
        let resources = Resources::from_messages(&offer.resources);
        let bag = self.bags.entry(offer.agent_id.clone()).or_default().entry(role.clone()).or_default();
        bag.free.add(&resources);
        bag.offers.insert(offer.id.clone(), (now, resources));
        self.places.insert(offer.id.clone(), (offer.agent_id.clone(), role));
    }

    pub(crate) fn remove(&mut self, offer: &OfferId) {
        let Some((agent, role)) = self.places.remove(offer) else { return };
        let Some(roles) = self.bags.get_mut(&agent) else { return };
        if let Some(bag) = roles.get_mut(&role) {
            bag.offers.remove(offer);
            bag.sum();
            if bag.offers.is_empty() {
                roles.remove(&role);
            }
        }
        if roles.is_empty() {
            self.bags.remove(&agent);
        }
    }

    pub(crate) fn remove_agent(&mut self, agent: &AgentId) {
        for bag in self.bags.remove(agent).unwrap_or_default().into_values() {
            for offer in bag.offers.keys() {
                self.places.remove(offer);
            }
        }
    }

    pub(crate) fn clear(&mut self) -> Vec<OfferId> {
        self.bags.clear();
        std::mem::take(&mut self.places).into_keys().collect()
    }

    /// Takes a whole bag out, to be used.
    pub(crate) fn take(&mut self, agent: &AgentId, role: &str) -> Option<Bag> {
        let roles = self.bags.get_mut(agent)?;
        let bag = roles.remove(role)?;
        if roles.is_empty() {
            self.bags.remove(agent);
        }
        for offer in bag.offers.keys() {
            self.places.remove(offer);
        }
        Some(bag)
    }

    pub(crate) fn get(&self, agent: &AgentId, role: &str) -> Option<&Bag> {
        self.bags.get(agent)?.get(role)
    }

    /// Removes and returns the offers that came at or before `time`.
    pub(crate) fn take_older(&mut self, time: Timestamp) -> Vec<OfferId> {
        let old: Vec<OfferId> = self
            .bags
            .values()
            .flat_map(BTreeMap::values)
            .flat_map(|bag| &bag.offers)
            .filter(|(_, (came, _))| *came <= time)
            .map(|(id, _)| id.clone())
            .collect();
        for id in &old {
            self.remove(id);
        }
        old
    }

    /// When the oldest offer came.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.bags.values().flat_map(BTreeMap::values).flat_map(|b| b.offers.values()).map(|(came, _)| *came).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}
