//! ACCEPT: offers become tasks and reservations; what is left goes back with a filter.

use km_base::Timestamp;
use km_mesos::framework_info::capability::Type as Capability;
use km_mesos::offer::operation::Type as OperationType;
use km_mesos::resources::Resources;
use km_mesos::scheduler::{call, event};
use km_mesos::task_status::{Reason, Source};
use km_mesos::{
    AgentId, FrameworkId, OperationState, OperationStatus, Resource, Task, TaskInfo, TaskState, TaskStatus, Uuid,
    executor_info, master, offer, resource, scheduler,
};

use super::validate::{Candidate, required};
use super::{Action, Master, SentOffer, is_capable};
use crate::link::ToAgent;

/// Offers of one ACCEPT, taken from the book.
struct Accepted {
    agent_id: AgentId,
    role: String,
    left: Resources,
}

impl Master {
    pub(super) fn accept(&mut self, now: Timestamp, id: &FrameworkId, accept: call::Accept, out: &mut Vec<Action>) {
        let seconds = accept.filters.unwrap_or_default().refuse_seconds();
        let mut accepted = match self.take_offers(id, &accept.offer_ids) {
            Ok(accepted) => accepted,
            Err(problem) => {
                let message = format!("Task launched with invalid offers: {problem}");
                let refusal = (self.state_for(id, TaskState::Dropped), Reason::InvalidOffers, message.as_str());
                for task in launched(&accept.operations) {
                    self.refuse_task(now, id, task, refusal, out);
                }
                return;
            }
        };
        let connected = self.agents.get(&accepted.agent_id).is_some_and(|agent| agent.link.is_some());
        for operation in accept.operations {
            match operation.r#type() {
                OperationType::Launch if connected => {
                    for task in operation.launch.map(|launch| launch.task_infos).unwrap_or_default() {
                        self.launch(now, id, task, &mut accepted, out);
                    }
                }
                OperationType::Launch => {
                    let message = format!("Agent {} is disconnected", accepted.agent_id);
                    let refusal = (self.state_for(id, TaskState::Dropped), Reason::AgentDisconnected, message.as_str());
                    for task in operation.launch.map(|launch| launch.task_infos).unwrap_or_default() {
                        self.refuse_task(now, id, &task, refusal, out);
                    }
                }
                OperationType::LaunchGroup => {
                    for task in operation.launch_group.map(|group| group.task_group.tasks).unwrap_or_default() {
                        let message = "Task groups are not supported by the embedded Mesos";
                        self.refuse_task(now, id, &task, (TaskState::Error, Reason::TaskGroupInvalid, message), out);
                    }
                }
                _ => self.convert(id, &operation, &mut accepted, out),
            }
        }
        self.allocator.recover(id, &accepted.agent_id, &accepted.left);
        self.allocator.refuse(now, id, &accepted.role, &accepted.agent_id, &accepted.left, seconds);
    }

    /// Takes all offers, or gives those back that were valid and says what is wrong.
    fn take_offers(&mut self, id: &FrameworkId, offer_ids: &[km_mesos::OfferId]) -> Result<Accepted, String> {
        let mut problem = offer_ids.is_empty().then(|| "No offers specified".to_owned());
        let mut taken: Vec<SentOffer> = Vec::new();
        for (index, offer_id) in offer_ids.iter().enumerate() {
            if offer_ids[..index].contains(offer_id) {
                problem.get_or_insert_with(|| format!("Duplicate offer {offer_id} in offer list"));
                continue;
            }
            let is_own = self.offers.get(offer_id).is_some_and(|offer| offer.framework_id == *id);
            let Some(offer) = self.offers.remove(offer_id).filter(|_| is_own) else {
                problem.get_or_insert_with(|| format!("Offer {offer_id} is no longer valid"));
                continue;
            };
            if let Some(first) = taken.first() {
                if first.role != offer.role {
                    problem.get_or_insert_with(|| {
                        format!(
                            "Aggregated offers must be allocated to the same role. Offer {offer_id} uses role '{}' but \
                             another is using role '{}'",
                            offer.role, first.role
                        )
                    });
                }
                if first.agent_id != offer.agent_id {
                    problem.get_or_insert_with(|| {
                        format!(
                            "Aggregated offers must belong to one single agent. Offer {offer_id} uses agent {} and agent {}",
                            offer.agent_id, first.agent_id
                        )
                    });
                }
            }
            taken.push(offer);
        }
        if let Some(problem) = problem {
            for offer in taken {
                self.allocator.recover(id, &offer.agent_id, &offer.resources);
            }
            return Err(problem);
        }
        let first = taken.first().ok_or_else(|| "No offers specified".to_owned())?;
        let mut accepted =
            Accepted { agent_id: first.agent_id.clone(), role: first.role.clone(), left: Resources::new() };
        for offer in &taken {
            accepted.left.add(&offer.resources);
        }
        Ok(accepted)
    }

    fn launch(
        &mut self,
        now: Timestamp,
        id: &FrameworkId,
        task: TaskInfo,
        accepted: &mut Accepted,
        out: &mut Vec<Action>,
    ) {
        let task = completed_task(task, id, &accepted.role);
        let (Some(framework), Some(agent)) = (self.frameworks.get_mut(id), self.agents.get_mut(&accepted.agent_id))
        else {
            return;
        };
        let executor_key =
            (id.clone(), task.executor.as_ref().map(|info| info.executor_id.clone()).unwrap_or_default());
        let running = agent.executors.get(&executor_key);
        let candidate = Candidate { task: &task, framework, agent, available: &accepted.left, running };
        if let Some(message) = candidate.error() {
            self.refuse_task(now, id, &task, (TaskState::Error, Reason::TaskInvalid, &message), out);
            return;
        }
        let Some(executor) = task.executor.clone() else { return };
        accepted.left.subtract(&required(&task, running.is_none()));
        let run = ToAgent::RunTask {
            framework: Box::new(framework.info.clone()),
            executor: Box::new(running.unwrap_or(&executor).clone()),
            task: Box::new(task.clone()),
        };
        agent.executors.entry(executor_key).or_insert(executor);
        framework.tasks.insert(task.task_id.clone(), accepted.agent_id.clone());
        let known = task_record(&task, id);
        agent.tasks.insert((id.clone(), task.task_id.clone()), known.clone());
        if self.has_operators() {
            out.push(Action::ToOperators(Box::new(master::Event {
                r#type: Some(master::event::Type::TaskAdded as i32),
                task_added: Some(master::event::TaskAdded { task: known }),
                ..master::Event::default()
            })));
        }
        self.to_agent(&accepted.agent_id, run, out);
    }

    /// RESERVE, UNRESERVE, CREATE and DESTROY: part of the offer turns into something else of the same amount.
    fn convert(
        &mut self,
        id: &FrameworkId,
        operation: &offer::Operation,
        accepted: &mut Accepted,
        out: &mut Vec<Action>,
    ) {
        let result = conversion(operation, &accepted.role).and_then(|(consumed, made)| {
            if !accepted.left.contains(&consumed) {
                return Err(format!(
                    "Invalid {} Operation: {} does not contain {consumed}",
                    operation.r#type(),
                    accepted.left
                ));
            }
            Ok((consumed, made))
        });
        let (state, message) = match result {
            Ok((consumed, made)) => {
                accepted.left.subtract(&consumed);
                accepted.left.add(&made);
                if let Some(agent) = self.agents.get_mut(&accepted.agent_id) {
                    agent.total.subtract(&consumed.unallocated());
                    agent.total.add(&made.unallocated());
                    let total = agent.total.to_messages();
                    self.to_agent(&accepted.agent_id, ToAgent::SetTotal { total }, out);
                }
                (OperationState::Finished, None)
            }
            Err(message) => (OperationState::Error, Some(message)),
        };
        if let Some(operation_id) = &operation.id {
            let status = OperationStatus {
                operation_id: Some(operation_id.clone()),
                state: state as i32,
                message,
                uuid: (state == OperationState::Finished).then(|| Uuid { value: self.uuids.next_bytes() }),
                agent_id: Some(accepted.agent_id.clone()),
                ..OperationStatus::default()
            };
            self.to_scheduler(id, operation_event(status), out);
        }
    }

    /// Tells a scheduler that a task never started.
    fn refuse_task(
        &self,
        now: Timestamp,
        id: &FrameworkId,
        task: &TaskInfo,
        (state, reason, message): (TaskState, Reason, &str),
        out: &mut Vec<Action>,
    ) {
        let mut status = master_status(now, task.task_id.clone(), state, reason, message);
        status.agent_id = Some(task.agent_id.clone());
        self.to_scheduler(id, update_event(status), out);
    }

    /// The states that came with PARTITION_AWARE are TASK_LOST for frameworks without it.
    pub(super) fn state_for(&self, id: &FrameworkId, state: TaskState) -> TaskState {
        let aware =
            self.frameworks.get(id).is_some_and(|framework| is_capable(&framework.info, Capability::PartitionAware));
        if aware { state } else { TaskState::Lost }
    }
}

/// A status made by the master itself: no uuid, so it is neither repeated nor acknowledged.
pub(super) fn master_status(
    now: Timestamp,
    task_id: km_mesos::TaskId,
    state: TaskState,
    reason: Reason,
    message: &str,
) -> TaskStatus {
    TaskStatus {
        task_id,
        state: state as i32,
        source: Some(Source::Master as i32),
        reason: Some(reason as i32),
        message: Some(message.to_owned()),
        timestamp: Some(seconds(now)),
        ..TaskStatus::default()
    }
}

/// Seconds since the epoch, as in `TaskStatus.timestamp`.
pub(crate) fn seconds(now: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 stay below 2^53 until 2255")]
    let micros = now.as_micros() as f64;
    micros / 1e6
}

pub(super) fn update_event(status: TaskStatus) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::Update as i32),
        update: Some(event::Update { status }),
        ..scheduler::Event::default()
    }
}

pub(super) fn operation_event(status: OperationStatus) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::UpdateOperationStatus as i32),
        update_operation_status: Some(event::UpdateOperationStatus { status }),
        ..scheduler::Event::default()
    }
}

fn launched(operations: &[offer::Operation]) -> impl Iterator<Item = &TaskInfo> {
    operations.iter().flat_map(|operation| {
        let plain = operation.launch.iter().flat_map(|launch| &launch.task_infos);
        plain.chain(operation.launch_group.iter().flat_map(|group| &group.task_group.tasks))
    })
}

/// Fills in what a scheduler may leave out: the allocation's role, the executor's framework and type.
fn completed_task(mut task: TaskInfo, id: &FrameworkId, role: &str) -> TaskInfo {
    allocate_unset(&mut task.resources, role);
    if let Some(executor) = &mut task.executor {
        allocate_unset(&mut executor.resources, role);
        executor.framework_id.get_or_insert_with(|| id.clone());
        if executor.r#type() == executor_info::Type::Unknown {
            executor.r#type = Some(executor_info::Type::Custom as i32);
        }
    }
    task
}

fn allocate_unset(resources: &mut [Resource], role: &str) {
    for resource in resources {
        resource.allocation_info.get_or_insert_with(|| resource::AllocationInfo { role: Some(role.to_owned()) });
    }
}

fn task_record(task: &TaskInfo, id: &FrameworkId) -> Task {
    Task {
        name: task.name.clone(),
        task_id: task.task_id.clone(),
        framework_id: id.clone(),
        executor_id: task.executor.as_ref().map(|executor| executor.executor_id.clone()),
        agent_id: task.agent_id.clone(),
        state: TaskState::Staging as i32,
        resources: task.resources.clone(),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        container: task.container.clone(),
        health_check: task.health_check.clone(),
        kill_policy: task.kill_policy.clone(),
        user: task
            .executor
            .as_ref()
            .and_then(|executor| executor.command.as_ref())
            .and_then(|command| command.user.clone()),
        limits: task.limits.clone(),
        ..Task::default()
    }
}

/// What an operation takes and what it makes of it.
fn conversion(operation: &offer::Operation, role: &str) -> Result<(Resources, Resources), String> {
    let name = operation.r#type();
    let allocated = |resources: &[Resource]| {
        let mut resources = resources.to_vec();
        allocate_unset(&mut resources, role);
        resources
    };
    let bag = |resources: &[Resource]| Resources::from_messages(resources);
    match name {
        OperationType::Reserve => {
            let made = allocated(&operation.reserve.clone().unwrap_or_default().resources);
            if made.iter().any(|resource| resource.reservations.is_empty()) {
                return Err(format!("Invalid {name} Operation: Resource is not reserved"));
            }
            Ok((bag(&without_last_reservation(&made)), bag(&made)))
        }
        OperationType::Unreserve => {
            let consumed = allocated(&operation.unreserve.clone().unwrap_or_default().resources);
            if consumed.iter().any(|resource| resource.reservations.is_empty()) {
                return Err(format!("Invalid {name} Operation: Resource is not reserved"));
            }
            Ok((bag(&consumed), bag(&without_last_reservation(&consumed))))
        }
        OperationType::Create => {
            let made = allocated(&operation.create.clone().unwrap_or_default().volumes);
            Ok((bag(&without_volume(&made)), bag(&made)))
        }
        OperationType::Destroy => {
            let consumed = allocated(&operation.destroy.clone().unwrap_or_default().volumes);
            Ok((bag(&consumed), bag(&without_volume(&consumed))))
        }
        _ => Err(format!("Invalid {name} Operation: not supported by the embedded Mesos")),
    }
}

fn without_last_reservation(resources: &[Resource]) -> Vec<Resource> {
    let mut bare = resources.to_vec();
    for resource in &mut bare {
        resource.reservations.pop();
    }
    bare
}

fn without_volume(resources: &[Resource]) -> Vec<Resource> {
    let mut bare = resources.to_vec();
    for resource in &mut bare {
        // Source, which names the disk itself, stays; persistence and volume go.
        resource.disk = resource
            .disk
            .take()
            .and_then(|disk| disk.source)
            .map(|source| resource::DiskInfo { source: Some(source), ..resource::DiskInfo::default() });
    }
    bare
}
