//! An agent's life as the master sees it: registration, updates from its tasks, loss and return.

use std::collections::BTreeMap;

use km_base::Timestamp;
use km_mesos::resources::Resources;
use km_mesos::scheduler::{self, event};
use km_mesos::task_status::{Reason, Source};
use km_mesos::{
    Address, AgentId, AgentInfo, ExecutorId, FrameworkId, Offer, OfferId, Task, TaskId, TaskState, TaskStatus, Url,
    master, resource,
};

use super::accept::{master_status, update_event};
use super::{Action, Agent, COMPLETED_TASKS_MAX, Framework, Master, Times, roles_of};
use crate::allocator::{Allocation, Constraints, Wants};
use crate::link::{LinkId, Registration, ToAgent, ToMaster};

impl Master {
    pub(super) fn hear(&mut self, now: Timestamp, link: LinkId, message: ToMaster, out: &mut Vec<Action>) {
        if let ToMaster::Register(registration) = message {
            self.register(now, link, *registration, out);
            return;
        }
        // Anything else from a link that has not registered is of a connection already given up.
        let Some(agent_id) = self.links.get(&link).cloned() else { return };
        match message {
            ToMaster::Register(_) => {}
            ToMaster::StatusUpdate { framework_id, status, latest_state } => {
                self.status_update(&agent_id, &framework_id, *status, latest_state, out);
            }
            ToMaster::ExecutorMessage { framework_id, executor_id, data } => {
                let message = event::Message { agent_id, executor_id, data };
                let event = scheduler::Event {
                    r#type: Some(event::Type::Message as i32),
                    message: Some(message),
                    ..scheduler::Event::default()
                };
                self.to_scheduler(&framework_id, event, out);
            }
            ToMaster::ExecutorExited { framework_id, executor_id, status } => {
                self.executor_exited(&agent_id, &framework_id, &executor_id, status, out);
            }
        }
    }

    fn register(&mut self, now: Timestamp, link: LinkId, registration: Registration, out: &mut Vec<Action>) {
        let mut info = registration.info;
        let id = info.id.clone().unwrap_or_else(|| {
            let id = AgentId::new(format!("{}-S{}", self.settings.info.id, self.next_agent));
            self.next_agent += 1;
            id
        });
        info.id = Some(id.clone());
        let before = self.agents.remove(&id);
        let was_known = self.recovered_agents.remove(&id).is_some() || before.is_some();
        if let Some(before) = &before {
            self.rescind_offers_on(&id, out);
            if let Some(old) = before.link {
                self.links.remove(&old);
            }
            self.allocator.remove_agent(&id, &used(before));
        }
        let mut agent = Agent {
            info,
            pid: registration.pid,
            total: Resources::from_messages(&registration.total),
            link: Some(link),
            disconnected: None,
            unreachable: false,
            registered: before.as_ref().map_or(now, |before| before.registered),
            reregistered: before.as_ref().map(|_| now),
            tasks: BTreeMap::new(),
            executors: BTreeMap::new(),
        };
        for executor in registration.executors {
            agent.executors.insert((executor.framework_id, executor.info.executor_id.clone()), executor.info);
        }
        for task in registration.tasks {
            agent.tasks.insert((task.framework_id.clone(), task.task_id.clone()), task);
        }
        self.links.insert(link, id.clone());
        out.push(Action::ToAgent { link, message: ToAgent::Registered { agent_id: id.clone() } });
        for info in registration.frameworks {
            self.recover_framework(now, info, &mut agent, link, out);
        }
        self.adopt_tasks(&id, &agent);
        self.allocator.add_agent(&id, agent.info.clone(), &agent.total, &used(&agent));
        let is_new = before.as_ref().is_none_or(|before| before.unreachable);
        self.agents.insert(id.clone(), agent);
        if let Some(before) = before {
            self.miss_tasks(now, &id, &before, out);
        }
        if is_new
            && self.has_operators()
            && let Some(agent) = self.agents.get(&id)
        {
            let agent = self.agent_message(&id, agent);
            out.push(Action::ToOperators(Box::new(master::Event {
                r#type: Some(master::event::Type::AgentAdded as i32),
                agent_added: Some(master::event::AgentAdded { agent }),
                ..master::Event::default()
            })));
        }
        // Only who is known is kept, so the return of an agent writes nothing.
        if !was_known {
            self.save_agents(out);
        }
        self.allocate_now = true;
    }

    /// A framework that this master does not know yet comes with its tasks; one that was removed has them killed.
    fn recover_framework(
        &mut self,
        now: Timestamp,
        info: km_mesos::FrameworkInfo,
        agent: &mut Agent,
        link: LinkId,
        out: &mut Vec<Action>,
    ) {
        let Some(id) = info.id.clone() else { return };
        if self.removed_frameworks.iter().any(|(removed, _)| removed.id.as_ref() == Some(&id)) {
            agent.tasks.retain(|(framework, _), _| *framework != id);
            agent.executors.retain(|(framework, _), _| *framework != id);
            out.push(Action::ToAgent { link, message: ToAgent::ShutdownFramework { framework_id: id } });
            return;
        }
        if self.frameworks.contains_key(&id) {
            return;
        }
        let wants =
            Wants { roles: roles_of(&info), suppressed: Default::default(), constraints: Constraints::default() };
        self.allocator.set_framework(&id, wants);
        self.allocator.set_framework_active(&id, false);
        let framework = Framework {
            info,
            suppressed: Default::default(),
            constraints: None,
            stream: None,
            times: Times { registered: Some(now), ..Times::default() },
            disconnected: Some(now),
            recovered: true,
            tasks: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            completed: Default::default(),
        };
        self.frameworks.insert(id, framework);
    }

    fn adopt_tasks(&mut self, id: &AgentId, agent: &Agent) {
        for (framework_id, task_id) in agent.tasks.keys() {
            if let Some(framework) = self.frameworks.get_mut(framework_id) {
                framework.unreachable.remove(task_id);
                framework.tasks.insert(task_id.clone(), id.clone());
            }
        }
    }

    /// Tasks sent to the agent that it does not have: the link broke before they arrived.
    fn miss_tasks(&mut self, now: Timestamp, id: &AgentId, before: &Agent, out: &mut Vec<Action>) {
        for (key, task) in &before.tasks {
            let is_here = self.agents.get(id).is_some_and(|agent| agent.tasks.contains_key(key));
            if is_here {
                continue;
            }
            let (framework_id, task_id) = key;
            if let Some(framework) = self.frameworks.get_mut(framework_id) {
                framework.tasks.remove(task_id);
            }
            if !holds_resources(task) {
                continue;
            }
            let state = self.state_for(framework_id, TaskState::Dropped);
            let message = "Reconciliation: Task is unknown to the agent";
            let mut status = master_status(now, task_id.clone(), state, Reason::Reconciliation, message);
            status.source = Some(Source::Agent as i32);
            status.agent_id = Some(id.clone());
            self.to_scheduler(framework_id, update_event(status), out);
        }
    }

    fn status_update(
        &mut self,
        agent_id: &AgentId,
        framework_id: &FrameworkId,
        status: TaskStatus,
        latest_state: i32,
        out: &mut Vec<Action>,
    ) {
        let key = (framework_id.clone(), status.task_id.clone());
        if let Some(task) = self.agents.get_mut(agent_id).and_then(|agent| agent.tasks.get_mut(&key)) {
            let held = holds_resources(task);
            if held {
                task.state = latest_state;
            }
            task.status_update_state = Some(status.state);
            task.status_update_uuid.clone_from(&status.uuid);
            task.statuses.retain(|known| known.state != status.state);
            task.statuses.push(TaskStatus { data: None, ..status.clone() });
            if held && !holds_resources(task) {
                let freed = Resources::from_messages(&task.resources);
                self.allocator.recover(framework_id, agent_id, &freed);
                self.allocate_now = true;
            }
        }
        if self.has_operators() {
            out.push(Action::ToOperators(Box::new(master::Event {
                r#type: Some(master::event::Type::TaskUpdated as i32),
                task_updated: Some(master::event::TaskUpdated {
                    framework_id: framework_id.clone(),
                    status: status.clone(),
                    state: latest_state,
                }),
                ..master::Event::default()
            })));
        }
        self.to_scheduler(framework_id, update_event(status), out);
    }

    fn executor_exited(
        &mut self,
        agent_id: &AgentId,
        framework_id: &FrameworkId,
        executor_id: &ExecutorId,
        status: i32,
        out: &mut Vec<Action>,
    ) {
        let key = (framework_id.clone(), executor_id.clone());
        let removed = self.agents.get_mut(agent_id).and_then(|agent| agent.executors.remove(&key));
        let Some(info) = removed else { return };
        self.allocator.recover(framework_id, agent_id, &Resources::from_messages(&info.resources));
        self.allocate_now = true;
        let failure = event::Failure {
            agent_id: Some(agent_id.clone()),
            executor_id: Some(executor_id.clone()),
            status: Some(status),
        };
        self.to_scheduler(framework_id, failure_event(failure), out);
    }

    pub(super) fn complete_task(&mut self, agent_id: &AgentId, key: &(FrameworkId, TaskId)) {
        let Some(task) = self.agents.get_mut(agent_id).and_then(|agent| agent.tasks.remove(key)) else { return };
        if let Some(framework) = self.frameworks.get_mut(&key.0) {
            framework.tasks.remove(&key.1);
            framework.completed.push_back(task);
            if framework.completed.len() > COMPLETED_TASKS_MAX {
                framework.completed.pop_front();
            }
        }
    }

    pub(super) fn link_down(&mut self, now: Timestamp, link: LinkId, out: &mut Vec<Action>) {
        let Some(id) = self.links.remove(&link) else { return };
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.link = None;
            agent.disconnected = Some(now);
        }
        self.allocator.set_agent_active(&id, false);
        self.rescind_offers_on(&id, out);
    }

    pub(super) fn expire_agents(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let timeout = self.settings.agent_timeout;
        let is_lost = |agent: &Agent| {
            !agent.unreachable && agent.disconnected.is_some_and(|since| now.saturating_since(since) >= timeout)
        };
        let lost: Vec<AgentId> =
            self.agents.iter().filter(|(_, agent)| is_lost(agent)).map(|(id, _)| id.clone()).collect();
        for id in lost {
            self.lose_agent(now, &id, TaskState::Unreachable, "Agent did not re-register in time", out);
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.unreachable = true;
            }
        }
        if now.saturating_since(self.settings.started) >= self.settings.reregister_timeout
            && !self.recovered_agents.is_empty()
        {
            self.recovered_agents.clear();
            self.save_agents(out);
        }
    }

    pub(super) fn mark_gone(&mut self, now: Timestamp, id: &AgentId, out: &mut Vec<Action>) {
        self.lose_agent(now, id, TaskState::GoneByOperator, "Agent has been marked gone", out);
        if let Some(link) = self.agents.remove(id).and_then(|agent| agent.link) {
            self.links.remove(&link);
        }
        self.gone_agents.insert(id.clone());
        if self.has_operators() {
            out.push(Action::ToOperators(Box::new(master::Event {
                r#type: Some(master::event::Type::AgentRemoved as i32),
                agent_removed: Some(master::event::AgentRemoved { agent_id: id.clone() }),
                ..master::Event::default()
            })));
        }
        self.save_agents(out);
    }

    /// Takes an agent out of use and reports its tasks; the agent's entry stays.
    fn lose_agent(&mut self, now: Timestamp, id: &AgentId, state: TaskState, message: &str, out: &mut Vec<Action>) {
        self.rescind_offers_on(id, out);
        let Some(agent) = self.agents.get_mut(id) else { return };
        let held = used(agent);
        let tasks = std::mem::take(&mut agent.tasks);
        let executors = std::mem::take(&mut agent.executors);
        self.allocator.remove_agent(id, &held);
        let mut concerned: Vec<FrameworkId> = executors.keys().map(|(framework, _)| framework.clone()).collect();
        for ((framework_id, task_id), mut task) in tasks {
            concerned.push(framework_id.clone());
            let told = self.state_for(&framework_id, state);
            let was_held = holds_resources(&task);
            if let Some(framework) = self.frameworks.get_mut(&framework_id) {
                framework.tasks.remove(&task_id);
                task.state = told as i32;
                if state == TaskState::Unreachable && was_held {
                    framework.unreachable.insert(task_id.clone(), task);
                }
            }
            if was_held {
                let mut status = master_status(now, task_id, told, Reason::AgentRemoved, message);
                status.agent_id = Some(id.clone());
                self.to_scheduler(&framework_id, update_event(status), out);
            }
        }
        concerned.sort();
        concerned.dedup();
        // Mesos tells every framework of a removed agent, also those without tasks there.
        let all: Vec<FrameworkId> = self.frameworks.keys().cloned().collect();
        for framework_id in all {
            let failure = event::Failure { agent_id: Some(id.clone()), executor_id: None, status: None };
            self.to_scheduler(&framework_id, failure_event(failure), out);
        }
    }

    pub(super) fn rescind_offers_on(&mut self, id: &AgentId, out: &mut Vec<Action>) {
        let on_agent: Vec<OfferId> = self
            .offers
            .iter()
            .filter(|(_, offer)| offer.agent_id == *id)
            .map(|(offer_id, _)| offer_id.clone())
            .collect();
        for offer_id in on_agent {
            let Some(offer) = self.offers.remove(&offer_id) else { continue };
            self.allocator.recover(&offer.framework_id, id, &offer.resources);
            let event = scheduler::Event {
                r#type: Some(event::Type::Rescind as i32),
                rescind: Some(event::Rescind { offer_id }),
                ..scheduler::Event::default()
            };
            self.to_scheduler(&offer.framework_id, event, out);
        }
    }

    /// Takes back all offers of a framework that cannot hear of it any more.
    pub(super) fn drop_offers_of(&mut self, id: &FrameworkId) {
        let of_framework: Vec<OfferId> = self
            .offers
            .iter()
            .filter(|(_, offer)| offer.framework_id == *id)
            .map(|(offer_id, _)| offer_id.clone())
            .collect();
        for offer_id in of_framework {
            if let Some(offer) = self.offers.remove(&offer_id) {
                self.allocator.recover(id, &offer.agent_id, &offer.resources);
            }
        }
    }

    fn save_agents(&self, out: &mut Vec<Action>) {
        let known: Vec<AgentInfo> = self
            .agents
            .values()
            .map(|agent| agent.info.clone())
            .chain(self.recovered_agents.values().cloned())
            .collect();
        out.push(Action::SaveAgents(known));
    }
}

/// Tells whether a task's resources are still its own.
pub(super) fn holds_resources(task: &Task) -> bool {
    !task.known_state().is_some_and(TaskState::is_terminal)
}

/// What tasks and executors use on an agent, by framework.
fn used(agent: &Agent) -> Vec<(FrameworkId, Resources)> {
    let mut by_framework: BTreeMap<FrameworkId, Resources> = BTreeMap::new();
    for ((framework, _), task) in agent.tasks.iter().filter(|(_, task)| holds_resources(task)) {
        by_framework.entry(framework.clone()).or_default().add(&Resources::from_messages(&task.resources));
    }
    for ((framework, _), executor) in &agent.executors {
        by_framework.entry(framework.clone()).or_default().add(&Resources::from_messages(&executor.resources));
    }
    by_framework.into_iter().collect()
}

/// Sums what tasks and executors use on an agent.
pub(super) fn used_total(agent: &Agent) -> Resources {
    let mut all = Resources::new();
    for (_, resources) in used(agent) {
        all.add(&resources);
    }
    all
}

pub(super) fn offer_message(id: OfferId, allocation: &Allocation, agent: &Agent) -> Offer {
    let executor_ids = agent
        .executors
        .keys()
        .filter(|(framework, _)| *framework == allocation.framework_id)
        .map(|(_, executor)| executor.clone())
        .collect();
    Offer {
        id,
        framework_id: allocation.framework_id.clone(),
        agent_id: allocation.agent_id.clone(),
        hostname: agent.info.hostname.clone(),
        url: Some(agent_url(agent)),
        domain: agent.info.domain.clone(),
        resources: allocation.resources.to_messages(),
        attributes: agent.info.attributes.clone(),
        executor_ids,
        allocation_info: Some(resource::AllocationInfo { role: Some(allocation.role.clone()) }),
        ..Offer::default()
    }
}

/// The agent's own API, out of its `slave(1)@host:port`.
fn agent_url(agent: &Agent) -> Url {
    let (name, address) = agent.pid.split_once('@').unwrap_or(("slave(1)", ""));
    let (ip, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let address = Address {
        hostname: Some(agent.info.hostname.clone()),
        ip: Some(ip.to_owned()),
        port: port.parse().unwrap_or_default(),
    };
    Url { scheme: "http".to_owned(), address, path: Some(format!("/{name}")), ..Url::default() }
}

fn failure_event(failure: event::Failure) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::Failure as i32),
        failure: Some(failure),
        ..scheduler::Event::default()
    }
}
