//! The master by what it does after each event; the scenario against a real Mesos is in test/mesos-contract.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use km_base::Timestamp;
use km_mesos::framework_info::{Capability, capability};
use km_mesos::resource::ReservationInfo;
use km_mesos::resources::{Milli, Resources, scalar};
use km_mesos::scheduler::{Call, call};
use km_mesos::{
    AgentId, AgentInfo, CommandInfo, ExecutorId, ExecutorInfo, Filters, FrameworkId, FrameworkInfo, MasterInfo,
    OfferId, Resource, TaskId, TaskInfo, TaskState, TaskStatus, executor_info, master, offer,
};

use super::{Action, Answer, Event, Master, RequestId, Settings, StreamId};
use crate::link::{LinkId, Registration, RunningExecutor, ToAgent, ToMaster};

struct World {
    master: Master,
    now: Timestamp,
    streams: u32,
    stream: Option<StreamId>,
    /// Offers seen and not used, newest last.
    offers: Vec<km_mesos::Offer>,
}

fn settings(known_agents: Vec<AgentInfo>) -> Settings {
    Settings {
        info: MasterInfo { id: "M".to_owned(), ..MasterInfo::default() },
        started: Timestamp::from_secs(1_000),
        seed: 1,
        heartbeat_interval: Duration::from_secs(15),
        allocation_interval: Duration::from_secs(1),
        agent_timeout: Duration::from_secs(75),
        reregister_timeout: Duration::from_secs(600),
        weights: BTreeMap::new(),
        known_agents,
    }
}

impl World {
    fn new() -> Self {
        Self::knowing(Vec::new())
    }

    fn knowing(known_agents: Vec<AgentInfo>) -> Self {
        let master = Master::new(settings(known_agents));
        Self { master, now: Timestamp::from_secs(1_000), streams: 0, stream: None, offers: Vec::new() }
    }

    /// A subscribed framework `f`, one agent `M-S0`, and the offer of it.
    fn ready() -> Self {
        let mut world = Self::new();
        world.subscribe("f");
        world.register(0, registration(None));
        assert_eq!(world.offers.len(), 1);
        world
    }

    fn step(&mut self, event: Event) -> Vec<String> {
        let mut out = Vec::new();
        self.master.step(self.now, event, &mut out);
        for action in &out {
            if let Action::ToScheduler { event, .. } = action {
                self.offers.extend(event.offers.iter().flat_map(|offers| offers.offers.clone()));
            }
        }
        out.iter().filter(|action| !matches!(action, Action::SaveAgents(_))).map(show).collect()
    }

    fn subscribe(&mut self, id: &str) -> Vec<String> {
        let capability = |kind: capability::Type| Capability { r#type: Some(kind as i32) };
        let framework_info = FrameworkInfo {
            user: "root".to_owned(),
            name: "n".to_owned(),
            id: Some(FrameworkId::new(id)),
            roles: vec!["*".to_owned()],
            failover_timeout: Some(60.0),
            capabilities: vec![capability(capability::Type::MultiRole), capability(capability::Type::PartitionAware)],
            ..FrameworkInfo::default()
        };
        let subscribe = call::Subscribe { framework_info, ..call::Subscribe::default() };
        self.streams += 1;
        let fresh = StreamId(format!("s{}", self.streams));
        let call = Call {
            r#type: Some(call::Type::Subscribe as i32),
            framework_id: Some(FrameworkId::new(id)),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        let shown =
            self.step(Event::Call { request: RequestId(0), stream: None, fresh: fresh.clone(), call: Box::new(call) });
        self.stream = Some(fresh);
        shown
    }

    fn call(&mut self, kind: call::Type, fill: impl FnOnce(&mut Call)) -> Vec<String> {
        let mut call = Call { r#type: Some(kind as i32), framework_id: Some(FrameworkId::new("f")), ..Call::default() };
        fill(&mut call);
        let (stream, fresh) = (self.stream.clone(), StreamId("unused".to_owned()));
        self.step(Event::Call { request: RequestId(0), stream, fresh, call: Box::new(call) })
    }

    fn register(&mut self, link: u64, registration: Registration) -> Vec<String> {
        self.step(Event::FromAgent { link: LinkId(link), message: ToMaster::Register(Box::new(registration)) })
    }

    fn accept(&mut self, operations: Vec<offer::Operation>) -> Vec<String> {
        let offer = self.offers.pop().expect("an offer");
        self.accept_offer(offer.id, operations)
    }

    fn accept_offer(&mut self, id: OfferId, operations: Vec<offer::Operation>) -> Vec<String> {
        let filters = Some(Filters { refuse_seconds: Some(0.0) });
        let accept = call::Accept { offer_ids: vec![id], operations, filters };
        self.call(call::Type::Accept, |call| call.accept = Some(accept))
    }

    fn update(&mut self, task: &str, state: TaskState, uuid: u8) -> Vec<String> {
        let status = TaskStatus {
            task_id: TaskId::new(task),
            state: state as i32,
            uuid: Some(Bytes::from(vec![uuid; 16])),
            ..TaskStatus::default()
        };
        let framework_id = FrameworkId::new("f");
        let message = ToMaster::StatusUpdate { framework_id, status: Box::new(status), latest_state: state as i32 };
        self.step(Event::FromAgent { link: LinkId(0), message })
    }

    fn used_cpus(&self) -> Milli {
        let call = master::Call { r#type: Some(master::call::Type::GetAgents as i32), ..master::Call::default() };
        let agents = self.master.answer(&call).and_then(|answer| answer.get_agents).expect("agents").agents;
        Resources::from_messages(&agents[0].allocated_resources).scalar("cpus")
    }

    fn reconcile(&mut self, task: &str, agent: Option<&str>) -> Vec<String> {
        let asked = call::reconcile::Task { task_id: TaskId::new(task), agent_id: agent.map(AgentId::new) };
        let mut shown =
            self.call(call::Type::Reconcile, |call| call.reconcile = Some(call::Reconcile { tasks: vec![asked] }));
        shown.remove(0);
        shown
    }
}

fn registration(id: Option<&str>) -> Registration {
    Registration {
        info: AgentInfo { hostname: "h".to_owned(), id: id.map(AgentId::new), ..AgentInfo::default() },
        pid: "slave(1)@127.0.0.1:5051".to_owned(),
        total: vec![scalar("cpus", Milli(4_000)), scalar("mem", Milli(4_096_000))],
        tasks: Vec::new(),
        executors: Vec::new(),
        frameworks: Vec::new(),
    }
}

fn task(name: &str, cpus: i64) -> TaskInfo {
    let resources = |cpus: i64| vec![scalar("cpus", Milli(cpus)), scalar("mem", Milli(32_000))];
    TaskInfo {
        task_id: TaskId::new(name),
        agent_id: AgentId::new("M-S0"),
        resources: resources(cpus),
        executor: Some(ExecutorInfo {
            r#type: Some(executor_info::Type::Custom as i32),
            executor_id: ExecutorId::new("e"),
            framework_id: Some(FrameworkId::new("f")),
            command: Some(CommandInfo::default()),
            resources: resources(500),
            ..ExecutorInfo::default()
        }),
        ..TaskInfo::default()
    }
}

fn launch(task_infos: Vec<TaskInfo>) -> Vec<offer::Operation> {
    vec![offer::Operation {
        r#type: Some(offer::operation::Type::Launch as i32),
        launch: Some(offer::operation::Launch { task_infos }),
        ..offer::Operation::default()
    }]
}

fn show(action: &Action) -> String {
    match action {
        Action::Answer { answer: Answer::Subscribed(_), .. } => "answer: subscribed".to_owned(),
        Action::Answer { answer: Answer::Rejected(text), .. } => format!("answer: 400 {text}"),
        Action::Answer { answer, .. } => format!("answer: {answer:?}"),
        Action::ToScheduler { event, stream } => {
            if let Some(update) = &event.update {
                let status = &update.status;
                let reason = status.reason.map(|_| status.reason().wire_name()).unwrap_or("-");
                return format!("update: {} {} {reason}", status.task_id, status.known_state().expect("known"));
            }
            if let Some(offers) = &event.offers {
                let shown = offers.offers.iter().map(|offer| Resources::from_messages(&offer.resources).to_string());
                return format!("offers: {}", shown.collect::<Vec<_>>().join(" | "));
            }
            let text = event.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
            format!("{}: {} {text}", stream.0, event.r#type()).trim_end().to_owned()
        }
        Action::ToOperator { event, .. } => format!("operator: {}", event.r#type()),
        Action::ToOperators(event) => format!("operators: {}", event.r#type()),
        Action::CloseStream(stream) => format!("close {}", stream.0),
        Action::ToAgent { message, .. } => match message {
            ToAgent::Registered { agent_id } => format!("agent: registered {agent_id}"),
            ToAgent::RunTask { task, .. } => format!("agent: run {}", task.task_id),
            ToAgent::KillTask { task_id, .. } => format!("agent: kill {task_id}"),
            ToAgent::Acknowledge { task_id, .. } => format!("agent: acknowledge {task_id}"),
            ToAgent::ShutdownFramework { framework_id } => format!("agent: shutdown {framework_id}"),
            ToAgent::SetTotal { total } => format!("agent: total {}", Resources::from_messages(total)),
            other => format!("agent: {other:?}"),
        },
        Action::SaveAgents(agents) => format!("save {}", agents.len()),
    }
}

#[test]
fn subscribe_and_registration_bring_an_offer_at_once() {
    let mut world = World::new();
    assert_eq!(world.subscribe("f"), ["answer: subscribed", "s1: SUBSCRIBED", "s1: HEARTBEAT"]);
    assert_eq!(
        world.register(0, registration(None)),
        ["agent: registered M-S0", "offers: cpus(allocated: *):4; mem(allocated: *):4096"]
    );
}

#[test]
fn the_first_task_pays_for_its_executor_and_the_rest_is_offered_again() {
    let mut world = World::ready();
    assert_eq!(
        world.accept(launch(vec![task("t1", 1_000), task("t2", 1_000)])),
        ["answer: Accepted", "agent: run t1", "agent: run t2"]
    );
    assert_eq!(world.used_cpus(), Milli(2_500));
    world.now = world.now + Duration::from_secs(1);
    assert_eq!(world.step(Event::Tick), ["offers: cpus(allocated: *):1.5; mem(allocated: *):4000"]);
    assert_eq!(world.offers[0].executor_ids, [ExecutorId::new("e")]);
}

#[test]
fn a_terminal_update_frees_resources_at_once_and_the_task_stays_until_acknowledged() {
    let mut world = World::ready();
    world.accept(launch(vec![task("t1", 3_000)]));
    assert_eq!(
        world.update("t1", TaskState::Finished, 1),
        ["update: t1 TASK_FINISHED -", "offers: cpus(allocated: *):3.5; mem(allocated: *):4064"]
    );
    assert_eq!(world.used_cpus(), Milli(500));
    assert_eq!(world.reconcile("t1", None), ["update: t1 TASK_FINISHED REASON_RECONCILIATION"]);
    let again = world.accept(launch(vec![task("t1", 100)]));
    assert_eq!(again[1], "update: t1 TASK_ERROR REASON_TASK_INVALID");
    let acknowledge = call::Acknowledge {
        agent_id: AgentId::new("M-S0"),
        task_id: TaskId::new("t1"),
        uuid: Bytes::from(vec![1; 16]),
    };
    let shown = world.call(call::Type::Acknowledge, |call| call.acknowledge = Some(acknowledge));
    assert_eq!(shown[..2], ["answer: Accepted", "agent: acknowledge t1"]);
    assert_eq!(world.reconcile("t1", None), ["update: t1 TASK_UNKNOWN REASON_RECONCILIATION"]);
}

#[test]
fn invalid_offers_drop_all_tasks_of_the_call() {
    let mut world = World::ready();
    world.accept(Vec::new());
    let dropped = [
        "answer: Accepted",
        "update: t1 TASK_DROPPED REASON_INVALID_OFFERS",
        "update: t2 TASK_DROPPED REASON_INVALID_OFFERS",
    ];
    assert_eq!(world.accept_offer(OfferId::new("M-O0"), launch(vec![task("t1", 1), task("t2", 1)])), dropped);
}

#[test]
fn a_bad_task_does_not_hurt_the_good_one() {
    let mut world = World::ready();
    let mut limited = task("limited", 100);
    limited.limits.insert("cpus".to_owned(), km_mesos::value::Scalar { value: 0.05 });
    let mut odd = task("odd", 100);
    odd.limits.insert("disk".to_owned(), km_mesos::value::Scalar { value: 1.0 });
    let mut free = task("free", 100);
    free.limits.insert("cpus".to_owned(), km_mesos::value::Scalar { value: f64::INFINITY });
    let shown = world.accept(launch(vec![task("big", 99_000), limited, odd, task("", 1), free, task("good", 100)]));
    let error = |name: &str| format!("update: {name} TASK_ERROR REASON_TASK_INVALID");
    assert_eq!(
        shown[1..],
        [
            error("big"),
            error("limited"),
            error("odd"),
            error(""),
            "agent: run free".to_owned(),
            "agent: run good".to_owned()
        ]
    );
}

#[test]
fn reserve_and_unreserve_change_offer_and_agent() {
    let mut world = World::ready();
    let reservation = ReservationInfo { role: Some("x".to_owned()), ..ReservationInfo::default() };
    let reserved = Resource { reservations: vec![reservation], ..scalar("cpus", Milli(1_000)) };
    let reserve = offer::Operation {
        r#type: Some(offer::operation::Type::Reserve as i32),
        reserve: Some(offer::operation::Reserve { resources: vec![reserved], ..Default::default() }),
        ..offer::Operation::default()
    };
    let shown = world.accept(vec![reserve]);
    assert_eq!(shown[1], "agent: total cpus:3; mem:4096; cpus(reserved: x):1");
    world.now = world.now + Duration::from_secs(1);
    // The framework's role is `*`, so it does not see what is reserved for another.
    assert_eq!(world.step(Event::Tick), ["offers: cpus(allocated: *):3; mem(allocated: *):4096"]);
}

#[test]
fn another_scheduler_takes_over_and_the_old_stream_is_told() {
    let mut world = World::ready();
    world.accept(launch(vec![task("t1", 1_000)]));
    let old = world.stream.clone();
    let shown = world.subscribe("f");
    assert_eq!(shown[..3], ["answer: subscribed", "s1: ERROR Framework failed over", "close s1"]);
    assert!(shown[3].starts_with("agent: UpdateFramework"), "{shown:?}");
    assert_eq!(shown[4..6], ["s2: SUBSCRIBED", "s2: HEARTBEAT"]);
    let current = world.stream.clone();
    world.stream = old;
    let refused = world.call(call::Type::Revive, |_| {});
    assert!(
        refused[0].starts_with("answer: 400 The stream ID 's1' included in this request didn't match"),
        "{refused:?}"
    );
    world.stream = current;
    assert_eq!(world.reconcile("t1", None), ["update: t1 TASK_STAGING REASON_RECONCILIATION"]);
}

#[test]
fn a_framework_that_stays_away_is_removed_with_its_tasks() {
    let mut world = World::ready();
    world.accept(launch(vec![task("t1", 1_000)]));
    let stream = world.stream.clone().expect("subscribed");
    assert_eq!(world.step(Event::StreamClosed(stream)), [""; 0]);
    world.now = world.now + Duration::from_secs(59);
    assert_eq!(world.step(Event::Tick), [""; 0]);
    world.now = world.now + Duration::from_secs(1);
    assert_eq!(world.step(Event::Tick), ["agent: shutdown f"]);
    assert_eq!(world.used_cpus(), Milli(0));
    let shown = world.subscribe("f");
    assert_eq!(shown, ["answer: subscribed", "s2: ERROR Framework has been removed", "close s2"]);
}

#[test]
fn a_lost_agent_is_unreachable_and_its_return_brings_the_tasks_back() {
    let mut world = World::ready();
    world.accept(launch(vec![task("t1", 1_000)]));
    world.update("t1", TaskState::Running, 1);
    world.now = world.now + Duration::from_secs(1);
    world.step(Event::Tick);
    assert_eq!(world.step(Event::LinkDown(LinkId(0))), ["s1: RESCIND"]);
    assert_eq!(world.reconcile("t1", None), ["update: t1 TASK_RUNNING REASON_RECONCILIATION"]);
    world.now = world.now + Duration::from_secs(75);
    let lost = ["s1: HEARTBEAT", "update: t1 TASK_UNREACHABLE REASON_AGENT_REMOVED", "s1: FAILURE"];
    assert_eq!(world.step(Event::Tick), lost);
    assert_eq!(world.reconcile("t1", None), ["update: t1 TASK_UNKNOWN REASON_RECONCILIATION"]);
    assert_eq!(world.reconcile("t1", Some("M-S0")), ["update: t1 TASK_UNREACHABLE REASON_RECONCILIATION"]);

    let mut back = registration(Some("M-S0"));
    back.tasks = vec![km_mesos::Task {
        task_id: TaskId::new("t1"),
        framework_id: FrameworkId::new("f"),
        agent_id: AgentId::new("M-S0"),
        state: TaskState::Running as i32,
        resources: task("t1", 1_000).resources,
        ..km_mesos::Task::default()
    }];
    back.executors =
        vec![RunningExecutor { framework_id: FrameworkId::new("f"), info: task("t1", 0).executor.expect("one") }];
    world.register(1, back);
    assert_eq!(world.used_cpus(), Milli(1_500));
    assert_eq!(world.reconcile("t1", None), ["update: t1 TASK_RUNNING REASON_RECONCILIATION"]);
}

#[test]
fn a_launch_lost_on_the_way_is_dropped_when_the_agent_returns() {
    let mut world = World::ready();
    world.accept(launch(vec![task("t1", 1_000)]));
    world.step(Event::LinkDown(LinkId(0)));
    let shown = world.register(1, registration(Some("M-S0")));
    assert!(shown.contains(&"update: t1 TASK_DROPPED REASON_RECONCILIATION".to_owned()), "{shown:?}");
    assert_eq!(world.used_cpus(), Milli(0));
}

#[test]
fn a_restarted_master_keeps_silent_about_agents_that_it_expects() {
    let known = AgentInfo { id: Some(AgentId::new("old-S0")), ..AgentInfo::default() };
    let mut world = World::knowing(vec![known]);
    world.subscribe("f");
    assert_eq!(world.reconcile("t", None), [""; 0]);
    assert_eq!(world.reconcile("t", Some("old-S0")), [""; 0]);
    assert_eq!(world.reconcile("t", Some("bogus")), ["update: t TASK_UNKNOWN REASON_RECONCILIATION"]);
    world.register(0, registration(Some("old-S0")));
    assert_eq!(world.reconcile("t", None), ["update: t TASK_UNKNOWN REASON_RECONCILIATION"]);
    assert_eq!(world.reconcile("t", Some("old-S0")), ["update: t TASK_GONE REASON_RECONCILIATION"]);
}

#[test]
fn every_malformed_call_is_refused_in_the_words_of_mesos() {
    let mut world = World::ready();
    let prefix = "answer: 400 Failed to validate scheduler::Call: ";
    for (kind, field) in [
        (call::Type::Accept, "accept"),
        (call::Type::Decline, "decline"),
        (call::Type::Kill, "kill"),
        (call::Type::Shutdown, "shutdown"),
        (call::Type::Acknowledge, "acknowledge"),
        (call::Type::Reconcile, "reconcile"),
        (call::Type::Message, "message"),
        (call::Type::Request, "request"),
        (call::Type::UpdateFramework, "update_framework"),
        (call::Type::Unknown, "type"),
    ] {
        assert_eq!(world.call(kind, |_| {}), [format!("{prefix}Expecting '{field}' to be present")]);
    }
    assert_eq!(
        world.call(call::Type::Revive, |call| call.framework_id = None),
        [format!("{prefix}Expecting 'framework_id' to be present")]
    );
    let stranger = |call: &mut Call| call.framework_id = Some(FrameworkId::new("nobody"));
    assert_eq!(world.call(call::Type::Revive, stranger), ["answer: 400 Framework cannot be found"]);
    world.stream = None;
    let missing = "answer: 400 All non-subscribe calls should include the 'Mesos-Stream-Id' header";
    assert_eq!(world.call(call::Type::Revive, |_| {}), [missing]);
}

#[test]
fn operators_hear_what_changes() {
    let mut world = World::new();
    assert_eq!(
        world.step(Event::OperatorSubscribed(StreamId("o".to_owned()))),
        ["operator: SUBSCRIBED", "operator: HEARTBEAT"]
    );
    assert!(world.subscribe("f").contains(&"operators: FRAMEWORK_ADDED".to_owned()));
    assert!(world.register(0, registration(None)).contains(&"operators: AGENT_ADDED".to_owned()));
    assert!(world.accept(launch(vec![task("t1", 100)])).contains(&"operators: TASK_ADDED".to_owned()));
    assert!(world.update("t1", TaskState::Running, 1).contains(&"operators: TASK_UPDATED".to_owned()));
    assert!(world.call(call::Type::Teardown, |_| {}).contains(&"operators: FRAMEWORK_REMOVED".to_owned()));
}

#[test]
fn agents_are_kept_when_they_come_first_and_when_they_are_gone_for_good() {
    let mut world = World::new();
    let saved = |master: &mut Master, event: Event| {
        let mut out = Vec::new();
        master.step(Timestamp::from_secs(1_000), event, &mut out);
        out.iter()
            .filter_map(|action| if let Action::SaveAgents(kept) = action { Some(kept.len()) } else { None })
            .collect::<Vec<_>>()
    };
    let register = |link: u64, id: Option<&str>| {
        let message = ToMaster::Register(Box::new(registration(id)));
        Event::FromAgent { link: LinkId(link), message }
    };
    assert_eq!(saved(&mut world.master, register(0, None)), [1]);
    assert_eq!(saved(&mut world.master, register(1, Some("M-S0"))), [0; 0]);
    assert_eq!(saved(&mut world.master, register(2, None)), [2]);
    let call = master::Call {
        r#type: Some(master::call::Type::MarkAgentGone as i32),
        mark_agent_gone: Some(master::call::MarkAgentGone { agent_id: AgentId::new("M-S0") }),
        ..master::Call::default()
    };
    assert_eq!(saved(&mut world.master, Event::Operate { request: RequestId(0), call: Box::new(call) }), [1]);
}
