//! A Mesos in memory: one agent, whatever offers and updates the test makes, and every call remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use km_framework::{Caller, Mesos, Subscription};
use km_mesos::master::response::{GetAgents, GetExecutors, get_agents};
use km_mesos::ranges::RangeSet;
use km_mesos::resources::{Milli, Resources, ranges, scalar};
use km_mesos::scheduler::{Call, Event, call, event};
use km_mesos::task_status::Source;
use km_mesos::{AgentId, AgentInfo, Offer, OfferId, Resource, TaskId, TaskState, TaskStatus, agent, master, resource};
use tokio::sync::{Notify, mpsc};

use crate::PATIENCE;

type Stream = mpsc::UnboundedSender<Result<Event, String>>;

#[derive(Default)]
pub(crate) struct FakeMesos {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stream: Mutex<Option<Stream>>,
    calls: Mutex<VecDeque<Call>>,
    called: Notify,
}

fn resources() -> Vec<Resource> {
    vec![
        scalar("cpus", Milli(4_000)),
        scalar("mem", Milli(4_096_000)),
        ranges("ports", &RangeSet::from_range(31_000, 32_000)),
    ]
}

impl FakeMesos {
    /// Waits for the next call of a type, passing over others.
    pub(crate) async fn wait_for_call(&self, kind: &str) -> Call {
        let found = async {
            loop {
                let called = self.shared.called.notified();
                {
                    let mut calls = self.shared.calls.lock().unwrap();
                    while let Some(call) = calls.pop_front() {
                        if call.r#type().wire_name() == kind {
                            return call;
                        }
                    }
                }
                called.await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {kind}"))
    }

    pub(crate) fn offer(&self, id: &str) {
        let offer = Offer {
            id: OfferId::new(id),
            agent_id: AgentId::new("a1"),
            hostname: "n1".into(),
            resources: Resources::from_messages(&resources()).allocated_to("*").to_messages(),
            allocation_info: Some(resource::AllocationInfo { role: Some("*".into()) }),
            ..Offer::default()
        };
        let offers = Some(event::Offers { offers: vec![offer] });
        self.shared.send(Event { offers, ..kind(event::Type::Offers) });
    }

    pub(crate) fn update(&self, task_id: &TaskId, state: TaskState) {
        let status = TaskStatus {
            task_id: task_id.clone(),
            state: state as i32,
            source: Some(Source::Executor as i32),
            agent_id: Some(AgentId::new("a1")),
            uuid: Some(format!("{task_id}{state}").into()),
            ..TaskStatus::default()
        };
        self.shared.send(update(status));
    }

    pub(crate) fn error(&self, message: &str) {
        let error = Some(event::Error { message: message.into() });
        self.shared.send(Event { error, ..kind(event::Type::Error) });
    }

    pub(crate) fn break_off(&self) {
        let stream = self.shared.stream.lock().unwrap().take().unwrap();
        stream.send(Err("connection reset".into())).unwrap();
    }
}

impl Shared {
    fn send(&self, event: Event) {
        self.stream.lock().unwrap().as_ref().unwrap().send(Ok(event)).unwrap();
    }

    fn remember(&self, call: Call) {
        self.calls.lock().unwrap().push_back(call);
        self.called.notify_waiters();
    }
}

fn kind(kind: event::Type) -> Event {
    Event { r#type: Some(kind as i32), ..Event::default() }
}

fn update(status: TaskStatus) -> Event {
    Event { update: Some(event::Update { status }), ..kind(event::Type::Update) }
}

impl Mesos for FakeMesos {
    fn subscribe(&self, call: Call) -> BoxFuture<'_, Result<Subscription, String>> {
        let (stream, mut events) = mpsc::unbounded_channel();
        stream.send(Ok(kind(event::Type::Subscribed))).unwrap();
        *self.shared.stream.lock().unwrap() = Some(stream);
        self.shared.remember(call);
        let events = futures::stream::poll_fn(move |cx| events.poll_recv(cx)).boxed();
        let caller = Arc::new(FakeCaller(Arc::clone(&self.shared)));
        async move { Ok(Subscription { events, caller: caller as Arc<dyn Caller> }) }.boxed()
    }

    fn master(&self, call: master::Call) -> BoxFuture<'_, Result<master::Response, String>> {
        let agent = get_agents::Agent {
            agent_info: AgentInfo {
                hostname: "n1".into(),
                id: Some(AgentId::new("a1")),
                resources: resources(),
                ..AgentInfo::default()
            },
            active: true,
            pid: Some("slave(1)@10.0.0.2:5051".into()),
            ..get_agents::Agent::default()
        };
        let answer = if call.r#type() == master::call::Type::GetAgents {
            let get_agents = Some(GetAgents { agents: vec![agent], recovered_agents: vec![] });
            master::Response { get_agents, ..master::Response::default() }
        } else {
            master::Response { get_executors: Some(GetExecutors::default()), ..master::Response::default() }
        };
        async move { Ok(answer) }.boxed()
    }

    fn agent(&self, _address: String, _call: agent::Call) -> BoxFuture<'_, Result<agent::Response, String>> {
        async { Err("not here".to_owned()) }.boxed()
    }
}

struct FakeCaller(Arc<Shared>);

impl Caller for FakeCaller {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<(), String>> {
        // As Mesos: an explicit reconciliation of an unknown task is answered TASK_UNKNOWN.
        for task in call.reconcile.iter().flat_map(|r| &r.tasks) {
            let state = TaskState::Unknown as i32;
            self.0.send(update(TaskStatus { task_id: task.task_id.clone(), state, ..TaskStatus::default() }));
        }
        debug_assert_ne!(call.r#type(), call::Type::Unknown);
        self.0.remember(call);
        async { Ok(()) }.boxed()
    }
}
