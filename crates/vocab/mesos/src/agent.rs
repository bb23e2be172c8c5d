//! The v1 operator API of an agent.
//! Nested containers and resource providers are absent: km does not use them.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `Call`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Call {
    #[prost(enumeration = "crate::agent::call::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::agent::call::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_metrics: Option<crate::agent::call::GetMetrics>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_files: Option<crate::agent::call::ListFiles>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_file: Option<crate::agent::call::ReadFile>,
    #[prost(message, optional, tag = "20")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_containers: Option<crate::agent::call::GetContainers>,
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
            GetContainers = 10 => "GET_CONTAINERS",
            GetFrameworks = 11 => "GET_FRAMEWORKS",
            GetExecutors = 12 => "GET_EXECUTORS",
            GetOperations = 31 => "GET_OPERATIONS",
            GetTasks = 13 => "GET_TASKS",
            GetAgent = 20 => "GET_AGENT",
            GetResourceProviders = 26 => "GET_RESOURCE_PROVIDERS",
            LaunchNestedContainer = 14 => "LAUNCH_NESTED_CONTAINER",
            WaitNestedContainer = 15 => "WAIT_NESTED_CONTAINER",
            KillNestedContainer = 16 => "KILL_NESTED_CONTAINER",
            RemoveNestedContainer = 21 => "REMOVE_NESTED_CONTAINER",
            LaunchNestedContainerSession = 17 => "LAUNCH_NESTED_CONTAINER_SESSION",
            AttachContainerInput = 18 => "ATTACH_CONTAINER_INPUT",
            AttachContainerOutput = 19 => "ATTACH_CONTAINER_OUTPUT",
            LaunchContainer = 22 => "LAUNCH_CONTAINER",
            WaitContainer = 23 => "WAIT_CONTAINER",
            KillContainer = 24 => "KILL_CONTAINER",
            RemoveContainer = 25 => "REMOVE_CONTAINER",
            AddResourceProviderConfig = 27 => "ADD_RESOURCE_PROVIDER_CONFIG",
            UpdateResourceProviderConfig = 28 => "UPDATE_RESOURCE_PROVIDER_CONFIG",
            RemoveResourceProviderConfig = 29 => "REMOVE_RESOURCE_PROVIDER_CONFIG",
            MarkResourceProviderGone = 32 => "MARK_RESOURCE_PROVIDER_GONE",
            PruneImages = 30 => "PRUNE_IMAGES",
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

    /// `Call.GetContainers`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetContainers {
        #[prost(bool, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub show_nested: Option<bool>,
        #[prost(bool, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub show_standalone: Option<bool>,
    }
}

/// `Response`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Response {
    #[prost(enumeration = "crate::agent::response::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::agent::response::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_health: Option<crate::agent::response::GetHealth>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_flags: Option<crate::agent::response::GetFlags>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_version: Option<crate::agent::response::GetVersion>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_metrics: Option<crate::agent::response::GetMetrics>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_files: Option<crate::agent::response::ListFiles>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_file: Option<crate::agent::response::ReadFile>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_state: Option<crate::agent::response::GetState>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_containers: Option<crate::agent::response::GetContainers>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_frameworks: Option<crate::agent::response::GetFrameworks>,
    #[prost(message, optional, tag = "12")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_executors: Option<crate::agent::response::GetExecutors>,
    #[prost(message, optional, tag = "18")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_operations: Option<crate::agent::response::GetOperations>,
    #[prost(message, optional, tag = "13")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_tasks: Option<crate::agent::response::GetTasks>,
    #[prost(message, optional, tag = "15")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get_agent: Option<crate::agent::response::GetAgent>,
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
            GetContainers = 9 => "GET_CONTAINERS",
            GetFrameworks = 10 => "GET_FRAMEWORKS",
            GetExecutors = 11 => "GET_EXECUTORS",
            GetOperations = 17 => "GET_OPERATIONS",
            GetTasks = 12 => "GET_TASKS",
            GetAgent = 14 => "GET_AGENT",
            GetResourceProviders = 16 => "GET_RESOURCE_PROVIDERS",
            WaitNestedContainer = 13 => "WAIT_NESTED_CONTAINER",
            WaitContainer = 15 => "WAIT_CONTAINER",
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
        pub get_tasks: Option<crate::agent::response::GetTasks>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub get_executors: Option<crate::agent::response::GetExecutors>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub get_frameworks: Option<crate::agent::response::GetFrameworks>,
    }

    /// `Response.GetContainers`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetContainers {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub containers: Vec<crate::agent::response::get_containers::Container>,
    }

    /// What is declared inside `Response.GetContainers`.
    pub mod get_containers {
        /// `Response.GetContainers.Container`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Container {
            #[prost(message, optional, tag = "1")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub framework_id: Option<crate::FrameworkId>,
            #[prost(message, optional, tag = "2")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub executor_id: Option<crate::ExecutorId>,
            #[prost(string, optional, tag = "3")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub executor_name: Option<String>,
            #[prost(message, required, tag = "4")]
            pub container_id: crate::ContainerId,
            #[prost(message, optional, tag = "5")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub container_status: Option<crate::ContainerStatus>,
        }
    }

    /// `Response.GetFrameworks`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetFrameworks {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub frameworks: Vec<crate::agent::response::get_frameworks::Framework>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub completed_frameworks: Vec<crate::agent::response::get_frameworks::Framework>,
    }

    /// What is declared inside `Response.GetFrameworks`.
    pub mod get_frameworks {
        /// `Response.GetFrameworks.Framework`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Framework {
            #[prost(message, required, tag = "1")]
            pub framework_info: crate::FrameworkInfo,
        }
    }

    /// `Response.GetExecutors`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetExecutors {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub executors: Vec<crate::agent::response::get_executors::Executor>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub completed_executors: Vec<crate::agent::response::get_executors::Executor>,
    }

    /// What is declared inside `Response.GetExecutors`.
    pub mod get_executors {
        /// `Response.GetExecutors.Executor`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Executor {
            #[prost(message, required, tag = "1")]
            pub executor_info: crate::ExecutorInfo,
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
        pub queued_tasks: Vec<crate::Task>,
        #[prost(message, repeated, tag = "3")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub launched_tasks: Vec<crate::Task>,
        #[prost(message, repeated, tag = "4")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub terminated_tasks: Vec<crate::Task>,
        #[prost(message, repeated, tag = "5")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub completed_tasks: Vec<crate::Task>,
    }

    /// `Response.GetAgent`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct GetAgent {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub agent_info: Option<crate::AgentInfo>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub drain_config: Option<crate::DrainConfig>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub estimated_drain_start_time: Option<crate::TimeInfo>,
    }
}
