//! Answers to operators: the master's state between two steps, and the event stream's first event.

use km_base::Timestamp;
use km_mesos::master::response::{self, get_agents, get_executors, get_frameworks};
use km_mesos::master::{Call, Event, Response, call, event};
use km_mesos::resources::Resources;
use km_mesos::{AgentId, Flag, FrameworkId, Role, Task, TimeInfo, VersionInfo, WeightInfo, agent_info};

use super::{Action, Agent, Framework, Master, Stream, StreamId, roles_of};
use crate::master::accept::seconds;

/// What this agent protocol can do, in Mesos's own words.
const AGENT_CAPABILITIES: [agent_info::capability::Type; 4] = [
    agent_info::capability::Type::MultiRole,
    agent_info::capability::Type::HierarchicalRole,
    agent_info::capability::Type::ReservationRefinement,
    agent_info::capability::Type::TaskResourceLimits,
];

impl Master {
    /// Answers a call that only reads; `None` when the call is not such a one.
    pub fn answer(&self, call: &Call) -> Option<Response> {
        let mut response = Response::default();
        let kind = match call.r#type() {
            call::Type::GetHealth => {
                response.get_health = Some(response::GetHealth { healthy: true });
                response::Type::GetHealth
            }
            call::Type::GetFlags => {
                response.get_flags = Some(response::GetFlags { flags: self.flags() });
                response::Type::GetFlags
            }
            call::Type::GetVersion => {
                let version = self.settings.info.version.clone().unwrap_or_default();
                let version_info = VersionInfo { version, ..VersionInfo::default() };
                response.get_version = Some(response::GetVersion { version_info });
                response::Type::GetVersion
            }
            call::Type::GetState => {
                response.get_state = Some(self.state());
                response::Type::GetState
            }
            call::Type::GetAgents => {
                response.get_agents = Some(self.get_agents());
                response::Type::GetAgents
            }
            call::Type::GetFrameworks => {
                response.get_frameworks = Some(self.get_frameworks());
                response::Type::GetFrameworks
            }
            call::Type::GetExecutors => {
                response.get_executors = Some(self.get_executors());
                response::Type::GetExecutors
            }
            call::Type::GetTasks => {
                response.get_tasks = Some(self.get_tasks());
                response::Type::GetTasks
            }
            call::Type::GetOperations => {
                response.get_operations = Some(response::GetOperations::default());
                response::Type::GetOperations
            }
            call::Type::GetRoles => {
                response.get_roles = Some(response::GetRoles { roles: self.roles() });
                response::Type::GetRoles
            }
            call::Type::GetWeights => {
                let weights = self.settings.weights.iter();
                let weight_infos =
                    weights.map(|(role, weight)| WeightInfo { role: Some(role.clone()), weight: *weight }).collect();
                response.get_weights = Some(response::GetWeights { weight_infos });
                response::Type::GetWeights
            }
            call::Type::GetMaster => {
                let started = Some(seconds(self.settings.started));
                response.get_master = Some(response::GetMaster {
                    master_info: Some(self.settings.info.clone()),
                    start_time: started,
                    elected_time: started,
                });
                response::Type::GetMaster
            }
            call::Type::GetMaintenanceSchedule => {
                response.get_maintenance_schedule = Some(response::GetMaintenanceSchedule::default());
                response::Type::GetMaintenanceSchedule
            }
            call::Type::GetMaintenanceStatus => {
                response.get_maintenance_status = Some(response::GetMaintenanceStatus::default());
                response::Type::GetMaintenanceStatus
            }
            _ => return None,
        };
        response.r#type = Some(kind as i32);
        Some(response)
    }

    pub(super) fn operator_subscribed(&mut self, now: Timestamp, stream: StreamId, out: &mut Vec<Action>) {
        let interval = self.settings.heartbeat_interval;
        let subscribed = event::Subscribed {
            get_state: Some(self.state()),
            heartbeat_interval_seconds: Some(interval.as_secs_f64()),
        };
        let event =
            Event { r#type: Some(event::Type::Subscribed as i32), subscribed: Some(subscribed), ..Event::default() };
        out.push(Action::ToOperator { stream: stream.clone(), event: Box::new(event) });
        out.push(super::heartbeat(&stream, false));
        self.streams.insert(stream, Stream { framework_id: None, next_heartbeat: now + interval });
    }

    fn state(&self) -> response::GetState {
        response::GetState {
            get_tasks: Some(self.get_tasks()),
            get_executors: Some(self.get_executors()),
            get_frameworks: Some(self.get_frameworks()),
            get_agents: Some(self.get_agents()),
        }
    }

    fn get_agents(&self) -> response::GetAgents {
        let reachable = self.agents.iter().filter(|(_, agent)| !agent.unreachable);
        response::GetAgents {
            agents: reachable.map(|(id, agent)| self.agent_message(id, agent)).collect(),
            recovered_agents: self.recovered_agents.values().cloned().collect(),
        }
    }

    pub(super) fn agent_message(&self, id: &AgentId, agent: &Agent) -> get_agents::Agent {
        let mut offered = Resources::new();
        for offer in self.offers.values().filter(|offer| offer.agent_id == *id) {
            offered.add(&offer.resources);
        }
        let capability = |kind: &agent_info::capability::Type| agent_info::Capability { r#type: Some(*kind as i32) };
        get_agents::Agent {
            agent_info: agent.info.clone(),
            active: agent.link.is_some(),
            deactivated: Some(false),
            version: self.settings.info.version.clone().unwrap_or_default(),
            pid: Some(agent.pid.clone()),
            registered_time: Some(time(agent.registered)),
            reregistered_time: agent.reregistered.map(time),
            total_resources: agent.total.to_messages(),
            allocated_resources: super::agents::used_total(agent).to_messages(),
            offered_resources: offered.to_messages(),
            capabilities: AGENT_CAPABILITIES.iter().map(capability).collect(),
            ..get_agents::Agent::default()
        }
    }

    fn get_frameworks(&self) -> response::GetFrameworks {
        let completed = self.removed_frameworks.iter().map(|(info, times)| get_frameworks::Framework {
            framework_info: info.clone(),
            active: false,
            connected: false,
            recovered: false,
            registered_time: times.registered.map(time),
            reregistered_time: times.reregistered.map(time),
            unregistered_time: times.unregistered.map(time),
            ..get_frameworks::Framework::default()
        });
        response::GetFrameworks {
            frameworks: self.frameworks.iter().map(|(id, framework)| self.framework_message(id, framework)).collect(),
            completed_frameworks: completed.collect(),
            ..response::GetFrameworks::default()
        }
    }

    pub(super) fn framework_message(&self, id: &FrameworkId, framework: &Framework) -> get_frameworks::Framework {
        let mut offered = Resources::new();
        let mut offers = Vec::new();
        for (offer_id, sent) in self.offers.iter().filter(|(_, offer)| offer.framework_id == *id) {
            offered.add(&sent.resources);
            if let Some(agent) = self.agents.get(&sent.agent_id) {
                let allocation = crate::allocator::Allocation {
                    framework_id: id.clone(),
                    role: sent.role.clone(),
                    agent_id: sent.agent_id.clone(),
                    resources: sent.resources.clone(),
                };
                offers.push(super::agents::offer_message(offer_id.clone(), &allocation, agent));
            }
        }
        get_frameworks::Framework {
            framework_info: framework.info.clone(),
            active: framework.stream.is_some(),
            connected: framework.stream.is_some(),
            recovered: framework.recovered,
            registered_time: framework.times.registered.map(time),
            reregistered_time: framework.times.reregistered.map(time),
            unregistered_time: framework.times.unregistered.map(time),
            offers,
            allocated_resources: self.used_by(id).to_messages(),
            offered_resources: offered.to_messages(),
            offer_constraints: framework.constraints.clone(),
            ..get_frameworks::Framework::default()
        }
    }

    fn used_by(&self, id: &FrameworkId) -> Resources {
        let mut used = Resources::new();
        for agent in self.agents.values() {
            for ((framework, _), task) in &agent.tasks {
                if framework == id && super::agents::holds_resources(task) {
                    used.add(&Resources::from_messages(&task.resources));
                }
            }
            for ((framework, _), executor) in &agent.executors {
                if framework == id {
                    used.add(&Resources::from_messages(&executor.resources));
                }
            }
        }
        used
    }

    fn get_executors(&self) -> response::GetExecutors {
        let executors = self.agents.iter().flat_map(|(id, agent)| {
            let of_agent = agent.executors.values();
            of_agent.map(|info| get_executors::Executor { executor_info: info.clone(), agent_id: id.clone() })
        });
        response::GetExecutors { executors: executors.collect(), ..response::GetExecutors::default() }
    }

    fn get_tasks(&self) -> response::GetTasks {
        let tasks: Vec<Task> = self.agents.values().flat_map(|agent| agent.tasks.values().cloned()).collect();
        let frameworks = || self.frameworks.values();
        response::GetTasks {
            tasks,
            unreachable_tasks: frameworks().flat_map(|framework| framework.unreachable.values().cloned()).collect(),
            completed_tasks: frameworks().flat_map(|framework| framework.completed.iter().cloned()).collect(),
            ..response::GetTasks::default()
        }
    }

    fn roles(&self) -> Vec<Role> {
        let mut roles: std::collections::BTreeMap<String, Role> = std::collections::BTreeMap::new();
        for (id, framework) in &self.frameworks {
            let used = self.used_by(id);
            for name in roles_of(&framework.info) {
                let weight = self.settings.weights.get(&name).copied().unwrap_or(1.0);
                let role =
                    roles.entry(name.clone()).or_insert_with(|| Role { name: name.clone(), weight, ..Role::default() });
                role.frameworks.push(id.clone());
                let mut sum = Resources::from_messages(&role.resources);
                for (_, part) in used.by_allocation_role().into_iter().filter(|(allocated, _)| *allocated == name) {
                    sum.add(&part.unallocated());
                }
                role.resources = sum.to_messages();
            }
        }
        roles.into_values().collect()
    }

    fn flags(&self) -> Vec<Flag> {
        let interval = format!("{}secs", self.settings.allocation_interval.as_secs_f64());
        let flag = |name: &str, value: &str| Flag { name: name.to_owned(), value: Some(value.to_owned()) };
        vec![
            flag("allocation_interval", &interval),
            flag("authenticate_http_frameworks", "true"),
            flag("authenticate_http_readonly", "true"),
            flag("authenticate_http_readwrite", "true"),
            flag("hostname", self.settings.info.hostname()),
            flag("port", &self.settings.info.port.to_string()),
        ]
    }
}

fn time(at: Timestamp) -> TimeInfo {
    TimeInfo { nanoseconds: at.as_micros().saturating_mul(1_000) }
}
