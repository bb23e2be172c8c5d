//! Task updates: Bindings, acknowledgements, ends.

use std::sync::Arc;

use km_api::{Status, pod};
use km_base::{Timestamp, Uid};
use km_kinds::api::core::v1::Pod;
use km_mesos::scheduler::call::{self, Acknowledge, Kill, Reconcile, reconcile};
use km_mesos::task_status::{Reason, Source};
use km_mesos::{AgentId, TaskId, TaskState, TaskStatus};
use km_podwire::TASK_ID_ANNOTATION;

use crate::attempt::{Attempt, Stage, Unacknowledged};
use crate::launch::kill_policy;
use crate::step::Framework;
use crate::{Action, Purpose, ToScheduler, writes};

/// A launch that nothing was heard of for so long is asked about.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// A task that lived so long did not fail because it was started.
const STABLE: std::time::Duration = std::time::Duration::from_secs(60);

impl Framework {
    pub(crate) fn updated(&mut self, now: Timestamp, status: &TaskStatus, out: &mut Vec<Action>) {
        if self.is_barrier(now, &status.task_id, out) {
            return;
        }
        let Some(state) = status.known_state() else { return self.acknowledge_status(status, out) };
        if !self.attempts.contains_key(&status.task_id) {
            match self.adopt(now, status, state) {
                Adoption::Ours => {}
                Adoption::NotYet => return,
                Adoption::Unwanted => {
                    // The master answers the KILL of an unreachable task with the same update; should its agent come
                    // back, the task is told again and killed then.
                    let may_run = !state.is_terminal() && !matches!(state, TaskState::Unknown | TaskState::Unreachable);
                    if may_run {
                        self.kill(now, &status.task_id, status.agent_id.as_ref(), 0, out);
                    }
                    return self.acknowledge_status(status, out);
                }
            }
        }
        self.executor_heard_of(status, state, out);
        let round = self.session.round;
        let Some(attempt) = self.attempts.get_mut(&status.task_id) else { return };
        attempt.round = round;
        attempt.asked = now;
        if status.needs_acknowledgement() {
            let uuid = status.uuid.clone().unwrap_or_default();
            let since = attempt.unacknowledged.as_ref().filter(|u| u.uuid == uuid).map_or(now, |u| u.since);
            attempt.unacknowledged = Some(Unacknowledged { uuid, state, since });
        }
        let stage = attempt.stage;
        let task_id = &status.task_id;
        match state {
            TaskState::Starting | TaskState::Running => {
                if stage == Stage::Launching {
                    self.bind(now, task_id, out);
                }
                self.acknowledge_if_seen(now, task_id, out);
            }
            TaskState::Staging => {}
            // Nothing ran before the Binding, so the pod may go elsewhere; a late twin never gets its Binding.
            TaskState::Unreachable if !matches!(stage, Stage::Bound | Stage::Ended) => {
                self.ended(now, task_id, End::Lost, Some("its agent is unreachable"), out);
            }
            TaskState::Killing | TaskState::Unreachable => self.acknowledge(task_id, out),
            TaskState::Unknown => {
                self.acknowledge(task_id, out);
                if stage != Stage::Bound {
                    self.ended(now, task_id, End::Lost, status.message.as_deref(), out);
                }
            }
            _ => {
                let told = status.source == Some(Source::Executor as i32)
                    || status.reason == Some(Reason::Reconciliation as i32);
                let by_executor = told && matches!(state, TaskState::Finished | TaskState::Failed | TaskState::Killed);
                let end = if by_executor { End::ByExecutor } else { End::Lost };
                self.ended(now, task_id, end, status.message.as_deref(), out);
            }
        }
    }

    /// Takes over a task of an earlier run if its pod wants it.
    fn adopt(&mut self, now: Timestamp, status: &TaskStatus, state: TaskState) -> Adoption {
        let Some((uid, _)) = status.task_id.value.split_once('.') else { return Adoption::Unwanted };
        let uid = Uid(uid.to_owned());
        let Some(pod) = self.pods.get(&uid).cloned() else { return Adoption::Unwanted };
        let annotation = pod.metadata.annotations.as_ref().and_then(|a| a.get(TASK_ID_ANNOTATION));
        let named = annotation == Some(&status.task_id.value);
        let free = pod::node_name(&pod).is_none() && pod.metadata.deletion_timestamp.is_none();
        let wanted = named || (free && state.is_active());
        let Some(agent_id) = status.agent_id.clone().filter(|_| wanted && !self.by_pod.contains_key(&uid)) else {
            return Adoption::Unwanted;
        };
        let hostname = self.agents.get(&agent_id).filter(|a| a.active).map(|a| a.hostname.clone());
        let Some(node) = pod::node_name(&pod).map(str::to_owned).or(hostname) else { return Adoption::NotYet };
        if self.agent_of_node(&node).is_some_and(|id| *id != agent_id) {
            // Of an earlier agent ID of the host, which will never be heard of again.
            return Adoption::Unwanted;
        }
        let attempt = Attempt {
            uid: uid.clone(),
            key: crate::pods::key_of(&pod),
            agent_id,
            node,
            executor_id: status.executor_id.clone(),
            offer_id: None,
            ports: Vec::new(),
            stage: if named { Stage::Bound } else { Stage::Launching },
            unacknowledged: None,
            launched: now,
            round: self.session.round,
            killed: None,
            bind_failures: 0,
            bind_at: now,
            first: false,
            asked: now,
        };
        self.waiting.remove(&uid);
        self.by_pod.insert(uid, status.task_id.clone());
        self.attempts.insert(status.task_id.clone(), attempt);
        Adoption::Ours
    }

    fn bind(&mut self, now: Timestamp, task_id: &TaskId, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempts.get_mut(task_id) else { return };
        let node = attempt.node.as_str();
        let fits = |pod: &&Arc<Pod>| !pod::is_finished(pod) && pod::node_name(pod).is_none_or(|n| n == node);
        let Some(pod) = self.pods.get(&attempt.uid).filter(fits).cloned() else {
            // Gone, ended, or bound elsewhere by an attempt that was given up while its Binding was on the way.
            attempt.stage = Stage::Refused;
            let agent_id = attempt.agent_id.clone();
            return self.kill(now, task_id, Some(&agent_id), 0, out);
        };
        attempt.stage = Stage::Binding;
        attempt.first = pod::node_name(&pod).is_none();
        let request = writes::bind(task_id, attempt, &pod);
        self.api(Purpose::Bind(task_id.clone()), request, out);
    }

    pub(crate) fn bound(
        &mut self,
        now: Timestamp,
        task_id: &TaskId,
        result: Result<(), Status>,
        out: &mut Vec<Action>,
    ) {
        let Some(attempt) = self.attempts.get_mut(task_id) else { return };
        if attempt.stage != Stage::Binding {
            return;
        }
        match result {
            Ok(()) => {
                attempt.stage = Stage::Bound;
                let (uid, key, node) = (attempt.uid.clone(), attempt.key.clone(), attempt.node.clone());
                let first = attempt.first;
                self.counters.bound += 1;
                self.waiting.remove(&uid);
                out.push(Action::Scheduler(ToScheduler::Forget(uid.clone())));
                self.acknowledge_if_seen(now, task_id, out);
                if first {
                    let message = format!("Successfully assigned {key} to {node}");
                    let what = writes::Record { kind: "Normal", reason: "Scheduled", message: &message };
                    self.record(now, &key, &uid, &what, out);
                }
            }
            // After a failure a conflict may be with this very Binding, stored though its answer was lost: the informer
            // will show it.
            Err(status) if status.retryable() || (status.code == 409 && attempt.bind_failures > 0) => {
                attempt.bind_failures += 1;
                attempt.bind_at = now + self.config.retry.delay(attempt.bind_failures);
                out.push(Action::WakeAt(attempt.bind_at));
            }
            Err(status) => {
                attempt.stage = Stage::Refused;
                let agent_id = attempt.agent_id.clone();
                out.push(Action::Warn(format!("binding {} was refused: {status}", attempt.key)));
                self.kill(now, task_id, Some(&agent_id), 0, out);
                self.acknowledge(task_id, out);
            }
        }
    }

    fn ended(&mut self, now: Timestamp, task_id: &TaskId, end: End, message: Option<&str>, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempts.get_mut(task_id) else { return };
        let pod = self.pods.get(&attempt.uid);
        let bound = attempt.stage == Stage::Bound || attempt.stage == Stage::Ended;
        if bound && end == End::ByExecutor && pod.is_some_and(|p| !pod::is_finished(p)) {
            // The executor writes the pod's state before it says so here: wait until the informer shows it.
            attempt.stage = Stage::Ended;
            out.push(Action::WakeAt(now + self.config.ack_timeout));
            return;
        }
        let waits_again = !bound && pod.is_some_and(|p| pod::node_name(p).is_none());
        let (uid, key) = (attempt.uid.clone(), attempt.key.clone());
        if bound && pod.is_some_and(|p| !pod::is_finished(p)) {
            self.note_end(now, task_id, out);
        }
        self.acknowledge(task_id, out);
        self.remove_attempt(task_id);
        if waits_again {
            self.counters.retried += 1;
            let why = message.unwrap_or("Mesos gave no reason");
            let text = format!("the launch came to nothing: {why}");
            let what = writes::Record { kind: "Warning", reason: "FailedScheduling", message: &text };
            self.record(now, &key, &uid, &what, out);
            self.waiting.insert(uid.clone());
            out.push(Action::Scheduler(ToScheduler::Retry(uid.clone())));
        } else {
            out.push(Action::Scheduler(ToScheduler::Forget(uid.clone())));
        }
        self.reconsider(now, &uid, out);
    }

    /// Counts the end of a bound, unfinished pod's task, so that a pod that cannot stay up is not launched in a
    /// tight loop.
    fn note_end(&mut self, now: Timestamp, task_id: &TaskId, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempts.get(task_id) else { return };
        let before = self.relaunch.get(&attempt.uid).map_or(0, |(failures, _)| *failures);
        let failures = if now.saturating_since(attempt.launched) >= STABLE { 1 } else { before + 1 };
        let at = now + self.config.retry.delay(failures);
        self.relaunch.insert(attempt.uid.clone(), (failures, at));
        self.counters.relaunched += 1;
        out.push(Action::WakeAt(at));
    }

    pub(crate) fn remove_attempt(&mut self, task_id: &TaskId) {
        if let Some(attempt) = self.attempts.remove(task_id)
            && self.by_pod.get(&attempt.uid) == Some(task_id)
        {
            self.by_pod.remove(&attempt.uid);
        }
    }

    /// Acknowledges the update in hand if the API shows what it says, or something later.
    pub(crate) fn acknowledge_if_seen(&mut self, now: Timestamp, task_id: &TaskId, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempts.get(task_id) else { return };
        let (state, since) = match &attempt.unacknowledged {
            Some(waiting) => (waiting.state, waiting.since),
            // Told by a reconciliation, which is not acknowledged.
            None if attempt.stage == Stage::Ended => (TaskState::Finished, attempt.asked),
            None => return,
        };
        let overdue = now >= since + self.config.ack_timeout;
        let seen = match self.pods.get(&attempt.uid) {
            None => true,
            Some(pod) => match state {
                TaskState::Starting => matches!(attempt.stage, Stage::Bound | Stage::Ended | Stage::Refused),
                TaskState::Running => matches!(pod::phase(pod), "Running" | "Succeeded" | "Failed"),
                state => !state.is_terminal() || pod::is_finished(pod),
            },
        };
        // A Binding under way is never overtaken: its task must not seem accepted.
        let binding = matches!(attempt.stage, Stage::Launching | Stage::Binding);
        if seen || (overdue && !binding) {
            let terminal = state.is_terminal();
            let uid = attempt.uid.clone();
            if terminal && !seen {
                self.note_end(now, task_id, out);
            }
            self.acknowledge(task_id, out);
            if terminal {
                self.remove_attempt(task_id);
                out.push(Action::Scheduler(ToScheduler::Forget(uid.clone())));
                self.reconsider(now, &uid, out);
            }
        } else if !overdue {
            // An overdue one waits for its Binding, not for the clock.
            out.push(Action::WakeAt(since + self.config.ack_timeout));
        }
    }

    pub(crate) fn acknowledge(&mut self, task_id: &TaskId, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempts.get_mut(task_id) else { return };
        let Some(waiting) = attempt.unacknowledged.take() else { return };
        let acknowledge =
            Acknowledge { agent_id: attempt.agent_id.clone(), task_id: task_id.clone(), uuid: waiting.uuid };
        if self.session.is_subscribed() {
            self.call(call::Type::Acknowledge, out, |call| call.acknowledge = Some(acknowledge));
        }
    }

    fn acknowledge_status(&mut self, status: &TaskStatus, out: &mut Vec<Action>) {
        if let (true, Some(agent_id)) = (status.needs_acknowledgement(), status.agent_id.clone()) {
            let uuid = status.uuid.clone().unwrap_or_default();
            let acknowledge = Acknowledge { agent_id, task_id: status.task_id.clone(), uuid };
            self.call(call::Type::Acknowledge, out, |call| call.acknowledge = Some(acknowledge));
        }
    }

    pub(crate) fn kill(
        &mut self,
        now: Timestamp,
        task_id: &TaskId,
        agent_id: Option<&AgentId>,
        grace_secs: i64,
        out: &mut Vec<Action>,
    ) {
        if let Some(attempt) = self.attempts.get_mut(task_id) {
            attempt.killed = Some(now);
        }
        self.counters.killed += 1;
        let kill =
            Kill { task_id: task_id.clone(), agent_id: agent_id.cloned(), kill_policy: Some(kill_policy(grace_secs)) };
        if self.session.is_subscribed() {
            self.call(call::Type::Kill, out, |call| call.kill = Some(kill));
        }
    }

    /// What an update says about the agent's executor.
    fn executor_heard_of(&mut self, status: &TaskStatus, state: TaskState, out: &mut Vec<Action>) {
        let Some(agent_id) = &status.agent_id else { return };
        let reason = status.reason.and_then(|r| Reason::try_from(r).ok());
        let Some(executor) = self.agents.get_mut(agent_id).and_then(|a| a.executor.as_mut()) else { return };
        if status.executor_id.as_ref().is_some_and(|id| *id != executor.info.executor_id) {
            return;
        }
        // Who speaks lives, whatever became of the task: a pod's OOM is told with the reason of the executor's.
        let by_executor = status.source == Some(Source::Executor as i32);
        if by_executor || matches!(state, TaskState::Starting | TaskState::Running) {
            executor.running = true;
            executor.token = None;
            return;
        }
        let running = executor.running;
        if !state.is_terminal() {
            return;
        }
        // A launch that failed while the executor was being started may have been the only one to start it.
        let alone = || !self.attempts.iter().any(|(id, a)| a.agent_id == *agent_id && *id != status.task_id);
        if executor_ended(reason) || (!running && alone()) {
            self.set_executor(agent_id, None, out);
        } else if state == TaskState::Error {
            // Perhaps not the executor that Mesos has: a mismatch is an error of the task.
            out.push(Action::GetExecutors);
        }
    }

    /// Repeats what was not answered in time.
    pub(crate) fn attempts_tick(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let open = |a: &Attempt| a.stage != Stage::Bound || a.unacknowledged.is_some();
        let open: Vec<TaskId> = self.attempts.iter().filter(|(_, a)| open(a)).map(|(id, _)| id.clone()).collect();
        for task_id in open {
            let Some(attempt) = self.attempts.get_mut(&task_id) else { continue };
            let bind_due = attempt.stage == Stage::Binding && attempt.bind_failures > 0 && now >= attempt.bind_at;
            let silent = attempt.stage == Stage::Launching && now >= attempt.asked + SILENCE;
            if bind_due && !self.in_flight.contains(&Purpose::Bind(task_id.clone())) {
                self.bind(now, &task_id, out);
            } else if silent && self.session.is_reconciled() {
                attempt.asked = now;
                let task = reconcile::Task { task_id: task_id.clone(), agent_id: Some(attempt.agent_id.clone()) };
                self.call(call::Type::Reconcile, out, |call| call.reconcile = Some(Reconcile { tasks: vec![task] }));
            }
            self.acknowledge_if_seen(now, &task_id, out);
        }
    }

    /// After the barrier: tasks of which nothing was heard are gone, if their agent is here to know.
    pub(crate) fn end_unheard(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let round = self.session.round;
        let unheard: Vec<(TaskId, AgentId)> = self
            .attempts
            .iter()
            .filter(|(_, a)| a.round < round && self.agents.get(&a.agent_id).is_some_and(|agent| agent.active))
            .map(|(id, a)| (id.clone(), a.agent_id.clone()))
            .collect();
        for (task_id, agent_id) in unheard {
            self.ended(now, &task_id, End::Lost, Some("Mesos no longer knows the task"), out);
            let never_heard = self.executor(&agent_id).is_some_and(|e| !e.running && !e.echoed && !e.awaits_token);
            if never_heard && !self.attempts.values().any(|a| a.agent_id == agent_id) {
                // The ACCEPT that was to start it is lost, and its token and port with it.
                self.set_executor(&agent_id, None, out);
            }
        }
    }

    /// A host is back under another agent ID: the tasks of the earlier one, which need not be known here, cannot be
    /// heard of again.
    pub(crate) fn end_others_on(&mut self, now: Timestamp, node: &str, agent_id: &AgentId, out: &mut Vec<Action>) {
        let is_other = |a: &Attempt| a.node == node && a.agent_id != *agent_id;
        let there: Vec<TaskId> = self.attempts.iter().filter(|(_, a)| is_other(a)).map(|(id, _)| id.clone()).collect();
        for task_id in there {
            self.ended(now, &task_id, End::Lost, Some("the agent is gone"), out);
        }
    }
}

enum Adoption {
    /// The pod wants it.
    Ours,
    /// No pod wants it.
    Unwanted,
    /// Its agent is not known yet; the update is repeated, and the reconciliation tells the task again.
    NotYet,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The executor says how the pod ended.
    ByExecutor,
    /// Agent or master say that the task is no more.
    Lost,
}

/// Reasons that mean the end of the executor, not of one task.
fn executor_ended(reason: Option<Reason>) -> bool {
    matches!(
        reason,
        Some(
            Reason::ExecutorTerminated
                | Reason::ExecutorUnregistered
                | Reason::ExecutorRegistrationTimeout
                | Reason::ExecutorReregistrationTimeout
                | Reason::ContainerLaunchFailed
                | Reason::ContainerLimitation
                | Reason::ContainerLimitationDisk
                | Reason::ContainerLimitationMemory
                | Reason::ContainerPreempted
                | Reason::AgentRemoved
        )
    )
}
