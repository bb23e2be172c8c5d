//! The v1 operator API of the master, with its event stream.
//! Quota read-back and logging levels are absent.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `Call`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Call {
    #[prost(enumeration = "crate::master::call::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::master::call::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_metrics: Option<crate::master::call::GetMetrics>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_files: Option<crate::master::call::ListFiles>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_file: Option<crate::master::call::ReadFile>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_weights: Option<crate::master::call::UpdateWeights>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve_resources: Option<crate::master::call::ReserveResources>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreserve_resources: Option<crate::master::call::UnreserveResources>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_volumes: Option<crate::master::call::CreateVolumes>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroy_volumes: Option<crate::master::call::DestroyVolumes>,
    #[prost(message, optional, tag = "18")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grow_volume: Option<crate::master::call::GrowVolume>,
    #[prost(message, optional, tag = "19")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrink_volume: Option<crate::master::call::ShrinkVolume>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_maintenance_schedule: Option<crate::master::call::UpdateMaintenanceSchedule>,
    #[prost(message, optional, tag = "12")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_maintenance: Option<crate::master::call::StartMaintenance>,
    #[prost(message, optional, tag = "13")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_maintenance: Option<crate::master::call::StopMaintenance>,
    #[prost(message, optional, tag = "21")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_agent: Option<crate::master::call::DrainAgent>,
    #[prost(message, optional, tag = "22")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivate_agent: Option<crate::master::call::DeactivateAgent>,
    #[prost(message, optional, tag = "23")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactivate_agent: Option<crate::master::call::ReactivateAgent>,
    #[prost(message, optional, tag = "20")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_quota: Option<crate::master::call::UpdateQuota>,
    #[prost(message, optional, tag = "16")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teardown: Option<crate::master::call::Teardown>,
    #[prost(message, optional, tag = "17")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_agent_gone: Option<crate::master::call::MarkAgentGone>,
}

/// What is declared inside `Call`.
pub mod call {
    crate::json::wire_enum! {
        /// `Call.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            GetHealth = 1 => "GET_HEALTH",
            GetFlags = 2 => "GET_FLAGS",
            GetVersion = 3 => "GET_VERSION",
            GetMetrics = 4 => "GET_METRICS",
            GetLoggingLevel = 5 => "GET_LOGGING_LEVEL",
            SetLoggingLevel = 6 => "SET_LOGGING_LEVEL",
            ListFiles = 7 => "LIST_FILES",
            ReadFile = 8 => "READ_FILE",
            GetState = 9 => "GET_STATE",
            GetAgents = 10 => "GET_AGENTS",
            GetFrameworks = 11 => "GET_FRAMEWORKS",
            GetExecutors = 12 => "GET_EXECUTORS",
            GetOperations = 33 => "GET_OPERATIONS",
            GetTasks = 13 => "GET_TASKS",
            GetRoles = 14 => "GET_ROLES",
            GetWeights = 15 => "GET_WEIGHTS",
            UpdateWeights = 16 => "UPDATE_WEIGHTS",
            GetMaster = 17 => "GET_MASTER",
            Subscribe = 18 => "SUBSCRIBE",
            ReserveResources = 19 => "RESERVE_RESOURCES",
            UnreserveResources = 20 => "UNRESERVE_RESOURCES",
            CreateVolumes = 21 => "CREATE_VOLUMES",
            DestroyVolumes = 22 => "DESTROY_VOLUMES",
            GrowVolume = 34 => "GROW_VOLUME",
            ShrinkVolume = 35 => "SHRINK_VOLUME",
            GetMaintenanceStatus = 23 => "GET_MAINTENANCE_STATUS",
            GetMaintenanceSchedule = 24 => "GET_MAINTENANCE_SCHEDULE",
            UpdateMaintenanceSchedule = 25 => "UPDATE_MAINTENANCE_SCHEDULE",
            StartMaintenance = 26 => "START_MAINTENANCE",
            StopMaintenance = 27 => "STOP_MAINTENANCE",
            DrainAgent = 37 => "DRAIN_AGENT",
            DeactivateAgent = 38 => "DEACTIVATE_AGENT",
            ReactivateAgent = 39 => "REACTIVATE_AGENT",
            GetQuota = 28 => "GET_QUOTA",
            UpdateQuota = 36 => "UPDATE_QUOTA",
            SetQuota = 29 => "SET_QUOTA",
            RemoveQuota = 30 => "REMOVE_QUOTA",
            Teardown = 31 => "TEARDOWN",
            MarkAgentGone = 32 => "MARK_AGENT_GONE",
        }
    }

    /// `Call.GetMetrics`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetMetrics {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub timeout: Option<crate::DurationInfo>,
    }

    /// `Call.ListFiles`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ListFiles {
        #[prost(string, required, tag = "1")]
        pub path: String,
    }

    /// `Call.ReadFile`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ReadFile {
        #[prost(string, required, tag = "1")]
        pub path: String,
        #[prost(uint64, required, tag = "2")]
        pub offset: u64,
        #[prost(uint64, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub length: Option<u64>,
    }

    /// `Call.UpdateWeights`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct UpdateWeights {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub weight_infos: Vec<crate::WeightInfo>,
    }

    /// `Call.ReserveResources`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ReserveResources {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
        #[prost(message, repeated, tag = "3")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub source: Vec<crate::Resource>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub resources: Vec<crate::Resource>,
    }

    /// `Call.UnreserveResources`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct UnreserveResources {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub resources: Vec<crate::Resource>,
    }

    /// `Call.CreateVolumes`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct CreateVolumes {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub volumes: Vec<crate::Resource>,
    }

    /// `Call.DestroyVolumes`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct DestroyVolumes {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub volumes: Vec<crate::Resource>,
    }

    /// `Call.GrowVolume`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GrowVolume {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<crate::AgentId>,
        #[prost(message, required, tag = "2")]
        pub volume: crate::Resource,
        #[prost(message, required, tag = "3")]
        pub addition: crate::Resource,
    }

    /// `Call.ShrinkVolume`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ShrinkVolume {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub agent_id: Option<crate::AgentId>,
        #[prost(message, required, tag = "2")]
        pub volume: crate::Resource,
        #[prost(message, required, tag = "3")]
        pub subtract: crate::value::Scalar,
    }

    /// `Call.UpdateMaintenanceSchedule`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct UpdateMaintenanceSchedule {
        #[prost(message, required, tag = "1")]
        pub schedule: crate::maintenance::Schedule,
    }

    /// `Call.StartMaintenance`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct StartMaintenance {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub machines: Vec<crate::MachineId>,
    }

    /// `Call.StopMaintenance`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct StopMaintenance {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub machines: Vec<crate::MachineId>,
    }

    /// `Call.DrainAgent`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct DrainAgent {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub max_grace_period: Option<crate::master::Duration>,
        #[prost(bool, optional, tag = "3", default = "false")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub mark_gone: Option<bool>,
    }

    /// `Call.DeactivateAgent`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct DeactivateAgent {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
    }

    /// `Call.ReactivateAgent`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ReactivateAgent {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
    }

    /// `Call.UpdateQuota`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct UpdateQuota {
        #[prost(bool, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub force: Option<bool>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub quota_configs: Vec<crate::quota::QuotaConfig>,
    }

    /// `Call.Teardown`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Teardown {
        #[prost(message, required, tag = "1")]
        pub framework_id: crate::FrameworkId,
    }

    /// `Call.MarkAgentGone`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct MarkAgentGone {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
    }
}

/// `Response`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Response {
    #[prost(enumeration = "crate::master::response::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::master::response::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_health: Option<crate::master::response::GetHealth>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_flags: Option<crate::master::response::GetFlags>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_version: Option<crate::master::response::GetVersion>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_metrics: Option<crate::master::response::GetMetrics>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_files: Option<crate::master::response::ListFiles>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_file: Option<crate::master::response::ReadFile>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_state: Option<crate::master::response::GetState>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_agents: Option<crate::master::response::GetAgents>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_frameworks: Option<crate::master::response::GetFrameworks>,
    #[prost(message, optional, tag = "12")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_executors: Option<crate::master::response::GetExecutors>,
    #[prost(message, optional, tag = "20")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_operations: Option<crate::master::response::GetOperations>,
    #[prost(message, optional, tag = "13")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_tasks: Option<crate::master::response::GetTasks>,
    #[prost(message, optional, tag = "14")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_roles: Option<crate::master::response::GetRoles>,
    #[prost(message, optional, tag = "15")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_weights: Option<crate::master::response::GetWeights>,
    #[prost(message, optional, tag = "16")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_master: Option<crate::master::response::GetMaster>,
    #[prost(message, optional, tag = "17")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_maintenance_status: Option<crate::master::response::GetMaintenanceStatus>,
    #[prost(message, optional, tag = "18")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_maintenance_schedule: Option<crate::master::response::GetMaintenanceSchedule>,
}

/// What is declared inside `Response`.
pub mod response {
    crate::json::wire_enum! {
        /// `Response.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            GetHealth = 1 => "GET_HEALTH",
            GetFlags = 2 => "GET_FLAGS",
            GetVersion = 3 => "GET_VERSION",
            GetMetrics = 4 => "GET_METRICS",
            GetLoggingLevel = 5 => "GET_LOGGING_LEVEL",
            ListFiles = 6 => "LIST_FILES",
            ReadFile = 7 => "READ_FILE",
            GetState = 8 => "GET_STATE",
            GetAgents = 9 => "GET_AGENTS",
            GetFrameworks = 10 => "GET_FRAMEWORKS",
            GetExecutors = 11 => "GET_EXECUTORS",
            GetOperations = 19 => "GET_OPERATIONS",
            GetTasks = 12 => "GET_TASKS",
            GetRoles = 13 => "GET_ROLES",
            GetWeights = 14 => "GET_WEIGHTS",
            GetMaster = 15 => "GET_MASTER",
            GetMaintenanceStatus = 16 => "GET_MAINTENANCE_STATUS",
            GetMaintenanceSchedule = 17 => "GET_MAINTENANCE_SCHEDULE",
            GetQuota = 18 => "GET_QUOTA",
        }
    }

    /// `Response.GetHealth`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetHealth {
        #[prost(bool, required, tag = "1")]
        pub healthy: bool,
    }

    /// `Response.GetFlags`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetFlags {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub flags: Vec<crate::Flag>,
    }

    /// `Response.GetVersion`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetVersion {
        #[prost(message, required, tag = "1")]
        pub version_info: crate::VersionInfo,
    }

    /// `Response.GetMetrics`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetMetrics {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub metrics: Vec<crate::Metric>,
    }

    /// `Response.ListFiles`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ListFiles {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub file_infos: Vec<crate::FileInfo>,
    }

    /// `Response.ReadFile`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ReadFile {
        #[prost(uint64, required, tag = "1")]
        pub size: u64,
        #[prost(bytes = "bytes", required, tag = "2")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub data: bytes::Bytes,
    }

    /// `Response.GetState`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetState {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub get_tasks: Option<crate::master::response::GetTasks>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub get_executors: Option<crate::master::response::GetExecutors>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub get_frameworks: Option<crate::master::response::GetFrameworks>,
        #[prost(message, optional, tag = "4")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub get_agents: Option<crate::master::response::GetAgents>,
    }

    /// `Response.GetAgents`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetAgents {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub agents: Vec<crate::master::response::get_agents::Agent>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub recovered_agents: Vec<crate::AgentInfo>,
    }

    /// What is declared inside `Response.GetAgents`.
    pub mod get_agents {
        /// `Response.GetAgents.Agent`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Agent {
            #[prost(message, required, tag = "1")]
            pub agent_info: crate::AgentInfo,
            #[prost(bool, required, tag = "2")]
            pub active: bool,
            #[prost(bool, optional, tag = "12")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub deactivated: Option<bool>,
            #[prost(string, required, tag = "3")]
            pub version: String,
            #[prost(string, optional, tag = "4")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub pid: Option<String>,
            #[prost(message, optional, tag = "5")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub registered_time: Option<crate::TimeInfo>,
            #[prost(message, optional, tag = "6")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub reregistered_time: Option<crate::TimeInfo>,
            #[prost(message, repeated, tag = "7")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub total_resources: Vec<crate::Resource>,
            #[prost(message, repeated, tag = "8")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub allocated_resources: Vec<crate::Resource>,
            #[prost(message, repeated, tag = "9")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub offered_resources: Vec<crate::Resource>,
            #[prost(message, repeated, tag = "10")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub capabilities: Vec<crate::agent_info::Capability>,
            #[prost(message, optional, tag = "13")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub drain_info: Option<crate::DrainInfo>,
            #[prost(message, optional, tag = "14")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub estimated_drain_start_time: Option<crate::TimeInfo>,
        }
    }

    /// `Response.GetFrameworks`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetFrameworks {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub frameworks: Vec<crate::master::response::get_frameworks::Framework>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub completed_frameworks: Vec<crate::master::response::get_frameworks::Framework>,
        #[prost(message, repeated, tag = "3")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub recovered_frameworks: Vec<crate::FrameworkInfo>,
    }

    /// What is declared inside `Response.GetFrameworks`.
    pub mod get_frameworks {
        /// `Response.GetFrameworks.Framework`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Framework {
            #[prost(message, required, tag = "1")]
            pub framework_info: crate::FrameworkInfo,
            #[prost(bool, required, tag = "2")]
            pub active: bool,
            #[prost(bool, required, tag = "3")]
            pub connected: bool,
            #[prost(bool, required, tag = "11")]
            pub recovered: bool,
            #[prost(message, optional, tag = "4")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub registered_time: Option<crate::TimeInfo>,
            #[prost(message, optional, tag = "5")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub reregistered_time: Option<crate::TimeInfo>,
            #[prost(message, optional, tag = "6")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub unregistered_time: Option<crate::TimeInfo>,
            #[prost(message, repeated, tag = "7")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub offers: Vec<crate::Offer>,
            #[prost(message, repeated, tag = "8")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub inverse_offers: Vec<crate::InverseOffer>,
            #[prost(message, repeated, tag = "9")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub allocated_resources: Vec<crate::Resource>,
            #[prost(message, repeated, tag = "10")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub offered_resources: Vec<crate::Resource>,
            #[prost(message, optional, tag = "12")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub offer_constraints: Option<crate::scheduler::OfferConstraints>,
        }
    }

    /// `Response.GetExecutors`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetExecutors {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub executors: Vec<crate::master::response::get_executors::Executor>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub orphan_executors: Vec<crate::master::response::get_executors::Executor>,
    }

    /// What is declared inside `Response.GetExecutors`.
    pub mod get_executors {
        /// `Response.GetExecutors.Executor`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Executor {
            #[prost(message, required, tag = "1")]
            pub executor_info: crate::ExecutorInfo,
            #[prost(message, required, tag = "2")]
            pub agent_id: crate::AgentId,
        }
    }

    /// `Response.GetOperations`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetOperations {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub operations: Vec<crate::Operation>,
    }

    /// `Response.GetTasks`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetTasks {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub pending_tasks: Vec<crate::Task>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub tasks: Vec<crate::Task>,
        #[prost(message, repeated, tag = "5")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub unreachable_tasks: Vec<crate::Task>,
        #[prost(message, repeated, tag = "3")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub completed_tasks: Vec<crate::Task>,
        #[prost(message, repeated, tag = "4")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub orphan_tasks: Vec<crate::Task>,
    }

    /// `Response.GetRoles`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetRoles {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub roles: Vec<crate::Role>,
    }

    /// `Response.GetWeights`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetWeights {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub weight_infos: Vec<crate::WeightInfo>,
    }

    /// `Response.GetMaster`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetMaster {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub master_info: Option<crate::MasterInfo>,
        #[prost(double, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
        pub start_time: Option<f64>,
        #[prost(double, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
        pub elected_time: Option<f64>,
    }

    /// `Response.GetMaintenanceStatus`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetMaintenanceStatus {
        #[prost(message, required, tag = "1")]
        pub status: crate::maintenance::ClusterStatus,
    }

    /// `Response.GetMaintenanceSchedule`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetMaintenanceSchedule {
        #[prost(message, required, tag = "1")]
        pub schedule: crate::maintenance::Schedule,
    }
}

/// `Event`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Event {
    #[prost(enumeration = "crate::master::event::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::master::event::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribed: Option<crate::master::event::Subscribed>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_added: Option<crate::master::event::TaskAdded>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_updated: Option<crate::master::event::TaskUpdated>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_added: Option<crate::master::event::AgentAdded>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_removed: Option<crate::master::event::AgentRemoved>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_added: Option<crate::master::event::FrameworkAdded>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_updated: Option<crate::master::event::FrameworkUpdated>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_removed: Option<crate::master::event::FrameworkRemoved>,
}

/// What is declared inside `Event`.
pub mod event {
    crate::json::wire_enum! {
        /// `Event.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribed = 1 => "SUBSCRIBED",
            TaskAdded = 2 => "TASK_ADDED",
            TaskUpdated = 3 => "TASK_UPDATED",
            AgentAdded = 4 => "AGENT_ADDED",
            AgentRemoved = 5 => "AGENT_REMOVED",
            FrameworkAdded = 6 => "FRAMEWORK_ADDED",
            FrameworkUpdated = 7 => "FRAMEWORK_UPDATED",
            FrameworkRemoved = 8 => "FRAMEWORK_REMOVED",
            Heartbeat = 9 => "HEARTBEAT",
        }
    }

    /// `Event.Subscribed`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Subscribed {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub get_state: Option<crate::master::response::GetState>,
        #[prost(double, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
        pub heartbeat_interval_seconds: Option<f64>,
    }

    /// `Event.TaskAdded`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct TaskAdded {
        #[prost(message, required, tag = "1")]
        pub task: crate::Task,
    }

    /// `Event.TaskUpdated`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct TaskUpdated {
        #[prost(message, required, tag = "1")]
        pub framework_id: crate::FrameworkId,
        #[prost(message, required, tag = "2")]
        pub status: crate::TaskStatus,
        #[prost(enumeration = "crate::TaskState", required, tag = "3")]
        #[serde(with = "crate::json::RequiredEnum::<crate::TaskState>")]
        pub state: i32,
    }

    /// `Event.FrameworkAdded`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct FrameworkAdded {
        #[prost(message, required, tag = "1")]
        pub framework: crate::master::response::get_frameworks::Framework,
    }

    /// `Event.FrameworkUpdated`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct FrameworkUpdated {
        #[prost(message, required, tag = "1")]
        pub framework: crate::master::response::get_frameworks::Framework,
    }

    /// `Event.FrameworkRemoved`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct FrameworkRemoved {
        #[prost(message, required, tag = "1")]
        pub framework_info: crate::FrameworkInfo,
    }

    /// `Event.AgentAdded`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct AgentAdded {
        #[prost(message, required, tag = "1")]
        pub agent: crate::master::response::get_agents::Agent,
    }

    /// `Event.AgentRemoved`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct AgentRemoved {
        #[prost(message, required, tag = "1")]
        pub agent_id: crate::AgentId,
    }
}

/// `google.protobuf.Duration`, which only `Call.DrainAgent` uses.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Duration {
    #[prost(int64, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    #[prost(int32, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nanos: Option<i32>,
}
