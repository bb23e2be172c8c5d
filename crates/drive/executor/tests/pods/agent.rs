//! A Mesos agent as one executor sees it: the executor API over HTTP, with a journal of what was said.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use km_mesos::executor::{Call, Event, call, event};
use km_mesos::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo, TaskState, recordio,
};
use km_net::body::{self, Body, BodySender};
use km_podwire::{ExecutorData, LaunchData};
use prost::Message as _;
use tokio::sync::{Mutex as AsyncMutex, watch};

/// A fake agent; clones are the same.
#[derive(Clone)]
pub(crate) struct Agent {
    executor: ExecutorInfo,
    events: Arc<AsyncMutex<Option<BodySender>>>,
    journal: Arc<Mutex<Vec<(String, TaskState, String)>>>,
    subscriptions: Arc<Mutex<Vec<call::Subscribe>>>,
    changed: watch::Sender<u64>,
}

impl Agent {
    pub(crate) fn new(data: &ExecutorData) -> Self {
        let executor = ExecutorInfo {
            executor_id: ExecutorId { value: "e1".into() },
            data: Some(Bytes::from(data.encode())),
            ..ExecutorInfo::default()
        };
        Self {
            executor,
            events: Arc::default(),
            journal: Arc::default(),
            subscriptions: Arc::default(),
            changed: watch::Sender::new(0),
        }
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let bytes = body::read_limited(request.into_body(), 1 << 24).await.expect("executor's call");
        let call = Call::decode(bytes).expect("executor's call is protobuf");
        match call.r#type() {
            call::Type::Subscribe => {
                let (sender, events) = body::channel(64);
                *self.events.lock().await = Some(sender);
                self.subscriptions.lock().unwrap().push(call.subscribe.unwrap_or_default());
                let subscribed = event::Subscribed {
                    executor_info: self.executor.clone(),
                    framework_info: FrameworkInfo::default(),
                    agent_info: AgentInfo::default(),
                    container_id: None,
                };
                self.send(event::Type::Subscribed, |event| event.subscribed = Some(subscribed)).await;
                self.tick();
                Response::builder().header("Content-Type", "application/x-protobuf").body(events).expect("response")
            }
            call::Type::Update => {
                let status = call.update.expect("an UPDATE has one").status;
                let state = status.known_state().expect("a state that Mesos knows");
                let id = status.task_id.value.clone();
                self.journal.lock().unwrap().push((id, state, status.message.clone().unwrap_or_default()));
                let acknowledged =
                    event::Acknowledged { task_id: status.task_id, uuid: status.uuid.expect("executor's UUID") };
                self.send(event::Type::Acknowledged, |event| event.acknowledged = Some(acknowledged)).await;
                self.tick();
                Response::builder().status(StatusCode::ACCEPTED).body(body::empty()).expect("response")
            }
            other => panic!("unexpected call {other:?}"),
        }
    }

    async fn send(&self, kind: event::Type, fill: impl FnOnce(&mut Event)) {
        let mut event = Event { r#type: Some(kind.into()), ..Event::default() };
        fill(&mut event);
        if let Some(sender) = self.events.lock().await.as_mut() {
            // An executor that is gone asks again.
            let _ = sender.send(recordio::encode(&event.encode_to_vec())).await;
        }
    }

    pub(crate) async fn launch(&self, task_id: &str, launch: &LaunchData) {
        let task = TaskInfo {
            name: launch.key.name.clone(),
            task_id: TaskId { value: task_id.into() },
            agent_id: AgentId { value: "a1".into() },
            data: Some(Bytes::from(launch.encode())),
            ..TaskInfo::default()
        };
        self.send(event::Type::Launch, |event| event.launch = Some(event::Launch { task })).await;
    }

    pub(crate) async fn shut_down(&self) {
        self.send(event::Type::Shutdown, |_| {}).await;
    }

    /// Ends the event stream, as a restarting agent does.
    pub(crate) async fn disconnect(&self) {
        self.events.lock().await.take();
    }

    pub(crate) fn subscriptions(&self) -> Vec<call::Subscribe> {
        self.subscriptions.lock().unwrap().clone()
    }

    pub(crate) fn states(&self, task_id: &str) -> Vec<TaskState> {
        let journal = self.journal.lock().unwrap();
        journal.iter().filter(|(id, ..)| id == task_id).map(|(_, state, _)| *state).collect()
    }

    /// Waits until the journal says so.
    pub(crate) async fn wait(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        while !holds(self) {
            changed.changed().await.expect("the sender lives in self");
        }
    }

    fn tick(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    pub(crate) const FRAMEWORK: &str = "f1";

    pub(crate) fn framework_id() -> FrameworkId {
        FrameworkId { value: Self::FRAMEWORK.into() }
    }
}
