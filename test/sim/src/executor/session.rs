//! An executor's session with its agent: subscribing, and again whenever the connection ends; calls and updates, and
//! what of them is not acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use km_core_mesos::agent::StreamId;
use km_lifecycle::TaskUpdate;
use km_mesos::executor::{Call, Event as MesosEvent, call, event};
use km_mesos::{TaskId, TaskInfo, TaskState, TaskStatus, task_status};
use km_podwire::{LaunchData, StatusData};

use super::ExecutorInput;
use crate::world::{Input, Line, World};

/// Wait between attempts to subscribe; drive/executor's.
const SUBSCRIBE_EVERY: Duration = Duration::from_millis(300);

/// What Mesos has not acknowledged; see drive/executor's ledger.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) tasks: BTreeMap<String, TaskInfo>,
    pub(super) fresh: BTreeSet<String>,
    pub(super) updates: Vec<TaskStatus>,
}

impl Ledger {
    pub(super) fn acknowledged(&mut self, task_id: &str, uuid: &Bytes) {
        self.fresh.remove(task_id);
        let tasks = &mut self.tasks;
        self.updates.retain(|status| {
            let is_it = status.task_id.value == task_id && status.uuid.as_ref() == Some(uuid);
            if is_it && status.known_state().is_some_and(TaskState::is_terminal) {
                tasks.remove(task_id);
            }
            !is_it
        });
    }
}

impl World {
    pub(super) fn executor_subscribed(&mut self, host: usize, id: u64, stream: StreamId) {
        let Some(executor) = self.executor(host, id) else { return };
        executor.stream = Some(stream);
        for status in std::mem::take(&mut executor.unsent) {
            self.executor_calls(host, id, call::Type::Update, |c| c.update = Some(call::Update { status }));
        }
    }

    pub(super) fn executor_reconnect(&mut self, host: usize, id: u64) {
        let Some(executor) = self.executor(host, id) else { return };
        if executor.ending.is_none() || executor.stream.is_some() {
            executor.stream = None;
            self.post_executor(SUBSCRIBE_EVERY, host, id, ExecutorInput::Subscribe);
        }
    }

    pub(super) fn executor_subscribe(&mut self, host: usize, id: u64) {
        let Some(executor) = self.executor(host, id) else { return };
        if executor.stream.is_some() {
            return;
        }
        executor.unsent.clear();
        let tasks = executor.ledger.fresh.iter().filter_map(|id| executor.ledger.tasks.get(id)).cloned();
        let subscribe = call::Subscribe {
            unacknowledged_tasks: tasks.collect(),
            unacknowledged_updates: executor
                .ledger
                .updates
                .iter()
                .map(|status| call::Update { status: status.clone() })
                .collect(),
        };
        self.executor_calls(host, id, call::Type::Subscribe, |call| call.subscribe = Some(subscribe));
    }

    pub(super) fn executor_calls(&mut self, host: usize, id: u64, kind: call::Type, fill: impl FnOnce(&mut Call)) {
        let Some(executor) = self.executor(host, id) else { return };
        let mut call = Call {
            executor_id: executor.executor_id.clone(),
            framework_id: executor.framework_id.clone(),
            r#type: Some(kind as i32),
            ..Call::default()
        };
        fill(&mut call);
        let life = self.hosts[host].agent.life;
        self.send(Line::ExecutorCalls(id), Input::AgentCall { host, life, executor: id, call: Box::new(call) });
    }

    pub(super) fn executor_hears(&mut self, host: usize, id: u64, event: MesosEvent) {
        let Some(executor) = self.executor(host, id) else { return };
        match event.r#type() {
            event::Type::Launch => {
                let Some(launch) = event.launch else { return };
                let task_id = launch.task.task_id.value.clone();
                executor.ledger.fresh.insert(task_id.clone());
                executor.ledger.tasks.insert(task_id.clone(), launch.task.clone());
                match LaunchData::decode(launch.task.data.as_deref().unwrap_or_default()) {
                    Ok(data) => self.executor_launch(host, id, task_id, data),
                    Err(error) => self.fail(format!("an executor cannot read a task's data: {error}")),
                }
            }
            event::Type::Kill => {
                let Some(kill) = event.kill else { return };
                let grace = kill.kill_policy.and_then(|policy| policy.grace_period);
                let grace = grace.map(|g| Duration::from_nanos(u64::try_from(g.nanoseconds).unwrap_or(0)));
                self.executor_kill(host, id, &kill.task_id.value, grace);
            }
            event::Type::Acknowledged => {
                if let Some(acknowledged) = event.acknowledged {
                    executor.ledger.acknowledged(&acknowledged.task_id.value, &acknowledged.uuid);
                }
            }
            event::Type::Shutdown => self.executor_begins_end(host, id),
            _ => {}
        }
    }

    pub(super) fn executor_updates(&mut self, host: usize, id: u64, task_id: &str, update: &TaskUpdate) {
        let data = StatusData { version: km_podwire::VERSION, phase: update.phase.clone(), ..StatusData::default() };
        let status = TaskStatus {
            task_id: TaskId::new(task_id),
            state: update.state as i32,
            message: (!update.message.is_empty()).then(|| update.message.clone()),
            source: Some(task_status::Source::Executor as i32),
            reason: update.reason.map(|reason| reason as i32),
            data: Some(Bytes::from(data.encode())),
            uuid: Some(Bytes::copy_from_slice(&self.dice.bytes()[..16])),
            healthy: update.healthy,
            ..TaskStatus::default()
        };
        self.trace(|| format!("executor {host}/{id} tells {task_id} {} {}", update.state, update.message));
        let Some(executor) = self.executor(host, id) else { return };
        executor.ledger.updates.push(status.clone());
        if executor.stream.is_some() {
            self.executor_calls(host, id, call::Type::Update, |call| call.update = Some(call::Update { status }));
        } else {
            executor.unsent.push(status);
        }
    }
}
