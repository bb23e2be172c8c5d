//! Offer constraints: which agents a framework wants to hear of at all, by role.
//!
//! Source: Mesos 1.11 include/mesos/v1/scheduler/scheduler.proto, `OfferConstraints`, and
//! src/master/allocator/mesos/offer_constraints_filter.cpp: groups are ORed, constraints within a group ANDed; only the
//! first attribute of a name counts; an attribute that is not text matches every predicate that needs a value.

use std::collections::BTreeMap;

use km_mesos::scheduler::attribute_constraint::selector::PseudoattributeType;
use km_mesos::scheduler::attribute_constraint::{Predicate, Selector};
use km_mesos::scheduler::{AttributeConstraint, OfferConstraints};
use km_mesos::value::Type;
use km_mesos::{AgentInfo, Attribute};
use regex::Regex;

/// Compiled constraints of one framework.
#[derive(Clone, Debug, Default)]
pub struct Constraints(BTreeMap<String, Vec<Vec<Compiled>>>);

#[derive(Clone, Debug)]
struct Compiled {
    selector: Selector,
    predicate: Predicate,
    regex: Option<Regex>,
}

/// What an agent has where a selector points.
enum Selected<'a> {
    Nothing,
    Text(&'a str),
    NotText,
}

impl Constraints {
    /// Compiles constraints.
    ///
    /// # Errors
    /// The text Mesos would put into an ERROR event, when a regular expression does not compile.
    pub fn new(constraints: Option<&OfferConstraints>) -> Result<Self, String> {
        let mut compiled = BTreeMap::new();
        for (role, of_role) in constraints.iter().flat_map(|all| &all.role_constraints) {
            let mut groups = Vec::new();
            for group in &of_role.groups {
                groups.push(group.attribute_constraints.iter().map(compile).collect::<Result<Vec<_>, _>>()?);
            }
            compiled.insert(role.clone(), groups);
        }
        Ok(Self(compiled))
    }

    /// Tells whether resources of `agent` may be offered to `role`.
    pub fn allow(&self, role: &str, agent: &AgentInfo) -> bool {
        let Some(groups) = self.0.get(role) else { return true };
        groups.iter().any(|group| group.iter().all(|constraint| constraint.holds(agent)))
    }
}

fn compile(constraint: &AttributeConstraint) -> Result<Compiled, String> {
    let predicate = constraint.predicate.clone();
    let pattern = predicate
        .text_matches
        .as_ref()
        .map(|matches| &matches.regex)
        .or(predicate.text_not_matches.as_ref().map(|matches| &matches.regex));
    let regex = match pattern {
        Some(pattern) => {
            let whole = format!("^(?:{pattern})$");
            Some(
                Regex::new(&whole)
                    .map_err(|error| format!("Failed to construct regex from pattern '{pattern}': {error}"))?,
            )
        }
        None => None,
    };
    Ok(Compiled { selector: constraint.selector.clone(), predicate, regex })
}

impl Compiled {
    fn holds(&self, agent: &AgentInfo) -> bool {
        let selected = select(&self.selector, agent);
        let predicate = &self.predicate;
        if predicate.exists.is_some() {
            return !matches!(selected, Selected::Nothing);
        }
        if predicate.not_exists.is_some() {
            return matches!(selected, Selected::Nothing);
        }
        let text = match selected {
            Selected::NotText => return true,
            Selected::Text(text) => Some(text),
            Selected::Nothing => None,
        };
        if let Some(wanted) = &predicate.text_equals {
            return text == Some(wanted.value.as_str());
        }
        if let Some(unwanted) = &predicate.text_not_equals {
            return text != Some(unwanted.value.as_str());
        }
        let matches = text.is_some_and(|text| self.regex.as_ref().is_some_and(|regex| regex.is_match(text)));
        matches == predicate.text_matches.is_some()
    }
}

fn select<'a>(selector: &Selector, agent: &'a AgentInfo) -> Selected<'a> {
    if let Some(name) = &selector.attribute_name {
        return agent
            .attributes
            .iter()
            .find(|attribute| attribute.name == *name)
            .map_or(Selected::Nothing, of_attribute);
    }
    let zone_or_region = agent.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
    let text = match selector.pseudoattribute_type() {
        PseudoattributeType::Hostname => Some(agent.hostname.as_str()),
        PseudoattributeType::Region => zone_or_region.map(|domain| domain.region.name.as_str()),
        PseudoattributeType::Zone => zone_or_region.map(|domain| domain.zone.name.as_str()),
        PseudoattributeType::Unknown => None,
    };
    text.map_or(Selected::Nothing, Selected::Text)
}

fn of_attribute(attribute: &Attribute) -> Selected<'_> {
    match &attribute.text {
        Some(text) if attribute.r#type == Type::Text as i32 => Selected::Text(&text.value),
        _ => Selected::NotText,
    }
}
