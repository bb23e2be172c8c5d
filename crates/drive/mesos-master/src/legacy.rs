//! The old JSON endpoints that people and tools still read: /state, /slaves, /version, /metrics/snapshot.
//!
//! Rendered from the operator API's answers; only the fields that are commonly read are there.
//! Source of names: Apache Mesos 1.11 docs/endpoints/master/state.md and src/master/http.cpp.

use km_mesos::master::Response;
use km_mesos::master::response::{get_agents, get_frameworks};
use km_mesos::resources::Resources;
use km_mesos::{ExecutorInfo, Resource, Task, TaskState};
use serde_json::{Map, Value, json};

pub(crate) fn version(response: &Response, _address: &str) -> Value {
    let version = response.get_version.as_ref().map(|version| version.version_info.version.clone());
    json!({ "version": version.unwrap_or_default() })
}

pub(crate) fn slaves(response: &Response, _address: &str) -> Value {
    let agents = response.get_agents.as_ref().map(|answer| answer.agents.iter().map(slave).collect::<Vec<_>>());
    json!({ "slaves": agents.unwrap_or_default(), "recovered_slaves": [] })
}

pub(crate) fn state(response: &Response, address: &str) -> Value {
    let state = response.get_state.clone().unwrap_or_default();
    let tasks = state.get_tasks.unwrap_or_default();
    let executors = state.get_executors.unwrap_or_default().executors;
    let frameworks = state.get_frameworks.unwrap_or_default();
    let agents = state.get_agents.unwrap_or_default().agents;
    let shown = |framework: &get_frameworks::Framework| {
        let mut value = framework_summary(framework);
        let own = |task: &&Task| Some(&task.framework_id) == framework.framework_info.id.as_ref();
        let list = |all: &[Task]| all.iter().filter(own).map(task).collect::<Vec<_>>();
        value["tasks"] = list(&tasks.tasks).into();
        value["completed_tasks"] = list(&tasks.completed_tasks).into();
        value["unreachable_tasks"] = list(&tasks.unreachable_tasks).into();
        let own = executors.iter().filter(|found| found.executor_info.framework_id == framework.framework_info.id);
        value["executors"] = own.map(|found| executor(&found.executor_info, &found.agent_id.value)).collect();
        value
    };
    json!({
        "leader": format!("master@{address}"),
        "pid": format!("master@{address}"),
        "activated_slaves": agents.iter().filter(|agent| agent.active).count(),
        "deactivated_slaves": 0,
        "slaves": agents.iter().map(slave).collect::<Vec<_>>(),
        "frameworks": frameworks.frameworks.iter().map(shown).collect::<Vec<_>>(),
        "completed_frameworks": frameworks.completed_frameworks.iter().map(framework_summary).collect::<Vec<_>>(),
        "unregistered_frameworks": [],
        "orphan_tasks": [],
    })
}

pub(crate) fn metrics(response: &Response, _address: &str) -> Value {
    let state = response.get_state.clone().unwrap_or_default();
    let tasks = state.get_tasks.unwrap_or_default().tasks;
    let agents = state.get_agents.unwrap_or_default().agents;
    let frameworks = state.get_frameworks.unwrap_or_default().frameworks;
    let mut values = Map::new();
    for (name, wanted) in [
        ("staging", TaskState::Staging),
        ("starting", TaskState::Starting),
        ("running", TaskState::Running),
        ("killing", TaskState::Killing),
    ] {
        let count = tasks.iter().filter(|task| task.known_state() == Some(wanted)).count();
        values.insert(format!("master/tasks_{name}"), json!(count as f64));
    }
    values.insert("master/slaves_active".to_owned(), json!(agents.iter().filter(|agent| agent.active).count() as f64));
    values.insert(
        "master/frameworks_active".to_owned(),
        json!(frameworks.iter().filter(|found| found.active).count() as f64),
    );
    for name in ["cpus", "mem", "disk"] {
        let sum = |of: fn(&get_agents::Agent) -> &[Resource]| -> f64 {
            agents.iter().map(|agent| Resources::from_messages(of(agent)).scalar(name).to_f64()).sum()
        };
        let (total, used) = (sum(|agent| &agent.total_resources), sum(|agent| &agent.allocated_resources));
        values.insert(format!("master/{name}_total"), json!(total));
        values.insert(format!("master/{name}_used"), json!(used));
    }
    values.insert("master/elected".to_owned(), json!(1.0));
    Value::Object(values)
}

fn slave(agent: &get_agents::Agent) -> Value {
    let info = &agent.agent_info;
    let attributes: Map<String, Value> = info
        .attributes
        .iter()
        .map(|attribute| {
            let text = attribute.text.as_ref().map(|text| json!(text.value));
            let scalar = attribute.scalar.as_ref().map(|scalar| json!(scalar.value));
            (attribute.name.clone(), text.or(scalar).unwrap_or(Value::Null))
        })
        .collect();
    json!({
        "id": info.id.as_ref().map(|id| id.value.clone()),
        "hostname": info.hostname,
        "port": info.port(),
        "pid": agent.pid,
        "active": agent.active,
        "deactivated": agent.deactivated(),
        "version": agent.version,
        "attributes": attributes,
        "registered_time": agent.registered_time.as_ref().map(|time| seconds(time.nanoseconds)),
        "reregistered_time": agent.reregistered_time.as_ref().map(|time| seconds(time.nanoseconds)),
        "resources": amounts(&agent.total_resources),
        "used_resources": amounts(&agent.allocated_resources),
        "offered_resources": amounts(&agent.offered_resources),
    })
}

fn framework_summary(framework: &get_frameworks::Framework) -> Value {
    let info = &framework.framework_info;
    json!({
        "id": info.id.as_ref().map(|id| id.value.clone()),
        "name": info.name,
        "user": info.user,
        "principal": info.principal,
        "hostname": info.hostname(),
        "webui_url": info.webui_url(),
        "roles": info.roles,
        "capabilities": info.capabilities.iter().map(|found| found.r#type().wire_name()).collect::<Vec<_>>(),
        "failover_timeout": info.failover_timeout(),
        "checkpoint": info.checkpoint(),
        "active": framework.active,
        "connected": framework.connected,
        "recovered": framework.recovered,
        "registered_time": framework.registered_time.as_ref().map(|time| seconds(time.nanoseconds)),
        "resources": amounts(&framework.allocated_resources),
        "used_resources": amounts(&framework.allocated_resources),
        "offered_resources": amounts(&framework.offered_resources),
        "offers": framework.offers,
    })
}

fn task(task: &Task) -> Value {
    json!({
        "id": task.task_id.value,
        "name": task.name,
        "framework_id": task.framework_id.value,
        "executor_id": task.executor_id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
        "slave_id": task.agent_id.value,
        "state": task.known_state().unwrap_or(TaskState::Unknown).wire_name(),
        "resources": amounts(&task.resources),
        "role": role(&task.resources),
        "statuses": task.statuses,
        "labels": task.labels.as_ref().map(|labels| json!(labels.labels)).unwrap_or_default(),
        "discovery": task.discovery,
    })
}

fn executor(info: &ExecutorInfo, agent_id: &str) -> Value {
    json!({
        "executor_id": info.executor_id.value,
        "framework_id": info.framework_id.as_ref().map(|id| id.value.clone()),
        "name": info.name(),
        "source": info.source(),
        "slave_id": agent_id,
        "command": info.command,
        "resources": amounts(&info.resources),
        "role": role(&info.resources),
    })
}

fn role(resources: &[Resource]) -> String {
    let first = resources.first().and_then(|resource| resource.allocation_info.as_ref());
    first.and_then(|info| info.role.clone()).unwrap_or_else(|| "*".to_owned())
}

fn amounts(resources: &[Resource]) -> Value {
    let resources = Resources::from_messages(resources);
    let mut value = json!({ "gpus": 0.0 });
    for name in ["cpus", "mem", "disk"] {
        value[name] = json!(resources.scalar(name).to_f64());
    }
    let ports: Vec<String> = resources.ranges("ports").ranges().map(|(begin, end)| format!("{begin}-{end}")).collect();
    if !ports.is_empty() {
        value["ports"] = json!(format!("[{}]", ports.join(", ")));
    }
    value
}

fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}
