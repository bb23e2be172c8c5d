//! Behaviour of the scheduler, as scripts; and what must always hold, from seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use km_base::{Backoff, Timestamp, Uid};
use km_kinds::Codec;
use km_kinds::api::core::v1::{Node, Pod};
use km_mesos::ranges::RangeSet;
use km_mesos::resources::{Milli, Resources, ranges, scalar};
use km_mesos::{AgentId, Offer, OfferId, resource};
use proptest::prelude::*;

use crate::{Action, Config, Event, PortMapping, Scheduler, Scoring};

fn config() -> Config {
    Config {
        roles: vec!["*".to_owned()],
        executor_cpus: Milli(250),
        executor_mem: Milli(128_000),
        port_mapping: PortMapping::Fixed,
        scoring: Scoring::LeastAllocated,
        hold_max: Duration::from_secs(30),
        idle_after: Duration::from_secs(5),
        refuse_short: Duration::from_secs(5),
        refuse_long: Duration::from_secs(300),
        reason_grace: Duration::from_secs(1),
        backoff: Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(60) },
        batch_len_max: 100,
    }
}

fn offer(id: &str, agent: &str, cpus: i64, mem: i64, ports: (u64, u64)) -> Offer {
    let mut all = Resources::from_messages(&[scalar("cpus", Milli(cpus)), scalar("mem", Milli(mem * 1_000))]);
    all.add(&Resources::from_messages(&[ranges("ports", &RangeSet::from_range(ports.0, ports.1))]));
    Offer {
        id: OfferId::new(id),
        agent_id: AgentId::new(agent),
        hostname: agent.to_owned(),
        resources: all.allocated_to("*").to_messages(),
        allocation_info: Some(resource::AllocationInfo { role: Some("*".to_owned()) }),
        ..Offer::default()
    }
}

fn node(name: &str, extra: &str) -> Event {
    let json = format!(
        r#"{{"metadata":{{"name":"{name}","labels":{{"kubernetes.io/hostname":"{name}","zone":"z-{name}"}},"annotations":{{
        "k8s.mesosphere.io/slaveId":"{name}","k8s.mesosphere.io/ports":"31000-31009"}}}},"spec":{{{extra}}},
        "status":{{"allocatable":{{"cpu":"4","memory":"4Gi","pods":"3"}}}}}}"#
    );
    Event::Node(Arc::new(Node::decode(json.as_bytes()).unwrap()))
}

fn pod(name: &str, cpu: &str, memory: &str, extra: &str) -> Arc<Pod> {
    let json = format!(
        r#"{{"metadata":{{"namespace":"d","name":"{name}","uid":"{name}","labels":{{"app":"a"}}}},
        "spec":{{"containers":[{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}","memory":"{memory}"}}}}}}]{extra}}}}}"#
    );
    Arc::new(Pod::decode(json.as_bytes()).unwrap())
}

fn wait(name: &str, cpu: &str, memory: &str, extra: &str) -> Event {
    Event::Wait(pod(name, cpu, memory, extra))
}

fn host_port(name: &str, port: u16) -> Event {
    let json = format!(
        r#"{{"metadata":{{"namespace":"d","name":"{name}","uid":"{name}"}},"spec":{{"containers":[{{"name":"c",
        "ports":[{{"containerPort":80,"hostPort":{port}}}]}}]}}}}"#
    );
    Event::Wait(Arc::new(Pod::decode(json.as_bytes()).unwrap()))
}

fn show(actions: &[Action]) -> String {
    let mut text = String::new();
    for action in actions {
        match action {
            Action::Place(plan) => {
                let offers: Vec<&str> = plan.offers.iter().map(OfferId::as_str).collect();
                write!(text, "place on {} from {}:", plan.node, offers.join("+")).unwrap();
                if let Some(share) = &plan.executor {
                    write!(text, " executor@{}", share.kubelet_port).unwrap();
                }
                for placement in &plan.placements {
                    let ports: Vec<String> = placement.ports.iter().map(|p| format!(":{}", p.host_port)).collect();
                    write!(text, " {}{}", placement.uid, ports.concat()).unwrap();
                }
                text.push('\n');
            }
            Action::Decline { offers, refuse } => {
                let offers: Vec<&str> = offers.iter().map(OfferId::as_str).collect();
                writeln!(text, "decline {} for {}s", offers.join("+"), refuse.as_secs()).unwrap();
            }
            Action::Unschedulable { uid, reason, .. } => writeln!(text, "{uid}: {reason}").unwrap(),
            Action::Demand { roles, news } => {
                let news = if *news { " (news)" } else { "" };
                writeln!(text, "demand {roles:?}{news}").unwrap();
            }
            Action::WakeAt(time) => writeln!(text, "wake at {}s", time.as_secs()).unwrap(),
        }
    }
    text
}

/// Feeds each batch at its second, then solves; shows what came out.
#[track_caller]
fn check(batches: Vec<(i64, Vec<Event>)>, expected: Expect) {
    let mut scheduler = Scheduler::new(config());
    let mut shown = String::new();
    for (second, events) in batches {
        let now = Timestamp::from_secs(second);
        let mut actions = Vec::new();
        for event in events.into_iter().chain([Event::Solve]) {
            scheduler.step(now, event, &mut actions);
        }
        write!(shown, "-- {second}s\n{}", show(&actions)).unwrap();
    }
    expected.assert_eq(&shown);
}

#[test]
fn many_pods_share_one_offer_and_the_first_pays_for_the_executor() {
    let offers = Event::Offers(vec![
        offer("o1", "a", 4_000, 4_096, (31_000, 31_009)),
        offer("o2", "b", 1_000, 1_024, (31_000, 31_009)),
    ]);
    check(
        vec![
            (0, vec![node("a", ""), node("b", ""), wait("p1", "1", "512Mi", ""), wait("p2", "1", "512Mi", "")]),
            (1, vec![offers]),
            (7, vec![]),
        ],
        expect![[r#"
            -- 0s
            demand {"*"} (news)
            wake at 1s
            -- 1s
            place on a from o1: executor@31000 p1 p2
            wake at 6s
            -- 7s
            decline o2 for 300s
            demand {}
        "#]],
    );
}

#[test]
fn pod_of_foreign_roles_is_told_so_at_once() {
    let json = r#"{"metadata":{"namespace":"d","name":"p","uid":"p","annotations":{"k8s.mesosphere.io/roles":"prod"}},
        "spec":{"containers":[{"name":"c"}]}}"#;
    let pod = Event::Wait(Arc::new(Pod::decode(json.as_bytes()).unwrap()));
    check(
        vec![(0, vec![node("a", ""), node("b", ""), pod])],
        expect![[r#"
        -- 0s
        p: 0/2 agents fit: 2 offer nothing to the pod's roles
    "#]],
    );
}

#[test]
fn reasons_are_counted_over_all_agents() {
    let offers = || {
        Event::Offers(vec![
            offer("o1", "a", 4_000, 640, (31_000, 31_000)),
            offer("o2", "b", 4_000, 4_096, (31_005, 31_009)),
        ])
    };
    check(
        vec![
            (0, vec![node("a", ""), node("b", ""), offers(), wait("big", "1", "1Gi", "")]),
            (2, vec![host_port("web", 31_001)]),
        ],
        expect![[r#"
            -- 0s
            place on b from o2: executor@31005 big
            wake at 5s
            -- 2s
            demand {"*"} (news)
            wake at 3s
        "#]],
    );
    check(
        vec![
            (0, vec![node("a", ""), node("b", ""), offers(), wait("big", "4", "1Gi", ""), host_port("low", 80)]),
            (
                2,
                vec![
                    host_port("web", 31_001),
                    wait("huge", "1", "64Gi", ""),
                    wait("far", "1", "1Mi", r#","nodeSelector":{"x":"y"}"#),
                ],
            ),
            (4, vec![]),
        ],
        expect![[r#"
            -- 0s
            low: 0/2 agents fit: 2 cannot: port 80 is not in the offered ports 31000-31009
            demand {"*"} (news)
            wake at 1s
            -- 2s
            big: 0/2 agents fit: 2 offer at most 3750m of 4 cpu asked
            huge: 0/2 agents fit: 2 have at most 4Gi in all of 64Gi asked
            far: 0/2 agents fit: 2 do not match the node selector
            demand {"*"} (news)
            wake at 3s
            -- 4s
            web: 0/2 agents fit: 2 have port 31001 taken
            wake at 30s
        "#]],
    );
}

#[test]
fn the_issues_example_reads_as_written_there() {
    let mut web = offer("o2", "b", 4_000, 4_096, (31_000, 31_009));
    web.resources.retain(|r| r.name != "ports");
    let mut two = [node("a", ""), node("b", "")];
    for event in &mut two {
        let Event::Node(node) = event else { continue };
        let mut changed = (**node).clone();
        let ports = "8080,31000-31009".to_owned();
        changed.metadata.annotations.as_mut().unwrap().insert("k8s.mesosphere.io/ports".to_owned(), ports);
        *event = Event::Node(Arc::new(changed));
    }
    let json = r#"{"metadata":{"namespace":"d","name":"p","uid":"p"},"spec":{"containers":[{"name":"c",
        "resources":{"requests":{"memory":"1Gi"}},"ports":[{"containerPort":80,"hostPort":8080}]}]}}"#;
    let wanted = Event::Wait(Arc::new(Pod::decode(json.as_bytes()).unwrap()));
    let executor = |a: &str| Event::Executor { agent_id: AgentId::new(a), present: true };
    let [a, b] = two;
    check(
        vec![
            (0, vec![a, b, executor("a"), executor("b"), wanted]),
            (2, vec![Event::Offers(vec![offer("o1", "a", 4_000, 512, (8_080, 8_080)), web])]),
        ],
        expect![[r#"
            -- 0s
            demand {"*"} (news)
            wake at 1s
            -- 2s
            p: 0/2 agents fit: 1 offers 512Mi of 1Gi asked, 1 has port 8080 taken
            wake at 32s
        "#]],
    );
}

#[test]
fn cordons_taints_and_full_nodes_keep_pods_off() {
    let taint = r#""taints":[{"key":"k","value":"v","effect":"NoSchedule"}]"#;
    let bound = |name: &str| Event::Bound(pod(name, "1", "1Mi", r#","nodeName":"c""#));
    let offers = Event::Offers(vec![offer("o3", "c", 4_000, 4_096, (31_000, 31_009))]);
    check(
        vec![
            (0, vec![node("a", r#""unschedulable":true"#), node("b", taint), node("c", ""), offers]),
            (1, vec![bound("x"), bound("y"), bound("z"), wait("p", "1", "1Mi", "")]),
            (2, vec![Event::Unbound(Uid("x".to_owned()))]),
        ],
        expect![[r#"
            -- 0s
            wake at 5s
            -- 1s
            p: 0/3 agents fit: 1 is unschedulable, 1 has untolerated taint {k: v}, 1 has all of 3 pods
            demand {"*"} (news)
            wake at 30s
            -- 2s
            place on c from o3: executor@31000 p
            wake at 7s
        "#]],
    );
}

#[test]
fn anti_affinity_keeps_replicas_apart() {
    let apart = r#","affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[
        {"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"a"}}}]}}"#;
    let offers = Event::Offers(vec![
        offer("o1", "a", 4_000, 4_096, (31_000, 31_009)),
        offer("o2", "b", 4_000, 4_096, (31_000, 31_009)),
    ]);
    check(
        vec![
            (0, vec![node("a", ""), node("b", ""), offers]),
            (1, vec![wait("p1", "1", "1Mi", apart), wait("p2", "1", "1Mi", apart), wait("p3", "1", "1Mi", apart)]),
        ],
        expect![[r#"
            -- 0s
            wake at 5s
            -- 1s
            place on a from o1: executor@31000 p1
            place on b from o2: executor@31000 p2
            p3: 0/2 agents fit: 2 have a pod that anti-affinity keeps apart
            demand {"*"} (news)
        "#]],
    );
}

#[test]
fn a_failed_launch_waits_for_its_back_off_and_higher_priority_goes_first() {
    let one = |id: &str| Event::Offers(vec![offer(id, "a", 1_500, 4_096, (31_000, 31_009))]);
    check(
        vec![
            (
                0,
                vec![
                    node("a", ""),
                    wait("low", "1", "1Mi", ""),
                    wait("high", "1", "1Mi", r#","priority":10"#),
                    one("o1"),
                ],
            ),
            (1, vec![Event::Retry(Uid("high".to_owned())), one("o2")]),
            (2, vec![one("o3")]),
        ],
        expect![[r#"
            -- 0s
            place on a from o1: executor@31000 high
            demand {"*"} (news)
            wake at 1s
            -- 1s
            place on a from o2: low
            wake at 2s
            -- 2s
            place on a from o3: high
            wake at 7s
        "#]],
    );
}

#[test]
fn a_bound_pod_waits_for_its_own_node() {
    check(
        vec![(
            0,
            vec![
                node("a", r#""unschedulable":true"#),
                node("b", ""),
                Event::Offers(vec![
                    offer("o1", "a", 1_500, 4_096, (31_000, 31_009)),
                    offer("o2", "b", 1_500, 4_096, (31_000, 31_009)),
                ]),
                wait("p", "1", "1Mi", r#","nodeName":"a""#),
            ],
        )],
        expect![[r#"
            -- 0s
            place on a from o1: executor@31000 p
            wake at 5s
        "#]],
    );
}

#[test]
fn on_a_large_cluster_every_node_gets_its_turn_and_the_only_fitting_one_is_found() {
    let mut scheduler = Scheduler::new(config());
    let now = Timestamp::from_secs(1);
    let name = |n: usize| format!("n{n:03}");
    let mut actions = Vec::new();
    for n in 0..150 {
        scheduler.step(now, node(&name(n), ""), &mut actions);
        let offers = Event::Offers(vec![offer(&format!("o{n}"), &name(n), 1_250, 4_096, (31_000, 31_009))]);
        scheduler.step(now, offers, &mut actions);
    }
    for n in 0..150 {
        scheduler.step(now, wait(&format!("p{n}"), "1", "1Mi", ""), &mut actions);
        scheduler.step(now, Event::Solve, &mut actions);
    }
    let used: BTreeSet<&str> = actions
        .iter()
        .filter_map(|a| if let Action::Place(plan) = a { Some(plan.node.as_str()) } else { None })
        .collect();
    assert_eq!(used.len(), 150);
}

#[test]
fn the_place_of_a_bound_pod_is_kept_while_its_task_is_gone() {
    let bound = Event::Bound(pod("down", "3", "1Mi", r#","nodeName":"a""#));
    let offers = Event::Offers(vec![offer("o1", "a", 4_000, 4_096, (31_000, 31_009))]);
    check(
        vec![
            (0, vec![node("a", ""), bound, offers]),
            (1, vec![wait("new", "2", "1Mi", "")]),
            (3, vec![wait("down", "3", "1Mi", r#","nodeName":"a""#)]),
        ],
        expect![[r#"
            -- 0s
            wake at 5s
            -- 1s
            demand {"*"} (news)
            wake at 2s
            -- 3s
            place on a from o1: executor@31000 down
            new: 0/1 agents fit: 1 offers 1 of 2 cpu asked
            demand {"*"} (news)
        "#]],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in whatever order: no offer is used twice or given back after use, nothing is taken
    /// that was not offered, no pod is placed twice, and a second look places nothing more.
    #[test]
    fn placement_never_oversubscribes(seed in proptest::collection::vec((0u8..6, 0u8..8, 1i64..40, 1i64..40), 1..80)) {
        let mut scheduler = Scheduler::new(config());
        let mut offered: BTreeMap<OfferId, Resources> = BTreeMap::new();
        let mut placed: BTreeSet<Uid> = BTreeSet::new();
        for name in ["a", "b", "c"] {
            scheduler.step(Timestamp::EPOCH, node(name, ""), &mut Vec::new());
        }
        for (step, (kind, which, x, y)) in seed.into_iter().enumerate() {
            let now = Timestamp::from_secs(i64::try_from(step).unwrap());
            let agent = ["a", "b", "c"][usize::from(which) % 3];
            let event = match kind {
                0 | 1 => {
                    let begin = 31_000 + u64::from(which);
                    let offer = offer(&format!("o{step}"), agent, x * 100, y * 50, (begin, begin + 1));
                    offered.insert(offer.id.clone(), Resources::from_messages(&offer.resources));
                    Event::Offers(vec![offer])
                }
                2 => wait(&format!("p{step}"), &format!("{}m", x * 50), &format!("{}Mi", y * 20), ""),
                3 => host_port(&format!("h{step}"), 31_000 + u16::from(which)),
                4 => match offered.keys().nth(usize::from(which)).cloned() {
                    Some(id) => { offered.remove(&id); Event::Rescind(id) }
                    None => Event::Solve,
                },
                _ => match placed.pop_first() {
                    Some(uid) => Event::Retry(uid),
                    None => Event::Executor { agent_id: AgentId::new(agent), present: which % 2 == 0 },
                },
            };
            let mut actions = Vec::new();
            scheduler.step(now, event, &mut actions);
            scheduler.step(now, Event::Solve, &mut actions);
            for action in &actions {
                match action {
                    Action::Place(plan) => {
                        let mut there = Resources::new();
                        for id in &plan.offers {
                            let resources = offered.remove(id);
                            prop_assert!(resources.is_some(), "{id} is used but not held");
                            there.add(&resources.unwrap());
                        }
                        let mut taken = Resources::new();
                        let mut ports = 0;
                        let parts = plan.placements.iter().map(|p| &p.resources).chain(plan.executor.as_ref().map(|e| &e.resources));
                        for resources in parts {
                            let resources = Resources::from_messages(resources);
                            ports += resources.ranges("ports").count();
                            taken.add(&resources);
                        }
                        prop_assert!(there.contains(&taken), "{taken} of {there}");
                        prop_assert_eq!(ports, taken.ranges("ports").count(), "a port is taken twice");
                        for placement in &plan.placements {
                            prop_assert!(placed.insert(placement.uid.clone()), "{} is placed twice", placement.uid);
                        }
                    }
                    Action::Decline { offers, .. } => {
                        for id in offers {
                            prop_assert!(offered.remove(id).is_some(), "{id} is declined but not held");
                        }
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(scheduler.offers_held(), offered.len());
            let mut again = Vec::new();
            scheduler.step(now, Event::Solve, &mut again);
            prop_assert!(!again.iter().any(|a| matches!(a, Action::Place(_))), "solving again placed more");
        }
    }
}

#[test]
fn a_bound_pod_whose_launch_came_to_nothing_keeps_its_place() {
    let bound = |name: &str| Event::Bound(pod(name, "3", "512Mi", r#","nodeName":"a""#));
    let all = || Event::Offers(vec![offer("o1", "a", 4_000, 4_096, (31_000, 31_009))]);
    let wait_bound = wait("p1", "3", "512Mi", r#","nodeName":"a""#);
    check(
        vec![
            (0, vec![node("a", ""), bound("p1"), wait_bound, all()]),
            (1, vec![Event::Retry(Uid("p1".to_owned())), wait("p2", "2", "512Mi", ""), all()]),
        ],
        expect![[r#"
            -- 0s
            place on a from o1: executor@31000 p1
            wake at 5s
            -- 1s
            demand {"*"} (news)
            wake at 2s
        "#]],
    );
}
