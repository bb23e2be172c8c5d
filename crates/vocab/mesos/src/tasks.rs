//! TaskInfo, Task and TaskStatus: a pod as Mesos sees it, asked for, known, reported.
//! Stands below every crate that talks Mesos; holds data only, no behaviour.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

crate::json::wire_enum! {
    /// `TaskState`: where a task is; values as on the wire, order of declaration without meaning.
    pub enum TaskState {
        Staging = 6 => "TASK_STAGING",
        Starting = 0 => "TASK_STARTING",
        Running = 1 => "TASK_RUNNING",
        Killing = 8 => "TASK_KILLING",
        Finished = 2 => "TASK_FINISHED",
        Failed = 3 => "TASK_FAILED",
        Killed = 4 => "TASK_KILLED",
        Error = 7 => "TASK_ERROR",
        Lost = 5 => "TASK_LOST",
        Dropped = 9 => "TASK_DROPPED",
        Unreachable = 10 => "TASK_UNREACHABLE",
        Gone = 11 => "TASK_GONE",
        GoneByOperator = 12 => "TASK_GONE_BY_OPERATOR",
        Unknown = 13 => "TASK_UNKNOWN",
    }
}

/// `TaskInfo`: what a framework asks an agent to run; `limits` needs cgroup isolators on the agent.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct TaskInfo {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(message, required, tag = "2")]
    pub task_id: crate::TaskId,
    #[prost(message, required, tag = "3")]
    pub agent_id: crate::AgentId,
    #[prost(message, repeated, tag = "4")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<crate::ExecutorInfo>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<crate::CommandInfo>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<crate::ContainerInfo>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<crate::HealthCheck>,
    #[prost(message, optional, tag = "13")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<crate::CheckInfo>,
    #[prost(message, optional, tag = "12")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_policy: Option<crate::KillPolicy>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalBytes")]
    pub data: Option<bytes::Bytes>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<crate::Labels>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<crate::DiscoveryInfo>,
    #[prost(message, optional, tag = "14")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_completion_time: Option<crate::DurationInfo>,
    #[prost(btree_map = "string, message", tag = "15")]
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub limits: std::collections::BTreeMap<String, crate::value::Scalar>,
}

/// `TaskGroupInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct TaskGroupInfo {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<crate::TaskInfo>,
}

/// `Task`: what the master and agent remember of a launched task.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Task {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(message, required, tag = "2")]
    pub task_id: crate::TaskId,
    #[prost(message, required, tag = "3")]
    pub framework_id: crate::FrameworkId,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_id: Option<crate::ExecutorId>,
    #[prost(message, required, tag = "5")]
    pub agent_id: crate::AgentId,
    #[prost(enumeration = "crate::TaskState", required, tag = "6")]
    #[serde(with = "crate::json::RequiredEnum::<crate::TaskState>")]
    pub state: i32,
    #[prost(message, repeated, tag = "7")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
    #[prost(message, repeated, tag = "8")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<crate::TaskStatus>,
    #[prost(enumeration = "crate::TaskState", optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalEnum::<crate::TaskState>")]
    pub status_update_state: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalBytes")]
    pub status_update_uuid: Option<bytes::Bytes>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<crate::Labels>,
    #[prost(message, optional, tag = "12")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<crate::DiscoveryInfo>,
    #[prost(message, optional, tag = "13")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<crate::ContainerInfo>,
    #[prost(message, optional, tag = "15")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<crate::HealthCheck>,
    #[prost(message, optional, tag = "16")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_policy: Option<crate::KillPolicy>,
    #[prost(string, optional, tag = "14")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[prost(btree_map = "string, message", tag = "17")]
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub limits: std::collections::BTreeMap<String, crate::value::Scalar>,
}

/// `TaskStatus`: one report of one task; carries a `uuid` exactly when it must be acknowledged.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct TaskStatus {
    #[prost(message, required, tag = "1")]
    pub task_id: crate::TaskId,
    #[prost(enumeration = "crate::TaskState", required, tag = "2")]
    #[serde(with = "crate::json::RequiredEnum::<crate::TaskState>")]
    pub state: i32,
    #[prost(string, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[prost(enumeration = "crate::task_status::Source", optional, tag = "9")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::task_status::Source>"
    )]
    pub source: Option<i32>,
    #[prost(enumeration = "crate::task_status::Reason", optional, tag = "10")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::task_status::Reason>"
    )]
    pub reason: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalBytes")]
    pub data: Option<bytes::Bytes>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<crate::AgentId>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_id: Option<crate::ExecutorId>,
    #[prost(double, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub timestamp: Option<f64>,
    #[prost(bytes = "bytes", optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalBytes")]
    pub uuid: Option<bytes::Bytes>,
    #[prost(bool, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    #[prost(message, optional, tag = "15")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_status: Option<crate::CheckStatusInfo>,
    #[prost(message, optional, tag = "12")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<crate::Labels>,
    #[prost(message, optional, tag = "13")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_status: Option<crate::ContainerStatus>,
    #[prost(message, optional, tag = "14")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_time: Option<crate::TimeInfo>,
    #[prost(message, optional, tag = "16")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limitation: Option<crate::TaskResourceLimitation>,
}

/// What is declared inside `TaskStatus`.
pub mod task_status {
    crate::json::wire_enum! {
        /// `TaskStatus.Source`
        pub enum Source {
            Master = 0 => "SOURCE_MASTER",
            Agent = 1 => "SOURCE_AGENT",
            Executor = 2 => "SOURCE_EXECUTOR",
        }
    }

    crate::json::wire_enum! {
        /// `TaskStatus.Reason`
        pub enum Reason {
            CommandExecutorFailed = 0 => "REASON_COMMAND_EXECUTOR_FAILED",
            ContainerLaunchFailed = 21 => "REASON_CONTAINER_LAUNCH_FAILED",
            ContainerLimitation = 19 => "REASON_CONTAINER_LIMITATION",
            ContainerLimitationDisk = 20 => "REASON_CONTAINER_LIMITATION_DISK",
            ContainerLimitationMemory = 8 => "REASON_CONTAINER_LIMITATION_MEMORY",
            ContainerPreempted = 17 => "REASON_CONTAINER_PREEMPTED",
            ContainerUpdateFailed = 22 => "REASON_CONTAINER_UPDATE_FAILED",
            MaxCompletionTimeReached = 33 => "REASON_MAX_COMPLETION_TIME_REACHED",
            ExecutorRegistrationTimeout = 23 => "REASON_EXECUTOR_REGISTRATION_TIMEOUT",
            ExecutorReregistrationTimeout = 24 => "REASON_EXECUTOR_REREGISTRATION_TIMEOUT",
            ExecutorTerminated = 1 => "REASON_EXECUTOR_TERMINATED",
            ExecutorUnregistered = 2 => "REASON_EXECUTOR_UNREGISTERED",
            FrameworkRemoved = 3 => "REASON_FRAMEWORK_REMOVED",
            GcError = 4 => "REASON_GC_ERROR",
            InvalidFrameworkid = 5 => "REASON_INVALID_FRAMEWORKID",
            InvalidOffers = 6 => "REASON_INVALID_OFFERS",
            IoSwitchboardExited = 27 => "REASON_IO_SWITCHBOARD_EXITED",
            MasterDisconnected = 7 => "REASON_MASTER_DISCONNECTED",
            Reconciliation = 9 => "REASON_RECONCILIATION",
            ResourcesUnknown = 18 => "REASON_RESOURCES_UNKNOWN",
            AgentDisconnected = 10 => "REASON_AGENT_DISCONNECTED",
            AgentDraining = 34 => "REASON_AGENT_DRAINING",
            AgentRemoved = 11 => "REASON_AGENT_REMOVED",
            AgentRemovedByOperator = 31 => "REASON_AGENT_REMOVED_BY_OPERATOR",
            AgentReregistered = 32 => "REASON_AGENT_REREGISTERED",
            AgentRestarted = 12 => "REASON_AGENT_RESTARTED",
            AgentUnknown = 13 => "REASON_AGENT_UNKNOWN",
            TaskKilledDuringLaunch = 30 => "REASON_TASK_KILLED_DURING_LAUNCH",
            TaskCheckStatusUpdated = 28 => "REASON_TASK_CHECK_STATUS_UPDATED",
            TaskHealthCheckStatusUpdated = 29 => "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED",
            TaskGroupInvalid = 25 => "REASON_TASK_GROUP_INVALID",
            TaskGroupUnauthorized = 26 => "REASON_TASK_GROUP_UNAUTHORIZED",
            TaskInvalid = 14 => "REASON_TASK_INVALID",
            TaskUnauthorized = 15 => "REASON_TASK_UNAUTHORIZED",
            TaskUnknown = 16 => "REASON_TASK_UNKNOWN",
        }
    }
}

/// `TaskResourceLimitation`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct TaskResourceLimitation {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
}

/// `CheckInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct CheckInfo {
    #[prost(enumeration = "crate::check_info::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::check_info::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<crate::check_info::Command>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<crate::check_info::Http>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<crate::check_info::Tcp>,
    #[prost(double, optional, tag = "4", default = "15.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub delay_seconds: Option<f64>,
    #[prost(double, optional, tag = "5", default = "10.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub interval_seconds: Option<f64>,
    #[prost(double, optional, tag = "6", default = "20.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub timeout_seconds: Option<f64>,
}

/// What is declared inside `CheckInfo`.
pub mod check_info {
    crate::json::wire_enum! {
        /// `CheckInfo.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Command = 1 => "COMMAND",
            Http = 2 => "HTTP",
            Tcp = 3 => "TCP",
        }
    }

    /// `CheckInfo.Command`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Command {
        #[prost(message, required, tag = "1")]
        pub command: crate::CommandInfo,
    }

    /// `CheckInfo.Http`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Http {
        #[prost(uint32, required, tag = "1")]
        pub port: u32,
        #[prost(string, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub path: Option<String>,
    }

    /// `CheckInfo.Tcp`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Tcp {
        #[prost(uint32, required, tag = "1")]
        pub port: u32,
    }
}

/// `CheckStatusInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct CheckStatusInfo {
    #[prost(enumeration = "crate::check_info::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::check_info::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<crate::check_status_info::Command>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<crate::check_status_info::Http>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<crate::check_status_info::Tcp>,
}

/// What is declared inside `CheckStatusInfo`.
pub mod check_status_info {
    /// `CheckStatusInfo.Command`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Command {
        #[prost(int32, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub exit_code: Option<i32>,
    }

    /// `CheckStatusInfo.Http`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Http {
        #[prost(uint32, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub status_code: Option<u32>,
    }

    /// `CheckStatusInfo.Tcp`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Tcp {
        #[prost(bool, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub succeeded: Option<bool>,
    }
}

/// `HealthCheck`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct HealthCheck {
    #[prost(double, optional, tag = "2", default = "15.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub delay_seconds: Option<f64>,
    #[prost(double, optional, tag = "3", default = "10.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub interval_seconds: Option<f64>,
    #[prost(double, optional, tag = "4", default = "20.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub timeout_seconds: Option<f64>,
    #[prost(uint32, optional, tag = "5", default = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive_failures: Option<u32>,
    #[prost(double, optional, tag = "6", default = "10.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub grace_period_seconds: Option<f64>,
    #[prost(enumeration = "crate::health_check::Type", optional, tag = "8")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::health_check::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<crate::CommandInfo>,
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<crate::health_check::HttpCheckInfo>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<crate::health_check::TcpCheckInfo>,
}

/// What is declared inside `HealthCheck`.
pub mod health_check {
    crate::json::wire_enum! {
        /// `HealthCheck.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Command = 1 => "COMMAND",
            Http = 2 => "HTTP",
            Tcp = 3 => "TCP",
        }
    }

    /// `HealthCheck.HTTPCheckInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct HttpCheckInfo {
        #[prost(enumeration = "crate::network_info::Protocol", optional, tag = "5", default = "IPv4")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::network_info::Protocol>"
        )]
        pub protocol: Option<i32>,
        #[prost(string, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub scheme: Option<String>,
        #[prost(uint32, required, tag = "1")]
        pub port: u32,
        #[prost(string, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub path: Option<String>,
        #[prost(uint32, repeated, tag = "4", packed = "false")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub statuses: Vec<u32>,
    }

    /// `HealthCheck.TCPCheckInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct TcpCheckInfo {
        #[prost(enumeration = "crate::network_info::Protocol", optional, tag = "2", default = "IPv4")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::network_info::Protocol>"
        )]
        pub protocol: Option<i32>,
        #[prost(uint32, required, tag = "1")]
        pub port: u32,
    }
}
