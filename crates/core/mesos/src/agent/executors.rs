//! The executor API: SUBSCRIBE, UPDATE and MESSAGE, and what executors hear.

use km_base::Timestamp;
use km_mesos::executor::{Call, Event as ExecutorEvent, call, event};
use km_mesos::task_status::Reason;
use km_mesos::{ContainerId, TaskId, TaskState};

use super::{Action, Agent, Answer, Ending, ExecutorKey, Phase, Record, RequestId, StreamId};
use crate::link::ToMaster;

impl Agent {
    pub(super) fn call(
        &mut self,
        now: Timestamp,
        request: RequestId,
        fresh: StreamId,
        call: Call,
        out: &mut Vec<Action>,
    ) {
        if let Some(problem) = malformed(&call) {
            let answer = Answer::Rejected(format!("Failed to validate executor::Call: {problem}"));
            out.push(Action::Answer { request, answer });
            return;
        }
        let key = (call.framework_id.clone(), call.executor_id.clone());
        // Mesos 1.11 src/slave/http.cpp, Http::executor.
        let problem = if !self.frameworks.contains_key(&key.0) {
            Some("Framework cannot be found")
        } else if !self.executors.contains_key(&key) {
            Some("Executor cannot be found")
        } else {
            let is_subscribed = self.executors.get(&key).is_some_and(|executor| executor.stream.is_some());
            let needs_subscription = call.r#type() != call::Type::Subscribe && !is_subscribed;
            needs_subscription.then_some("Executor is not subscribed")
        };
        if let Some(problem) = problem {
            out.push(Action::Answer { request, answer: Answer::Rejected(problem.to_owned()) });
            return;
        }
        match call.r#type() {
            call::Type::Subscribe => {
                out.push(Action::Answer { request, answer: Answer::Subscribed(fresh.clone()) });
                self.subscribe(now, &key, fresh, call.subscribe.unwrap_or_default(), out);
            }
            call::Type::Update => {
                if let Some(update) = call.update {
                    self.executor_update(now, &key, update.status, out);
                }
                out.push(Action::Answer { request, answer: Answer::Accepted });
            }
            call::Type::Message => {
                out.push(Action::Answer { request, answer: Answer::Accepted });
                let data = call.message.map(|message| message.data).unwrap_or_default();
                let (framework_id, executor_id) = key;
                out.push(Action::ToMaster(ToMaster::ExecutorMessage { framework_id, executor_id, data }));
            }
            call::Type::Heartbeat | call::Type::Unknown => {
                out.push(Action::Answer { request, answer: Answer::Accepted });
            }
        }
    }

    fn subscribe(
        &mut self,
        now: Timestamp,
        key: &ExecutorKey,
        fresh: StreamId,
        subscribe: call::Subscribe,
        out: &mut Vec<Action>,
    ) {
        let Some(framework) = self.frameworks.get(&key.0) else { return };
        let Some(executor) = self.executors.get_mut(key) else { return };
        if executor.phase == Phase::Terminating {
            // It comes too late; it hears SHUTDOWN and nothing else.
            let shutdown = ExecutorEvent { r#type: Some(event::Type::Shutdown as i32), ..ExecutorEvent::default() };
            executor.stream = Some(fresh.clone());
            self.streams.insert(fresh.clone(), key.clone());
            out.push(Action::ToExecutor { stream: fresh, event: Box::new(shutdown) });
            return;
        }
        let returns = executor.phase != Phase::Registering;
        if let Some(old) = executor.stream.replace(fresh.clone()) {
            self.streams.remove(&old);
            out.push(Action::CloseStream(old));
        }
        executor.phase = Phase::Running;
        executor.deadline = None;
        let subscribed = event::Subscribed {
            executor_info: executor.info.clone(),
            framework_info: framework.info.clone(),
            agent_info: self.info.clone(),
            container_id: Some(ContainerId::new(executor.container_id.clone())),
        };
        let kills = std::mem::take(&mut executor.pending_kills);
        self.streams.insert(fresh.clone(), key.clone());
        let event = ExecutorEvent {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(subscribed),
            ..ExecutorEvent::default()
        };
        out.push(Action::ToExecutor { stream: fresh, event: Box::new(event) });
        for update in subscribe.unacknowledged_updates {
            self.executor_update(now, key, update.status, out);
        }
        if returns {
            let known: Vec<TaskId> = subscribe.unacknowledged_tasks.into_iter().map(|task| task.task_id).collect();
            self.drop_unknown_tasks(now, key, &known, out);
        }
        self.launch_queued(key, out);
        for (task_id, kill_policy) in kills {
            self.kill_task(now, &key.0, &task_id, kill_policy, out);
        }
    }

    /// Tasks handed over before a break that the executor does not know: LAUNCH never reached it.
    fn drop_unknown_tasks(&mut self, now: Timestamp, key: &ExecutorKey, known: &[TaskId], out: &mut Vec<Action>) {
        let lost: Vec<TaskId> = self
            .tasks
            .iter()
            .filter(|((framework, task_id), task)| {
                *framework == key.0
                    && task.record.executor_id.as_ref() == Some(&key.1)
                    && task.is_launched
                    && task.record.known_state() == Some(TaskState::Staging)
                    && !known.contains(task_id)
            })
            .map(|((_, task_id), _)| task_id.clone())
            .collect();
        for task_id in lost {
            let state = self.state_for(&key.0, TaskState::Dropped);
            let dropped = Ending::new(state, Reason::AgentRestarted, "Task launched during agent restart");
            self.agent_update(now, &(key.0.clone(), task_id), &dropped, out);
        }
    }

    /// Hands all waiting tasks to a subscribed executor.
    pub(super) fn launch_queued(&mut self, key: &ExecutorKey, out: &mut Vec<Action>) {
        let Some(stream) = self.executors.get(key).and_then(|executor| executor.stream.clone()) else { return };
        for ((framework_id, task_id), task) in &mut self.tasks {
            let is_waiting = *framework_id == key.0
                && task.record.executor_id.as_ref() == Some(&key.1)
                && !task.is_launched
                && task.record.known_state() == Some(TaskState::Staging);
            if !is_waiting {
                continue;
            }
            task.is_launched = true;
            let (framework_id, task_id) = (framework_id.clone(), task_id.clone());
            out.push(Action::Checkpoint(Record::Launched { framework_id, task_id }));
            let launch = ExecutorEvent {
                r#type: Some(event::Type::Launch as i32),
                launch: Some(event::Launch { task: task.info.clone() }),
                ..ExecutorEvent::default()
            };
            out.push(Action::ToExecutor { stream: stream.clone(), event: Box::new(launch) });
        }
    }

    pub(super) fn to_executor(&self, key: &ExecutorKey, event: ExecutorEvent, out: &mut Vec<Action>) {
        if let Some(stream) = self.executors.get(key).and_then(|executor| executor.stream.clone()) {
            out.push(Action::ToExecutor { stream, event: Box::new(event) });
        }
    }

    pub(super) fn stream_closed(&mut self, stream: &StreamId) {
        let Some(key) = self.streams.remove(stream) else { return };
        if let Some(executor) = self.executors.get_mut(&key).filter(|executor| executor.stream.as_ref() == Some(stream))
        {
            executor.stream = None;
        }
    }
}

fn malformed(call: &Call) -> Option<&'static str> {
    match call.r#type() {
        call::Type::Unknown => Some("Expecting 'type' to be present"),
        call::Type::Subscribe if call.subscribe.is_none() => Some("Expecting 'subscribe' to be present"),
        call::Type::Message if call.message.is_none() => Some("Expecting 'message' to be present"),
        call::Type::Update => match &call.update {
            None => Some("Expecting 'update' to be present"),
            Some(update) => match &update.status.uuid {
                None => Some("Expecting 'uuid' to be present"),
                Some(uuid) if uuid.len() != 16 => Some("Not a valid UUID"),
                Some(_) if update.status.known_state() == Some(TaskState::Staging) => {
                    Some("TASK_STAGING is not a valid state")
                }
                Some(_) => None,
            },
        },
        call::Type::Subscribe | call::Type::Message | call::Type::Heartbeat => None,
    }
}
