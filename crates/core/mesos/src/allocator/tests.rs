//! The allocator by what it gives to whom.

use std::collections::BTreeMap;
use std::time::Duration;

use km_base::Timestamp;
use km_mesos::resource::ReservationInfo;
use km_mesos::resources::{Milli, Resources, scalar};
use km_mesos::scheduler::attribute_constraint::{Predicate, Selector, predicate};
use km_mesos::scheduler::offer_constraints::{RoleConstraints, role_constraints::Group};
use km_mesos::scheduler::{AttributeConstraint, OfferConstraints};
use km_mesos::value::{Text, Type};
use km_mesos::{AgentId, AgentInfo, Attribute, FrameworkId, Resource};

use super::{Allocation, Allocator, Constraints, Wants};

fn cpus(amount: i64) -> Resources {
    Resources::from_messages(&[scalar("cpus", Milli(amount * 1_000)), scalar("mem", Milli(amount * 1_000_000))])
}

fn wants(roles: &[&str]) -> Wants {
    Wants { roles: roles.iter().map(ToString::to_string).collect(), ..Wants::default() }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

struct Cluster(Allocator);

impl Cluster {
    fn new(agents: &[(&str, i64)]) -> Self {
        let mut allocator = Allocator::new(Duration::from_secs(1), BTreeMap::new());
        for (name, amount) in agents {
            let info = AgentInfo {
                hostname: (*name).to_owned(),
                attributes: vec![Attribute {
                    name: "rack".to_owned(),
                    r#type: Type::Text as i32,
                    text: Some(Text { value: format!("r-{name}") }),
                    ..Attribute::default()
                }],
                ..AgentInfo::default()
            };
            allocator.add_agent(&AgentId::new(*name), info, &cpus(*amount), &[]);
        }
        Self(allocator)
    }

    fn framework(&mut self, name: &str, roles: &[&str]) -> FrameworkId {
        let id = FrameworkId::new(name);
        self.0.set_framework(&id, wants(roles));
        id
    }

    /// Allocates and says who got what, as `framework/role@agent amount`.
    fn allocate(&mut self, secs: i64) -> Vec<String> {
        self.given(secs).iter().map(shown).collect()
    }

    fn given(&mut self, secs: i64) -> Vec<Allocation> {
        self.0.allocate(at(secs))
    }

    fn give_back(&mut self, allocation: &Allocation, secs: i64, refuse: f64) {
        self.0.recover(&allocation.framework_id, &allocation.agent_id, &allocation.resources);
        let Allocation { framework_id, role, agent_id, resources } = allocation;
        self.0.refuse(at(secs), framework_id, role, agent_id, resources, refuse);
    }
}

fn shown(allocation: &Allocation) -> String {
    let Allocation { framework_id, role, agent_id, resources } = allocation;
    format!("{framework_id}/{role}@{agent_id} {}", resources.scalar("cpus"))
}

#[test]
fn agents_go_to_the_framework_with_the_smallest_share() {
    let mut cluster = Cluster::new(&[("a1", 4), ("a2", 2), ("a3", 2), ("a4", 2)]);
    cluster.framework("f1", &["x"]);
    cluster.framework("f2", &["y"]);
    // a1 makes f1 the larger one; a2 and a3 go to f2 until it is level, then the tie goes by name.
    assert_eq!(cluster.allocate(0), ["f1/x@a1 4", "f2/y@a2 2", "f2/y@a3 2", "f1/x@a4 2"]);
    assert_eq!(cluster.allocate(1), [""; 0]);
}

#[test]
fn weights_multiply_what_a_role_may_have() {
    let mut cluster = Cluster::new(&[("a1", 2), ("a2", 2), ("a3", 2), ("a4", 2)]);
    cluster.0.weights = BTreeMap::from([("y".to_owned(), 3.0)]);
    cluster.framework("f1", &["x"]);
    cluster.framework("f2", &["y"]);
    assert_eq!(cluster.allocate(0), ["f1/x@a1 2", "f2/y@a2 2", "f2/y@a3 2", "f2/y@a4 2"]);
}

#[test]
fn a_refusal_lasts_its_time_and_more_resources_pierce_it() {
    let mut cluster = Cluster::new(&[("a1", 4)]);
    let framework = cluster.framework("f1", &["x"]);
    let first = cluster.given(0).remove(0);
    cluster.give_back(&first, 0, 10.0);
    assert_eq!(cluster.allocate(9), [""; 0]);
    assert_eq!(cluster.allocate(10), ["f1/x@a1 4"]);

    let (agent, used) = (AgentId::new("a1"), cpus(3).allocated_to("x"));
    cluster.0.recover(&framework, &agent, &cpus(4).allocated_to("x"));
    cluster.0.charge_agent(&framework, &agent, &used);
    cluster.0.refuse(at(10), &framework, "x", &agent, &cpus(1), 1_000.0);
    assert_eq!(cluster.allocate(11), [""; 0]);
    cluster.0.recover(&framework, &agent, &used);
    assert_eq!(cluster.allocate(11), ["f1/x@a1 4"]);
}

#[test]
fn a_refusal_of_less_than_the_interval_counts_as_one_interval() {
    let mut cluster = Cluster::new(&[("a1", 4)]);
    cluster.framework("f1", &["x"]);
    let first = cluster.given(0).remove(0);
    cluster.give_back(&first, 0, 0.1);
    assert_eq!(cluster.given(0).len(), 0);
    let second = cluster.given(1).remove(0);
    cluster.give_back(&second, 1, 0.0);
    assert_eq!(cluster.given(1).len(), 1);
}

#[test]
fn revive_clears_filters_and_suppression_by_role() {
    let mut cluster = Cluster::new(&[("a1", 4)]);
    let framework = cluster.framework("f1", &["x", "y"]);
    cluster.0.suppress(&framework, &[]);
    assert_eq!(cluster.allocate(0), [""; 0]);
    cluster.0.revive(&framework, &["y".to_owned()]);
    let given = cluster.given(0).remove(0);
    assert_eq!(shown(&given), "f1/y@a1 4");
    cluster.give_back(&given, 0, 1_000.0);
    assert_eq!(cluster.allocate(1), [""; 0]);
    cluster.0.revive(&framework, &["z".to_owned()]);
    assert_eq!(cluster.allocate(1), [""; 0]);
    cluster.0.revive(&framework, &[]);
    assert_eq!(cluster.given(1).len(), 1);
}

#[test]
fn nobody_gets_crumbs_or_what_is_inactive() {
    let mut cluster = Cluster::new(&[("a1", 4)]);
    let crumbs = Resources::from_messages(&[
        scalar("cpus", Milli(9)),
        scalar("mem", Milli(31_999)),
        scalar("disk", Milli(9_000_000)),
    ]);
    cluster.0.add_agent(&AgentId::new("a2"), AgentInfo::default(), &crumbs, &[]);
    let framework = cluster.framework("f1", &["x"]);
    cluster.0.set_agent_active(&AgentId::new("a1"), false);
    assert_eq!(cluster.allocate(0), [""; 0]);
    cluster.0.set_agent_active(&AgentId::new("a1"), true);
    cluster.0.set_framework_active(&framework, false);
    assert_eq!(cluster.allocate(0), [""; 0]);
    cluster.0.set_framework_active(&framework, true);
    assert_eq!(cluster.allocate(0), ["f1/x@a1 4"]);
}

#[test]
fn reserved_resources_go_to_their_role_only() {
    let mut allocator = Allocator::new(Duration::from_secs(1), BTreeMap::new());
    let reservation = ReservationInfo { role: Some("web".to_owned()), ..ReservationInfo::default() };
    let total = Resources::from_messages(&[
        scalar("cpus", Milli(1_000)),
        Resource { reservations: vec![reservation], ..scalar("cpus", Milli(2_000)) },
    ]);
    allocator.add_agent(&AgentId::new("a1"), AgentInfo::default(), &total, &[]);
    let mut cluster = Cluster(allocator);
    cluster.framework("f1", &["other"]);
    assert_eq!(cluster.allocate(0), ["f1/other@a1 1"]);
    cluster.framework("f2", &["web/shop"]);
    assert_eq!(cluster.allocate(0), ["f2/web/shop@a1 2"]);
}

#[test]
fn offer_constraints_choose_agents() {
    let check = |predicate: Predicate, attribute: &str| {
        let mut cluster = Cluster::new(&[("a1", 1), ("a2", 1)]);
        let selector = Selector { attribute_name: Some(attribute.to_owned()), ..Selector::default() };
        let group = Group { attribute_constraints: vec![AttributeConstraint { selector, predicate }] };
        let of_role = RoleConstraints { groups: vec![group] };
        let constraints = OfferConstraints { role_constraints: BTreeMap::from([("x".to_owned(), of_role)]) };
        let compiled = Constraints::new(Some(&constraints)).expect("compiles");
        cluster.0.set_framework(&FrameworkId::new("f"), Wants { constraints: compiled, ..wants(&["x"]) });
        cluster.given(0).iter().map(|allocation| allocation.agent_id.value.clone()).collect::<Vec<_>>()
    };
    let equals = |value: &str| Predicate {
        text_equals: Some(predicate::TextEquals { value: value.to_owned() }),
        ..Predicate::default()
    };
    let matches = |regex: &str| Predicate {
        text_matches: Some(predicate::TextMatches { regex: regex.to_owned() }),
        ..Predicate::default()
    };
    assert_eq!(check(equals("r-a1"), "rack"), ["a1"]);
    assert_eq!(check(matches("r-a[12]"), "rack"), ["a1", "a2"]);
    // A full match is asked for.
    assert_eq!(check(matches("r-a"), "rack"), [""; 0]);
    assert_eq!(check(Predicate { exists: Some(predicate::Exists {}), ..Predicate::default() }, "none"), [""; 0]);
    assert_eq!(
        check(Predicate { not_exists: Some(predicate::NotExists {}), ..Predicate::default() }, "none"),
        ["a1", "a2"]
    );
    assert!(
        Constraints::new(Some(&OfferConstraints {
            role_constraints: BTreeMap::from([(
                "x".to_owned(),
                RoleConstraints {
                    groups: vec![Group {
                        attribute_constraints: vec![AttributeConstraint {
                            predicate: matches("("),
                            ..AttributeConstraint::default()
                        }]
                    }]
                }
            )])
        }))
        .is_err()
    );
}

#[test]
fn what_is_given_never_exceeds_what_is_there() {
    let mut cluster = Cluster::new(&[("a1", 3), ("a2", 5)]);
    let ids = [cluster.framework("f1", &["x", "y"]), cluster.framework("f2", &["y"])];
    let mut held: Vec<Allocation> = Vec::new();
    for round in 0_i64..200 {
        held.extend(cluster.given(round));
        let mut sum = Resources::new();
        for allocation in &held {
            sum.add(&allocation.resources);
        }
        assert!(sum.scalar("cpus") <= Milli(8_000), "round {round}: {sum}");
        // Give one back in a different way each time.
        let index = usize::try_from(round).expect("small") % held.len().max(1);
        if index < held.len() {
            let allocation = held.swap_remove(index);
            cluster.give_back(&allocation, round, f64::from(i32::try_from(round % 4).expect("small")));
        }
        if round % 7 == 0 {
            cluster.0.revive(&ids[0], &[]);
        }
    }
}
