//! Stops every pod of the framework: `km down`. The framework stays registered and keeps its objects, so that the
//! next start launches the same pods again.
//!
//! It runs in place of the framework's loop, never beside it: it takes over the subscription, tells each executor to
//! shut down, and waits until the master knows of none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use km_mesos::scheduler::call::{Shutdown, Subscribe};
use km_mesos::scheduler::{Call, call, event};
use km_mesos::{AgentId, ExecutorId, FrameworkId, FrameworkInfo, master};

use crate::Mesos;

/// Between two looks at what still runs, beside the events that tell of an executor's end.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Looks between two SHUTDOWNs of one executor: 10 s.
const REPEAT_EVERY: u32 = 50;

/// Executors that did not end.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Mesos did not answer, or refused.
    #[error("failed to stop the framework's executors: {message}")]
    Mesos {
        /// What it said.
        message: String,
    },
    /// Time was over.
    #[error("executors are still running, or their agents have not come back to the master, after {} s", patience.as_secs())]
    Late {
        /// How long was waited.
        patience: Duration,
    },
}

/// What may still run.
struct Survey {
    executors: Vec<(ExecutorId, AgentId)>,
    /// Agents that a master that was restarted waits for: what runs there is not known yet.
    recovering: usize,
}

impl Survey {
    fn is_over(&self) -> bool {
        self.executors.is_empty() && self.recovering == 0
    }
}

/// Shuts down the executors of the framework with this ID and waits for their end; returns how many there were.
///
/// # Errors
/// [`StopError`].
pub async fn stop_executors(mesos: Arc<dyn Mesos>, id: &str, patience: Duration) -> Result<usize, StopError> {
    let id = FrameworkId::new(id);
    match tokio::time::timeout(patience, stop(&*mesos, &id)).await {
        Ok(outcome) => outcome.map_err(|message| StopError::Mesos { message }),
        Err(_) => Err(StopError::Late { patience }),
    }
}

async fn stop(mesos: &dyn Mesos, id: &FrameworkId) -> Result<usize, String> {
    loop {
        let first = survey(mesos, id).await?;
        if first.is_over() {
            return Ok(0);
        }
        if !first.executors.is_empty() {
            break;
        }
        // A master that was restarted knows neither framework nor executors before their agents are back.
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // As Mesos knows it: a subscription replaces everything.
    let info = framework(mesos, id).await?;
    let suppressed_roles = info.roles.clone();
    let subscribe = Call {
        framework_id: Some(id.clone()),
        r#type: Some(call::Type::Subscribe as i32),
        subscribe: Some(Subscribe { framework_info: info, suppressed_roles, ..Subscribe::default() }),
        ..Call::default()
    };
    let mut session = mesos.subscribe(subscribe).await?;
    let mut seen = BTreeSet::new();
    for look in 0_u32.. {
        let left = survey(mesos, id).await?;
        if left.is_over() {
            break;
        }
        for (executor_id, agent_id) in left.executors {
            // SHUTDOWN is not confirmed and may be lost with an agent's connection: it is repeated now and then.
            if seen.insert(executor_id.as_str().to_owned()) || look % REPEAT_EVERY == 0 {
                let call = Call {
                    framework_id: Some(id.clone()),
                    r#type: Some(call::Type::Shutdown as i32),
                    shutdown: Some(Shutdown { executor_id, agent_id }),
                    ..Call::default()
                };
                session.caller.call(call).await?;
            }
        }
        next(&mut session, id).await?;
    }
    Ok(seen.len())
}

/// Waits for a sign of an executor's end, or a moment; acknowledges updates, or the agent would hold its tasks.
async fn next(session: &mut crate::Subscription, id: &FrameworkId) -> Result<(), String> {
    let event = match tokio::time::timeout(LOOK_EVERY, session.events.next()).await {
        Err(_) => return Ok(()),
        Ok(None) => return Err("the master ended the subscription".to_owned()),
        Ok(Some(event)) => event?,
    };
    if event.r#type() == event::Type::Error {
        return Err(event.error.map(|e| e.message).unwrap_or_default());
    }
    let Some(status) = event.update.map(|u| u.status) else { return Ok(()) };
    if let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id) {
        let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id, uuid };
        let call = Call {
            framework_id: Some(id.clone()),
            r#type: Some(call::Type::Acknowledge as i32),
            acknowledge: Some(acknowledge),
            ..Call::default()
        };
        session.caller.call(call).await?;
    }
    Ok(())
}

/// Asks the master which executors of the framework it knows, and how many agents it still waits for.
async fn survey(mesos: &dyn Mesos, id: &FrameworkId) -> Result<Survey, String> {
    // In this order: an agent that comes back between the two is no longer waited for when its executors are asked for.
    let call = master::Call { r#type: Some(master::call::Type::GetAgents as i32), ..master::Call::default() };
    let agents = mesos.master(call).await?.get_agents.unwrap_or_default();
    let call = master::Call { r#type: Some(master::call::Type::GetExecutors as i32), ..master::Call::default() };
    let all = mesos.master(call).await?.get_executors.map(|g| g.executors).unwrap_or_default();
    let ours = all.into_iter().filter(|e| e.executor_info.framework_id.as_ref() == Some(id));
    let executors = ours.map(|e| (e.executor_info.executor_id, e.agent_id)).collect();
    Ok(Survey { executors, recovering: agents.recovered_agents.len() })
}

/// Asks the master how the framework registered.
async fn framework(mesos: &dyn Mesos, id: &FrameworkId) -> Result<FrameworkInfo, String> {
    let call = master::Call { r#type: Some(master::call::Type::GetFrameworks as i32), ..master::Call::default() };
    let answer = mesos.master(call).await?;
    let all = answer.get_frameworks.map(|g| g.frameworks).unwrap_or_default();
    let ours = all.into_iter().map(|f| f.framework_info).find(|f| f.id.as_ref() == Some(id));
    ours.ok_or_else(|| format!("Mesos does not know framework {}", id.as_str()))
}
