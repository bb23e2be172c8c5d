//! Why a pod cannot be placed, in words: counts per reason over all agents.
//!
//! `0/2 agents fit: 1 offers 512Mi of 1Gi asked, 1 has port 8080 taken`

use std::collections::BTreeMap;

use km_api::Quantity;
use km_mesos::resources::Milli;

/// Why one agent does not fit one pod. The order is the order in which reasons are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Misfit {
    /// `spec.nodeName` names another node.
    OtherNode,
    /// The framework is in none of the roles that the pod's annotation names.
    Roles,
    /// Node selector or required node affinity does not match.
    Selector,
    /// The node is cordoned.
    Unschedulable,
    /// A taint, `key=value:effect`.
    Taint(String),
    /// The node has its most pods.
    Pods(i64),
    /// A running pod excludes this one, or this one excludes a running pod.
    AntiAffinity,
    /// No pod that this one wants to be beside is there.
    Affinity,
    /// Even an empty agent has too little: name, there, asked.
    Never(String, Milli, Milli),
    /// Offered, but too little: name, offered, asked.
    Short(String, Milli, Milli),
    /// A host port that the agent has but does not offer now.
    PortTaken(u64),
    /// A host port that the agent never offers: port, the agent's ports.
    PortOutside(u64, String),
    /// Fewer free ports than asked for.
    PortsShort,
    /// Nothing is offered by the agent for the pod's roles.
    NoOffer,
}

impl Misfit {
    /// Agents whose misfits share this are counted together.
    fn group(&self) -> Self {
        match self {
            Self::Never(name, _, asked) => Self::Never(name.clone(), Milli(0), *asked),
            Self::Short(name, _, asked) => Self::Short(name.clone(), Milli(0), *asked),
            other => other.clone(),
        }
    }

    fn there(&self) -> Milli {
        match self {
            Self::Never(_, there, _) | Self::Short(_, there, _) => *there,
            _ => Milli(0),
        }
    }

    fn text(&self, count: usize, most: Milli) -> String {
        let one = count == 1;
        let verb = |single: &str, plural: &str| format!("{count} {}", if one { single } else { plural });
        match self {
            Self::OtherNode => verb("is not the node asked for", "are not the node asked for"),
            Self::Roles => verb("offers nothing to the pod's roles", "offer nothing to the pod's roles"),
            Self::Selector => verb("does not match the node selector", "do not match the node selector"),
            Self::Unschedulable => verb("is unschedulable", "are unschedulable"),
            Self::Taint(taint) => format!("{} untolerated taint {{{taint}}}", verb("has", "have")),
            Self::Pods(most) => format!("{} all of {most} pods", verb("has", "have")),
            Self::AntiAffinity => format!("{} a pod that anti-affinity keeps apart", verb("has", "have")),
            Self::Affinity => format!("{} no pod that affinity asks for", verb("has", "have")),
            Self::Never(name, _, asked) => {
                let at_most = if one { "" } else { "at most " };
                format!(
                    "{} {at_most}{} in all of {} asked",
                    verb("has", "have"),
                    amount(name, most),
                    asked_for(name, *asked)
                )
            }
            Self::Short(name, _, asked) => {
                let at_most = if one { "" } else { "at most " };
                format!(
                    "{} {at_most}{} of {} asked",
                    verb("offers", "offer"),
                    amount(name, most),
                    asked_for(name, *asked)
                )
            }
            Self::PortTaken(port) => format!("{} port {port} taken", verb("has", "have")),
            Self::PortOutside(port, ports) => {
                format!("{}: port {port} is not in the offered ports {ports}", verb("cannot", "cannot"))
            }
            Self::PortsShort => format!("{} too few free ports", verb("has", "have")),
            Self::NoOffer => format!("{} no offer held", verb("has", "have")),
        }
    }
}

/// Tells why none of the agents fits.
pub(crate) fn text(misfits: &[Misfit]) -> String {
    if misfits.is_empty() {
        return "0/0 agents fit: no agent is known yet".to_owned();
    }
    let mut groups: BTreeMap<Misfit, (usize, Milli)> = BTreeMap::new();
    for misfit in misfits {
        let (count, most) = groups.entry(misfit.group()).or_default();
        *count += 1;
        *most = (*most).max(misfit.there());
    }
    let reasons: Vec<String> = groups.iter().map(|(misfit, (count, most))| misfit.text(*count, *most)).collect();
    format!("0/{} agents fit: {}", misfits.len(), reasons.join(", "))
}

/// Shows an amount in Kubernetes' units.
fn amount(name: &str, amount: Milli) -> String {
    match name {
        "mem" | "disk" => Quantity::from_units((amount.0 / 1_000) << 20).to_binary_string(),
        _ => Quantity::from_milli(amount.0).to_string(),
    }
}

/// Memory needs no name: its unit says it, as in the example above.
fn asked_for(name: &str, asked: Milli) -> String {
    match name {
        "mem" => amount(name, asked),
        "cpus" => format!("{} cpu", amount(name, asked)),
        "disk" => format!("{} disk", amount(name, asked)),
        "gpus" => format!("{} gpu", amount(name, asked)),
        other => format!("{} {other}", amount(name, asked)),
    }
}
