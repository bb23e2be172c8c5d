//! The environment that Mesos gives an executor.
//!
//! Source: Apache Mesos 1.11 src/slave/slave.cpp, executorEnvironment, and docs/executor-http-api.md.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use km_core_mesos::agent::Launch;

/// What all executors of an agent share.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) agent_id: String,
    /// `slave(1)@host:port`.
    pub(crate) pid: String,
    /// `host:port`.
    pub(crate) endpoint: String,
    pub(crate) path: String,
    pub(crate) recovery_timeout: Duration,
}

/// Returns the whole environment; the executor's own variables win.
pub(crate) fn of_executor(launch: &Launch, sandbox: &Path, around: &Surroundings) -> BTreeMap<String, String> {
    let sandbox = sandbox.display().to_string();
    let framework_id = launch.framework.id.clone().unwrap_or_default().value;
    let checkpoint = launch.framework.checkpoint();
    let mut variables: BTreeMap<String, String> = [
        ("LIBPROCESS_PORT", "0".to_owned()),
        ("MESOS_AGENT_ENDPOINT", around.endpoint.clone()),
        ("MESOS_CHECKPOINT", if checkpoint { "1" } else { "0" }.to_owned()),
        ("MESOS_DIRECTORY", sandbox.clone()),
        ("MESOS_EXECUTOR_ID", launch.executor.executor_id.value.clone()),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", duration(launch.shutdown_grace_period)),
        ("MESOS_FRAMEWORK_ID", framework_id),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0".to_owned()),
        ("MESOS_SANDBOX", sandbox),
        ("MESOS_SLAVE_ID", around.agent_id.clone()),
        ("MESOS_SLAVE_PID", around.pid.clone()),
        ("PATH", around.path.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    if checkpoint {
        variables.insert("MESOS_RECOVERY_TIMEOUT".to_owned(), duration(around.recovery_timeout));
        // The most that an executor should wait between two tries to subscribe again.
        variables.insert("MESOS_SUBSCRIPTION_BACKOFF_MAX".to_owned(), "2secs".to_owned());
    }
    let own = launch.executor.command.iter().filter_map(|command| command.environment.as_ref());
    for variable in own.flat_map(|environment| &environment.variables) {
        variables.insert(variable.name.clone(), variable.value().to_owned());
    }
    variables
}

/// Writes a duration as Mesos does, in the largest unit that divides it.
fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let units: [(u128, &str); 6] = [
        (3_600_000_000_000, "hrs"),
        (60_000_000_000, "mins"),
        (1_000_000_000, "secs"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let unit = units.iter().find(|(size, _)| nanos >= *size && nanos.is_multiple_of(*size));
    unit.map_or_else(|| "0ns".to_owned(), |(size, name)| format!("{}{name}", nanos / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_mesos() {
        let cases = [(3_000, "3secs"), (900_000, "15mins"), (1_500, "1500ms"), (0, "0ns"), (7_200_000, "2hrs")];
        for (ms, text) in cases {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
