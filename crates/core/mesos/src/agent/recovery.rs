//! From a journal back to a state, and from a state to a journal.

use std::collections::{BTreeMap, BTreeSet};

use km_base::Timestamp;
use km_mesos::resources::Resources;
use km_mesos::task_status::Reason;
use km_mesos::{AgentInfo, TaskState};

use super::{Action, Agent, Ending, Executor, Framework, HeldTask, Phase, Record, RecoveredContainer, Settings};
use crate::ids::Uuids;
use crate::link::{Registration, RunningExecutor, ToMaster};

impl Agent {
    /// Creates an agent out of what it wrote down before; no records for a new one.
    pub fn new(settings: Settings, records: Vec<Record>) -> Self {
        let mut agent = Self {
            uuids: Uuids::new(settings.seed),
            info: settings.info.clone(),
            total: Resources::from_messages(&settings.info.resources),
            settings,
            is_linked: false,
            is_registered: false,
            frameworks: BTreeMap::new(),
            executors: BTreeMap::new(),
            tasks: BTreeMap::new(),
            streams: BTreeMap::new(),
        };
        for record in records {
            agent.replay(record);
        }
        agent
    }

    /// Returns the containers that may still run; [`super::Event::Started`] tells which do.
    pub fn recovered_containers(&self) -> Vec<RecoveredContainer> {
        let container = |executor: &Executor| RecoveredContainer {
            container_id: executor.container_id.clone(),
            process: executor.process,
        };
        self.executors.values().map(container).collect()
    }

    /// Returns records that make this very state.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut records = Vec::new();
        if self.info.id.is_some() {
            records.push(Record::Agent(Box::new(self.info.clone())));
        }
        if self.total != Resources::from_messages(&self.settings.info.resources) {
            records.push(Record::Total(self.total.to_messages()));
        }
        for framework in self.frameworks.values() {
            records.push(Record::Framework(Box::new(framework.info.clone())));
        }
        for ((framework_id, _), executor) in &self.executors {
            records.push(Record::Executor {
                framework_id: framework_id.clone(),
                info: Box::new(executor.info.clone()),
                container_id: executor.container_id.clone(),
            });
            if let Some(process) = executor.process {
                records.push(Record::Forked { container_id: executor.container_id.clone(), process });
            }
        }
        for ((framework_id, task_id), task) in &self.tasks {
            records.push(Record::Task { framework_id: framework_id.clone(), task: Box::new(task.info.clone()) });
            if task.is_launched {
                records.push(Record::Launched { framework_id: framework_id.clone(), task_id: task_id.clone() });
            }
            // Acknowledged updates matter for the state and for telling duplicates: the newest of each state suffices.
            let waiting: BTreeSet<_> = task.pending.iter().map(|status| status.uuid.clone()).collect();
            for status in task.record.statuses.iter().filter(|status| !waiting.contains(&status.uuid)) {
                let status = Box::new(status.clone());
                records.push(Record::Update { framework_id: framework_id.clone(), status });
                records.push(Record::Acknowledged { framework_id: framework_id.clone(), task_id: task_id.clone() });
            }
            for status in &task.pending {
                let status = Box::new(status.clone());
                records.push(Record::Update { framework_id: framework_id.clone(), status });
            }
        }
        for (id, _) in self.frameworks.iter().filter(|(_, framework)| framework.is_ending) {
            records.push(Record::FrameworkGone(id.clone()));
        }
        records
    }

    fn replay(&mut self, record: Record) {
        match record {
            Record::Agent(info) => {
                // Id from the journal; what the machine has now from the settings.
                self.info = AgentInfo { id: info.id, ..self.settings.info.clone() };
            }
            Record::Total(total) => self.total = Resources::from_messages(&total),
            Record::Framework(info) => {
                if let Some(id) = info.id.clone() {
                    self.frameworks.insert(id, Framework { info: *info, is_ending: false });
                }
            }
            Record::FrameworkGone(id) => {
                self.tasks.retain(|(framework, _), _| *framework != id);
                if let Some(framework) = self.frameworks.get_mut(&id) {
                    framework.is_ending = true;
                }
                self.forget_idle_framework(&id);
            }
            Record::Executor { framework_id, info, container_id } => {
                let key = (framework_id, info.executor_id.clone());
                self.executors.insert(key, Executor::new(*info, container_id, Phase::Recovering));
            }
            Record::Forked { container_id, process } => {
                let found = self.executors.values_mut().find(|executor| executor.container_id == container_id);
                if let Some(executor) = found {
                    executor.process = Some(process);
                }
            }
            Record::ExecutorGone { framework_id, executor_id } => {
                self.executors.remove(&(framework_id.clone(), executor_id));
                self.forget_idle_framework(&framework_id);
            }
            Record::Task { framework_id, task } => {
                let key = (framework_id.clone(), task.task_id.clone());
                self.tasks.insert(key, HeldTask::new(&framework_id, *task, self.settings.update_retry_min));
            }
            Record::Launched { framework_id, task_id } => {
                if let Some(task) = self.tasks.get_mut(&(framework_id, task_id)) {
                    task.is_launched = true;
                }
            }
            Record::Update { framework_id, status } => {
                if let Some(task) = self.tasks.get_mut(&(framework_id, status.task_id.clone())) {
                    task.seen.insert(status.uuid.clone().unwrap_or_default().to_vec());
                    task.apply(*status);
                }
            }
            Record::Acknowledged { framework_id, task_id } => {
                let key = (framework_id, task_id);
                let is_over = self.tasks.get_mut(&key).is_some_and(HeldTask::acknowledge_oldest);
                if is_over {
                    self.tasks.remove(&key);
                    self.forget_idle_framework(&key.0);
                }
            }
        }
    }

    /// Continues with the executors that live and ends the others.
    pub(super) fn started(&mut self, now: Timestamp, alive: &BTreeSet<String>, out: &mut Vec<Action>) {
        let patience = now + self.settings.executor_reregistration_timeout;
        let ending: BTreeSet<_> =
            self.frameworks.iter().filter(|(_, framework)| framework.is_ending).map(|(id, _)| id.clone()).collect();
        for ((framework_id, _), executor) in &mut self.executors {
            if alive.contains(&executor.container_id) && !ending.contains(framework_id) {
                executor.deadline = Some(patience);
            } else {
                executor.phase = Phase::Terminating;
                super::containers::destroy(executor, out);
            }
        }
        self.drop_tasks_without_executor(now, out);
    }

    /// Ends tasks that were written down before their executor was: nothing will ever start them.
    fn drop_tasks_without_executor(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let lost: Vec<_> = self
            .tasks
            .iter()
            .filter(|((framework_id, _), task)| {
                let executor = (framework_id.clone(), task.record.executor_id.clone().unwrap_or_default());
                let is_over = task.record.known_state().is_some_and(TaskState::is_terminal);
                !is_over && !self.executors.contains_key(&executor)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in lost {
            let state = self.state_for(&key.0, TaskState::Dropped);
            let dropped = Ending::new(state, Reason::AgentRestarted, "Task launched during agent restart");
            self.agent_update(now, &key, &dropped, out);
        }
    }

    pub(super) fn link_up(&mut self, out: &mut Vec<Action>) {
        self.is_linked = true;
        let executors = self.executors.iter().map(|((framework_id, _), executor)| RunningExecutor {
            framework_id: framework_id.clone(),
            info: executor.info.clone(),
        });
        // A task whose terminal update waits holds no resources but is known until acknowledged.
        let tasks = self.tasks.values().map(|task| {
            let mut record = task.record.clone();
            if let Some(oldest) =
                task.pending.front().filter(|_| record.known_state().is_some_and(TaskState::is_terminal))
            {
                record.status_update_state = Some(oldest.state);
                record.status_update_uuid.clone_from(&oldest.uuid);
            }
            record
        });
        let registration = Registration {
            info: self.info.clone(),
            pid: self.settings.pid.clone(),
            total: self.total.to_messages(),
            tasks: tasks.collect(),
            executors: executors.collect(),
            frameworks: self.frameworks.values().map(|framework| framework.info.clone()).collect(),
        };
        out.push(Action::ToMaster(ToMaster::Register(Box::new(registration))));
    }
}
