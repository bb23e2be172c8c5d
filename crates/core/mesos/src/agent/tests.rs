//! The agent by what it does after each event.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use km_base::Timestamp;
use km_mesos::executor::{Call, call};
use km_mesos::framework_info::{Capability, capability};
use km_mesos::resources::{Milli, scalar};
use km_mesos::{
    AgentId, AgentInfo, CommandInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo, TaskState,
    TaskStatus,
};

use super::{Action, Agent, Answer, Event, Process, Record, RequestId, Settings, StreamId};
use crate::link::{ToAgent, ToMaster};

struct World {
    agent: Agent,
    now: Timestamp,
    records: Vec<Record>,
    uuid: u8,
}

fn settings() -> Settings {
    Settings {
        info: AgentInfo {
            hostname: "h".to_owned(),
            resources: vec![scalar("cpus", Milli(4_000)), scalar("mem", Milli(4_000_000))],
            ..AgentInfo::default()
        },
        pid: "slave(1)@127.0.0.1:5051".to_owned(),
        ip: "127.0.0.1".to_owned(),
        version: "1.11.0".to_owned(),
        flags: Vec::new(),
        seed: 7,
        executor_registration_timeout: Duration::from_secs(60),
        executor_reregistration_timeout: Duration::from_secs(15),
        executor_shutdown_grace_period: Duration::from_secs(5),
        update_retry_min: Duration::from_secs(10),
        update_retry_max: Duration::from_secs(600),
    }
}

fn framework() -> FrameworkInfo {
    FrameworkInfo {
        id: Some(FrameworkId::new("f")),
        checkpoint: Some(true),
        capabilities: vec![Capability { r#type: Some(capability::Type::PartitionAware as i32) }],
        ..FrameworkInfo::default()
    }
}

fn executor() -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId::new("e"),
        framework_id: Some(FrameworkId::new("f")),
        command: Some(CommandInfo { value: Some("x".to_owned()), ..CommandInfo::default() }),
        resources: vec![scalar("mem", Milli(32_000))],
        ..ExecutorInfo::default()
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            agent: Agent::new(settings(), Vec::new()),
            now: Timestamp::from_secs(1_000),
            records: Vec::new(),
            uuid: 0,
        };
        world.step(Event::Started { alive: BTreeSet::new() });
        world.step(Event::LinkUp);
        world.step(Event::FromMaster(ToAgent::Registered { agent_id: AgentId::new("S0") }));
        world
    }

    /// Replaces the agent by one that has only what was written down.
    fn restart(&mut self, is_executor_alive: bool) -> Vec<String> {
        self.agent = Agent::new(settings(), self.records.clone());
        // A snapshot is as good as the journal.
        let again = Agent::new(settings(), self.agent.snapshot());
        assert_eq!(again.snapshot(), self.agent.snapshot());
        let containers = self.agent.recovered_containers();
        let alive = containers.into_iter().filter(|_| is_executor_alive).map(|found| found.container_id).collect();
        let mut shown = self.step(Event::Started { alive });
        shown.extend(self.step(Event::LinkUp));
        shown.extend(self.step(Event::FromMaster(ToAgent::Registered { agent_id: AgentId::new("S0") })));
        shown
    }

    fn step(&mut self, event: Event) -> Vec<String> {
        let mut out = Vec::new();
        self.agent.step(self.now, event, &mut out);
        let mut shown = Vec::new();
        for action in out {
            if let Action::Checkpoint(record) = action {
                self.records.push(record);
            } else {
                shown.push(show(&action));
            }
        }
        shown
    }

    fn run(&mut self, task: &str) -> Vec<String> {
        let task = TaskInfo {
            task_id: TaskId::new(task),
            agent_id: AgentId::new("S0"),
            resources: vec![scalar("mem", Milli(64_000))],
            executor: Some(executor()),
            ..TaskInfo::default()
        };
        let message =
            ToAgent::RunTask { framework: Box::new(framework()), executor: Box::new(executor()), task: Box::new(task) };
        self.step(Event::FromMaster(message))
    }

    fn container(&self) -> String {
        self.agent.recovered_containers().first().expect("a container").container_id.clone()
    }

    fn forked(&mut self) -> Vec<String> {
        let container_id = self.container();
        self.step(Event::Forked { container_id, process: Process { pid: 42, start_ticks: 1 } })
    }

    fn call(&mut self, call: Call) -> Vec<String> {
        let call = Call { framework_id: FrameworkId::new("f"), executor_id: ExecutorId::new("e"), ..call };
        self.uuid += 1;
        let fresh = StreamId(format!("s{}", self.uuid));
        self.step(Event::Call { request: RequestId(0), fresh, call: Box::new(call) })
    }

    fn subscribe(&mut self, unacknowledged: &[&str]) -> Vec<String> {
        let task = |name: &&str| TaskInfo { task_id: TaskId::new(*name), ..TaskInfo::default() };
        let subscribe =
            call::Subscribe { unacknowledged_tasks: unacknowledged.iter().map(task).collect(), ..Default::default() };
        self.call(Call { r#type: Some(call::Type::Subscribe as i32), subscribe: Some(subscribe), ..Call::default() })
    }

    fn update(&mut self, task: &str, state: TaskState, uuid: u8) -> Vec<String> {
        let status = TaskStatus {
            task_id: TaskId::new(task),
            state: state as i32,
            uuid: Some(Bytes::from(vec![uuid; 16])),
            ..TaskStatus::default()
        };
        self.call(Call {
            r#type: Some(call::Type::Update as i32),
            update: Some(call::Update { status }),
            ..Call::default()
        })
    }

    fn acknowledge(&mut self, task: &str, uuid: u8) -> Vec<String> {
        let message = ToAgent::Acknowledge {
            framework_id: FrameworkId::new("f"),
            task_id: TaskId::new(task),
            uuid: Bytes::from(vec![uuid; 16]),
        };
        self.step(Event::FromMaster(message))
    }

    /// A running executor with one running, acknowledged task.
    fn running() -> Self {
        let mut world = Self::new();
        world.run("t1");
        world.forked();
        world.subscribe(&[]);
        world.update("t1", TaskState::Running, 1);
        world.acknowledge("t1", 1);
        world
    }
}

fn show(action: &Action) -> String {
    match action {
        Action::Answer { answer: Answer::Subscribed(_), .. } => "answer: subscribed".to_owned(),
        Action::Answer { answer, .. } => format!("answer: {answer:?}"),
        Action::ToExecutor { event, .. } => {
            let launch = event.launch.as_ref().map(|launch| launch.task.task_id.value.as_str());
            let kill = event.kill.as_ref().map(|kill| kill.task_id.value.as_str());
            format!("executor: {} {}", event.r#type(), launch.or(kill).unwrap_or_default()).trim_end().to_owned()
        }
        Action::CloseStream(_) => "close".to_owned(),
        Action::ToMaster(ToMaster::StatusUpdate { status, latest_state, .. }) => {
            let reason = status.reason.map(|_| status.reason().wire_name()).unwrap_or_default();
            let latest = TaskState::try_from(*latest_state).expect("known");
            let state = status.known_state().expect("known");
            format!("update: {} {state} {reason} (latest {latest})", status.task_id)
        }
        Action::ToMaster(ToMaster::Register(registration)) => {
            format!("register: {} tasks, {} executors", registration.tasks.len(), registration.executors.len())
        }
        Action::ToMaster(ToMaster::ExecutorExited { status, .. }) => format!("exited: {status}"),
        Action::ToMaster(ToMaster::ExecutorMessage { .. }) => "message".to_owned(),
        Action::Checkpoint(_) => "checkpoint".to_owned(),
        Action::Launch(_) => "launch".to_owned(),
        Action::Release { .. } => "release".to_owned(),
        Action::Update { allowance, .. } => format!("allow: mem {:?}", allowance.mem_limit_mb),
        Action::Destroy { .. } => "destroy".to_owned(),
    }
}

#[test]
fn a_task_waits_for_its_executor_and_reaches_it_after_subscribe() {
    let mut world = World::new();
    assert_eq!(world.run("t1"), ["launch"]);
    assert_eq!(world.run("t2"), ["allow: mem Some(160.0)"]);
    assert_eq!(world.forked(), ["allow: mem Some(160.0)", "release"]);
    assert_eq!(
        world.subscribe(&[]),
        ["answer: subscribed", "executor: SUBSCRIBED", "executor: LAUNCH t1", "executor: LAUNCH t2"]
    );
    assert_eq!(world.run("t3"), ["allow: mem Some(224.0)", "executor: LAUNCH t3"]);
}

#[test]
fn the_pid_is_written_down_before_the_executor_may_run() {
    let mut world = World::new();
    world.run("t1");
    let container_id = world.container();
    let mut out = Vec::new();
    let process = Process { pid: 42, start_ticks: 1 };
    world.agent.step(world.now, Event::Forked { container_id, process }, &mut out);
    assert!(matches!(out.first(), Some(Action::Checkpoint(Record::Forked { .. }))), "{out:?}");
    assert!(matches!(out.last(), Some(Action::Release { .. })), "{out:?}");
}

#[test]
fn updates_go_one_at_a_time_and_are_repeated_until_acknowledged() {
    let mut world = World::new();
    world.run("t1");
    world.forked();
    world.subscribe(&[]);
    let starting = "update: t1 TASK_STARTING  (latest TASK_STARTING)";
    assert_eq!(world.update("t1", TaskState::Starting, 1), [starting, "executor: ACKNOWLEDGED", "answer: Accepted"]);
    let quiet = ["executor: ACKNOWLEDGED", "answer: Accepted"];
    assert_eq!(world.update("t1", TaskState::Starting, 1), quiet, "a duplicate");
    assert_eq!(world.update("t1", TaskState::Running, 2), quiet);
    assert_eq!(world.acknowledge("t1", 9), [""; 0], "a foreign uuid");
    world.now = world.now + Duration::from_secs(9);
    assert_eq!(world.step(Event::Tick), [""; 0]);
    world.now = world.now + Duration::from_secs(1);
    assert_eq!(world.step(Event::Tick), ["update: t1 TASK_STARTING  (latest TASK_RUNNING)"]);
    assert_eq!(world.agent.next_wakeup(), Some(world.now + Duration::from_secs(20)), "the pause doubles");
    assert_eq!(world.acknowledge("t1", 1), ["update: t1 TASK_RUNNING  (latest TASK_RUNNING)"]);
    assert_eq!(world.acknowledge("t1", 2), [""; 0]);
    let finished = world.update("t1", TaskState::Finished, 3);
    assert_eq!(finished[..2], ["update: t1 TASK_FINISHED  (latest TASK_FINISHED)", "allow: mem Some(32.0)"]);
    world.acknowledge("t1", 3);
    assert!(world.agent.tasks.is_empty());
    assert_eq!(world.update("t1", TaskState::Failed, 4), quiet, "a task that is over");
}

#[test]
fn the_end_of_an_executor_is_reported_before_that_of_its_tasks() {
    let mut world = World::running();
    let container_id = world.container();
    assert_eq!(world.step(Event::Exited { container_id: container_id.clone(), status: 768 }), ["destroy"]);
    let failed = "update: t1 TASK_FAILED REASON_EXECUTOR_TERMINATED (latest TASK_FAILED)";
    assert_eq!(world.step(Event::Destroyed { container_id }), ["close", "exited: 768", failed]);
    // A new task under the same executor id gets a new container.
    assert_eq!(world.run("t2"), ["launch"]);
}

#[test]
fn a_kill_before_delivery_ends_the_task_and_the_idle_executor() {
    let mut world = World::new();
    world.run("t1");
    let kill = ToAgent::KillTask { framework_id: FrameworkId::new("f"), task_id: TaskId::new("t1"), kill_policy: None };
    let killed = "update: t1 TASK_KILLED REASON_TASK_KILLED_DURING_LAUNCH (latest TASK_KILLED)";
    assert_eq!(world.step(Event::FromMaster(kill)), [killed, "allow: mem Some(32.0)", "destroy"]);
    let container_id = world.container();
    // The launch task was faster than the order to destroy.
    assert_eq!(world.forked(), [""; 0]);
    assert_eq!(world.step(Event::Destroyed { container_id }), ["exited: -1"]);
}

#[test]
fn patience_has_an_end() {
    let mut world = World::new();
    world.run("t1");
    world.now = world.now + Duration::from_secs(60);
    assert_eq!(world.step(Event::Tick), ["destroy"]);
    assert_eq!(world.step(Event::Tick), [""; 0]);
    let container_id = world.container();
    let late = world.step(Event::Destroyed { container_id });
    assert_eq!(late[1], "update: t1 TASK_FAILED REASON_EXECUTOR_REGISTRATION_TIMEOUT (latest TASK_FAILED)");

    let mut world = World::running();
    let shutdown = ToAgent::ShutdownExecutor { framework_id: FrameworkId::new("f"), executor_id: ExecutorId::new("e") };
    assert_eq!(world.step(Event::FromMaster(shutdown)), ["executor: SHUTDOWN"]);
    world.now = world.now + Duration::from_secs(5);
    assert_eq!(world.step(Event::Tick), ["destroy"]);
}

#[test]
fn a_failed_launch_says_why() {
    let mut world = World::new();
    world.run("t1");
    let container_id = world.container();
    let shown = world.step(Event::LaunchFailed { container_id, message: "no such file".to_owned() });
    assert_eq!(shown[1], "update: t1 TASK_FAILED REASON_CONTAINER_LAUNCH_FAILED (latest TASK_FAILED)");
}

#[test]
fn a_restart_keeps_a_living_executor_and_delivers_what_waited() {
    let mut world = World::running();
    world.update("t1", TaskState::Running, 5);
    let shown = world.restart(true);
    let running = "update: t1 TASK_RUNNING  (latest TASK_RUNNING)";
    assert_eq!(shown, ["register: 1 tasks, 1 executors", running]);
    assert_eq!(world.run("t2"), ["allow: mem Some(160.0)"]);
    assert_eq!(world.subscribe(&[]), ["answer: subscribed", "executor: SUBSCRIBED", "executor: LAUNCH t2"]);
    assert_eq!(world.agent.id(), Some(&AgentId::new("S0")));
}

#[test]
fn a_restart_drops_a_launch_that_never_arrived() {
    let mut world = World::running();
    world.run("t2");
    world.run("t3");
    world.restart(true);
    let shown = world.subscribe(&["t3"]);
    assert_eq!(
        shown,
        [
            "answer: subscribed",
            "executor: SUBSCRIBED",
            "update: t2 TASK_DROPPED REASON_AGENT_RESTARTED (latest TASK_DROPPED)",
            "allow: mem Some(160.0)"
        ]
    );
}

#[test]
fn a_restart_drops_a_task_whose_executor_was_not_written_down() {
    // test/sim, seed 43: the agent died between two records, and the task was STAGING for ever.
    let mut world = World::new();
    world.run("t1");
    world.records.retain(|record| !matches!(record, Record::Executor { .. }));
    let shown = world.restart(false);
    let dropped = "update: t1 TASK_DROPPED REASON_AGENT_RESTARTED (latest TASK_DROPPED)";
    assert!(shown.iter().any(|line| line == dropped), "{shown:?}");
}

#[test]
fn a_restart_reports_an_executor_that_is_gone_or_stays_away() {
    let mut world = World::running();
    assert_eq!(world.restart(false)[0], "destroy");
    let container_id = world.container();
    let failed = "update: t1 TASK_FAILED REASON_EXECUTOR_TERMINATED (latest TASK_FAILED)";
    assert_eq!(world.step(Event::Destroyed { container_id }), ["exited: -1", failed]);

    let mut world = World::running();
    world.restart(true);
    world.now = world.now + Duration::from_secs(15);
    assert_eq!(world.step(Event::Tick), ["destroy"]);
    let container_id = world.container();
    let gone = "update: t1 TASK_GONE REASON_EXECUTOR_REREGISTRATION_TIMEOUT (latest TASK_GONE)";
    assert_eq!(world.step(Event::Destroyed { container_id }), ["exited: -1", gone]);
}

#[test]
fn a_framework_that_ends_takes_everything_along() {
    let mut world = World::running();
    let shutdown = ToAgent::ShutdownFramework { framework_id: FrameworkId::new("f") };
    assert_eq!(world.step(Event::FromMaster(shutdown)), ["executor: SHUTDOWN"]);
    let quiet = ["executor: ACKNOWLEDGED", "answer: Accepted"];
    assert_eq!(world.update("t1", TaskState::Killed, 9), quiet, "nobody is there to hear it");
    // Even a crash in between does not bring it back.
    assert_eq!(world.restart(true)[0], "destroy");
    let container_id = world.container();
    world.step(Event::Destroyed { container_id });
    assert_eq!(world.agent.snapshot().len(), 1, "only the agent's id is left");
}

#[test]
fn bad_calls_are_refused_in_the_words_of_mesos() {
    let mut world = World::new();
    let mut refused = |call: Call| world.call(call).join(" ");
    assert!(refused(Call::default()).contains("Failed to validate executor::Call: Expecting 'type' to be present"));
    let subscribe = |subscribe| Call { r#type: Some(call::Type::Subscribe as i32), subscribe, ..Call::default() };
    assert!(refused(subscribe(None)).contains("Expecting 'subscribe' to be present"));
    assert!(refused(subscribe(Some(call::Subscribe::default()))).contains("Framework cannot be found"));
    let mut world = World::running();
    let status = TaskStatus { uuid: Some(Bytes::from_static(b"short")), ..TaskStatus::default() };
    let update =
        Call { r#type: Some(call::Type::Update as i32), update: Some(call::Update { status }), ..Call::default() };
    assert!(world.call(update).join(" ").contains("Not a valid UUID"));
}
