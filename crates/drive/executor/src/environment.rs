//! What a Mesos agent tells an executor through its environment, read once by `main` and handed in as data.
//!
//! Source: Mesos 1.11 docs/executor-http-api.md and src/slave/slave.cpp, `executorEnvironment`.

use std::path::PathBuf;
use std::time::Duration;

/// The variables that an agent sets for its executors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MesosEnvironment {
    /// `MESOS_FRAMEWORK_ID`.
    pub framework_id: String,
    /// `MESOS_EXECUTOR_ID`.
    pub executor_id: String,
    /// `MESOS_AGENT_ENDPOINT`, `host:port`.
    pub agent_endpoint: String,
    /// `MESOS_SANDBOX`, else `MESOS_DIRECTORY`: the executor's working folder.
    pub sandbox: PathBuf,
    /// `MESOS_RECOVERY_TIMEOUT`: how long to wait for an agent that went away; absent without checkpointing.
    pub recovery_timeout: Option<Duration>,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`: time from SHUTDOWN to the agent's SIGKILL.
    pub shutdown_grace: Duration,
}

/// An environment that no agent made.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable is missing.
    #[error("{name} is not set: km executor is started by a Mesos agent")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// A duration cannot be read.
    #[error("failed to read {name}={value}: a duration such as 5secs is wanted")]
    Duration {
        /// Which variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

/// Mesos's default of `--executor_shutdown_grace_period`.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

impl MesosEnvironment {
    /// Reads the variables through `get`.
    ///
    /// # Errors
    /// [`EnvironmentError`] when a variable is missing or unreadable.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, EnvironmentError> {
        let need = |name: &'static str| get(name).ok_or(EnvironmentError::Missing { name });
        let sandbox = get("MESOS_SANDBOX").or_else(|| get("MESOS_DIRECTORY"));
        let duration = |name: &'static str| match get(name) {
            None => Ok(None),
            Some(value) => match parse_duration(&value) {
                Some(duration) => Ok(Some(duration)),
                None => Err(EnvironmentError::Duration { name, value }),
            },
        };
        Ok(Self {
            framework_id: need("MESOS_FRAMEWORK_ID")?,
            executor_id: need("MESOS_EXECUTOR_ID")?,
            agent_endpoint: need("MESOS_AGENT_ENDPOINT")?,
            sandbox: sandbox.ok_or(EnvironmentError::Missing { name: "MESOS_SANDBOX" })?.into(),
            recovery_timeout: duration("MESOS_RECOVERY_TIMEOUT")?,
            shutdown_grace: duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD")?.unwrap_or(SHUTDOWN_GRACE),
        })
    }
}

/// Reads a duration as Mesos's `stout` writes it: a number and one of ns, us, ms, secs, mins, hrs, days, weeks.
fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..split].parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
    let unit = match &text[split..] {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "secs" => 1.0,
        "mins" => 60.0,
        "hrs" => 3_600.0,
        "days" => 86_400.0,
        "weeks" => 604_800.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_mesos_writes_them() {
        for (text, secs) in [("15mins", 900.0), ("5secs", 5.0), ("1.5hrs", 5_400.0), ("250ms", 0.25)] {
            assert_eq!(parse_duration(text).map(|d| d.as_secs_f64()), Some(secs), "{text}");
        }
        assert!(parse_duration("5").is_none() && parse_duration("-1secs").is_none() && parse_duration("1s").is_none());
    }

    #[test]
    fn missing_variables_are_named() {
        let error = MesosEnvironment::read(|_| None).unwrap_err();
        assert!(error.to_string().starts_with("MESOS_FRAMEWORK_ID is not set"));
        let env =
            MesosEnvironment::read(|name| (!name.contains("PERIOD") && !name.contains("TIMEOUT")).then(|| "x".into()));
        assert_eq!(env.unwrap().shutdown_grace, SHUTDOWN_GRACE);
    }
}
