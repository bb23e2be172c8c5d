//! What the master orders: tasks to run and to kill, executors and frameworks to shut down.

use km_base::Timestamp;
use km_mesos::executor::{Event as ExecutorEvent, event};
use km_mesos::resources::Resources;
use km_mesos::task_status::Reason;
use km_mesos::{ExecutorInfo, FrameworkId, FrameworkInfo, KillPolicy, Task, TaskId, TaskInfo, TaskState};

use super::{Action, Agent, Ending, Executor, ExecutorKey, Framework, HeldTask, Phase, Record};
use crate::link::ToAgent;

impl Agent {
    pub(super) fn obey(&mut self, now: Timestamp, message: ToAgent, out: &mut Vec<Action>) {
        match message {
            ToAgent::Registered { agent_id } => {
                if self.info.id.as_ref() != Some(&agent_id) {
                    self.info.id = Some(agent_id);
                    out.push(Action::Checkpoint(Record::Agent(Box::new(self.info.clone()))));
                }
                self.is_registered = true;
                self.send_all_updates(now, out);
            }
            ToAgent::RunTask { framework, executor, task } => self.run_task(now, *framework, *executor, *task, out),
            ToAgent::KillTask { framework_id, task_id, kill_policy } => {
                self.kill_task(now, &framework_id, &task_id, kill_policy, out);
            }
            ToAgent::ShutdownExecutor { framework_id, executor_id } => {
                self.shutdown_executor(now, &(framework_id, executor_id), out);
            }
            ToAgent::ShutdownFramework { framework_id } => self.shutdown_framework(now, &framework_id, out),
            ToAgent::Acknowledge { framework_id, task_id, uuid } => {
                self.acknowledged(now, &(framework_id, task_id), &uuid, out);
            }
            ToAgent::FrameworkMessage { framework_id, executor_id, data } => {
                let message = ExecutorEvent {
                    r#type: Some(event::Type::Message as i32),
                    message: Some(event::Message { data }),
                    ..ExecutorEvent::default()
                };
                self.to_executor(&(framework_id, executor_id), message, out);
            }
            ToAgent::UpdateFramework(info) => self.remember_framework(*info, out),
            ToAgent::SetTotal { total } => {
                self.total = Resources::from_messages(&total);
                out.push(Action::Checkpoint(Record::Total(total)));
            }
        }
    }

    fn remember_framework(&mut self, info: FrameworkInfo, out: &mut Vec<Action>) {
        let Some(id) = info.id.clone() else { return };
        if self.frameworks.get(&id).is_none_or(|known| known.info != info) {
            out.push(Action::Checkpoint(Record::Framework(Box::new(info.clone()))));
        }
        self.frameworks.insert(id, Framework { info, is_ending: false });
    }

    fn run_task(
        &mut self,
        now: Timestamp,
        framework: FrameworkInfo,
        executor: ExecutorInfo,
        task: TaskInfo,
        out: &mut Vec<Action>,
    ) {
        let Some(framework_id) = framework.id.clone() else { return };
        let key = (framework_id.clone(), executor.executor_id.clone());
        let task_key = (framework_id.clone(), task.task_id.clone());
        if self.tasks.contains_key(&task_key) {
            return;
        }
        self.remember_framework(framework, out);
        self.tasks.insert(task_key.clone(), HeldTask::new(&framework_id, task.clone(), self.settings.update_retry_min));
        out.push(Action::Checkpoint(Record::Task { framework_id: framework_id.clone(), task: Box::new(task) }));
        match self.executors.get(&key).map(|executor| executor.phase) {
            Some(Phase::Terminating) => {
                let state = self.state_for(&framework_id, TaskState::Dropped);
                let dropped = Ending::new(state, Reason::ExecutorTerminated, "Executor terminating");
                self.agent_update(now, &task_key, &dropped, out);
            }
            Some(Phase::Running) => {
                self.update_allowance(&key, out);
                self.launch_queued(&key, out);
            }
            Some(Phase::Registering | Phase::Recovering) => self.update_allowance(&key, out),
            None => self.start_executor(now, key, executor, out),
        }
    }

    fn start_executor(&mut self, now: Timestamp, key: ExecutorKey, info: ExecutorInfo, out: &mut Vec<Action>) {
        let container_id = self.uuids.next_text();
        out.push(Action::Checkpoint(Record::Executor {
            framework_id: key.0.clone(),
            info: Box::new(info.clone()),
            container_id: container_id.clone(),
        }));
        let executor = Executor {
            deadline: Some(now + self.settings.executor_registration_timeout),
            ..Executor::new(info, container_id, Phase::Registering)
        };
        self.executors.insert(key.clone(), executor);
        self.launch_container(&key, out);
    }

    pub(super) fn kill_task(
        &mut self,
        now: Timestamp,
        framework_id: &FrameworkId,
        task_id: &TaskId,
        kill_policy: Option<KillPolicy>,
        out: &mut Vec<Action>,
    ) {
        let Some(task) = self.tasks.get(&(framework_id.clone(), task_id.clone())) else { return };
        if task.record.known_state().is_some_and(TaskState::is_terminal) {
            return;
        }
        let key = (framework_id.clone(), task.record.executor_id.clone().unwrap_or_default());
        if !task.is_launched {
            let message = "Killed before delivery to the executor";
            let killed = Ending::new(TaskState::Killed, Reason::TaskKilledDuringLaunch, message);
            self.agent_update(now, &(framework_id.clone(), task_id.clone()), &killed, out);
            // An executor that never gets a task has nothing to live for (Mesos 1.11 src/slave/slave.cpp, killTask).
            let is_idle =
                !self.tasks_on(&key).any(|task| !task.record.known_state().is_some_and(TaskState::is_terminal));
            if is_idle && self.executors.get(&key).is_some_and(|executor| executor.phase == Phase::Registering) {
                self.shutdown_executor(now, &key, out);
            }
            return;
        }
        let kill_policy = kill_policy.or_else(|| task.info.kill_policy.clone());
        match self.executors.get_mut(&key) {
            Some(executor) if executor.stream.is_none() => executor.pending_kills.push((task_id.clone(), kill_policy)),
            _ => {
                let kill = ExecutorEvent {
                    r#type: Some(event::Type::Kill as i32),
                    kill: Some(event::Kill { task_id: task_id.clone(), kill_policy }),
                    ..ExecutorEvent::default()
                };
                self.to_executor(&key, kill, out);
            }
        }
    }

    fn shutdown_framework(&mut self, now: Timestamp, framework_id: &FrameworkId, out: &mut Vec<Action>) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        framework.is_ending = true;
        out.push(Action::Checkpoint(Record::FrameworkGone(framework_id.clone())));
        self.tasks.retain(|(framework, _), _| framework != framework_id);
        let executors: Vec<ExecutorKey> =
            self.executors.keys().filter(|(framework, _)| framework == framework_id).cloned().collect();
        for key in executors {
            self.shutdown_executor(now, &key, out);
        }
        self.forget_idle_framework(framework_id);
    }

    pub(super) fn forget_idle_framework(&mut self, framework_id: &FrameworkId) {
        let has_executor = self.executors.keys().any(|(framework, _)| framework == framework_id);
        let has_task = self.tasks.keys().any(|(framework, _)| framework == framework_id);
        if !has_executor && !has_task {
            self.frameworks.remove(framework_id);
        }
    }

    pub(super) fn tasks_on<'a>(&'a self, key: &'a ExecutorKey) -> impl Iterator<Item = &'a HeldTask> {
        let of_framework = self.tasks.iter().filter(move |((framework, _), _)| *framework == key.0);
        of_framework.map(|(_, task)| task).filter(move |task| task.record.executor_id.as_ref() == Some(&key.1))
    }
}

impl HeldTask {
    pub(super) fn new(framework_id: &FrameworkId, info: TaskInfo, retry: std::time::Duration) -> Self {
        let record = Task {
            name: info.name.clone(),
            task_id: info.task_id.clone(),
            framework_id: framework_id.clone(),
            executor_id: info.executor.as_ref().map(|executor| executor.executor_id.clone()),
            agent_id: info.agent_id.clone(),
            state: TaskState::Staging as i32,
            resources: info.resources.clone(),
            labels: info.labels.clone(),
            discovery: info.discovery.clone(),
            container: info.container.clone(),
            health_check: info.health_check.clone(),
            kill_policy: info.kill_policy.clone(),
            limits: info.limits.clone(),
            ..Task::default()
        };
        Self {
            info,
            record,
            is_launched: false,
            pending: Default::default(),
            seen: Default::default(),
            next_send: None,
            retry,
        }
    }
}
