//! Whether an agent can take a pod: first what the Node says, then what its offers hold.

use km_api::node::{TAINT_UNSCHEDULABLE, selector_matches, untolerated};
use km_api::pod;
use km_kinds::api::core::v1::{Pod, Taint};
use km_mesos::ranges::RangeSet;
use km_mesos::resources::{Milli, Resources};

use crate::ask::Ask;
use crate::reason::Misfit;
use crate::relations::Relations;
use crate::view::{NodeView, View};

/// Checks what does not depend on offers.
pub(crate) fn node_admits(
    pod: &Pod,
    ask: &Ask,
    relations: &Relations,
    node: &NodeView,
    view: &View,
) -> Result<(), Misfit> {
    if ask.roles.is_empty() {
        return Err(Misfit::Roles);
    }
    if let Some(name) = pod::node_name(pod) {
        // The pod is bound already: only what the agent holds can still say no.
        if name != node.name {
            return Err(Misfit::OtherNode);
        }
        return fits_empty(ask, node);
    }
    if !selector_matches(pod, &node.name, &node.labels) {
        return Err(Misfit::Selector);
    }
    if node.unschedulable && untolerated(pod, &[cordon()]).is_some() {
        return Err(Misfit::Unschedulable);
    }
    if let Some(taint) = untolerated(pod, &node.taints) {
        let value = taint.value.as_deref().unwrap_or_default();
        return Err(Misfit::Taint(format!("{}: {value}", taint.key)));
    }
    if view.pods_on(&node.name) >= node.pods_max {
        return Err(Misfit::Pods(node.pods_max));
    }
    relations.check(node)?;
    fits_empty(ask, node)?;
    for (name, asked) in &ask.scalars {
        let Some(all) = node.allocatable.get(name) else { continue };
        let left = *all - view.taken(&node.name, name);
        if left < *asked {
            return Err(Misfit::Short(name.clone(), left.max(Milli(0)), *asked));
        }
    }
    match view.port_taken(&node.name, &ask.fixed) {
        Some(port) => Err(Misfit::PortTaken(u64::from(port))),
        None => Ok(()),
    }
}

/// Checks that the offered resources hold what is asked, in addition to `executor`, an executor's share.
pub(crate) fn offer_holds(ask: &Ask, executor: &Ask, free: &Resources, node: &NodeView) -> Result<(), Misfit> {
    for (name, asked) in &ask.scalars {
        let share = executor.scalars.get(name).copied().unwrap_or_default();
        let offered = free.scalar(name);
        if offered < *asked + share {
            let left = (offered - share).max(Milli(0));
            return Err(Misfit::Short(name.clone(), left, *asked));
        }
    }
    let ports = free.ranges("ports");
    let mut missing = ask.fixed.clone();
    missing.subtract(&ports);
    if let Some(port) = missing.numbers().next() {
        return Err(match &node.ports {
            Some(all) if all.contains(port) => Misfit::PortTaken(port),
            Some(all) => Misfit::PortOutside(port, show(all)),
            None => Misfit::PortOutside(port, show(&ports)),
        });
    }
    if ports.count() < ask.fixed.count() + ask.wildcards() + executor.wildcards() {
        return Err(Misfit::PortsShort);
    }
    Ok(())
}

fn fits_empty(ask: &Ask, node: &NodeView) -> Result<(), Misfit> {
    if node.allocatable.is_empty() {
        return Ok(());
    }
    for (name, asked) in &ask.scalars {
        let all = node.allocatable.get(name).copied().unwrap_or_default();
        if all < *asked {
            return Err(Misfit::Never(name.clone(), all, *asked));
        }
    }
    if let Some(all) = &node.ports {
        let mut outside = ask.fixed.clone();
        outside.subtract(all);
        if let Some(port) = outside.numbers().next() {
            return Err(Misfit::PortOutside(port, show(all)));
        }
    }
    Ok(())
}

fn cordon() -> Taint {
    Taint { key: TAINT_UNSCHEDULABLE.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }
}

fn show(ports: &RangeSet) -> String {
    if ports.is_empty() {
        return "(none)".to_owned();
    }
    ports.ranges().map(|(b, e)| if b == e { b.to_string() } else { format!("{b}-{e}") }).collect::<Vec<_>>().join(",")
}
