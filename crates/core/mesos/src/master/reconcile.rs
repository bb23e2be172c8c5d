//! RECONCILE: what the master knows of a framework's tasks, case by case.
//!
//! Source: Apache Mesos 1.11 src/master/master.cpp, Master::reconcile and Master::_reconcileTasks.
//!
//! | case | without agent_id | with agent_id |
//! |---|---|---|
//! | known, or in transit to the agent | its latest state | its latest state |
//! | never seen, or ended and acknowledged | TASK_UNKNOWN | TASK_GONE |
//! | on an unreachable agent | TASK_UNKNOWN | TASK_UNREACHABLE |
//! | its agent is gone for good | TASK_UNKNOWN | TASK_GONE_BY_OPERATOR |
//! | agents from before a restart still missing | no answer | no answer for those agents |

use km_base::Timestamp;
use km_mesos::scheduler::call;
use km_mesos::task_status::Reason;
use km_mesos::{AgentId, FrameworkId, OperationState, OperationStatus, Task, TaskState, TaskStatus};

use super::accept::{master_status, operation_event, update_event};
use super::{Action, Master};

impl Master {
    pub(super) fn reconcile(
        &self,
        now: Timestamp,
        id: &FrameworkId,
        tasks: &[call::reconcile::Task],
        out: &mut Vec<Action>,
    ) {
        if tasks.is_empty() {
            for task in self.tasks_of(id) {
                self.to_scheduler(id, update_event(latest(now, task)), out);
            }
            return;
        }
        for asked in tasks {
            if let Some(status) = self.reconciled(now, id, asked) {
                self.to_scheduler(id, update_event(status), out);
            }
        }
    }

    fn reconciled(&self, now: Timestamp, id: &FrameworkId, asked: &call::reconcile::Task) -> Option<TaskStatus> {
        let framework = self.frameworks.get(id)?;
        if let Some(agent_id) = framework.tasks.get(&asked.task_id) {
            let task = self.agents.get(agent_id)?.tasks.get(&(id.clone(), asked.task_id.clone()))?;
            return Some(latest(now, task));
        }
        let agent_id = asked.agent_id.as_ref();
        let (state, message) = match agent_id {
            Some(agent) if self.recovered_agents.contains_key(agent) => return None,
            None if !self.recovered_agents.is_empty() => return None,
            Some(agent) if self.is_unreachable(agent) => {
                (TaskState::Unreachable, "Reconciliation: Task is unreachable")
            }
            Some(agent) if self.agents.contains_key(agent) => {
                (TaskState::Gone, "Reconciliation: Task is unknown to the agent")
            }
            Some(agent) if self.gone_agents.contains(agent) => {
                (TaskState::GoneByOperator, "Reconciliation: Task is gone")
            }
            _ => (TaskState::Unknown, "Reconciliation: Task is unknown"),
        };
        let state = self.state_for(id, state);
        let mut status = master_status(now, asked.task_id.clone(), state, Reason::Reconciliation, message);
        status.agent_id = agent_id.cloned();
        Some(status)
    }

    pub(super) fn reconcile_operations(
        &self,
        id: &FrameworkId,
        operations: &[call::reconcile_operations::Operation],
        out: &mut Vec<Action>,
    ) {
        // Operations finish within the step that starts them, so none is ever pending.
        for operation in operations {
            let message = match &operation.agent_id {
                Some(agent) if self.agents.contains_key(agent) => "Reconciliation: Operation is unknown",
                Some(_) => "Reconciliation: Both operation and agent are unknown",
                None => "Reconciliation: Operation is unknown and no 'agent_id' was provided",
            };
            let status = OperationStatus {
                operation_id: Some(operation.operation_id.clone()),
                state: OperationState::Unknown as i32,
                message: Some(message.to_owned()),
                agent_id: operation.agent_id.clone(),
                ..OperationStatus::default()
            };
            self.to_scheduler(id, operation_event(status), out);
        }
    }

    pub(super) fn is_unreachable(&self, agent: &AgentId) -> bool {
        self.agents.get(agent).is_some_and(|agent| agent.unreachable)
    }

    fn tasks_of<'a>(&'a self, id: &'a FrameworkId) -> impl Iterator<Item = &'a Task> {
        let of_framework = self.frameworks.get(id).into_iter().flat_map(|framework| &framework.tasks);
        of_framework
            .filter_map(move |(task_id, agent_id)| self.agents.get(agent_id)?.tasks.get(&(id.clone(), task_id.clone())))
    }
}

/// The newest state, with what its last update said of health and container.
fn latest(now: Timestamp, task: &Task) -> TaskStatus {
    let state = task.known_state().unwrap_or(TaskState::Staging);
    let mut status =
        master_status(now, task.task_id.clone(), state, Reason::Reconciliation, "Reconciliation: Latest task state");
    status.agent_id = Some(task.agent_id.clone());
    status.executor_id.clone_from(&task.executor_id);
    if let Some(last) = task.statuses.last() {
        status.healthy = last.healthy;
        status.check_status.clone_from(&last.check_status);
        status.container_status.clone_from(&last.container_status);
    }
    status
}
