//! The invariants can fail: each is shown something that must not be.

use std::time::Duration;

use km_api::resource::{CONFIG_MAPS, PODS};
use km_base::Timestamp;
use km_mesos::scheduler::call::Decline;

use super::*;
use crate::world::Input;

/// A cluster that has started and runs one pod.
fn world() -> World {
    let mut world = World::new(1, false);
    world.user_begins();
    world.post(Duration::ZERO, Input::ManagerUp);
    world.post(Duration::ZERO, Input::FrameworkUp);
    world.post(Duration::ZERO, Input::MasterUp);
    for host in 0..world.hosts.len() {
        world.post(Duration::ZERO, Input::AgentUp { host });
    }
    crate::until(&mut world, Duration::from_secs(3));
    while world.user_pods() == 0 {
        world.user_creates_pod();
    }
    crate::until(&mut world, Duration::from_secs(8));
    assert_eq!(world.failure, None);
    world
}

#[track_caller]
fn fails(world: &World, words: &str) {
    let failure = world.failure.clone().unwrap_or_default();
    assert!(failure.contains(words), "{failure:?} does not say {words:?}");
}

#[test]
fn an_offer_may_not_be_used_twice() {
    let mut world = world();
    let decline = Decline { offer_ids: vec![OfferId::new("o"), OfferId::new("o")], filters: None };
    let call = scheduler::Call { decline: Some(decline), ..scheduler::Call::default() };
    world.judge_offers_used(&call);
    fails(&world, "used twice");
}

#[test]
fn an_acknowledged_change_may_not_be_lost() {
    let mut world = world();
    world.api_forget_last();
    world.api_crash();
    world.api_restart();
    fails(&world, "was acknowledged");
}

#[test]
fn a_watch_may_not_leave_a_change_out() {
    let mut world = world();
    let prefix = km_registry::prefix(&CONFIG_MAPS, "");
    world.judge_watch(1, &prefix, Selection::default(), Revision(1));
    let all = world.api.objects(&CONFIG_MAPS).into_iter();
    let last = all.max_by_key(|object| object.meta().revision()).expect("there are some");
    world.judge_delivery(1, &last);
    fails(&world, "before");
}

#[test]
fn a_pod_that_has_ended_may_not_come_alive() {
    let mut world = world();
    let pod = world.api.objects(&PODS).pop().expect("there is one");
    world.judge.ended.insert(pod.meta().uid.clone(), "Failed, says the test".to_owned());
    world.judge_pod(&pod);
    fails(&world, "had ended");
}

#[test]
fn a_container_may_not_start_for_another_task_or_beside_its_twin() {
    for (task, words) in [("another", "without a Binding"), ("", "while")] {
        let mut world = world();
        let found = world.hosts.iter().enumerate().find_map(|(host, machine)| {
            let executor = machine.executors.values().find(|e| !e.runtime.containers.is_empty())?;
            let (uid, entry) = executor.pods.iter().next()?;
            let own = entry.machine.task_id().to_owned();
            Some((host, executor.id, uid.clone(), own))
        });
        let (host, executor, uid, own) = found.expect("one runs");
        let task = if task.is_empty() { own } else { task.to_owned() };
        world.judge.ended.clear();
        let runtime = &mut world.hosts[host].executors.get_mut(&executor).expect("it is there").runtime;
        let (_, first) = runtime.containers.iter_mut().next().expect("it has one");
        first.state = State::Running(Timestamp::EPOCH);
        let twin = first.twin(99);
        assert_eq!(twin.uid, uid);
        runtime.containers.insert("twin".to_owned(), twin);
        world.judge_started(host, executor, "twin", &task);
        fails(&world, words);
    }
}
