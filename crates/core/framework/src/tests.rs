//! Scripts: what the framework does about what it is told.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use km_api::{Object, Response, Status};
use km_base::{Backoff, ObjectKey, Timestamp, Uid};
use km_kinds::Codec;
use km_kinds::api::core::v1::{Node, Pod};
use km_mesos::master::response::{GetAgents, GetExecutors, get_agents, get_executors};
use km_mesos::resources::{Milli, ranges, scalar};
use km_mesos::scheduler::{Event as MesosEvent, event};
use km_mesos::task_status::{Reason, Source};
use km_mesos::{AgentId, AgentInfo, ExecutorId, OfferId, TaskId, TaskState, TaskStatus, ranges::RangeSet};

use crate::{Action, Config, Event, Framework, LaunchPlan, LaunchPod, Purpose, ToScheduler};

mod recovery;

fn config() -> Config {
    Config {
        framework_name: "Kubernetes".into(),
        user: "root".into(),
        principal: Some("km".into()),
        roles: vec!["*".into()],
        new_framework_id: "km-1".into(),
        failover_timeout: Duration::from_secs(604_800),
        scheduler_name: "default-scheduler".into(),
        executor_cpus: Milli(250),
        executor_mem: Milli(128_000),
        executor_shutdown_grace: Duration::from_secs(60),
        artifact_server: "http://10.0.0.1:10251".into(),
        api_server: "https://10.0.0.1:6443".into(),
        api_server_ca: "ca".into(),
        cluster_cidr: "10.244.0.0/16".into(),
        service_cidr: "10.96.0.0/16".into(),
        cluster_dns: "10.96.0.10".into(),
        cluster_domain: "cluster.local".into(),
        container_runtime_endpoint: None,
        pods_max: 110,
        accept_refuse: Duration::from_millis(10),
        revive_interval: Duration::from_millis(100),
        revive_interval_max: Duration::from_secs(30),
        retry: Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(30) },
        poll_interval: Duration::from_secs(5),
        lease_interval: Duration::from_secs(10),
        ack_timeout: Duration::from_secs(5),
        release_after: Duration::from_secs(300),
    }
}

struct World {
    framework: Framework,
    shown: String,
}

impl World {
    fn new() -> Self {
        Self { framework: Framework::new(config()), shown: String::new() }
    }

    /// A framework that is subscribed and reconciled, with agent `a1` (host `n1`) and its Node; shows nothing.
    fn ready(pods: &[Event], executors: Vec<get_executors::Executor>) -> Self {
        let mut world = Self::new();
        world.at(0, Event::Start);
        world.at(0, written(Purpose::LoadIdentity, Err(Status::failure(404, km_api::Reason::NotFound, "no"))));
        world.at(0, written(Purpose::StoreIdentity, ok()));
        world.at(0, node("n1", "a1"));
        for pod in pods {
            world.at(0, pod.clone());
        }
        world.at(0, Event::PodsSynced);
        world.at(0, Event::NodesSynced);
        world.at(0, mesos(event::Type::Subscribed));
        world.at(0, Event::Executors(Some(GetExecutors { executors, orphan_executors: vec![] })));
        world.at(0, agents(&[("a1", "n1")]));
        world
    }

    fn settled(pods: &[Event], executors: Vec<get_executors::Executor>) -> Self {
        let mut world = Self::ready(pods, executors);
        world.at(0, barrier(1));
        // What runs has been heard of.
        for agent in world.framework.agents.values_mut() {
            if let Some(executor) = &mut agent.executor {
                executor.running = true;
            }
        }
        world.shown.clear();
        world
    }

    fn at(&mut self, second: i64, event: Event) {
        let mut actions = Vec::new();
        self.framework.step(Timestamp::from_secs(second), event, &mut actions);
        for action in &actions {
            show(&mut self.shown, action);
        }
    }

    /// Feeds events one by one, shows what each brings.
    #[track_caller]
    fn check(&mut self, steps: Vec<(i64, &str, Event)>, expected: Expect) {
        self.shown.clear();
        for (second, name, event) in steps {
            writeln!(self.shown, "-- {second}s {name}").unwrap();
            self.at(second, event);
        }
        expected.assert_eq(&self.shown);
    }
}

fn show(text: &mut String, action: &Action) {
    match action {
        Action::Api { purpose, request } => {
            let body = String::from_utf8_lossy(&request.body.bytes);
            let body = match purpose {
                Purpose::Record => String::new(),
                Purpose::Token(_) => " (secret)".to_owned(),
                Purpose::Node(_) | Purpose::NodeStatus(_) | Purpose::Lease(_) => return,
                _ => format!(" {body}"),
            };
            let subresource =
                if request.subresource.is_empty() { String::new() } else { format!("/{}", request.subresource) };
            writeln!(text, "{} {} {}{subresource}{body}", request.verb.as_str(), request.resource.plural, request.name)
                .unwrap();
        }
        Action::Subscribe(call) => {
            let subscribe = call.subscribe.as_ref().unwrap();
            writeln!(
                text,
                "SUBSCRIBE {} suppressed {:?}",
                subscribe.framework_info.id.as_ref().unwrap(),
                subscribe.suppressed_roles
            )
            .unwrap();
        }
        Action::Call(call) => show_call(text, call),
        Action::Scheduler(ToScheduler::Wait(pod)) => {
            let node = km_api::pod::node_name(pod).map(|n| format!(" on {n}")).unwrap_or_default();
            writeln!(text, "wait {}{node}", pod.metadata.uid.as_ref().unwrap()).unwrap();
        }
        Action::Scheduler(ToScheduler::Forget(uid)) => writeln!(text, "forget {uid}").unwrap(),
        Action::Scheduler(ToScheduler::Retry(uid)) => writeln!(text, "retry {uid}").unwrap(),
        Action::Scheduler(ToScheduler::Executor { agent_id, present }) => {
            writeln!(text, "executor on {agent_id}: {present}").unwrap()
        }
        Action::Scheduler(ToScheduler::DropOffers(agent)) => writeln!(text, "drop offers {agent:?}").unwrap(),
        Action::Warn(why) => writeln!(text, "warn: {why}").unwrap(),
        Action::Fatal(why) => writeln!(text, "fatal: {why}").unwrap(),
        Action::Scheduler(_) | Action::WakeAt(_) | Action::GetIsolation { .. } => {}
        Action::GetAgents => text.push_str("GET_AGENTS\n"),
        Action::GetExecutors => text.push_str("GET_EXECUTORS\n"),
    }
}

fn show_call(text: &mut String, call: &km_mesos::scheduler::Call) {
    if let Some(accept) = &call.accept {
        for task in &accept.operations[0].launch.as_ref().unwrap().task_infos {
            let executor = task.executor.as_ref().unwrap();
            let data = km_podwire::LaunchData::decode(task.data.as_ref().unwrap()).unwrap();
            let token = data.bootstrap_token.map(|_| " with token").unwrap_or_default();
            let limits = if task.limits.is_empty() { String::new() } else { format!(" limits {:?}", task.limits) };
            writeln!(
                text,
                "ACCEPT {} {}: {} executor {}{token}{limits}",
                accept.offer_ids[0], task.name, task.task_id, executor.executor_id
            )
            .unwrap();
        }
    } else if let Some(a) = &call.acknowledge {
        writeln!(text, "ACKNOWLEDGE {} {}", a.task_id, String::from_utf8_lossy(&a.uuid)).unwrap();
    } else if let Some(kill) = &call.kill {
        writeln!(text, "KILL {}", kill.task_id).unwrap();
    } else if let Some(r) = &call.reconcile {
        let tasks: Vec<&str> = r.tasks.iter().map(|t| t.task_id.as_str()).collect();
        writeln!(text, "RECONCILE {tasks:?}").unwrap();
    } else if let Some(r) = &call.revive {
        writeln!(text, "REVIVE {:?}", r.roles).unwrap();
    } else if let Some(s) = &call.suppress {
        writeln!(text, "SUPPRESS {:?}", s.roles).unwrap();
    } else if let Some(d) = &call.decline {
        writeln!(text, "DECLINE {:?}", d.offer_ids.iter().map(OfferId::as_str).collect::<Vec<_>>()).unwrap();
    }
}

fn ok() -> Result<Response, Status> {
    let object = Object::parse(&br#"{"metadata":{"name":"x","resourceVersion":"1"}}"#[..]).unwrap();
    Ok(Response::Object(object))
}

fn written(purpose: Purpose, result: Result<Response, Status>) -> Event {
    Event::Written { purpose, result }
}

fn mesos(kind: event::Type) -> Event {
    Event::Mesos(Box::new(MesosEvent { r#type: Some(kind as i32), ..MesosEvent::default() }))
}

fn error(message: &str) -> Event {
    let error = Some(event::Error { message: message.to_owned() });
    Event::Mesos(Box::new(MesosEvent { r#type: Some(event::Type::Error as i32), error, ..MesosEvent::default() }))
}

fn agents(list: &[(&str, &str)]) -> Event {
    let agents = list
        .iter()
        .map(|(id, host)| get_agents::Agent {
            agent_info: AgentInfo {
                hostname: (*host).to_owned(),
                id: Some(AgentId::new(*id)),
                resources: vec![
                    scalar("cpus", Milli(4_000)),
                    scalar("mem", Milli(4_096_000)),
                    ranges("ports", &RangeSet::from_range(31_000, 32_000)),
                ],
                ..AgentInfo::default()
            },
            active: true,
            pid: Some("slave(1)@10.0.0.2:5051".into()),
            ..get_agents::Agent::default()
        })
        .collect();
    Event::Agents(Some(GetAgents { agents, recovered_agents: vec![] }))
}

fn node(name: &str, agent: &str) -> Event {
    let json = format!(
        r#"{{"metadata":{{"name":"{name}","annotations":{{"k8s.mesosphere.io/slaveId":"{agent}"}}}},"spec":{{"podCIDR":"10.244.0.0/24"}}}}"#
    );
    Event::Node(Arc::new(Node::decode(json.as_bytes()).unwrap()))
}

fn pod(uid: &str, metadata: &str, spec: &str, phase: &str) -> Event {
    let json = format!(
        r#"{{"metadata":{{"namespace":"d","name":"{uid}","uid":"{uid}"{metadata}}},"spec":{{"containers":[{{"name":"c"}}]{spec}}},
        "status":{{"phase":"{phase}"}}}}"#
    );
    Event::Pod(Arc::new(Pod::decode(json.as_bytes()).unwrap()))
}

const ON_N1: &str = r#","nodeName":"n1""#;

fn task_annotation(task: &str) -> String {
    format!(r#","annotations":{{"k8s.mesosphere.io/taskId":"{task}"}}"#)
}

fn launch(uid: &str, executor: bool) -> Event {
    let plan = LaunchPlan {
        agent_id: AgentId::new("a1"),
        node: "n1".into(),
        offers: vec![OfferId::new("o1")],
        pods: vec![LaunchPod { uid: Uid(uid.into()), resources: vec![scalar("cpus", Milli(250))], ports: vec![] }],
        executor: executor.then(|| (vec![scalar("cpus", Milli(250))], 31_000)),
    };
    Event::Launch { plan, entropy: [7; 32] }
}

fn update(task: &str, state: TaskState, source: Source, reason: Option<Reason>) -> Event {
    let status = TaskStatus {
        task_id: TaskId::new(task),
        state: state as i32,
        source: Some(source as i32),
        reason: reason.map(|r| r as i32),
        agent_id: Some(AgentId::new("a1")),
        uuid: (source != Source::Master).then(|| format!("{state}").into()),
        ..TaskStatus::default()
    };
    let update = Some(event::Update { status });
    Event::Mesos(Box::new(MesosEvent { r#type: Some(event::Type::Update as i32), update, ..MesosEvent::default() }))
}

fn by_executor(task: &str, state: TaskState) -> Event {
    update(task, state, Source::Executor, None)
}

fn barrier(round: u64) -> Event {
    update(&format!("km-sentinel.1.{round}"), TaskState::Unknown, Source::Master, Some(Reason::Reconciliation))
}

fn running_executor() -> Vec<get_executors::Executor> {
    let executor_info = km_mesos::ExecutorInfo {
        executor_id: ExecutorId::new("km-old"),
        framework_id: Some(km_mesos::FrameworkId::new("km-1")),
        ..km_mesos::ExecutorInfo::default()
    };
    vec![get_executors::Executor { executor_info, agent_id: AgentId::new("a1") }]
}

fn bind(task: &str) -> Purpose {
    Purpose::Bind(TaskId::new(task))
}

#[test]
fn identity_is_stored_before_the_first_subscribe_and_tasks_are_known_before_the_first_launch() {
    let mut world = World::new();
    let stored = Object::parse(
        &br#"{"metadata":{"name":"km-framework","resourceVersion":"9"},"data":{"frameworkId":"km-0","epoch":"4"}}"#[..],
    );
    world.check(
        vec![
            (0, "start", Event::Start),
            (0, "pod", pod("p1", "", "", "Pending")),
            (0, "pods", Event::PodsSynced),
            (0, "nodes", Event::NodesSynced),
            (0, "loaded", written(Purpose::LoadIdentity, Ok(Response::Object(stored.unwrap())))),
            (0, "stored", written(Purpose::StoreIdentity, ok())),
            (1, "subscribed", mesos(event::Type::Subscribed)),
            (1, "executors", Event::Executors(Some(GetExecutors::default()))),
            (1, "agents", agents(&[("a1", "n1")])),
            (1, "barrier of another run", update("km-sentinel.4.1", TaskState::Unknown, Source::Master, None)),
            (1, "barrier", update("km-sentinel.5.1", TaskState::Unknown, Source::Master, None)),
        ],
        expect![[r#"
            -- 0s start
            get configmaps km-framework 
            -- 0s pod
            -- 0s pods
            -- 0s nodes
            -- 0s loaded
            patch configmaps km-framework {"data":{"epoch":"5","frameworkId":"km-0"},"metadata":{"resourceVersion":"9"}}
            -- 0s stored
            SUBSCRIBE km-0 suppressed ["*"]
            -- 1s subscribed
            GET_EXECUTORS
            GET_AGENTS
            -- 1s executors
            -- 1s agents
            executor on a1: false
            RECONCILE []
            RECONCILE ["km-sentinel.5.1"]
            -- 1s barrier of another run
            -- 1s barrier
            wait p1
        "#]],
    );
}

#[test]
fn a_pod_is_bound_when_its_executor_has_it_and_updates_are_acknowledged_when_seen() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], vec![]);
    let task = "p1.1.2";
    let bound = |phase: &str| pod("p1", &task_annotation("p1.1.2"), ON_N1, phase);
    world.check(
        vec![
            (1, "launch", launch("p1", true)),
            (1, "token made", written(Purpose::Token(AgentId::new("a1")), ok())),
            (2, "starting", by_executor(task, TaskState::Starting)),
            (2, "bound", written(bind(task), ok())),
            (2, "informer: bound", bound("Pending")),
            (3, "running", by_executor(task, TaskState::Running)),
            (3, "informer: running", bound("Running")),
            (4, "finished", by_executor(task, TaskState::Finished)),
            (4, "informer: over", bound("Succeeded")),
        ],
        expect![[r#"
            -- 1s launch
            executor on a1: true
            create secrets  (secret)
            -- 1s token made
            ACCEPT o1 p1.d.pod: p1.1.2 executor km-a07e929748cde88d-1-1 with token
            -- 2s starting
            create pods p1/binding {"apiVersion":"v1","kind":"Binding","metadata":{"annotations":{"k8s.mesosphere.io/bindingHost":"n1","k8s.mesosphere.io/executorId":"km-a07e929748cde88d-1-1","k8s.mesosphere.io/offerId":"o1","k8s.mesosphere.io/slaveId":"a1","k8s.mesosphere.io/taskId":"p1.1.2"},"name":"p1","namespace":"d","uid":"p1"},"target":{"apiVersion":"v1","kind":"Node","name":"n1"}}
            -- 2s bound
            forget p1
            ACKNOWLEDGE p1.1.2 TASK_STARTING
            create events 
            -- 2s informer: bound
            -- 3s running
            -- 3s informer: running
            ACKNOWLEDGE p1.1.2 TASK_RUNNING
            -- 4s finished
            -- 4s informer: over
            ACKNOWLEDGE p1.1.2 TASK_FINISHED
            forget p1
        "#]],
    );
}

#[test]
fn launches_before_the_executor_is_heard_of_share_its_token() {
    let mut world = World::settled(&[pod("p1", "", "", ""), pod("p2", "", "", ""), pod("p3", "", "", "")], vec![]);
    world.framework.isolation.insert(AgentId::new("a1"), "cgroups/cpu,cgroups/mem".into());
    world.check(
        vec![
            (1, "launch p1", launch("p1", true)),
            (1, "launch p2", launch("p2", false)),
            (1, "token made", written(Purpose::Token(AgentId::new("a1")), ok())),
            (2, "starting", by_executor("p1.1.2", TaskState::Starting)),
            (2, "launch p3", launch("p3", false)),
        ],
        expect![[r#"
            -- 1s launch p1
            executor on a1: true
            create secrets  (secret)
            -- 1s launch p2
            -- 1s token made
            ACCEPT o1 p1.d.pod: p1.1.2 executor km-a07e929748cde88d-1-1 with token limits {"cpus": Scalar { value: inf }, "mem": Scalar { value: inf }}
            ACCEPT o1 p2.d.pod: p2.1.3 executor km-a07e929748cde88d-1-1 with token limits {"cpus": Scalar { value: inf }, "mem": Scalar { value: inf }}
            -- 2s starting
            create pods p1/binding {"apiVersion":"v1","kind":"Binding","metadata":{"annotations":{"k8s.mesosphere.io/bindingHost":"n1","k8s.mesosphere.io/executorId":"km-a07e929748cde88d-1-1","k8s.mesosphere.io/offerId":"o1","k8s.mesosphere.io/slaveId":"a1","k8s.mesosphere.io/taskId":"p1.1.2"},"name":"p1","namespace":"d","uid":"p1"},"target":{"apiVersion":"v1","kind":"Node","name":"n1"}}
            -- 2s launch p3
            ACCEPT o1 p3.d.pod: p3.1.4 executor km-a07e929748cde88d-1-1 limits {"cpus": Scalar { value: inf }, "mem": Scalar { value: inf }}
        "#]],
    );
}

#[test]
fn without_a_token_nothing_is_launched() {
    let mut world = World::settled(&[pod("p1", "", "", "")], vec![]);
    world.check(
        vec![
            (1, "launch", launch("p1", true)),
            (1, "refused", written(Purpose::Token(AgentId::new("a1")), Err(Status::unavailable("down")))),
        ],
        expect![[r#"
            -- 1s launch
            executor on a1: true
            create secrets  (secret)
            -- 1s refused
            warn: failed to make a bootstrap token for agent a1: down
            DECLINE ["o1"]
            executor on a1: true
            retry p1
            executor on a1: false
        "#]],
    );
}

#[test]
fn a_launch_that_fails_before_the_binding_never_ends_the_pod() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], running_executor());
    world.check(
        vec![
            (1, "launch", launch("p1", false)),
            (1, "dropped", update("p1.1.1", TaskState::Dropped, Source::Master, Some(Reason::InvalidOffers))),
            (2, "launch", launch("p1", false)),
            (3, "starting", by_executor("p1.1.3", TaskState::Starting)),
            (3, "refused", written(bind("p1.1.3"), Err(Status::failure(409, km_api::Reason::Conflict, "taken")))),
            (3, "killed", by_executor("p1.1.3", TaskState::Killed)),
        ],
        expect![[r#"
            -- 1s launch
            ACCEPT o1 p1.d.pod: p1.1.1 executor km-old
            -- 1s dropped
            create events 
            retry p1
            wait p1
            -- 2s launch
            ACCEPT o1 p1.d.pod: p1.1.3 executor km-old
            -- 3s starting
            create pods p1/binding {"apiVersion":"v1","kind":"Binding","metadata":{"annotations":{"k8s.mesosphere.io/bindingHost":"n1","k8s.mesosphere.io/executorId":"km-old","k8s.mesosphere.io/offerId":"o1","k8s.mesosphere.io/slaveId":"a1","k8s.mesosphere.io/taskId":"p1.1.3"},"name":"p1","namespace":"d","uid":"p1"},"target":{"apiVersion":"v1","kind":"Node","name":"n1"}}
            -- 3s refused
            warn: binding d/p1 was refused: taken
            KILL p1.1.3
            ACKNOWLEDGE p1.1.3 TASK_STARTING
            -- 3s killed
            ACKNOWLEDGE p1.1.3 TASK_KILLED
            create events 
            retry p1
            wait p1
        "#]],
    );
}

#[test]
fn a_bound_pod_whose_executor_died_is_launched_again_under_a_new_id() {
    let bound = |task: &str| pod("p1", &task_annotation(task), ON_N1, "Running");
    let mut world = World::settled(&[bound("p1.0.9")], running_executor());
    world.check(
        vec![
            (1, "launch", launch("p1", false)),
            (2, "starting", by_executor("p1.1.1", TaskState::Starting)),
            (2, "patched", written(bind("p1.1.1"), ok())),
            (9, "executor died", update("p1.1.1", TaskState::Failed, Source::Agent, Some(Reason::ExecutorTerminated))),
            (10, "tick", Event::Tick),
        ],
        expect![[r#"
            -- 1s launch
            ACCEPT o1 p1.d.pod: p1.1.1 executor km-old
            -- 2s starting
            patch pods p1 {"metadata":{"annotations":{"k8s.mesosphere.io/bindingHost":"n1","k8s.mesosphere.io/executorId":"km-old","k8s.mesosphere.io/offerId":"o1","k8s.mesosphere.io/slaveId":"a1","k8s.mesosphere.io/taskId":"p1.1.1"},"uid":"p1"}}
            -- 2s patched
            forget p1
            ACKNOWLEDGE p1.1.1 TASK_STARTING
            -- 9s executor died
            executor on a1: false
            ACKNOWLEDGE p1.1.1 TASK_FAILED
            forget p1
            -- 10s tick
            wait p1 on n1
            GET_AGENTS
        "#]],
    );
}

#[test]
fn an_executor_that_tells_of_a_pods_oom_lives_on() {
    let mut world = World::settled(
        &[pod("p1", &task_annotation("p1.0.9"), ON_N1, "Running"), pod("p2", "", "", "Pending")],
        running_executor(),
    );
    let oom = Some(Reason::ContainerLimitationMemory);
    world.check(
        vec![
            (1, "oom", update("p1.0.9", TaskState::Failed, Source::Executor, oom)),
            (2, "launch", launch("p2", false)),
        ],
        expect![[r#"
            -- 1s oom
            -- 2s launch
            ACCEPT o1 p2.d.pod: p2.1.1 executor km-old
        "#]],
    );
}

#[test]
fn after_a_restart_running_tasks_are_adopted_lost_ones_replaced_and_unknown_ones_killed() {
    let pods = [
        pod("kept", &task_annotation("kept.0.1"), ON_N1, "Running"),
        pod("lost", &task_annotation("lost.0.2"), ON_N1, "Running"),
        pod("moved", &task_annotation("moved.0.7"), ON_N1, "Running"),
        pod("half", "", "", "Pending"),
        pod(
            "going",
            &format!(r#"{},"deletionTimestamp":"2026-11-21T10:00:00Z""#, task_annotation("going.0.5")),
            ON_N1,
            "Running",
        ),
        pod("done", &task_annotation("done.0.6"), ON_N1, "Succeeded"),
    ];
    let mut world = World::ready(&pods, running_executor());
    let answer = |task: &str| update(task, TaskState::Running, Source::Master, Some(Reason::Reconciliation));
    world.check(
        vec![
            (1, "kept", answer("kept.0.1")),
            (1, "deleted meanwhile", answer("gone.0.3")),
            (1, "an old attempt", answer("moved.0.4")),
            (1, "not yet bound", update("half.0.8", TaskState::Starting, Source::Executor, None)),
            (1, "barrier", barrier(1)),
        ],
        expect![[r#"
            -- 1s kept
            -- 1s deleted meanwhile
            KILL gone.0.3
            -- 1s an old attempt
            KILL moved.0.4
            -- 1s not yet bound
            create pods half/binding {"apiVersion":"v1","kind":"Binding","metadata":{"annotations":{"k8s.mesosphere.io/bindingHost":"n1","k8s.mesosphere.io/slaveId":"a1","k8s.mesosphere.io/taskId":"half.0.8"},"name":"half","namespace":"d","uid":"half"},"target":{"apiVersion":"v1","kind":"Node","name":"n1"}}
            -- 1s barrier
            delete pods going 
            wait lost on n1
            wait moved on n1
        "#]],
    );
}

#[test]
fn deleting_a_pod_kills_its_task_once() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], running_executor());
    let bound = |extra: &str| pod("p1", &format!("{}{extra}", task_annotation("p1.1.1")), ON_N1, "Running");
    let deleting = r#","deletionTimestamp":"2026-11-21T10:00:00Z","deletionGracePeriodSeconds":30"#;
    world.check(
        vec![
            (1, "launch", launch("p1", false)),
            (1, "starting", by_executor("p1.1.1", TaskState::Starting)),
            (1, "bound", written(bind("p1.1.1"), ok())),
            (1, "informer", bound("")),
            (2, "deleting", bound(deleting)),
            (2, "again", bound(deleting)),
            (3, "killed", by_executor("p1.1.1", TaskState::Killed)),
            (3, "gone", Event::PodGone(ObjectKey::namespaced("d", "p1"))),
        ],
        expect![[r#"
            -- 1s launch
            ACCEPT o1 p1.d.pod: p1.1.1 executor km-old
            -- 1s starting
            create pods p1/binding {"apiVersion":"v1","kind":"Binding","metadata":{"annotations":{"k8s.mesosphere.io/bindingHost":"n1","k8s.mesosphere.io/executorId":"km-old","k8s.mesosphere.io/offerId":"o1","k8s.mesosphere.io/slaveId":"a1","k8s.mesosphere.io/taskId":"p1.1.1"},"name":"p1","namespace":"d","uid":"p1"},"target":{"apiVersion":"v1","kind":"Node","name":"n1"}}
            -- 1s bound
            forget p1
            ACKNOWLEDGE p1.1.1 TASK_STARTING
            create events 
            -- 1s informer
            -- 2s deleting
            KILL p1.1.1
            -- 2s again
            -- 3s killed
            -- 3s gone
            ACKNOWLEDGE p1.1.1 TASK_KILLED
        "#]],
    );
}

#[test]
fn revives_keep_their_distance_and_idle_roles_are_suppressed() {
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], running_executor());
    let demand = |roles: &[&str], news| Event::Demand {
        roles: roles.iter().map(|r| (*r).to_owned()).collect::<BTreeSet<_>>(),
        news,
    };
    world.check(
        vec![
            (1, "wanted", demand(&["*"], true)),
            (1, "news", demand(&["*"], true)),
            (2, "tick", Event::Tick),
            (2, "tick", Event::Tick),
            (3, "idle", demand(&[], false)),
        ],
        expect![[r#"
            -- 1s wanted
            REVIVE ["*"]
            -- 1s news
            -- 2s tick
            REVIVE ["*"]
            -- 2s tick
            -- 3s idle
            SUPPRESS ["*"]
        "#]],
    );
}

#[test]
fn a_taken_over_session_ends_and_a_removed_framework_comes_back_as_another() {
    let mut world = World::settled(&[], vec![]);
    world.check(
        vec![
            (1, "broken", Event::Disconnected { reason: "reset".into() }),
            (1, "too early", Event::Tick),
            (2, "tick", Event::Tick),
            (2, "removed", error("Framework has been removed")),
            (2, "loaded", written(Purpose::LoadIdentity, Ok(Response::Object(
                Object::parse(&br#"{"metadata":{"resourceVersion":"2"},"data":{"frameworkId":"km-1","epoch":"1"}}"#[..]).unwrap())))),
            (2, "stored", written(Purpose::StoreIdentity, ok())),
            (2, "taken over", error("Framework failed over")),
            (9, "tick", Event::Tick),
        ],
        expect![[r#"
            -- 1s broken
            drop offers None
            warn: not subscribed to Mesos: reset
            -- 1s too early
            -- 2s tick
            SUBSCRIBE km-1 suppressed ["*"]
            -- 2s removed
            warn: Mesos has removed the framework (Framework has been removed): subscribing as a new one
            drop offers None
            get configmaps km-framework 
            -- 2s loaded
            patch configmaps km-framework {"data":{"epoch":"2","frameworkId":"km-1-2"},"metadata":{"resourceVersion":"2"}}
            -- 2s stored
            SUBSCRIBE km-1-2 suppressed ["*"]
            -- 2s taken over
            fatal: another scheduler has taken over: Mesos says "Framework failed over"
            -- 9s tick
        "#]],
    );
}

#[test]
fn nodes_are_made_of_agents_and_marked_when_these_are_missing() {
    let deleted = format!(r#"{},"deletionTimestamp":"2026-11-21T10:00:00Z""#, task_annotation("p1.0.1"));
    let mut world = World::settled(&[pod("p1", &deleted, ON_N1, "Running"), pod("p2", "", ON_N1, "Running")], vec![]);
    let mut shown = String::new();
    for (second, event) in [
        (5, agents(&[("a1", "n1"), ("a2", "n2")])),
        (10, agents(&[("a2", "n2")])),
        (16, agents(&[("a2", "n2")])),
        (320, agents(&[("a2", "n2")])),
    ] {
        writeln!(shown, "-- {second}s").unwrap();
        let mut actions = Vec::new();
        // Every write is answered before the next look.
        world.framework.in_flight.clear();
        world.framework.step(Timestamp::from_secs(second), event, &mut actions);
        for action in actions {
            if let Action::Api { purpose: Purpose::Node(name) | Purpose::NodeStatus(name), request } = &action {
                let body = String::from_utf8_lossy(&request.body.bytes).into_owned();
                writeln!(shown, "{} {name} {} {body}", request.verb.as_str(), request.subresource).unwrap();
            }
            if let Action::Api { purpose: Purpose::DeletePod(uid), .. } = &action {
                writeln!(shown, "delete pod {uid}").unwrap();
            }
        }
    }
    expect![[r#"
        -- 5s
        patch n1  {"metadata":{"annotations":{"k8s.mesosphere.io/ports":"31000-32000"},"labels":{"kubernetes.io/arch":"amd64","kubernetes.io/hostname":"n1","kubernetes.io/os":"linux"}}}
        patch n1 status {"status":{"addresses":[{"address":"10.0.0.2","type":"InternalIP"},{"address":"n1","type":"Hostname"}],"allocatable":{"cpu":"3750m","memory":"3968Mi","pods":"110"},"capacity":{"cpu":"4000m","memory":"4096Mi","pods":"110"},"conditions":[{"lastHeartbeatTime":"1970-01-01T00:00:05Z","lastTransitionTime":"1970-01-01T00:00:05Z","message":"Mesos has the agent registered","reason":"MesosAgentReady","status":"True","type":"Ready"}]}}
        create n2  {"apiVersion":"v1","kind":"Node","metadata":{"annotations":{"k8s.mesosphere.io/ports":"31000-32000","k8s.mesosphere.io/slaveId":"a2"},"labels":{"kubernetes.io/arch":"amd64","kubernetes.io/hostname":"n2","kubernetes.io/os":"linux"},"name":"n2"},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"],"providerID":"mesos://a2"},"status":{"addresses":[{"address":"10.0.0.2","type":"InternalIP"},{"address":"n2","type":"Hostname"}],"allocatable":{"cpu":"3750m","memory":"3968Mi","pods":"110"},"capacity":{"cpu":"4000m","memory":"4096Mi","pods":"110"},"conditions":[{"lastHeartbeatTime":"1970-01-01T00:00:05Z","lastTransitionTime":"1970-01-01T00:00:05Z","message":"Mesos has the agent registered","reason":"MesosAgentReady","status":"True","type":"Ready"}]}}
        -- 10s
        create n2  {"apiVersion":"v1","kind":"Node","metadata":{"annotations":{"k8s.mesosphere.io/ports":"31000-32000","k8s.mesosphere.io/slaveId":"a2"},"labels":{"kubernetes.io/arch":"amd64","kubernetes.io/hostname":"n2","kubernetes.io/os":"linux"},"name":"n2"},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"],"providerID":"mesos://a2"},"status":{"addresses":[{"address":"10.0.0.2","type":"InternalIP"},{"address":"n2","type":"Hostname"}],"allocatable":{"cpu":"3750m","memory":"3968Mi","pods":"110"},"capacity":{"cpu":"4000m","memory":"4096Mi","pods":"110"},"conditions":[{"lastHeartbeatTime":"1970-01-01T00:00:10Z","lastTransitionTime":"1970-01-01T00:00:10Z","message":"Mesos has the agent registered","reason":"MesosAgentReady","status":"True","type":"Ready"}]}}
        -- 16s
        patch n1 status {"status":{"conditions":[{"lastHeartbeatTime":"1970-01-01T00:00:16Z","lastTransitionTime":"1970-01-01T00:00:16Z","message":"Mesos does not have the agent registered","reason":"MesosAgentMissing","status":"Unknown","type":"Ready"}]}}
        create n2  {"apiVersion":"v1","kind":"Node","metadata":{"annotations":{"k8s.mesosphere.io/ports":"31000-32000","k8s.mesosphere.io/slaveId":"a2"},"labels":{"kubernetes.io/arch":"amd64","kubernetes.io/hostname":"n2","kubernetes.io/os":"linux"},"name":"n2"},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"],"providerID":"mesos://a2"},"status":{"addresses":[{"address":"10.0.0.2","type":"InternalIP"},{"address":"n2","type":"Hostname"}],"allocatable":{"cpu":"3750m","memory":"3968Mi","pods":"110"},"capacity":{"cpu":"4000m","memory":"4096Mi","pods":"110"},"conditions":[{"lastHeartbeatTime":"1970-01-01T00:00:16Z","lastTransitionTime":"1970-01-01T00:00:16Z","message":"Mesos has the agent registered","reason":"MesosAgentReady","status":"True","type":"Ready"}]}}
        -- 320s
        patch n1 status {"status":{"conditions":[{"lastHeartbeatTime":"1970-01-01T00:05:20Z","lastTransitionTime":"1970-01-01T00:05:20Z","message":"Mesos does not have the agent registered","reason":"MesosAgentMissing","status":"Unknown","type":"Ready"}]}}
        create n2  {"apiVersion":"v1","kind":"Node","metadata":{"annotations":{"k8s.mesosphere.io/ports":"31000-32000","k8s.mesosphere.io/slaveId":"a2"},"labels":{"kubernetes.io/arch":"amd64","kubernetes.io/hostname":"n2","kubernetes.io/os":"linux"},"name":"n2"},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24"],"providerID":"mesos://a2"},"status":{"addresses":[{"address":"10.0.0.2","type":"InternalIP"},{"address":"n2","type":"Hostname"}],"allocatable":{"cpu":"3750m","memory":"3968Mi","pods":"110"},"capacity":{"cpu":"4000m","memory":"4096Mi","pods":"110"},"conditions":[{"lastHeartbeatTime":"1970-01-01T00:05:20Z","lastTransitionTime":"1970-01-01T00:05:20Z","message":"Mesos has the agent registered","reason":"MesosAgentReady","status":"True","type":"Ready"}]}}
        delete pod p1
    "#]].assert_eq(&shown);
}

#[test]
fn a_pod_that_waits_during_an_outage_is_told_once_why_no_offer_can_come() {
    let mut world = World::settled(&[], vec![]);
    let broken = || Event::Disconnected { reason: "connection refused".into() };
    world.check(
        vec![(1, "broken", broken()), (1, "a pod comes", pod("web", "", "", "Pending")), (2, "tick", Event::Tick), (2, "broken again", broken())],
        expect![[r#"
            -- 1s broken
            drop offers None
            warn: not subscribed to Mesos: connection refused
            -- 1s a pod comes
            patch pods web/status {"metadata":{"uid":"web"},"status":{"conditions":[{"lastTransitionTime":"1970-01-01T00:00:01Z","message":"not subscribed to Mesos: connection refused","reason":"Unschedulable","status":"False","type":"PodScheduled"}]}}
            create events 
            -- 2s tick
            SUBSCRIBE km-1 suppressed ["*"]
            -- 2s broken again
            drop offers None
            warn: not subscribed to Mesos: connection refused
        "#]],
    );
}

#[test]
fn an_executor_that_only_the_master_tells_of_gets_a_token_too() {
    // test/sim, seed 93: the agent died between the ACCEPT and the launch, and its executor had never lived.
    let mut world = World::ready(&[pod("p1", "", "", "Pending")], running_executor());
    world.at(0, barrier(1));
    world.check(
        vec![
            (1, "launch", launch("p1", false)),
            (1, "token lost", written(Purpose::Token(AgentId::new("a1")), Err(Status::unavailable("no")))),
            (2, "launch", launch("p1", false)),
            (2, "token made", written(Purpose::Token(AgentId::new("a1")), ok())),
        ],
        expect![[r#"
            -- 1s launch
            create secrets  (secret)
            -- 1s token lost
            warn: failed to make a bootstrap token for agent a1: no
            DECLINE ["o1"]
            executor on a1: true
            retry p1
            executor on a1: true
            -- 2s launch
            create secrets  (secret)
            -- 2s token made
            ACCEPT o1 p1.d.pod: p1.1.1 executor km-old with token
        "#]],
    );
}

#[test]
fn an_update_that_waits_for_its_binding_asks_for_no_wake_up_in_the_past() {
    // test/sim, seed 29: while the API server was away the owner woke itself without end.
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], running_executor());
    world.at(1, launch("p1", false));
    world.at(1, by_executor("p1.1.1", TaskState::Starting));
    let mut actions = Vec::new();
    let now = Timestamp::from_secs(30);
    world.framework.step(now, Event::Tick, &mut actions);
    let late = actions.iter().any(|action| matches!(action, Action::WakeAt(at) if *at <= now));
    assert!(!late, "{actions:?}");
}

#[test]
fn a_host_that_is_back_under_another_agent_id_ends_the_tasks_of_the_earlier_one() {
    // test/sim, seed 1: the earlier agent was unknown to this run, its task had been adopted, and the pod was stuck.
    let bound = pod("p1", &task_annotation("p1.0.1"), ON_N1, "Running");
    let mut world = World::settled(&[bound], vec![]);
    let mut status = by_executor("p1.0.1", TaskState::Running);
    if let Event::Mesos(event) = &mut status
        && let Some(update) = &mut event.update
    {
        update.status.agent_id = Some(AgentId::new("a0"));
    }
    world.check(
        vec![(1, "update of the earlier agent", status)],
        expect![[r#"
        -- 1s update of the earlier agent
        KILL p1.0.1
        ACKNOWLEDGE p1.0.1 TASK_RUNNING
    "#]],
    );
}

#[test]
fn a_finished_pod_that_is_being_deleted_and_has_no_task_is_deleted() {
    // test/sim, seed 108: its executor died between the last status and the deletion.
    let deleting = r#","deletionTimestamp":"2026-11-21T22:00:00Z","deletionGracePeriodSeconds":2"#;
    let mut world = World::settled(&[], vec![]);
    world.check(
        vec![(1, "pod", pod("p1", deleting, ON_N1, "Failed"))],
        expect![[r#"
        -- 1s pod
        delete pods p1 
    "#]],
    );
}

#[test]
fn an_unreachable_task_that_nobody_wants_is_not_killed_again_and_again() {
    // test/sim, seed 46: the master answers such a KILL with the same update.
    let mut world = World::settled(&[], vec![]);
    let unreachable = update("p1.0.1", TaskState::Unreachable, Source::Master, None);
    world.check(
        vec![(1, "unreachable", unreachable)],
        expect![[r#"
        -- 1s unreachable
    "#]],
    );
}

#[test]
fn a_reason_whose_write_was_lost_is_written_again() {
    // test/sim, seed 94: the scheduler tells a reason only when it changes.
    let mut world = World::settled(&[pod("p1", "", "", "Pending")], vec![]);
    let reason = Purpose::Reason(Uid("p1".into()));
    let why = || Event::Unschedulable {
        uid: Uid("p1".into()),
        key: ObjectKey::namespaced("d", "p1"),
        reason: "0/1 agents fit: 1 offers 1 cpu of 2 asked".into(),
    };
    world.at(1, why());
    world.at(1, written(reason.clone(), Err(Status::unavailable("lost"))));
    world.shown.clear();
    world.at(40, Event::Tick);
    assert!(world.shown.contains("patch pods p1/status"), "{}", world.shown);
    world.at(40, written(reason, ok()));
    world.shown.clear();
    world.at(90, Event::Tick);
    assert!(!world.shown.contains("patch pods"), "{}", world.shown);
}
