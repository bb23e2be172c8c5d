//! One cycle: places as many waiting pods as the held offers allow.
//!
//! Post-conditions, held by the property tests: what a plan takes is contained in its offers; each offer is in
//! at most one plan; each pod is placed at most once; solving again with nothing changed places nothing.

use std::collections::{BTreeMap, BTreeSet};

use km_api::node::preference;
use km_api::pod::{self, DeclaredPort};
use km_base::{Timestamp, Uid};
use km_mesos::AgentId;
use km_mesos::ranges::RangeSet;
use km_mesos::resources::Resources;

use crate::ask::Ask;
use crate::book::{Bag, Book};
use crate::filters::{node_admits, offer_holds};
use crate::queue::{Entry, Queue};
use crate::reason::{self, Misfit};
use crate::relations::Relations;
use crate::view::{NodeView, View};
use crate::{Config, ExecutorShare, PlacedPort, Placement, Plan, Scoring};

/// What a cycle found out.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub plans: Vec<Plan>,
    /// Pods that did not fit: why, and whether an offer that is missing now might change that.
    pub misfits: Vec<(Uid, String, bool)>,
}

/// An agent's bag that pods are being put into.
struct Open {
    bag: Bag,
    free: Resources,
    plan: Plan,
}

/// Places pods. `view`, `queue` and `book` are changed to show what was placed.
pub(crate) fn solve(
    now: Timestamp,
    config: &Config,
    generation: u64,
    queue: &mut Queue,
    book: &mut Book,
    view: &mut View,
    executors: &mut BTreeSet<AgentId>,
) -> Outcome {
    let mut open: BTreeMap<(AgentId, String), Open> = BTreeMap::new();
    let mut outcome = Outcome::default();
    for uid in queue.due(now, generation) {
        let Some(entry) = queue.get(&uid) else { continue };
        match best(config, entry, book, &open, view, executors) {
            Ok((node, agent_id, role)) => {
                let slot = open.entry((agent_id.clone(), role.clone())).or_insert_with(|| {
                    let bag = book.take(&agent_id, &role).unwrap_or_default();
                    let plan = Plan {
                        agent_id: agent_id.clone(),
                        node: node.clone(),
                        role: role.clone(),
                        offers: bag.offer_ids(),
                        placements: Vec::new(),
                        executor: None,
                    };
                    Open { free: bag.free.clone(), bag, plan }
                });
                place(config, slot, &uid, entry, executors.contains(&agent_id));
                executors.insert(agent_id);
                view.locate(uid.clone(), &node, entry.pod.clone());
                queue.place(&uid);
            }
            Err(misfits) => {
                let offers_may_help = misfits.is_empty() || misfits.iter().any(helped_by_offers);
                outcome.misfits.push((uid.clone(), reason::text(&misfits), offers_may_help));
                if let Some(entry) = queue.get_mut(&uid) {
                    entry.tried = generation;
                }
            }
        }
    }
    for slot in open.into_values() {
        let mut taken = Resources::new();
        for placement in &slot.plan.placements {
            taken.add(&Resources::from_messages(&placement.resources));
        }
        if let Some(share) = &slot.plan.executor {
            taken.add(&Resources::from_messages(&share.resources));
        }
        assert!(slot.bag.free.contains(&taken), "plan takes {taken} of {}", slot.bag.free);
        outcome.plans.push(slot.plan);
    }
    outcome
}

fn helped_by_offers(misfit: &Misfit) -> bool {
    matches!(misfit, Misfit::NoOffer | Misfit::Short(..) | Misfit::PortTaken(_) | Misfit::PortsShort)
}

/// Agents that fit and are compared with each other; on larger clusters the search stops there and the next pod's
/// goes on behind it (k8s `numFeasibleNodesToFind`: at least 100).
const FEASIBLE_MAX: usize = 100;

/// An agent that fits: score, node, agent, role.
type Candidate = (i64, String, AgentId, String);

/// Finds the best agent and role for a pod, or why there is none.
fn best(
    config: &Config,
    entry: &Entry,
    book: &Book,
    open: &BTreeMap<(AgentId, String), Open>,
    view: &mut View,
    executors: &BTreeSet<AgentId>,
) -> Result<(String, AgentId, String), Vec<Misfit>> {
    let relations = Relations::of(&entry.pod, view);
    let mut misfits = Vec::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    let whole = view.nodes.len() <= FEASIBLE_MAX;
    let start = if whole { String::new() } else { std::mem::take(&mut view.search_from) };
    let nodes: Box<dyn Iterator<Item = &NodeView>> = match pod::node_name(&entry.pod) {
        Some(name) => {
            let own = view.nodes.get(name);
            misfits.resize(view.nodes.len() - usize::from(own.is_some()), Misfit::OtherNode);
            Box::new(own.into_iter())
        }
        None => {
            let behind = view.nodes.range(start.clone()..);
            Box::new(behind.chain(view.nodes.range(..start)).map(|(_, node)| node))
        }
    };
    let mut next = None;
    for node in nodes {
        if candidates.len() >= FEASIBLE_MAX {
            next = Some(node.name.clone());
            break;
        }
        let fit = node_admits(&entry.pod, &entry.ask, &relations, node, view)
            .and_then(|()| offered(config, entry, node, book, open, executors));
        match fit {
            Ok((score, agent_id, role)) => candidates.push((score, node.name.clone(), agent_id, role)),
            Err(misfit) => misfits.push(misfit),
        }
    }
    view.search_from = next.unwrap_or_default();
    while let Some(at) = first_best(&candidates) {
        let (_, node, agent_id, role) = candidates.swap_remove(at);
        let slot = open.get(&(agent_id.clone(), role.clone())).map(|s| &s.free);
        // Sums do not see what cannot be mixed, such as persistent volumes in `disk`: try it.
        if let Some(mut rest) = slot.or_else(|| book.get(&agent_id, &role).map(|bag| &bag.free)).cloned() {
            let executor = executor_ask(config, executors.contains(&agent_id));
            if take(&entry.ask, &mut rest).is_some() && take(&executor, &mut rest).is_some() {
                return Ok((node, agent_id, role));
            }
        }
        misfits.push(Misfit::NoOffer);
    }
    Err(misfits)
}

/// The highest score; among equals the smallest name.
fn first_best(candidates: &[Candidate]) -> Option<usize> {
    let better = |a: &Candidate, b: &Candidate| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1));
    (0..candidates.len()).max_by(|a, b| better(&candidates[*a], &candidates[*b]))
}

/// Finds the first of the pod's roles for which the agent's offers hold it, with its score.
fn offered(
    config: &Config,
    entry: &Entry,
    node: &NodeView,
    book: &Book,
    open: &BTreeMap<(AgentId, String), Open>,
    executors: &BTreeSet<AgentId>,
) -> Result<(i64, AgentId, String), Misfit> {
    let agent_id = node.agent_id.as_ref().ok_or(Misfit::NoOffer)?;
    let executor = executor_ask(config, executors.contains(agent_id));
    let mut why = Misfit::NoOffer;
    for role in &entry.ask.roles {
        let slot = open.get(&(agent_id.clone(), role.clone()));
        if slot.is_some_and(|s| s.plan.placements.len() >= config.batch_len_max) {
            continue;
        }
        let Some(free) = slot.map(|s| &s.free).or_else(|| book.get(agent_id, role).map(|bag| &bag.free)) else {
            continue;
        };
        match offer_holds(&entry.ask, &executor, free, node) {
            Ok(()) => return Ok((score(config, entry, node, free), agent_id.clone(), role.clone())),
            Err(misfit) => why = misfit,
        }
    }
    Err(why)
}

/// Rates an agent: the share of cpu and memory that is free afterwards, in thousandths, and preferences.
fn score(config: &Config, entry: &Entry, node: &NodeView, free: &Resources) -> i64 {
    let share = |name: &str| {
        let asked = entry.ask.scalars.get(name).copied().unwrap_or_default();
        let there = free.scalar(name);
        let all = node.allocatable.get(name).copied().unwrap_or(there).0.max(1);
        ((there - asked).0.max(0).saturating_mul(1_000) / all).min(1_000)
    };
    let left = i64::midpoint(share("cpus"), share("mem"));
    let rate = match config.scoring {
        Scoring::LeastAllocated => left,
        Scoring::MostAllocated => 1_000 - left,
    };
    // A preference of full weight (100) outweighs any difference in free share.
    rate + 10 * preference(&entry.pod, &node.name, &node.labels)
}

/// Takes a pod's share, and an executor's where none is present, out of an open bag.
fn place(config: &Config, slot: &mut Open, uid: &Uid, entry: &Entry, executor_present: bool) {
    // The pod first: the executor's port may be any, the pod's may not.
    let (resources, numbers) =
        take(&entry.ask, &mut slot.free).expect("best() has tried this, and nothing was taken since");
    if !executor_present {
        let ask = executor_ask(config, false);
        let (resources, numbers) = take(&ask, &mut slot.free).expect("best() has tried this beside the pod");
        let kubelet_port = numbers.first().copied().expect("an executor asks for one port");
        slot.plan.executor = Some(ExecutorShare { resources: resources.to_messages(), kubelet_port });
    }
    let ports = entry.ask.ports.iter().zip(numbers).map(|(port, number)| placed(port, number)).collect();
    slot.plan.placements.push(Placement {
        uid: uid.clone(),
        key: entry.key.clone(),
        resources: resources.to_messages(),
        ports,
    });
}

fn placed(port: &DeclaredPort, host_port: u16) -> PlacedPort {
    PlacedPort {
        container: port.container.clone(),
        name: port.name.clone(),
        container_port: port.container_port,
        host_port,
        protocol: port.protocol.clone(),
    }
}

/// Takes what is asked; returns it with the host ports in the order of `ask.ports`.
fn take(ask: &Ask, free: &mut Resources) -> Option<(Resources, Vec<u16>)> {
    let mut rest = free.clone();
    let mut taken = Resources::new();
    for (name, amount) in &ask.scalars {
        taken.add(&rest.take_scalar(name, *amount)?);
    }
    let mut wanted = ask.fixed.clone();
    let mut unasked = rest.ranges("ports");
    unasked.subtract(&ask.fixed);
    let wildcards = unasked.take_lowest(ask.wildcards())?;
    wanted.add(&wildcards);
    if !wanted.is_empty() {
        taken.add(&rest.take_ranges("ports", &wanted)?);
    }
    let mut lowest = wildcards.numbers();
    let mut numbers = Vec::with_capacity(ask.ports.len());
    for port in &ask.ports {
        numbers.push(match port.host_port {
            Some(number) => number,
            None => u16::try_from(lowest.next()?).ok()?,
        });
    }
    *free = rest;
    Some((taken, numbers))
}

/// What an executor takes: nothing where one is present.
fn executor_ask(config: &Config, present: bool) -> Ask {
    let mut ask = Ask { scalars: BTreeMap::new(), fixed: RangeSet::new(), ports: Vec::new(), roles: Vec::new() };
    if !present {
        ask.scalars.insert("cpus".to_owned(), config.executor_cpus);
        ask.scalars.insert("mem".to_owned(), config.executor_mem);
        ask.ports.push(DeclaredPort {
            container: String::new(),
            name: "kubelet".to_owned(),
            container_port: 10_250,
            host_port: None,
            protocol: "TCP".to_owned(),
        });
    }
    ask
}
