//! Answers to operators: the agent's state between two steps.

use km_mesos::agent::response::{self, get_containers, get_executors, get_frameworks};
use km_mesos::agent::{Call, Response, call};
use km_mesos::{ContainerId, ContainerStatus, TaskState, VersionInfo};

use super::{Agent, HeldTask};

impl Agent {
    /// Answers an operator's call; `None` for one that this agent does not serve.
    pub fn answer(&self, call: &Call) -> Option<Response> {
        let mut response = Response::default();
        let kind = match call.r#type() {
            call::Type::GetHealth => {
                response.get_health = Some(response::GetHealth { healthy: true });
                response::Type::GetHealth
            }
            call::Type::GetFlags => {
                response.get_flags = Some(response::GetFlags { flags: self.settings.flags.clone() });
                response::Type::GetFlags
            }
            call::Type::GetVersion => {
                let version_info = VersionInfo { version: self.settings.version.clone(), ..VersionInfo::default() };
                response.get_version = Some(response::GetVersion { version_info });
                response::Type::GetVersion
            }
            call::Type::GetState => {
                response.get_state = Some(response::GetState {
                    get_tasks: Some(self.get_tasks()),
                    get_executors: Some(self.get_executors()),
                    get_frameworks: Some(self.get_frameworks()),
                });
                response::Type::GetState
            }
            call::Type::GetContainers => {
                response.get_containers = Some(self.get_containers());
                response::Type::GetContainers
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
            call::Type::GetAgent => {
                response.get_agent =
                    Some(response::GetAgent { agent_info: Some(self.info.clone()), ..response::GetAgent::default() });
                response::Type::GetAgent
            }
            _ => return None,
        };
        response.r#type = Some(kind as i32);
        Some(response)
    }

    fn get_tasks(&self) -> response::GetTasks {
        let mut tasks = response::GetTasks::default();
        for task in self.tasks.values() {
            let list = match task {
                HeldTask { record, .. } if record.known_state().is_some_and(TaskState::is_terminal) => {
                    &mut tasks.terminated_tasks
                }
                HeldTask { is_launched: false, .. } => &mut tasks.queued_tasks,
                HeldTask { .. } => &mut tasks.launched_tasks,
            };
            list.push(task.record.clone());
        }
        tasks
    }

    fn get_executors(&self) -> response::GetExecutors {
        let executors = self.executors.values();
        let message = |executor: &super::Executor| get_executors::Executor { executor_info: executor.info.clone() };
        response::GetExecutors { executors: executors.map(message).collect(), ..response::GetExecutors::default() }
    }

    fn get_frameworks(&self) -> response::GetFrameworks {
        let frameworks = self.frameworks.values();
        let message =
            |framework: &super::Framework| get_frameworks::Framework { framework_info: framework.info.clone() };
        response::GetFrameworks { frameworks: frameworks.map(message).collect(), ..response::GetFrameworks::default() }
    }

    fn get_containers(&self) -> response::GetContainers {
        let containers = self.executors.iter().map(|((framework_id, executor_id), executor)| {
            let container_id = ContainerId::new(executor.container_id.clone());
            let status = ContainerStatus {
                container_id: Some(container_id.clone()),
                executor_pid: executor.process.map(|process| process.pid),
                ..ContainerStatus::default()
            };
            get_containers::Container {
                framework_id: Some(framework_id.clone()),
                executor_id: Some(executor_id.clone()),
                executor_name: executor.info.name.clone(),
                container_id,
                container_status: Some(status),
            }
        });
        response::GetContainers { containers: containers.collect() }
    }
}
