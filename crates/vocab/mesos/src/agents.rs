//! What agents and masters say of themselves.
//! Stands below every crate that talks Mesos; holds data only, no behaviour.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `AgentInfo`: an agent as it describes itself.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct AgentInfo {
    #[prost(string, required, tag = "1")]
    pub hostname: String,
    #[prost(int32, optional, tag = "8", default = "5051")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    #[prost(message, repeated, tag = "3")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
    #[prost(message, repeated, tag = "5")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<crate::Attribute>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<crate::AgentId>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<crate::DomainInfo>,
}

/// What is declared inside `AgentInfo`.
pub mod agent_info {
    /// `AgentInfo.Capability`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Capability {
        #[prost(enumeration = "crate::agent_info::capability::Type", optional, tag = "1")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::agent_info::capability::Type>"
        )]
        pub r#type: Option<i32>,
    }

    /// What is declared inside `AgentInfo.Capability`.
    pub mod capability {
        crate::json::wire_enum! {
            /// `AgentInfo.Capability.Type`
            pub enum Type {
                Unknown = 0 => "UNKNOWN",
                MultiRole = 1 => "MULTI_ROLE",
                HierarchicalRole = 2 => "HIERARCHICAL_ROLE",
                ReservationRefinement = 3 => "RESERVATION_REFINEMENT",
                ResourceProvider = 4 => "RESOURCE_PROVIDER",
                ResizeVolume = 5 => "RESIZE_VOLUME",
                AgentOperationFeedback = 6 => "AGENT_OPERATION_FEEDBACK",
                AgentDraining = 7 => "AGENT_DRAINING",
                TaskResourceLimits = 8 => "TASK_RESOURCE_LIMITS",
            }
        }
    }
}

/// `MasterInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct MasterInfo {
    #[prost(string, required, tag = "1")]
    pub id: String,
    #[prost(uint32, required, tag = "2")]
    pub ip: u32,
    #[prost(uint32, required, tag = "3")]
    pub port: u32,
    #[prost(string, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[prost(string, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<crate::Address>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<crate::DomainInfo>,
    #[prost(message, repeated, tag = "9")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<crate::master_info::Capability>,
}

/// What is declared inside `MasterInfo`.
pub mod master_info {
    /// `MasterInfo.Capability`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Capability {
        #[prost(enumeration = "crate::master_info::capability::Type", optional, tag = "1")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::master_info::capability::Type>"
        )]
        pub r#type: Option<i32>,
    }

    /// What is declared inside `MasterInfo.Capability`.
    pub mod capability {
        crate::json::wire_enum! {
            /// `MasterInfo.Capability.Type`
            pub enum Type {
                Unknown = 0 => "UNKNOWN",
                AgentUpdate = 1 => "AGENT_UPDATE",
                AgentDraining = 2 => "AGENT_DRAINING",
                QuotaV2 = 3 => "QUOTA_V2",
            }
        }
    }
}

crate::json::wire_enum! {
    /// `DrainState`
    pub enum DrainState {
        Unknown = 0 => "UNKNOWN",
        Draining = 1 => "DRAINING",
        Drained = 2 => "DRAINED",
    }
}

/// `DrainConfig`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct DrainConfig {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_grace_period: Option<crate::DurationInfo>,
    #[prost(bool, optional, tag = "2", default = "false")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_gone: Option<bool>,
}

/// `DrainInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct DrainInfo {
    #[prost(enumeration = "crate::DrainState", required, tag = "1")]
    #[serde(with = "crate::json::RequiredEnum::<crate::DrainState>")]
    pub state: i32,
    #[prost(message, required, tag = "2")]
    pub config: crate::DrainConfig,
}
