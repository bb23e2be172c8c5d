//! An executor that does nothing but follow the protocol: STARTING and RUNNING on LAUNCH, KILLED on KILL, echo on MESSAGE.
//!
//! The message `exit` makes it exit with 3, `children` makes it start processes that ignore their end. It subscribes
//! again whenever its agent is gone, with all that was not acknowledged.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use km_mesos::executor::{Call, Event, call, event};
use km_mesos::{ExecutorId, FrameworkId, TaskId, TaskInfo, TaskState, TaskStatus};
use km_mesos_client::{ExecutorCaller, ExecutorClient};

/// Between two tries to subscribe; an agent waits 2 s at least.
const RETRY: Duration = Duration::from_millis(200);

struct Executor {
    framework_id: FrameworkId,
    executor_id: ExecutorId,
    /// Tasks whose first update is not acknowledged.
    tasks: BTreeMap<TaskId, TaskInfo>,
    running: Vec<TaskId>,
    updates: Vec<TaskStatus>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| name.to_owned());
    let mut executor = Executor {
        framework_id: FrameworkId::new(variable("MESOS_FRAMEWORK_ID")?),
        executor_id: ExecutorId::new(variable("MESOS_EXECUTOR_ID")?),
        tasks: BTreeMap::new(),
        running: Vec::new(),
        updates: Vec::new(),
    };
    let client = ExecutorClient::new(variable("MESOS_AGENT_ENDPOINT")?);
    println!("contract executor {} started", executor.executor_id);
    loop {
        if let Ok(mut session) = client.subscribe(&executor.subscribe()).await {
            let caller = session.caller();
            while let Ok(Some(event)) = session.next().await {
                executor.handle(event, &caller).await;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

impl Executor {
    fn call(&self, kind: call::Type) -> Call {
        Call {
            r#type: Some(kind as i32),
            framework_id: self.framework_id.clone(),
            executor_id: self.executor_id.clone(),
            ..Call::default()
        }
    }

    fn subscribe(&self) -> Call {
        let updates = self.updates.iter().map(|status| call::Update { status: status.clone() });
        let subscribe = call::Subscribe {
            unacknowledged_tasks: self.tasks.values().cloned().collect(),
            unacknowledged_updates: updates.collect(),
        };
        Call { subscribe: Some(subscribe), ..self.call(call::Type::Subscribe) }
    }

    async fn handle(&mut self, event: Event, caller: &ExecutorCaller) {
        match event.r#type() {
            event::Type::Launch => {
                let Some(task) = event.launch.map(|launch| launch.task) else { return };
                let id = task.task_id.clone();
                self.tasks.insert(id.clone(), task);
                self.running.push(id.clone());
                self.update(&id, TaskState::Starting, caller).await;
                self.update(&id, TaskState::Running, caller).await;
            }
            event::Type::Kill => {
                let Some(id) = event.kill.map(|kill| kill.task_id) else { return };
                self.running.retain(|running| *running != id);
                self.update(&id, TaskState::Killed, caller).await;
            }
            event::Type::Acknowledged => {
                let Some(acknowledged) = event.acknowledged else { return };
                self.tasks.remove(&acknowledged.task_id);
                self.updates.retain(|status| status.uuid.as_ref() != Some(&acknowledged.uuid));
            }
            event::Type::Message => {
                let data = event.message.map(|message| message.data).unwrap_or_default();
                self.obey(&data, caller).await;
            }
            event::Type::Shutdown => {
                for id in std::mem::take(&mut self.running) {
                    self.update(&id, TaskState::Killed, caller).await;
                }
                std::process::exit(0);
            }
            _ => {}
        }
    }

    async fn obey(&self, data: &Bytes, caller: &ExecutorCaller) {
        if data.as_ref() == b"exit" {
            std::process::exit(3);
        }
        if data.as_ref() == b"children" {
            // One in our session, one that has left it; both ignore SIGTERM.
            for program in [vec!["sleep", "1000"], vec!["setsid", "sleep", "1000"]] {
                let started = std::process::Command::new(program[0]).args(&program[1..]).stdin(Stdio::null()).spawn();
                drop(started);
            }
        }
        let call = Call { message: Some(call::Message { data: data.clone() }), ..self.call(call::Type::Message) };
        drop(caller.call(&call).await);
    }

    async fn update(&mut self, id: &TaskId, state: TaskState, caller: &ExecutorCaller) {
        let status = TaskStatus {
            task_id: id.clone(),
            state: state as i32,
            uuid: Some(Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes())),
            source: Some(km_mesos::task_status::Source::Executor as i32),
            ..TaskStatus::default()
        };
        self.updates.push(status.clone());
        let call = Call { update: Some(call::Update { status }), ..self.call(call::Type::Update) };
        // Not delivered: it goes with the next SUBSCRIBE.
        drop(caller.call(&call).await);
    }
}
