//! Who is offered what: dominant resource fairness over roles, then over the frameworks of a role.
//!
//! The master tells the allocator what agents have and what frameworks want, use and give back; the allocator answers
//! with allocations, each the whole free part of one agent for one role of one framework, as Mesos does. It knows
//! nothing of offers, tasks or streams.
//!
//! Source: Mesos 1.11 docs/allocation-module.md and src/master/allocator/mesos/hierarchical.cpp. Deliberately absent:
//! quota, nested roles' shares (a role is one name), revocable resources.

mod constraints;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use km_base::Timestamp;
use km_mesos::resources::{Milli, Resources};
use km_mesos::{AgentId, AgentInfo, FrameworkId};

pub use constraints::Constraints;

/// The least an offer holds, one of the two. Mesos 1.11 --min_allocatable_resources=cpus:0.01|mem:32.
const MIN_CPUS: Milli = Milli(10);
const MIN_MEM: Milli = Milli(32_000);

/// Mesos caps filters at a year (src/master/allocator/mesos/hierarchical.cpp, `MAX_REFUSE_SECONDS`… 365 days).
const FILTER_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The free part of one agent, now given to one role of one framework.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// To whom.
    pub framework_id: FrameworkId,
    /// In which role.
    pub role: String,
    /// Of which agent.
    pub agent_id: AgentId,
    /// What, allocated to the role.
    pub resources: Resources,
}

/// What a framework wants.
#[derive(Clone, Debug, Default)]
pub struct Wants {
    /// Roles it is subscribed with.
    pub roles: BTreeSet<String>,
    /// Roles in which it wants no offers now.
    pub suppressed: BTreeSet<String>,
    /// Agents it wants to hear of.
    pub constraints: Constraints,
}

#[derive(Debug)]
struct Slot {
    info: AgentInfo,
    free: Resources,
    active: bool,
}

#[derive(Debug, Default)]
struct Client {
    wants: Wants,
    active: bool,
    filters: BTreeMap<(String, AgentId), Vec<Filter>>,
}

#[derive(Debug)]
struct Filter {
    refused: Resources,
    until: Timestamp,
}

/// Amounts by scalar name.
type Scalars = BTreeMap<String, Milli>;

/// See the module's documentation.
#[derive(Debug)]
pub struct Allocator {
    interval: Duration,
    weights: BTreeMap<String, f64>,
    slots: BTreeMap<AgentId, Slot>,
    clients: BTreeMap<FrameworkId, Client>,
    totals: Scalars,
    by_role: BTreeMap<String, Scalars>,
    by_client: BTreeMap<(String, FrameworkId), Scalars>,
}

impl Allocator {
    /// Creates an allocator; no filter lasts less than `interval`. Roles without a weight weigh 1.
    pub fn new(interval: Duration, weights: BTreeMap<String, f64>) -> Self {
        Self {
            interval,
            weights,
            slots: BTreeMap::new(),
            clients: BTreeMap::new(),
            totals: Scalars::new(),
            by_role: BTreeMap::new(),
            by_client: BTreeMap::new(),
        }
    }

    /// Adds an agent that has `total` and already uses `used`, per framework and role; or replaces it.
    pub fn add_agent(&mut self, id: &AgentId, info: AgentInfo, total: &Resources, used: &[(FrameworkId, Resources)]) {
        self.remove_agent(id, &[]);
        grow(&mut self.totals, total);
        let mut free = total.unallocated();
        for (framework, resources) in used {
            free.subtract(&resources.unallocated());
            self.charge(framework, resources);
        }
        self.slots.insert(id.clone(), Slot { info, free, active: true });
    }

    /// Removes an agent with what is used there; its filters go too.
    pub fn remove_agent(&mut self, id: &AgentId, used: &[(FrameworkId, Resources)]) {
        let Some(slot) = self.slots.remove(id) else { return };
        shrink(&mut self.totals, &slot.free);
        for (framework, resources) in used {
            shrink(&mut self.totals, resources);
            self.discharge(framework, resources);
        }
        for client in self.clients.values_mut() {
            client.filters.retain(|(_, agent), _| agent != id);
        }
    }

    /// Lets an agent's resources be offered, or not.
    pub fn set_agent_active(&mut self, id: &AgentId, active: bool) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.active = active;
        }
    }

    /// Replaces part of an agent's free resources, as reservations and volumes do.
    pub fn convert(&mut self, id: &AgentId, consumed: &Resources, made: &Resources) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.free.subtract(&consumed.unallocated());
            slot.free.add(&made.unallocated());
        }
    }

    /// Adds a framework, or replaces what it wants. Filters stay only in roles that stay unsuppressed or suppressed as they were.
    pub fn set_framework(&mut self, id: &FrameworkId, wants: Wants) {
        let client = self.clients.entry(id.clone()).or_default();
        let before = std::mem::replace(&mut client.wants, wants);
        let now = &client.wants;
        client.filters.retain(|(role, _), _| {
            now.roles.contains(role) && before.suppressed.contains(role) == now.suppressed.contains(role)
        });
        client.active = true;
    }

    /// Stops or resumes offers to a framework; stopping drops its filters.
    pub fn set_framework_active(&mut self, id: &FrameworkId, active: bool) {
        if let Some(client) = self.clients.get_mut(id) {
            client.active = active;
            if !active {
                client.filters.clear();
            }
        }
    }

    /// Forgets a framework; what it used must have been recovered.
    pub fn remove_framework(&mut self, id: &FrameworkId) {
        self.clients.remove(id);
        self.by_client.retain(|(_, framework), _| framework != id);
    }

    /// Ends suppression and filters in the given roles, in all of them when none is given.
    pub fn revive(&mut self, id: &FrameworkId, roles: &[String]) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let meant = |role: &String| roles.is_empty() || roles.contains(role);
        client.wants.suppressed.retain(|role| !meant(role));
        client.filters.retain(|(role, _), _| !meant(role));
    }

    /// Starts suppression in the given roles, in all of them when none is given.
    pub fn suppress(&mut self, id: &FrameworkId, roles: &[String]) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let wants = &mut client.wants;
        let meant: Vec<String> =
            wants.roles.iter().filter(|role| roles.is_empty() || roles.contains(role)).cloned().collect();
        wants.suppressed.extend(meant);
    }

    /// Takes resources back that were offered or used.
    pub fn recover(&mut self, framework: &FrameworkId, agent: &AgentId, resources: &Resources) {
        self.discharge(framework, resources);
        if let Some(slot) = self.slots.get_mut(agent) {
            slot.free.add(&resources.unallocated());
        }
    }

    /// Counts resources as used that were free: what a re-registering agent brings for a framework.
    pub fn charge_agent(&mut self, framework: &FrameworkId, agent: &AgentId, resources: &Resources) {
        self.charge(framework, resources);
        if let Some(slot) = self.slots.get_mut(agent) {
            slot.free.subtract(&resources.unallocated());
        }
    }

    /// Remembers a refusal. Zero seconds refuse nothing; less than the interval counts as the interval.
    pub fn refuse(
        &mut self,
        now: Timestamp,
        framework: &FrameworkId,
        role: &str,
        agent: &AgentId,
        refused: &Resources,
        seconds: f64,
    ) {
        if seconds <= 0.0 || refused.is_empty() {
            return;
        }
        let Some(client) = self.clients.get_mut(framework) else { return };
        let lasting = Duration::try_from_secs_f64(seconds).unwrap_or(FILTER_MAX).clamp(self.interval, FILTER_MAX);
        let filter = Filter { refused: refused.unallocated(), until: now + lasting };
        client.filters.entry((role.to_owned(), agent.clone())).or_default().push(filter);
    }

    /// Gives out all that is free and wanted, the role and framework with the smallest share first.
    pub fn allocate(&mut self, now: Timestamp) -> Vec<Allocation> {
        let agents: Vec<AgentId> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.active && is_allocatable(&slot.free))
            .map(|(id, _)| id.clone())
            .collect();
        if agents.is_empty() || !self.clients.values().any(|client| client.active) {
            return Vec::new();
        }
        let mut allocations = Vec::new();
        for agent in agents {
            // One agent may hold resources reserved for several roles: give until nobody takes any more.
            while let Some(allocation) = self.allocate_agent(now, &agent) {
                self.charge_agent(&allocation.framework_id, &agent, &allocation.resources);
                allocations.push(allocation);
            }
        }
        allocations
    }

    fn allocate_agent(&mut self, now: Timestamp, agent: &AgentId) -> Option<Allocation> {
        let slot = self.slots.get(agent)?;
        let mut best: Option<(f64, f64, &String, &FrameworkId, Resources)> = None;
        for (id, client) in self.clients.iter_mut().filter(|(_, client)| client.active) {
            for role in client.wants.roles.difference(&client.wants.suppressed) {
                let offered = slot.free.allocatable_to(role);
                if !is_allocatable(&offered)
                    || !client.wants.constraints.allow(role, &slot.info)
                    || is_refused(&mut client.filters, now, role, agent, &offered)
                {
                    continue;
                }
                let weight = self.weights.get(role).copied().unwrap_or(1.0);
                let role_share = share(&self.totals, self.by_role.get(role)) / weight;
                let own_share = share(&self.totals, self.by_client.get(&(role.clone(), id.clone())));
                if best
                    .as_ref()
                    .is_none_or(|(role_best, own_best, ..)| (role_share, own_share) < (*role_best, *own_best))
                {
                    best = Some((role_share, own_share, role, id, offered));
                }
            }
        }
        let (_, _, role, framework, offered) = best?;
        Some(Allocation {
            framework_id: framework.clone(),
            role: role.clone(),
            agent_id: agent.clone(),
            resources: offered.allocated_to(role),
        })
    }

    fn charge(&mut self, framework: &FrameworkId, resources: &Resources) {
        for (role, part) in resources.by_allocation_role() {
            grow(self.by_role.entry(role.clone()).or_default(), &part);
            grow(self.by_client.entry((role, framework.clone())).or_default(), &part);
        }
    }

    fn discharge(&mut self, framework: &FrameworkId, resources: &Resources) {
        for (role, part) in resources.by_allocation_role() {
            if let Some(scalars) = self.by_role.get_mut(&role) {
                shrink(scalars, &part);
            }
            if let Some(scalars) = self.by_client.get_mut(&(role, framework.clone())) {
                shrink(scalars, &part);
            }
        }
    }
}

fn is_allocatable(resources: &Resources) -> bool {
    resources.scalar("cpus") >= MIN_CPUS || resources.scalar("mem") >= MIN_MEM
}

/// A refusal stands while no more is free than was refused.
fn is_refused(
    filters: &mut BTreeMap<(String, AgentId), Vec<Filter>>,
    now: Timestamp,
    role: &str,
    agent: &AgentId,
    offered: &Resources,
) -> bool {
    let key = (role.to_owned(), agent.clone());
    let Some(of_agent) = filters.get_mut(&key) else { return false };
    of_agent.retain(|filter| filter.until > now);
    of_agent.iter().any(|filter| filter.refused.contains(offered))
}

fn grow(scalars: &mut Scalars, resources: &Resources) {
    for name in resources.scalar_names() {
        let sum = scalars.entry(name.to_owned()).or_default();
        *sum = *sum + resources.scalar(name);
    }
}

fn shrink(scalars: &mut Scalars, resources: &Resources) {
    for name in resources.scalar_names() {
        if let Some(sum) = scalars.get_mut(name) {
            *sum = *sum - resources.scalar(name);
        }
    }
}

/// The dominant share: the largest part of any scalar in the cluster.
fn share(totals: &Scalars, used: Option<&Scalars>) -> f64 {
    let shares = used.into_iter().flatten().filter_map(|(name, amount)| {
        let total = totals.get(name).copied().unwrap_or_default();
        (total.0 > 0).then(|| amount.to_f64() / total.to_f64())
    });
    shares.fold(0.0, f64::max)
}
