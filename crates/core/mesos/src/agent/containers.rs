//! An executor's container: made, shut down, destroyed, and what its end means for its tasks.

use std::time::Duration;

use km_base::Timestamp;
use km_mesos::executor::{Event as ExecutorEvent, event};
use km_mesos::resources::Resources;
use km_mesos::task_status::Reason;
use km_mesos::{ExecutorInfo, TaskId, TaskState};

use super::{Action, Agent, Allowance, Ending, Executor, ExecutorKey, Launch, Phase, Process, Record};
use crate::link::ToMaster;

impl Agent {
    pub(super) fn launch_container(&mut self, key: &ExecutorKey, out: &mut Vec<Action>) {
        let (Some(framework), Some(executor)) = (self.frameworks.get(&key.0), self.executors.get(key)) else { return };
        let launch = Launch {
            framework: framework.info.clone(),
            executor: executor.info.clone(),
            container_id: executor.container_id.clone(),
            shutdown_grace_period: self.grace_period(&executor.info),
        };
        out.push(Action::Launch(Box::new(launch)));
    }

    /// Tells what an executor's container may use, now that its tasks have changed.
    pub(super) fn update_allowance(&self, key: &ExecutorKey, out: &mut Vec<Action>) {
        let Some(executor) = self.executors.get(key) else { return };
        let own = Resources::from_messages(&executor.info.resources);
        let mut allowance = Allowance {
            mem_limit_mb: Some(own.scalar("mem").to_f64()),
            cpus_limit: Some(own.scalar("cpus").to_f64()),
            requests: own,
        };
        for task in self.tasks_on(key).filter(|task| !task.record.known_state().is_some_and(TaskState::is_terminal)) {
            let requests = Resources::from_messages(&task.info.resources);
            let limit =
                |name: &str| task.info.limits.get(name).map_or(requests.scalar(name).to_f64(), |limit| limit.value);
            let add = |sum: Option<f64>, more: f64| sum.map(|sum| sum + more).filter(|sum| sum.is_finite());
            allowance.mem_limit_mb = add(allowance.mem_limit_mb, limit("mem"));
            allowance.cpus_limit = add(allowance.cpus_limit, limit("cpus"));
            allowance.requests.add(&requests.unallocated());
        }
        out.push(Action::Update { container_id: executor.container_id.clone(), allowance });
    }

    pub(super) fn forked(&mut self, container_id: &str, process: Process, out: &mut Vec<Action>) {
        let Some((key, executor)) = self.container(container_id) else {
            out.push(Action::Destroy { container_id: container_id.to_owned() });
            return;
        };
        executor.process = Some(process);
        if executor.is_being_destroyed {
            return;
        }
        let key = key.clone();
        out.push(Action::Checkpoint(Record::Forked { container_id: container_id.to_owned(), process }));
        self.update_allowance(&key, out);
        out.push(Action::Release { container_id: container_id.to_owned() });
    }

    pub(super) fn launch_failed(&mut self, now: Timestamp, container_id: &str, message: String, out: &mut Vec<Action>) {
        let Some((key, executor)) = self.container(container_id) else { return };
        let key = key.clone();
        executor.phase = Phase::Terminating;
        executor.ending.get_or_insert(Ending {
            state: TaskState::Failed,
            reason: Reason::ContainerLaunchFailed,
            message,
        });
        self.finish(now, &key, out);
    }

    pub(super) fn exited(&mut self, container_id: &str, status: i32, out: &mut Vec<Action>) {
        let Some((_, executor)) = self.container(container_id) else { return };
        executor.exit_status = status;
        executor.phase = Phase::Terminating;
        destroy(executor, out);
    }

    pub(super) fn destroyed(&mut self, now: Timestamp, container_id: &str, out: &mut Vec<Action>) {
        let Some(key) = self.container(container_id).map(|(key, _)| key.clone()) else { return };
        self.finish(now, &key, out);
    }

    /// Asks an executor to end; destroys its container when it cannot be asked.
    pub(super) fn shutdown_executor(&mut self, now: Timestamp, key: &ExecutorKey, out: &mut Vec<Action>) {
        let Some(executor) = self.executors.get(key) else { return };
        let grace = self.grace_period(&executor.info);
        let Some(executor) = self.executors.get_mut(key).filter(|executor| executor.phase != Phase::Terminating) else {
            return;
        };
        executor.phase = Phase::Terminating;
        match executor.stream.clone() {
            Some(stream) => {
                executor.deadline = Some(now + grace);
                let shutdown = ExecutorEvent { r#type: Some(event::Type::Shutdown as i32), ..ExecutorEvent::default() };
                out.push(Action::ToExecutor { stream, event: Box::new(shutdown) });
            }
            None => destroy(executor, out),
        }
    }

    /// An executor did not subscribe, or did not end, in time.
    pub(super) fn lose_patience(&mut self, key: &ExecutorKey, out: &mut Vec<Action>) {
        let gone = self.state_for(&key.0, TaskState::Gone);
        let timeout = self.settings.executor_registration_timeout.as_secs();
        let Some(executor) = self.executors.get_mut(key) else { return };
        let ending = match executor.phase {
            // Mesos 1.11 src/slave/slave.cpp, registerExecutorTimeout and reregisterExecutorTimeout.
            Phase::Registering => Some(Ending {
                state: TaskState::Failed,
                reason: Reason::ExecutorRegistrationTimeout,
                message: format!("Executor did not register within {timeout}secs"),
            }),
            Phase::Recovering => Some(Ending {
                state: gone,
                reason: Reason::ExecutorReregistrationTimeout,
                message: "Executor did not reregister in time".to_owned(),
            }),
            Phase::Running | Phase::Terminating => None,
        };
        if let Some(ending) = ending {
            executor.ending.get_or_insert(ending);
        }
        executor.phase = Phase::Terminating;
        destroy(executor, out);
    }

    /// Nothing of the container is left: reports the executor, then each task that had not ended.
    fn finish(&mut self, now: Timestamp, key: &ExecutorKey, out: &mut Vec<Action>) {
        let Some(executor) = self.executors.remove(key) else { return };
        if let Some(stream) = executor.stream {
            self.streams.remove(&stream);
            out.push(Action::CloseStream(stream));
        }
        let (framework_id, executor_id) = key.clone();
        let gone = Record::ExecutorGone { framework_id: framework_id.clone(), executor_id: executor_id.clone() };
        let exited =
            ToMaster::ExecutorExited { framework_id: framework_id.clone(), executor_id, status: executor.exit_status };
        out.push(Action::ToMaster(exited));
        let ending = executor.ending.unwrap_or(Ending {
            state: TaskState::Failed,
            reason: Reason::ExecutorTerminated,
            message: "Executor terminated".to_owned(),
        });
        let unfinished: Vec<TaskId> = self
            .tasks_on(key)
            .filter(|task| !task.record.known_state().is_some_and(TaskState::is_terminal))
            .map(|task| task.record.task_id.clone())
            .collect();
        for task_id in unfinished {
            self.agent_update(now, &(framework_id.clone(), task_id), &ending, out);
        }
        // Last, so that a crash before it repeats the whole.
        out.push(Action::Checkpoint(gone));
        self.forget_idle_framework(&framework_id);
    }

    fn container(&mut self, container_id: &str) -> Option<(&ExecutorKey, &mut Executor)> {
        self.executors.iter_mut().find(|(_, executor)| executor.container_id == container_id)
    }

    fn grace_period(&self, info: &ExecutorInfo) -> Duration {
        let own = info.shutdown_grace_period.as_ref().and_then(|grace| u64::try_from(grace.nanoseconds).ok());
        own.map_or(self.settings.executor_shutdown_grace_period, Duration::from_nanos)
    }
}

impl Executor {
    pub(super) fn new(info: ExecutorInfo, container_id: String, phase: Phase) -> Self {
        Self {
            info,
            container_id,
            process: None,
            phase,
            stream: None,
            deadline: None,
            is_being_destroyed: false,
            exit_status: -1,
            ending: None,
            pending_kills: Vec::new(),
        }
    }
}

/// Orders a container's end, once.
pub(super) fn destroy(executor: &mut Executor, out: &mut Vec<Action>) {
    executor.deadline = None;
    if !std::mem::replace(&mut executor.is_being_destroyed, true) {
        out.push(Action::Destroy { container_id: executor.container_id.clone() });
    }
}
