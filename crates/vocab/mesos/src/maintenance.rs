//! Maintenance schedules and their status, used by the master operator API.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `Window`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Window {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machine_ids: Vec<crate::MachineId>,
    #[prost(message, required, tag = "2")]
    pub unavailability: crate::Unavailability,
}

/// `Schedule`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Schedule {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<crate::maintenance::Window>,
}

/// `ClusterStatus`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct ClusterStatus {
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draining_machines: Vec<crate::maintenance::cluster_status::DrainingMachine>,
    #[prost(message, repeated, tag = "2")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down_machines: Vec<crate::MachineId>,
}

/// What is declared inside `ClusterStatus`.
pub mod cluster_status {
    /// `ClusterStatus.DrainingMachine`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct DrainingMachine {
        #[prost(message, required, tag = "1")]
        pub id: crate::MachineId,
        #[prost(message, repeated, tag = "2")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub statuses: Vec<crate::allocator::InverseOfferStatus>,
    }
}
