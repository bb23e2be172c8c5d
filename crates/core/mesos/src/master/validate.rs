//! What Mesos refuses in a FrameworkInfo or a TaskInfo, in its own words.
//!
//! Source of rules and texts: Apache Mesos 1.11 src/master/validation.cpp and src/common/roles.cpp.

use km_mesos::framework_info::capability::Type as Capability;
use km_mesos::resources::{Milli, Resources};
use km_mesos::{ExecutorInfo, FrameworkInfo, TaskInfo, executor_info};

use super::{Agent, Framework, is_capable, roles_of};

/// Mesos refuses ids longer than a file name can be.
const ID_LEN_MAX: usize = 255;

/// Returns why a framework may not subscribe like this.
pub(super) fn framework_error(info: &FrameworkInfo, suppressed: &[String]) -> Option<String> {
    let multi_role = is_capable(info, Capability::MultiRole);
    if multi_role && info.role.is_some() {
        return Some("'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable".to_owned());
    }
    if !multi_role && !info.roles.is_empty() {
        return Some("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable".to_owned());
    }
    let roles = roles_of(info);
    for role in &roles {
        if let Some(problem) = role_error(role) {
            return Some(format!("'FrameworkInfo.roles' contains invalid role: {problem}"));
        }
    }
    if let Some(id) = info.id.as_ref().filter(|id| !id.value.is_empty())
        && let Some(problem) = id_error(&id.value)
    {
        return Some(format!("Not a valid FrameworkID: {problem}"));
    }
    let foreign: Vec<&str> = suppressed.iter().filter(|role| !roles.contains(*role)).map(String::as_str).collect();
    (!foreign.is_empty())
        .then(|| format!("Suppressed roles {{ {} }} are not contained in the set of roles", foreign.join(", ")))
}

fn role_error(role: &str) -> Option<String> {
    if role == "*" {
        return None;
    }
    if role.is_empty() {
        return Some("Empty role name is invalid".to_owned());
    }
    if role.starts_with('/') {
        return Some(format!("Role '{role}' cannot start with a slash"));
    }
    if role.ends_with('/') {
        return Some(format!("Role '{role}' cannot end with a slash"));
    }
    role.split('/').find_map(|part| match part {
        "" => Some(format!("Role '{role}' cannot contain two adjacent slashes")),
        "." | ".." | "*" => Some(format!("Role '{role}' cannot include '{part}' as a component")),
        _ if part.starts_with('-') => Some(format!("Role component '{part}' is invalid because it starts with a dash")),
        _ if part.chars().any(|letter| letter.is_whitespace() || letter.is_control()) => {
            Some(format!("Role component '{part}' is invalid because it contains backspace or whitespace"))
        }
        _ => None,
    })
}

/// Mesos 1.11 src/common/validation.cpp, validateID.
fn id_error(id: &str) -> Option<String> {
    if id.is_empty() {
        return Some("ID must not be empty".to_owned());
    }
    if id.len() > ID_LEN_MAX {
        return Some(format!("ID must not be greater than {ID_LEN_MAX} characters"));
    }
    if id == "." || id == ".." {
        return Some(format!("'{id}' is disallowed"));
    }
    let bad = id.chars().any(|letter| letter.is_control() || letter == '/' || letter == '\\');
    bad.then(|| format!("'{id}' contains invalid characters"))
}

/// What a task asks for and where it would run.
pub(super) struct Candidate<'a> {
    pub(super) task: &'a TaskInfo,
    pub(super) framework: &'a Framework,
    pub(super) agent: &'a Agent,
    /// What is left of the offers.
    pub(super) available: &'a Resources,
    /// The executor of the same id on the agent.
    pub(super) running: Option<&'a ExecutorInfo>,
}

impl Candidate<'_> {
    /// Returns why the task is TASK_ERROR with REASON_TASK_INVALID.
    pub(super) fn error(&self) -> Option<String> {
        let checks = [Self::id_error, Self::agent_error, Self::policy_error, Self::resource_error, Self::limit_error];
        checks.iter().find_map(|check| check(self)).or_else(|| self.executor_error())
    }

    fn id_error(&self) -> Option<String> {
        let id = &self.task.task_id;
        if let Some(problem) = id_error(&id.value) {
            return Some(problem);
        }
        if self.framework.tasks.contains_key(id) {
            return Some(format!("Task has duplicate ID: {id}"));
        }
        self.framework.unreachable.contains_key(id).then(|| format!("Task reuses the ID of an unreachable task: {id}"))
    }

    fn agent_error(&self) -> Option<String> {
        let expected = self.agent.info.id.as_ref()?;
        let used = &self.task.agent_id;
        (used != expected).then(|| format!("Task uses invalid agent {used} while agent {expected} is expected"))
    }

    fn policy_error(&self) -> Option<String> {
        let grace = self.task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
        grace
            .is_some_and(|grace| grace.nanoseconds < 0)
            .then(|| "Task's 'kill_policy.grace_period' must be non-negative".to_owned())
    }

    fn resource_error(&self) -> Option<String> {
        if self.task.resources.is_empty() {
            return Some("Task uses no resources".to_owned());
        }
        let bad = self.task.resources.iter().find(|resource| {
            resource.scalar.is_none() && resource.ranges.is_none() && resource.set.is_none()
                || resource.scalar.as_ref().is_some_and(|scalar| !scalar.value.is_finite() || scalar.value < 0.0)
        });
        if let Some(bad) = bad {
            return Some(format!("Task uses invalid resources: Resource '{}' is invalid", bad.name));
        }
        let revocable = self.task.resources.iter().any(|resource| resource.revocable.is_some());
        revocable.then(|| "Task uses revocable resources, which the embedded Mesos does not offer".to_owned())
    }

    fn limit_error(&self) -> Option<String> {
        let limits = &self.task.limits;
        if limits.keys().any(|name| name != "cpus" && name != "mem") {
            return Some("Only cpus and mem may be included in a task's resource limits".to_owned());
        }
        let requests = Resources::from_messages(&self.task.resources);
        let names = [("cpus", "CPU", "cpu"), ("mem", "memory", "memory")];
        names.into_iter().find_map(|(name, long, short)| {
            let limit = limits.get(name)?;
            let request = requests.scalar(name);
            if request.0 == 0 {
                return Some(format!("When a {long} limit is specified, a {long} request must also be specified"));
            }
            (Milli::from_f64(limit.value) < request)
                .then(|| format!("The {short} limit must be greater than or equal to the {short} request"))
        })
    }

    fn executor_error(&self) -> Option<String> {
        let executor = match (&self.task.executor, &self.task.command) {
            (Some(executor), None) => executor,
            (None, Some(_)) => return Some("Command tasks are not supported by the embedded Mesos".to_owned()),
            _ => {
                return Some(
                    "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present".to_owned(),
                );
            }
        };
        if let Some(problem) = id_error(&executor.executor_id.value) {
            return Some(problem);
        }
        if executor.r#type() != executor_info::Type::Custom {
            return Some("'ExecutorInfo.type' must be 'CUSTOM'".to_owned());
        }
        if executor.command.is_none() {
            return Some("'ExecutorInfo.command' must be set".to_owned());
        }
        let own_id = self.framework.info.id.as_ref();
        if executor.framework_id.as_ref() != own_id {
            let (given, own) = (executor.framework_id.clone().unwrap_or_default(), own_id.cloned().unwrap_or_default());
            return Some(format!("ExecutorInfo has an invalid FrameworkID (Actual: {given} vs Expected: {own})"));
        }
        if let Some(running) = self.running
            && !is_same_executor(running, executor)
        {
            return Some(format!(
                "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\nExecutorID: {}",
                executor.executor_id
            ));
        }
        let total = required(self.task, self.running.is_none());
        (!self.available.contains(&total)).then(|| {
            format!(
                "Total resources {total} required by task and its executor is more than available {}",
                self.available
            )
        })
    }
}

/// Sums what a launch takes: the task, and its executor when that is not there yet.
pub(super) fn required(task: &TaskInfo, with_executor: bool) -> Resources {
    let mut total = Resources::from_messages(&task.resources);
    if let Some(executor) = task.executor.as_ref().filter(|_| with_executor) {
        total.add(&Resources::from_messages(&executor.resources));
    }
    total
}

/// Mesos 1.11 src/common/type_utils.cpp, operator==(ExecutorInfo): labels and shutdown_grace_period are not compared,
/// and the order of URIs and of environment variables does not count.
fn is_same_executor(left: &ExecutorInfo, right: &ExecutorInfo) -> bool {
    left.r#type() == right.r#type()
        && left.executor_id == right.executor_id
        && left.data == right.data
        && Resources::from_messages(&left.resources) == Resources::from_messages(&right.resources)
        && is_same_command(left, right)
        && left.framework_id == right.framework_id
        && left.name == right.name
        && left.source == right.source
        && left.container == right.container
        && left.discovery == right.discovery
}

fn is_same_command(left: &ExecutorInfo, right: &ExecutorInfo) -> bool {
    let (Some(left), Some(right)) = (&left.command, &right.command) else {
        return left.command.is_none() && right.command.is_none();
    };
    let variables = |command: &km_mesos::CommandInfo| {
        command.environment.as_ref().map(|environment| environment.variables.clone()).unwrap_or_default()
    };
    left.value == right.value
        && left.user == right.user
        && left.shell() == right.shell()
        && left.arguments == right.arguments
        && is_permutation(&left.uris, &right.uris)
        && is_permutation(&variables(left), &variables(right))
}

fn is_permutation<T: PartialEq>(left: &[T], right: &[T]) -> bool {
    left.len() == right.len() && left.iter().all(|item| right.contains(item))
}
