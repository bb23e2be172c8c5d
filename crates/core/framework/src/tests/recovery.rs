//! Scripts of what goes wrong between a launch and its Binding, and of what is left behind.

use expect_test::expect;
use km_api::{Reason as ApiReason, Status};
use km_mesos::scheduler::event;
use km_mesos::task_status::Source;
use km_mesos::{AgentId, TaskState};

use super::*;

fn conflict() -> Result<Response, Status> {
    Err(Status::failure(409, ApiReason::Conflict, "taken"))
}

fn timed_out() -> Result<Response, Status> {
    Err(Status::failure(504, ApiReason::Timeout, "no answer"))
}

#[test]
fn an_agent_that_is_unreachable_before_the_binding_does_not_hold_the_pod() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], running_executor());
    world.check(
        vec![
            (1, "launch", launch("p1", false)),
            (2, "unreachable", update("p1.1.1", TaskState::Unreachable, Source::Master, None)),
        ],
        expect![[r#"
            -- 1s launch
            ACCEPT o1 p1.d.pod: p1.1.1 executor km-old
            -- 2s unreachable
            create events 
            retry p1
            wait p1
        "#]],
    );
}

#[test]
fn a_pod_that_turns_out_to_be_bound_elsewhere_is_not_given_this_task() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], running_executor());
    world.check(
        vec![
            (1, "launch", launch("p1", false)),
            (2, "bound elsewhere", pod("p1", &task_annotation("p1.0.1"), r#","nodeName":"n2""#, "Pending")),
            (3, "starting", by_executor("p1.1.1", TaskState::Starting)),
        ],
        expect![[r#"
            -- 1s launch
            ACCEPT o1 p1.d.pod: p1.1.1 executor km-old
            -- 2s bound elsewhere
            -- 3s starting
            KILL p1.1.1
            ACKNOWLEDGE p1.1.1 TASK_STARTING
        "#]],
    );
}

#[test]
fn a_binding_whose_answer_was_lost_is_found_in_the_informer() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], running_executor());
    world.at(1, launch("p1", false));
    world.at(1, by_executor("p1.1.1", TaskState::Starting));
    world.check(
        vec![
            (2, "no answer", written(bind("p1.1.1"), timed_out())),
            (4, "tick", Event::Tick),
            (4, "conflict with itself", written(bind("p1.1.1"), conflict())),
            (5, "informer", pod("p1", &task_annotation("p1.1.1"), ON_N1, "Pending")),
            (9, "tick", Event::Tick),
            (9, "patched", written(bind("p1.1.1"), ok())),
        ],
        expect![[r#"
            -- 2s no answer
            -- 4s tick
            create pods p1/binding {"apiVersion":"v1","kind":"Binding","metadata":{"annotations":{"k8s.mesosphere.io/bindingHost":"n1","k8s.mesosphere.io/executorId":"km-old","k8s.mesosphere.io/offerId":"o1","k8s.mesosphere.io/slaveId":"a1","k8s.mesosphere.io/taskId":"p1.1.1"},"name":"p1","namespace":"d","uid":"p1"},"target":{"apiVersion":"v1","kind":"Node","name":"n1"}}
            -- 4s conflict with itself
            -- 5s informer
            -- 9s tick
            patch pods p1 {"metadata":{"annotations":{"k8s.mesosphere.io/bindingHost":"n1","k8s.mesosphere.io/executorId":"km-old","k8s.mesosphere.io/offerId":"o1","k8s.mesosphere.io/slaveId":"a1","k8s.mesosphere.io/taskId":"p1.1.1"},"uid":"p1"}}
            GET_AGENTS
            -- 9s patched
            forget p1
            ACKNOWLEDGE p1.1.1 TASK_STARTING
        "#]],
    );
}

#[test]
fn a_token_asked_for_in_a_lost_session_does_not_pass_for_a_later_one() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], vec![]);
    world.at(1, launch("p1", true));
    world.at(1, Event::Disconnected { reason: "gone".into() });
    world.at(3, Event::Tick);
    world.at(3, mesos(event::Type::Subscribed));
    world.at(3, Event::Executors(Some(GetExecutors::default())));
    world.at(3, agents(&[("a1", "n1")]));
    world.at(3, barrier(2));
    world.check(
        vec![
            (4, "launch", launch("p1", true)),
            (5, "the first token", written(Purpose::Token(AgentId::new("a1")), ok())),
            (6, "launch", launch("p1", true)),
            (6, "the second token", written(Purpose::Token(AgentId::new("a1")), ok())),
        ],
        expect![[r#"
            -- 4s launch
            DECLINE ["o1"]
            executor on a1: false
            retry p1
            -- 5s the first token
            -- 6s launch
            executor on a1: true
            create secrets  (secret)
            -- 6s the second token
            ACCEPT o1 p1.d.pod: p1.1.4 executor km-a07e929748cde88d-1-3 with token
        "#]],
    );
}

#[test]
fn an_executor_whose_accept_was_lost_is_started_anew() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], vec![]);
    world.at(1, launch("p1", true));
    world.at(1, written(Purpose::Token(AgentId::new("a1")), ok()));
    world.at(2, Event::Disconnected { reason: "gone".into() });
    world.at(4, Event::Tick);
    world.at(4, mesos(event::Type::Subscribed));
    world.at(4, Event::Executors(Some(GetExecutors::default())));
    world.at(4, agents(&[("a1", "n1")]));
    world.check(
        vec![(4, "barrier", barrier(2))],
        expect![[r#"
        -- 4s barrier
        create events 
        retry p1
        wait p1
        executor on a1: false
        wait p1
    "#]],
    );
}

#[test]
fn a_pod_that_ended_while_being_deleted_is_deleted_without_its_executor() {
    let mut world = World::settled(&[], vec![]);
    let deleting = format!(r#"{},"deletionTimestamp":"2026-11-21T10:00:00Z""#, task_annotation("p1.0.1"));
    world.check(
        vec![(1, "left", pod("p1", &deleting, ON_N1, "Failed"))],
        expect![[r#"
        -- 1s left
        delete pods p1 
    "#]],
    );
}

#[test]
fn the_addresses_of_a_node_that_is_gone_are_free() {
    let mut world = World::settled(&[], vec![]);
    world.at(1, agents(&[("a1", "n1"), ("a2", "n2")]));
    assert!(world.framework.cidrs.contains_key("n2"));
    world.at(1, node("n2", "a2"));
    world.at(6, agents(&[("a1", "n1")]));
    world.at(700, Event::NodeGone("n2".into()));
    assert!(!world.framework.cidrs.contains_key("n2") && world.framework.lost.is_empty());
}

#[test]
fn an_answer_older_than_an_executor_does_not_make_it_unknown() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], vec![]);
    world.at(1, launch("p1", true));
    world.at(1, written(Purpose::Token(AgentId::new("a1")), ok()));
    world.at(2, by_executor("p1.1.2", TaskState::Starting));
    world.shown.clear();
    world.at(2, Event::Executors(Some(GetExecutors::default())));
    assert_eq!(world.shown, "");
}

#[test]
fn flags_that_could_not_be_read_are_asked_for_again() {
    let mut world = World::settled(&[], vec![]);
    let mut asked = |second: i64, event: Event| {
        let mut actions = Vec::new();
        world.framework.step(Timestamp::from_secs(second), event, &mut actions);
        actions.iter().filter(|action| matches!(action, Action::GetIsolation { .. })).count()
    };
    assert_eq!(asked(5, agents(&[("a1", "n1")])), 1);
    asked(6, Event::Isolation { agent_id: AgentId::new("a1"), isolation: "cgroups/cpu,cgroups/mem".into() });
    assert_eq!(asked(10, agents(&[("a1", "n1")])), 0);
}

#[test]
fn without_the_operator_api_what_runs_on_a_new_agent_is_asked_first() {
    let mut world = World::new();
    world.at(0, Event::Start);
    world.at(0, written(Purpose::LoadIdentity, Err(Status::failure(404, ApiReason::NotFound, "no"))));
    world.at(0, written(Purpose::StoreIdentity, ok()));
    world.at(0, node("n1", "a1"));
    world.at(0, pod("p1", &task_annotation("p1.0.1"), ON_N1, "Running"));
    world.at(0, Event::PodsSynced);
    world.at(0, Event::NodesSynced);
    world.at(0, mesos(event::Type::Subscribed));
    world.at(0, Event::Executors(None));
    world.at(0, Event::Agents(None));
    world.at(0, barrier(1));
    let offer = km_mesos::Offer {
        id: OfferId::new("o1"),
        agent_id: AgentId::new("a1"),
        hostname: "n1".into(),
        ..km_mesos::Offer::default()
    };
    let offers = Some(event::Offers { offers: vec![offer] });
    let offers = MesosEvent { r#type: Some(event::Type::Offers as i32), offers, ..MesosEvent::default() };
    let running = update("p1.0.1", TaskState::Running, Source::Master, None);
    world.check(
        vec![(1, "offer", Event::Mesos(Box::new(offers))), (1, "runs", running), (1, "barrier", barrier(2))],
        expect![[r#"
            -- 1s offer
            RECONCILE []
            RECONCILE ["km-sentinel.1.2"]
            -- 1s runs
            -- 1s barrier
        "#]],
    );
}
