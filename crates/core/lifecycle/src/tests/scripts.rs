//! One test a behaviour: what happens, and what the machine asks for.

use std::time::Duration;

use expect_test::{Expect, expect};
use serde_json::json;

use super::bench::Bench;
use crate::*;

fn check(bench: &Bench, expected: Expect) {
    expected.assert_eq(&bench.log);
}

fn one(policy: &str) -> serde_json::Value {
    json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "i"}]})
}

#[test]
fn launch_starts_nothing_before_the_binding() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.wait(15);
    bench.changed();
    check(
        &bench,
        expect![[r#"
        task Starting
        wake +15s
        -- 15s
        LookUpPod
        wake +15s
    "#]],
    );
}

#[test]
fn bound_pod_runs_step_by_step() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.bind();
    bench.settle();
    check(
        &bench,
        expect![[r#"
        task Starting
        wake +15s
        PrepareVolumes
        status Pending ready=False a=ContainerCreating/0
        RunSandbox { attempt: 0 }
        image a#0
        event Pulled: Container image "i" already present on machine
        create a#0
        event Created: Container created
        start a
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/0
    "#]],
    );
}

#[test]
fn a_condition_that_is_met_takes_its_old_reason_away() {
    let bench = Bench::started(one("Always"));
    let statuses = bench.actions.iter().filter_map(|action| match action {
        Action::WriteStatus(status) => status["conditions"].as_array()?.iter().find(|c| c["type"] == "Ready"),
        _ => None,
    });
    let ready: Vec<_> = statuses.map(|c| (c["status"].clone(), c.get("reason").cloned())).collect();
    assert_eq!(ready.first(), Some(&(json!("False"), Some(json!("ContainersNotReady")))));
    assert_eq!(ready.last(), Some(&(json!("True"), Some(json!(null)))));
}

#[test]
fn pod_of_another_task_ends_the_task_before_its_first_container() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.pod["spec"]["nodeName"] = json!("n1");
    bench.pod["metadata"]["annotations"] = json!({ km_podwire::TASK_ID_ANNOTATION: "u1.1.2" });
    bench.changed();
    check(
        &bench,
        expect![[r#"
        task Starting
        wake +15s
        task Killed: the pod is bound to another task
        Forget
    "#]],
    );
}

#[test]
fn pod_launched_again_waits_while_it_shows_its_earlier_task() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.pod["spec"]["nodeName"] = json!("n1");
    bench.pod["metadata"]["annotations"] = json!({ km_podwire::TASK_ID_ANNOTATION: "u1.1.0" });
    bench.changed();
    bench.bind();
    check(
        &bench,
        expect![[r#"
        task Starting
        wake +15s
        PrepareVolumes
        status Pending ready=False a=ContainerCreating/0
    "#]],
    );
}

#[test]
fn pod_that_does_not_exist_ends_the_task() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.event(Event::PodGone);
    check(
        &bench,
        expect![[r#"
        task Starting
        wake +15s
        task Killed: the pod no longer exists
        Forget
    "#]],
    );
}

#[test]
fn succeeded_pod_finishes_its_task_after_its_status_is_stored() {
    let mut bench = Bench::started(one("Never"));
    bench.exit("a", 0, "Completed");
    bench.settle();
    check(
        &bench,
        expect![[r#"
        StopSandbox { id: "s0" }
        status Running ready=False a=Completed(0)/0
        CleanVolumes
        status Succeeded ready=False a=Completed(0)/0
        task Finished
    "#]],
    );
    assert!(bench.machine.is_kept_for_logs());
}

#[test]
fn failed_pod_says_why_to_mesos() {
    let mut bench = Bench::started(one("OnFailure"));
    bench.exit("a", 0, "");
    bench.settle();
    let mut failed = Bench::started(one("Never"));
    failed.exit("a", 137, "OOMKilled");
    failed.settle();
    bench.log.push_str("-- the other\n");
    bench.log.push_str(&failed.log);
    check(
        &bench,
        expect![[r#"
        StopSandbox { id: "s0" }
        status Running ready=False a=Completed(0)/0
        CleanVolumes
        status Succeeded ready=False a=Completed(0)/0
        task Finished
        -- the other
        StopSandbox { id: "s0" }
        status Running ready=False a=OOMKilled(137)/0
        CleanVolumes
        status Failed ready=False a=OOMKilled(137)/0
        task Failed: container a exited with code 137 (OOMKilled)
    "#]],
    );
}

#[test]
fn crashing_container_is_restarted_with_growing_waits() {
    let mut bench = Bench::started(one("Always"));
    for wait in [0, 10, 20, 40] {
        bench.exit("a", 1, "Error");
        bench.settle();
        if wait > 0 {
            bench.wait(wait);
        }
    }
    check(
        &bench,
        expect![[r#"
        image a#1
        task Running healthy=false
        status Running ready=False a=Error(1)/0
        event Pulled: Container image "i" already present on machine
        create a#1
        event Created: Container created
        start a
        status Running ready=False a=Error(1)/1
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/1
        event BackOff: Back-off restarting failed container a in pod web_default(u1)
        task Running healthy=false
        status Running ready=False a=CrashLoopBackOff/1
        wake +10s
        -- 10s
        image a#2
        remove c9
        status Running ready=False a=Error(1)/1
        event Pulled: Container image "i" already present on machine
        create a#2
        event Created: Container created
        start a
        status Running ready=False a=Error(1)/2
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/2
        event BackOff: Back-off restarting failed container a in pod web_default(u1)
        task Running healthy=false
        status Running ready=False a=CrashLoopBackOff/2
        wake +20s
        -- 20s
        image a#3
        remove c21
        status Running ready=False a=Error(1)/2
        event Pulled: Container image "i" already present on machine
        create a#3
        event Created: Container created
        start a
        status Running ready=False a=Error(1)/3
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/3
        event BackOff: Back-off restarting failed container a in pod web_default(u1)
        task Running healthy=false
        status Running ready=False a=CrashLoopBackOff/3
        wake +40s
        -- 40s
        image a#4
        remove c36
        status Running ready=False a=Error(1)/3
        event Pulled: Container image "i" already present on machine
        create a#4
        event Created: Container created
        start a
        status Running ready=False a=Error(1)/4
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/4
    "#]],
    );
}

#[test]
fn long_run_forgets_the_crashes() {
    let mut bench = Bench::started(one("Always"));
    for _ in 0..2 {
        bench.exit("a", 1, "");
        bench.settle();
        bench.wait(10);
    }
    bench.log.clear();
    bench.wait(600);
    let id = bench.machine.container_id("a").unwrap().0.to_owned();
    let started_at = Some(bench.now.saturating_sub(Duration::from_secs(600)));
    let exit = Exit { code: 1, started_at, finished_at: bench.now, ..Exit::default() };
    bench.event(Event::ContainerExited { container: "a".into(), id, exit });
    check(
        &bench,
        expect![[r#"
        -- 600s
        image a#3
        remove c21
        task Running healthy=false
        status Running ready=False a=Error(1)/2
    "#]],
    );
}

#[test]
fn init_containers_and_sidecars_start_in_order() {
    let mut bench = Bench::new(json!({"restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "i"}, {"name": "s", "image": "i", "restartPolicy": "Always"}],
        "containers": [{"name": "a", "image": "i"}]}));
    bench.event(Event::TaskLaunched);
    bench.bind();
    bench.settle();
    bench.exit("i", 0, "");
    bench.settle();
    bench.exit("a", 0, "");
    bench.settle();
    check(
        &bench,
        expect![[r#"
        task Starting
        wake +15s
        PrepareVolumes
        status Pending ready=False i=PodInitializing/0 s=PodInitializing/0 a=PodInitializing/0
        RunSandbox { attempt: 0 }
        image i#0
        event Pulled: Container image "i" already present on machine
        create i#0
        event Created: Container created
        start i
        event Started: Container started
        status Pending ready=False i=running/0 s=PodInitializing/0 a=PodInitializing/0
        image s#0
        status Pending ready=False i=Completed(0)/0 s=PodInitializing/0 a=PodInitializing/0
        event Pulled: Container image "i" already present on machine
        create s#0
        event Created: Container created
        start s
        event Started: Container started
        image a#0
        status Pending ready=False i=Completed(0)/0 s=ready/0 a=PodInitializing/0
        event Pulled: Container image "i" already present on machine
        create a#0
        event Created: Container created
        start a
        event Started: Container started
        task Running healthy=true
        status Running ready=True i=Completed(0)/0 s=ready/0 a=ready/0
        event Killing: Stopping container s
        stop s grace=30s
        status Running ready=False i=Completed(0)/0 s=ready/0 a=Completed(0)/0
        StopSandbox { id: "s0" }
        status Running ready=False i=Completed(0)/0 s=Error(143)/0 a=Completed(0)/0
        CleanVolumes
        status Succeeded ready=False i=Completed(0)/0 s=Error(143)/0 a=Completed(0)/0
        task Finished
    "#]],
    );
}

#[test]
fn failed_init_container_fails_a_pod_that_never_restarts() {
    let mut bench = Bench::started(json!({"restartPolicy": "Never",
        "initContainers": [{"name": "i", "image": "i"}], "containers": [{"name": "a", "image": "i"}]}));
    bench.exit("i", 3, "Error");
    bench.settle();
    check(
        &bench,
        expect![[r#"
        StopSandbox { id: "s0" }
        status Pending ready=False i=Error(3)/0 a=PodInitializing/0
        CleanVolumes
        status Failed ready=False i=Error(3)/0 a=PodInitializing/0
        task Failed: container i exited with code 3 (Error)
    "#]],
    );
}

#[test]
fn image_that_cannot_be_pulled_backs_off() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.bind();
    for _ in 0..40 {
        let Some(action) = (!bench.open.is_empty()).then(|| bench.open.remove(0)) else { break };
        let fail = matches!(action, Action::EnsureImage { .. });
        bench.answer_with(action, fail);
    }
    bench.log.clear();
    bench.wait(3);
    bench.wait(7);
    check(
        &bench,
        expect![[r#"
        -- 3s
        event BackOff: Back-off pulling image "i"
        event Failed: Error: ImagePullBackOff
        status Pending ready=False a=ImagePullBackOff/0
        wake +7s
        -- 7s
        image a#0
        status Pending ready=False a=ContainerCreating/0
        event Pulled: Container image "i" already present on machine
        create a#0
        event Created: Container created
        start a
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/0
    "#]],
    );
}

#[test]
fn configuration_error_waits_and_is_tried_again() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.bind();
    while let Some(action) = (!bench.open.is_empty()).then(|| bench.open.remove(0)) {
        if let Action::CreateContainer { container, attempt, .. } = action {
            bench.log.clear();
            let result = Err(CreateFailure::Config("configmap \"x\" not found".into()));
            bench.event(Event::ContainerCreated { container, attempt, result });
        } else {
            bench.answer(action);
        }
    }
    bench.wait(10);
    check(
        &bench,
        expect![[r#"
        event Failed: Error: configmap "x" not found
        wake +3s
        status Pending ready=False a=CreateContainerConfigError/0
        -- 10s
        image a#0
        status Pending ready=False a=ContainerCreating/0
        event Pulled: Container image "i" already present on machine
        create a#0
        event Created: Container created
        start a
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/0
    "#]],
    );
}

#[test]
fn probes_gate_each_other_and_restart_the_container() {
    let probe = json!({"tcpSocket": {"port": 80}, "failureThreshold": 2});
    let mut bench = Bench::started(json!({"containers": [{"name": "a", "image": "i",
        "startupProbe": probe, "livenessProbe": probe, "readinessProbe": probe}]}));
    bench.probe("a", ProbeKind::Startup, Err("refused"));
    bench.probe("a", ProbeKind::Startup, Ok(()));
    bench.probe("a", ProbeKind::Readiness, Ok(()));
    bench.settle();
    bench.probe("a", ProbeKind::Readiness, Err("busy"));
    bench.probe("a", ProbeKind::Readiness, Err("busy"));
    bench.settle();
    bench.probe("a", ProbeKind::Liveness, Err("dead"));
    bench.probe("a", ProbeKind::Liveness, Err("dead"));
    bench.settle();
    check(
        &bench,
        expect![[r#"
        event Unhealthy: Startup probe failed: refused
        unprobe a Startup
        probe a Liveness
        probe a Readiness
        task Running healthy=true
        status Running ready=True a=ready/0
        event Unhealthy: Readiness probe failed: busy
        event Unhealthy: Readiness probe failed: busy
        task Running healthy=false
        status Running ready=False a=running/0
        event Unhealthy: Liveness probe failed: dead
        event Unhealthy: Liveness probe failed: dead
        event Killing: Container a failed liveness probe, will be restarted
        stop a grace=30s
        unprobe a Liveness
        unprobe a Readiness
        image a#1
        status Running ready=False a=Error(143)/0
        event Pulled: Container image "i" already present on machine
        create a#1
        event Created: Container created
        start a
        status Running ready=False a=Error(143)/1
        event Started: Container started
        probe a Startup
        status Running ready=False a=running/1
    "#]],
    );
}

#[test]
fn deletion_runs_hooks_stops_removes_and_deletes_in_that_order() {
    let mut bench = Bench::started(json!({"containers": [{"name": "a", "image": "i",
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}]}));
    bench.delete(20);
    bench.settle();
    check(
        &bench,
        expect![[r#"
        task Killing
        event Killing: Stopping container a
        hook PreStop a
        stop a grace=20s
        StopSandbox { id: "s0" }
        status Running ready=False a=Error(143)/0
        CleanVolumes
        status Failed ready=False a=Error(143)/0
        remove c9
        RemoveSandbox { id: "s0" }
        DeletePod
        task Killed: the pod was deleted
        Forget
    "#]],
    );
}

#[test]
fn deletion_during_creation_waits_for_it_and_starts_nothing() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.bind();
    while !bench.open.iter().any(|a| matches!(a, Action::CreateContainer { .. })) {
        let action = bench.open.remove(0);
        bench.answer(action);
    }
    bench.log.clear();
    bench.delete(30);
    bench.settle();
    check(
        &bench,
        expect![[r#"
        task Killing
        StopSandbox { id: "s0" }
        remove c9
        CleanVolumes
        status Failed ready=False a=ContainerStatusUnknown(137)/0
        RemoveSandbox { id: "s0" }
        DeletePod
        task Killed: the pod was deleted
        Forget
    "#]],
    );
}

#[test]
fn kill_waits_for_no_api_server_and_leaves_the_pod() {
    let mut bench = Bench::started(one("Always"));
    bench.event(Event::TaskKilled { grace: Some(Duration::from_secs(5)) });
    while let Some(action) = (!bench.open.is_empty()).then(|| bench.open.remove(0)) {
        let fail = matches!(action, Action::WriteStatus(_));
        bench.answer_with(action, fail);
    }
    check(
        &bench,
        expect![[r#"
        task Killing
        event Killing: Stopping container a
        stop a grace=5s
        StopSandbox { id: "s0" }
        status Running ready=False a=Error(143)/0
        CleanVolumes
        wake +1s
        remove c9
        RemoveSandbox { id: "s0" }
        task Killed: the task was killed
        Forget
    "#]],
    );
}

#[test]
fn shorter_grace_while_stopping_is_passed_on() {
    let mut bench = Bench::started(one("Always"));
    bench.delete(30);
    bench.event(Event::PodGone);
    bench.settle();
    check(
        &bench,
        expect![[r#"
        task Killing
        event Killing: Stopping container a
        stop a grace=30s
        stop a grace=1s
        StopSandbox { id: "s0" }
        CleanVolumes
        remove c9
        RemoveSandbox { id: "s0" }
        task Killed: the pod no longer exists
        Forget
    "#]],
    );
}

#[test]
fn deadline_fails_the_pod() {
    let mut bench = Bench::started(json!({"activeDeadlineSeconds": 5, "containers": [{"name": "a", "image": "i"}]}));
    bench.wait(5);
    check(
        &bench,
        expect![[r#"
        -- 5s
        event DeadlineExceeded: Pod was active on the node longer than the specified deadline
        event Killing: Stopping container a
        stop a grace=30s
        StopSandbox { id: "s0" }
        status Running ready=False a=Error(143)/0
        CleanVolumes
        status Failed ready=False a=Error(143)/0
        task Failed: Pod was active on the node longer than the specified deadline; container a exited with code 143
    "#]],
    );
}

#[test]
fn lost_sandbox_is_made_again() {
    let mut bench = Bench::started(one("Always"));
    bench.event(Event::SandboxLost { id: "s0".into() });
    bench.exit("a", 137, "");
    bench.settle();
    check(
        &bench,
        expect![[r#"
        event SandboxChanged: Pod sandbox changed, it will be killed and re-created.
        StopSandbox { id: "s0" }
        task Running healthy=false
        RunSandbox { attempt: 1 }
        status Running ready=False a=Error(137)/0
        image a#1
        event Pulled: Container image "i" already present on machine
        create a#1
        event Created: Container created
        start a
        status Running ready=False a=Error(137)/1
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/1
    "#]],
    );
}

#[test]
fn running_containers_are_adopted_untouched() {
    let mut bench = Bench::new(one("Always"));
    let sandbox = SandboxFacts { id: "s0".into(), ips: vec!["10.1.0.9".into()] };
    let exit = Exit { code: 1, finished_at: bench.now, ..Exit::default() };
    let container = |id: &str, attempt, state| AdoptedContainer {
        name: "a".into(),
        id: id.into(),
        attempt,
        image_ref: "sha256:1".into(),
        state,
    };
    let old = container("c0", 0, AdoptedState::Exited(exit));
    let now = container("c1", 1, AdoptedState::Running(bench.now));
    let sandbox = Some(AdoptedSandbox { facts: sandbox, attempt: 0, ready: true });
    bench.event(Event::Adopted(Adopted { sandbox, containers: vec![old, now] }));
    bench.bind();
    bench.settle();
    check(
        &bench,
        expect![[r#"
        wake +15s
        PrepareVolumes
        task Running healthy=true
        status Running ready=True a=ready/1
    "#]],
    );
}

#[test]
fn oom_under_the_default_limit_says_where_the_limit_came_from() {
    for (limit, hinted) in [("64Mi", true), ("65Mi", false)] {
        let mut bench = Bench::started(json!({"restartPolicy": "Never", "containers": [
            {"name": "a", "image": "i", "resources": {"limits": {"memory": limit}}}]}));
        bench.exit("a", 137, "OOMKilled");
        let status = bench.actions.iter().rev().find_map(|action| match action {
            Action::WriteStatus(status) => Some(status.clone()),
            _ => None,
        });
        let ended = status.unwrap()["containerStatuses"][0]["state"]["terminated"].clone();
        let message = ended["message"].as_str().unwrap_or_default();
        assert_eq!(message.contains("km also gives to containers that ask for none"), hinted, "{limit}: {ended}");
    }
}

#[test]
fn a_status_that_an_earlier_life_overwrote_late_is_written_again() {
    // test/sim, seed 25: the executor started again while its last write was still on the way.
    let mut bench = Bench::started(json!({"containers": [{"name": "a", "image": "i"}]}));
    let writes = |bench: &Bench| bench.actions.iter().filter(|a| matches!(a, Action::WriteStatus(_))).count();
    let before = writes(&bench);
    bench.pod["status"] = json!({"phase": "Pending"});
    bench.changed();
    assert_eq!(writes(&bench), before, "the informer may only be behind");
    bench.now = bench.now + Duration::from_secs(6);
    bench.event(Event::Tick);
    assert_eq!(writes(&bench), before + 1);
}

#[test]
fn a_changed_image_restarts_its_container_whatever_the_policy() {
    let mut bench = Bench::started(one("Never"));
    bench.pod["spec"]["containers"][0]["image"] = json!("other");
    bench.changed();
    bench.settle();
    check(
        &bench,
        expect![[r#"
        event Killing: Container a definition changed, will be restarted
        stop a grace=30s
        image a#1
        task Running healthy=false
        status Running ready=False a=Error(143)/0
        event Pulled: Container image "other" already present on machine
        create a#1
        event Created: Container created
        start a
        status Running ready=False a=Error(143)/1
        event Started: Container started
        task Running healthy=true
        status Running ready=True a=ready/1
    "#]],
    );
}

#[test]
fn a_changed_image_is_asked_for_at_once() {
    let mut bench = Bench::new(one("Always"));
    bench.event(Event::TaskLaunched);
    bench.bind();
    while let Some(action) = (!bench.open.is_empty()).then(|| bench.open.remove(0)) {
        let is_image = matches!(action, Action::EnsureImage { .. });
        bench.answer_with(action, is_image);
    }
    bench.log.clear();
    bench.pod["spec"]["containers"][0]["image"] = json!("other");
    bench.changed();
    check(
        &bench,
        expect![[r#"
        image a#0
        status Pending ready=False a=ContainerCreating/0
    "#]],
    );
}
