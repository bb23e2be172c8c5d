//! Identifiers: one message a kind, so that two of them are never swapped.
//! Stands below every crate that talks Mesos; holds data only, no behaviour.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `FrameworkID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct FrameworkId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `OfferID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct OfferId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `AgentID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct AgentId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `TaskID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct TaskId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `ExecutorID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct ExecutorId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `ContainerID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct ContainerId {
    #[prost(string, required, tag = "1")]
    pub value: String,
    #[prost(message, optional, boxed, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<crate::ContainerId>>,
}

/// `ResourceProviderID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct ResourceProviderId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `OperationID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct OperationId {
    #[prost(string, required, tag = "1")]
    pub value: String,
}

/// `UUID`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Uuid {
    #[prost(bytes = "bytes", required, tag = "1")]
    #[serde(with = "crate::json::RequiredBytes")]
    pub value: bytes::Bytes,
}

/// `MachineID`
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct MachineId {
    #[prost(string, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[prost(string, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}
