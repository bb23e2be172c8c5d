//! Status updates: written down, delivered in order for each task, repeated until acknowledged.
//!
//! Source: Apache Mesos 1.11 src/slave/task_status_update_manager.cpp. An executor's update is acknowledged to the executor
//! once it is written down; the scheduler's own acknowledgement lets the next update of the task through.

use km_base::Timestamp;
use km_mesos::executor::{Event as ExecutorEvent, event};
use km_mesos::framework_info::capability::Type as Capability;
use km_mesos::network_info::IpAddress;
use km_mesos::task_status::Source;
use km_mesos::{ContainerId, ContainerStatus, FrameworkId, NetworkInfo, TaskState, TaskStatus};

use super::{Action, Agent, Ending, ExecutorKey, Record, TaskKey};
use crate::link::ToMaster;
use crate::master::status_seconds;

impl Agent {
    /// Takes an update from an executor.
    pub(super) fn executor_update(
        &mut self,
        now: Timestamp,
        key: &ExecutorKey,
        status: TaskStatus,
        out: &mut Vec<Action>,
    ) {
        let task_id = status.task_id.clone();
        let uuid = status.uuid.clone().unwrap_or_default();
        let status = self.completed_status(now, key, status);
        self.take_update(now, &(key.0.clone(), task_id.clone()), status, out);
        let acknowledged = ExecutorEvent {
            r#type: Some(event::Type::Acknowledged as i32),
            acknowledged: Some(event::Acknowledged { task_id, uuid }),
            ..ExecutorEvent::default()
        };
        self.to_executor(key, acknowledged, out);
    }

    /// Makes an update of the agent's own.
    pub(super) fn agent_update(&mut self, now: Timestamp, task_key: &TaskKey, ending: &Ending, out: &mut Vec<Action>) {
        let executor_id = self.tasks.get(task_key).and_then(|task| task.record.executor_id.clone());
        let status = TaskStatus {
            task_id: task_key.1.clone(),
            state: ending.state as i32,
            source: Some(Source::Agent as i32),
            reason: Some(ending.reason as i32),
            message: Some(ending.message.clone()),
            agent_id: self.info.id.clone(),
            executor_id,
            timestamp: Some(status_seconds(now)),
            uuid: Some(self.uuids.next_bytes()),
            ..TaskStatus::default()
        };
        self.take_update(now, task_key, status, out);
    }

    fn take_update(&mut self, now: Timestamp, task_key: &TaskKey, status: TaskStatus, out: &mut Vec<Action>) {
        if self.frameworks.get(&task_key.0).is_none_or(|framework| framework.is_ending) {
            return;
        }
        let Some(task) = self.tasks.get_mut(task_key) else { return };
        let uuid = status.uuid.clone().unwrap_or_default().to_vec();
        let is_over = task.record.known_state().is_some_and(TaskState::is_terminal);
        if is_over || !task.seen.insert(uuid) {
            return;
        }
        out.push(Action::Checkpoint(Record::Update {
            framework_id: task_key.0.clone(),
            status: Box::new(status.clone()),
        }));
        task.apply(status);
        let ends = task.record.known_state().is_some_and(TaskState::is_terminal);
        let executor = task.record.executor_id.clone().map(|executor| (task_key.0.clone(), executor));
        if task.pending.len() == 1 {
            self.send_update(now, task_key, out);
        }
        if let Some(executor) = executor.filter(|_| ends) {
            self.update_allowance(&executor, out);
        }
    }

    /// Takes a scheduler's acknowledgement.
    pub(super) fn acknowledged(&mut self, now: Timestamp, task_key: &TaskKey, uuid: &[u8], out: &mut Vec<Action>) {
        let Some(task) = self.tasks.get_mut(task_key) else { return };
        let is_oldest = task.pending.front().and_then(|status| status.uuid.as_ref()).is_some_and(|front| front == uuid);
        if !is_oldest {
            return;
        }
        out.push(Action::Checkpoint(Record::Acknowledged {
            framework_id: task_key.0.clone(),
            task_id: task_key.1.clone(),
        }));
        if task.acknowledge_oldest() {
            self.tasks.remove(task_key);
            self.forget_idle_framework(&task_key.0);
            return;
        }
        task.retry = self.settings.update_retry_min;
        self.send_update(now, task_key, out);
    }

    /// Sends the oldest update of a task, if the master is there to hear it.
    fn send_update(&mut self, now: Timestamp, task_key: &TaskKey, out: &mut Vec<Action>) {
        let Some(task) = self.tasks.get_mut(task_key) else { return };
        let Some(status) = task.pending.front().cloned() else {
            task.next_send = None;
            return;
        };
        task.next_send = Some(now + task.retry);
        task.retry = (task.retry * 2).min(self.settings.update_retry_max);
        if self.is_registered {
            out.push(Action::ToMaster(ToMaster::StatusUpdate {
                framework_id: task_key.0.clone(),
                status: Box::new(status),
                latest_state: task.record.state,
            }));
        }
    }

    pub(super) fn send_all_updates(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let keys: Vec<TaskKey> = self.tasks.keys().cloned().collect();
        for key in keys {
            if let Some(task) = self.tasks.get_mut(&key) {
                task.retry = self.settings.update_retry_min;
            }
            self.send_update(now, &key, out);
        }
    }

    pub(super) fn resend_updates(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if !self.is_registered {
            return;
        }
        let due = |send: Option<Timestamp>| send.is_some_and(|at| at <= now);
        let keys: Vec<TaskKey> =
            self.tasks.iter().filter(|(_, task)| due(task.next_send)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.send_update(now, &key, out);
        }
    }

    /// The states that came with PARTITION_AWARE are TASK_LOST for frameworks without it.
    pub(super) fn state_for(&self, id: &FrameworkId, state: TaskState) -> TaskState {
        let is_aware = self.frameworks.get(id).is_some_and(|framework| {
            let capabilities = &framework.info.capabilities;
            capabilities.iter().any(|capability| capability.r#type == Some(Capability::PartitionAware as i32))
        });
        if is_aware { state } else { TaskState::Lost }
    }

    /// Adds what Mesos adds to an executor's status: who, where, in which container.
    fn completed_status(&self, now: Timestamp, key: &ExecutorKey, mut status: TaskStatus) -> TaskStatus {
        status.source.get_or_insert(Source::Executor as i32);
        status.executor_id = Some(key.1.clone());
        status.agent_id.clone_from(&self.info.id);
        status.timestamp.get_or_insert(status_seconds(now));
        let Some(executor) = self.executors.get(key) else { return status };
        let container = status.container_status.get_or_insert_with(ContainerStatus::default);
        container.container_id.get_or_insert_with(|| ContainerId::new(executor.container_id.clone()));
        container.executor_pid = container.executor_pid.or(executor.process.map(|process| process.pid));
        if container.network_infos.is_empty() {
            let address = IpAddress { ip_address: Some(self.settings.ip.clone()), ..IpAddress::default() };
            container.network_infos.push(NetworkInfo { ip_addresses: vec![address], ..NetworkInfo::default() });
        }
        status
    }
}

impl super::HeldTask {
    /// Enters an update into the task's record and queue.
    pub(super) fn apply(&mut self, status: TaskStatus) {
        self.record.state = status.state;
        self.record.statuses.retain(|known| known.state != status.state);
        self.record.statuses.push(TaskStatus { data: None, ..status.clone() });
        self.pending.push_back(status);
    }

    /// Takes the oldest update out; tells whether the task is over with it.
    pub(super) fn acknowledge_oldest(&mut self) -> bool {
        let Some(status) = self.pending.pop_front() else { return false };
        self.record.status_update_state = Some(status.state);
        self.record.status_update_uuid.clone_from(&status.uuid);
        status.known_state().is_some_and(TaskState::is_terminal)
    }
}
