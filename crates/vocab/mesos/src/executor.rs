//! The v1 executor API: Call goes to the agent, Event comes back on the stream.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `Event`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Event {
    #[prost(enumeration = "crate::executor::event::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::executor::event::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribed: Option<crate::executor::event::Subscribed>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<crate::executor::event::Acknowledged>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<crate::executor::event::Launch>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_group: Option<crate::executor::event::LaunchGroup>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<crate::executor::event::Kill>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<crate::executor::event::Message>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<crate::executor::event::Error>,
}

/// What is declared inside `Event`.
pub mod event {
    crate::json::wire_enum! {
        /// `Event.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribed = 1 => "SUBSCRIBED",
            Launch = 2 => "LAUNCH",
            LaunchGroup = 8 => "LAUNCH_GROUP",
            Kill = 3 => "KILL",
            Acknowledged = 4 => "ACKNOWLEDGED",
            Message = 5 => "MESSAGE",
            Error = 6 => "ERROR",
            Shutdown = 7 => "SHUTDOWN",
            Heartbeat = 9 => "HEARTBEAT",
        }
    }

    /// `Event.Subscribed`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Subscribed {
        #[prost(message, required, tag = "1")]
        pub executor_info: crate::ExecutorInfo,
        #[prost(message, required, tag = "2")]
        pub framework_info: crate::FrameworkInfo,
        #[prost(message, required, tag = "3")]
        pub agent_info: crate::AgentInfo,
        #[prost(message, optional, tag = "4")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub container_id: Option<crate::ContainerId>,
    }

    /// `Event.Launch`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Launch {
        #[prost(message, required, tag = "1")]
        pub task: crate::TaskInfo,
    }

    /// `Event.LaunchGroup`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct LaunchGroup {
        #[prost(message, required, tag = "1")]
        pub task_group: crate::TaskGroupInfo,
    }

    /// `Event.Kill`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Kill {
        #[prost(message, required, tag = "1")]
        pub task_id: crate::TaskId,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub kill_policy: Option<crate::KillPolicy>,
    }

    /// `Event.Acknowledged`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Acknowledged {
        #[prost(message, required, tag = "1")]
        pub task_id: crate::TaskId,
        #[prost(bytes = "bytes", required, tag = "2")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub uuid: bytes::Bytes,
    }

    /// `Event.Message`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Message {
        #[prost(bytes = "bytes", required, tag = "1")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub data: bytes::Bytes,
    }

    /// `Event.Error`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Error {
        #[prost(string, required, tag = "1")]
        pub message: String,
    }
}

/// `Call`: a union; `type` says which field is set.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Call {
    #[prost(message, required, tag = "1")]
    pub executor_id: crate::ExecutorId,
    #[prost(message, required, tag = "2")]
    pub framework_id: crate::FrameworkId,
    #[prost(enumeration = "crate::executor::call::Type", optional, tag = "3")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::executor::call::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<crate::executor::call::Subscribe>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<crate::executor::call::Update>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<crate::executor::call::Message>,
}

/// What is declared inside `Call`.
pub mod call {
    crate::json::wire_enum! {
        /// `Call.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Subscribe = 1 => "SUBSCRIBE",
            Update = 2 => "UPDATE",
            Message = 3 => "MESSAGE",
            Heartbeat = 4 => "HEARTBEAT",
        }
    }

    /// `Call.Subscribe`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Subscribe {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub unacknowledged_tasks: Vec<crate::TaskInfo>,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub unacknowledged_updates: Vec<crate::executor::call::Update>,
    }

    /// `Call.Update`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Update {
        #[prost(message, required, tag = "1")]
        pub status: crate::TaskStatus,
    }

    /// `Call.Message`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Message {
        #[prost(bytes = "bytes", required, tag = "2")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub data: bytes::Bytes,
    }
}
