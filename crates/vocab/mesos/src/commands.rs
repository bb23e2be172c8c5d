//! CommandInfo and ExecutorInfo: what an agent starts, and how it is found.
//! Stands below every crate that talks Mesos; holds data only, no behaviour.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `CommandInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct CommandInfo {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<crate::command_info::Uri>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<crate::Environment>,
    #[prost(bool, optional, tag = "6", default = "true")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<bool>,
    #[prost(string, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[prost(string, repeated, tag = "7")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What is declared inside `CommandInfo`.
pub mod command_info {
    /// `CommandInfo.URI`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Uri {
        #[prost(string, required, tag = "1")]
        pub value: String,
        #[prost(bool, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub executable: Option<bool>,
        #[prost(bool, optional, tag = "3", default = "true")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub extract: Option<bool>,
        #[prost(bool, optional, tag = "4")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cache: Option<bool>,
        #[prost(string, optional, tag = "5")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub output_file: Option<String>,
    }
}

/// `Environment`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Environment {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<crate::environment::Variable>,
}

/// What is declared inside `Environment`.
pub mod environment {
    /// `Environment.Variable`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Variable {
        #[prost(string, required, tag = "1")]
        pub name: String,
        #[prost(enumeration = "crate::environment::variable::Type", optional, tag = "3", default = "Value")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::environment::variable::Type>"
        )]
        pub r#type: Option<i32>,
        #[prost(string, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub value: Option<String>,
        #[prost(message, optional, tag = "4")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub secret: Option<crate::Secret>,
    }

    /// What is declared inside `Environment.Variable`.
    pub mod variable {
        crate::json::wire_enum! {
            /// `Environment.Variable.Type`
            pub enum Type {
                Unknown = 0 => "UNKNOWN",
                Value = 1 => "VALUE",
                Secret = 2 => "SECRET",
            }
        }
    }
}

/// `Secret`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Secret {
    #[prost(enumeration = "crate::secret::Type", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::secret::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<crate::secret::Reference>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<crate::secret::Value>,
}

/// What is declared inside `Secret`.
pub mod secret {
    crate::json::wire_enum! {
        /// `Secret.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Reference = 1 => "REFERENCE",
            Value = 2 => "VALUE",
        }
    }

    /// `Secret.Reference`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Reference {
        #[prost(string, required, tag = "1")]
        pub name: String,
        #[prost(string, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub key: Option<String>,
    }

    /// `Secret.Value`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Value {
        #[prost(bytes = "bytes", required, tag = "1")]
        #[serde(with = "crate::json::RequiredBytes")]
        pub data: bytes::Bytes,
    }
}

/// `Credential`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Credential {
    #[prost(string, required, tag = "1")]
    pub principal: String,
    #[prost(string, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// `Credentials`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Credentials {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<crate::Credential>,
}

/// `ExecutorInfo`: what the agent starts; the master compares it whole with a running one of the same id.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct ExecutorInfo {
    #[prost(enumeration = "crate::executor_info::Type", optional, tag = "15")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::executor_info::Type>"
    )]
    pub r#type: Option<i32>,
    #[prost(message, required, tag = "1")]
    pub executor_id: crate::ExecutorId,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_id: Option<crate::FrameworkId>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<crate::CommandInfo>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<crate::ContainerInfo>,
    #[prost(message, repeated, tag = "5")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
    #[prost(string, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalBytes")]
    pub data: Option<bytes::Bytes>,
    #[prost(message, optional, tag = "12")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<crate::DiscoveryInfo>,
    #[prost(message, optional, tag = "13")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_grace_period: Option<crate::DurationInfo>,
    #[prost(message, optional, tag = "14")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<crate::Labels>,
}

/// What is declared inside `ExecutorInfo`.
pub mod executor_info {
    crate::json::wire_enum! {
        /// `ExecutorInfo.Type`
        pub enum Type {
            Unknown = 0 => "UNKNOWN",
            Default = 1 => "DEFAULT",
            Custom = 2 => "CUSTOM",
        }
    }
}

/// `DiscoveryInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct DiscoveryInfo {
    #[prost(enumeration = "crate::discovery_info::Visibility", required, tag = "1")]
    #[serde(with = "crate::json::RequiredEnum::<crate::discovery_info::Visibility>")]
    pub visibility: i32,
    #[prost(string, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    #[prost(string, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[prost(string, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<crate::Ports>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<crate::Labels>,
}

/// What is declared inside `DiscoveryInfo`.
pub mod discovery_info {
    crate::json::wire_enum! {
        /// `DiscoveryInfo.Visibility`
        pub enum Visibility {
            Framework = 0 => "FRAMEWORK",
            Cluster = 1 => "CLUSTER",
            External = 2 => "EXTERNAL",
        }
    }
}

/// `Port`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Port {
    #[prost(uint32, required, tag = "1")]
    pub number: u32,
    #[prost(string, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[prost(enumeration = "crate::discovery_info::Visibility", optional, tag = "4")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::discovery_info::Visibility>"
    )]
    pub visibility: Option<i32>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<crate::Labels>,
}

/// `Ports`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<crate::Port>,
}

/// `KillPolicy`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct KillPolicy {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<crate::DurationInfo>,
}
