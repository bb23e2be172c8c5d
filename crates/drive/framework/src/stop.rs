//! Stops every pod of the framework: `km down`. The framework stays registered and keeps its objects, so that the
//! next start launches the same pods again.
//!
//! It runs in place of the framework's loop, never beside it: it takes over the subscription, tells each executor to
//! shut down, and waits until the master knows of none.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use km_mesos::scheduler::call::{Shutdown, Subscribe};
use km_mesos::scheduler::{Call, call, event};
use km_mesos::{AgentId, ExecutorId, FrameworkId, FrameworkInfo, master};
use tracing::info;

use crate::Mesos;

/// Between two looks at what still runs, beside the events that tell of an executor's end.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
    #[error("{} executors are still running after {} s", left, patience.as_secs())]
    Late {
        /// How many.
        left: usize,
        /// How long was waited.
        patience: Duration,
    },
}

/// Shuts down the executors of the framework with this ID and waits for their end; returns how many there were.
///
/// # Errors
/// [`StopError`].
pub async fn stop_executors(mesos: Arc<dyn Mesos>, id: &str, patience: Duration) -> Result<usize, StopError> {
    let failed = |message: String| StopError::Mesos { message };
    let id = FrameworkId::new(id);
    let first = executors(&*mesos, &id).await.map_err(failed)?;
    if first.is_empty() {
        return Ok(0);
    }
    // As Mesos knows it: a subscription replaces everything.
    let info = framework(&*mesos, &id).await.map_err(failed)?;
    let suppressed_roles = info.roles.clone();
    let subscribe = Call {
        framework_id: Some(id.clone()),
        r#type: Some(call::Type::Subscribe as i32),
        subscribe: Some(Subscribe { framework_info: info, suppressed_roles, ..Subscribe::default() }),
        ..Call::default()
    };
    let mut session = mesos.subscribe(subscribe).await.map_err(failed)?;
    let ended = async {
        let mut told = 0;
        loop {
            let left = executors(&*mesos, &id).await.map_err(failed)?;
            if left.is_empty() {
                return Ok(first.len());
            }
            if told == 0 {
                info!(executors = left.len(), "shutting executors down");
            }
            // SHUTDOWN is not confirmed and may be lost with an agent's connection: it is repeated now and then.
            if told % 50 == 0 {
                for (executor_id, agent_id) in &left {
                    let shutdown = Shutdown { executor_id: executor_id.clone(), agent_id: agent_id.clone() };
                    let call = Call {
                        framework_id: Some(id.clone()),
                        r#type: Some(call::Type::Shutdown as i32),
                        shutdown: Some(shutdown),
                        ..Call::default()
                    };
                    session.caller.call(call).await.map_err(failed)?;
                }
            }
            told += 1;
            next(&mut session, &id).await.map_err(failed)?;
        }
    };
    match tokio::time::timeout(patience, ended).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let left = executors(&*mesos, &id).await.map_err(failed)?.len();
            if left == 0 { Ok(first.len()) } else { Err(StopError::Late { left, patience }) }
        }
    }
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

/// Asks the master which executors of the framework it knows.
async fn executors(mesos: &dyn Mesos, id: &FrameworkId) -> Result<Vec<(ExecutorId, AgentId)>, String> {
    let call = master::Call { r#type: Some(master::call::Type::GetExecutors as i32), ..master::Call::default() };
    let answer = mesos.master(call).await?;
    let all = answer.get_executors.map(|g| g.executors).unwrap_or_default();
    let ours = all.into_iter().filter(|e| e.executor_info.framework_id.as_ref() == Some(id));
    Ok(ours.map(|e| (e.executor_info.executor_id, e.agent_id)).collect())
}

/// Asks the master how the framework registered.
async fn framework(mesos: &dyn Mesos, id: &FrameworkId) -> Result<FrameworkInfo, String> {
    let call = master::Call { r#type: Some(master::call::Type::GetFrameworks as i32), ..master::Call::default() };
    let answer = mesos.master(call).await?;
    let all = answer.get_frameworks.map(|g| g.frameworks).unwrap_or_default();
    let ours = all.into_iter().map(|f| f.framework_info).find(|f| f.id.as_ref() == Some(id));
    ours.ok_or_else(|| format!("Mesos does not know framework {}", id.as_str()))
}
