//! Offers, operations on them, and how a refusal is filtered.
//! Stands below every crate that talks Mesos; holds data only, no behaviour.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `Offer`: resources of one agent for one role of one framework, until used, declined or rescinded.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Offer {
    #[prost(message, required, tag = "1")]
    pub id: crate::OfferId,
    #[prost(message, required, tag = "2")]
    pub framework_id: crate::FrameworkId,
    #[prost(message, required, tag = "3")]
    pub agent_id: crate::AgentId,
    #[prost(string, required, tag = "4")]
    pub hostname: String,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<crate::Url>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<crate::DomainInfo>,
    #[prost(message, repeated, tag = "5")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
    #[prost(message, repeated, tag = "7")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<crate::Attribute>,
    #[prost(message, repeated, tag = "6")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executor_ids: Vec<crate::ExecutorId>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailability: Option<crate::Unavailability>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_info: Option<crate::resource::AllocationInfo>,
}

/// What is declared inside `Offer`.
pub mod offer {
    /// `Offer.Operation`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Operation {
        #[prost(enumeration = "crate::offer::operation::Type", optional, tag = "1")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::offer::operation::Type>"
        )]
        pub r#type: Option<i32>,
        #[prost(message, optional, tag = "12")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub id: Option<crate::OperationId>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub launch: Option<crate::offer::operation::Launch>,
        #[prost(message, optional, tag = "7")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub launch_group: Option<crate::offer::operation::LaunchGroup>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reserve: Option<crate::offer::operation::Reserve>,
        #[prost(message, optional, tag = "4")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub unreserve: Option<crate::offer::operation::Unreserve>,
        #[prost(message, optional, tag = "5")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub create: Option<crate::offer::operation::Create>,
        #[prost(message, optional, tag = "6")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub destroy: Option<crate::offer::operation::Destroy>,
        #[prost(message, optional, tag = "13")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub grow_volume: Option<crate::offer::operation::GrowVolume>,
        #[prost(message, optional, tag = "14")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub shrink_volume: Option<crate::offer::operation::ShrinkVolume>,
        #[prost(message, optional, tag = "15")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub create_disk: Option<crate::offer::operation::CreateDisk>,
        #[prost(message, optional, tag = "16")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub destroy_disk: Option<crate::offer::operation::DestroyDisk>,
    }

    /// What is declared inside `Offer.Operation`.
    pub mod operation {
        crate::json::wire_enum! {
            /// `Offer.Operation.Type`
            pub enum Type {
                Unknown = 0 => "UNKNOWN",
                Launch = 1 => "LAUNCH",
                LaunchGroup = 6 => "LAUNCH_GROUP",
                Reserve = 2 => "RESERVE",
                Unreserve = 3 => "UNRESERVE",
                Create = 4 => "CREATE",
                Destroy = 5 => "DESTROY",
                GrowVolume = 11 => "GROW_VOLUME",
                ShrinkVolume = 12 => "SHRINK_VOLUME",
                CreateDisk = 13 => "CREATE_DISK",
                DestroyDisk = 14 => "DESTROY_DISK",
            }
        }

        /// `Offer.Operation.Launch`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Launch {
            #[prost(message, repeated, tag = "1")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub task_infos: Vec<crate::TaskInfo>,
        }

        /// `Offer.Operation.LaunchGroup`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct LaunchGroup {
            #[prost(message, required, tag = "1")]
            pub executor: crate::ExecutorInfo,
            #[prost(message, required, tag = "2")]
            pub task_group: crate::TaskGroupInfo,
        }

        /// `Offer.Operation.Reserve`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Reserve {
            #[prost(message, repeated, tag = "2")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub source: Vec<crate::Resource>,
            #[prost(message, repeated, tag = "1")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub resources: Vec<crate::Resource>,
        }

        /// `Offer.Operation.Unreserve`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Unreserve {
            #[prost(message, repeated, tag = "1")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub resources: Vec<crate::Resource>,
        }

        /// `Offer.Operation.Create`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Create {
            #[prost(message, repeated, tag = "1")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub volumes: Vec<crate::Resource>,
        }

        /// `Offer.Operation.Destroy`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Destroy {
            #[prost(message, repeated, tag = "1")]
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub volumes: Vec<crate::Resource>,
        }

        /// `Offer.Operation.GrowVolume`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct GrowVolume {
            #[prost(message, required, tag = "1")]
            pub volume: crate::Resource,
            #[prost(message, required, tag = "2")]
            pub addition: crate::Resource,
        }

        /// `Offer.Operation.ShrinkVolume`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct ShrinkVolume {
            #[prost(message, required, tag = "1")]
            pub volume: crate::Resource,
            #[prost(message, required, tag = "2")]
            pub subtract: crate::value::Scalar,
        }

        /// `Offer.Operation.CreateDisk`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct CreateDisk {
            #[prost(message, required, tag = "1")]
            pub source: crate::Resource,
            #[prost(enumeration = "crate::resource::disk_info::source::Type", required, tag = "2")]
            #[serde(with = "crate::json::RequiredEnum::<crate::resource::disk_info::source::Type>")]
            pub target_type: i32,
            #[prost(string, optional, tag = "3")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub target_profile: Option<String>,
        }

        /// `Offer.Operation.DestroyDisk`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct DestroyDisk {
            #[prost(message, required, tag = "1")]
            pub source: crate::Resource,
        }
    }
}

/// `InverseOffer`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct InverseOffer {
    #[prost(message, required, tag = "1")]
    pub id: crate::OfferId,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<crate::Url>,
    #[prost(message, required, tag = "3")]
    pub framework_id: crate::FrameworkId,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<crate::AgentId>,
    #[prost(message, required, tag = "5")]
    pub unavailability: crate::Unavailability,
    #[prost(message, repeated, tag = "6")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
}

/// `Filters`: for how long refused resources are not offered again to this framework and role.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Filters {
    #[prost(double, optional, tag = "1", default = "5.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub refuse_seconds: Option<f64>,
}

/// `Request`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Request {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<crate::AgentId>,
    #[prost(message, repeated, tag = "2")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
}

/// `Operation`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Operation {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework_id: Option<crate::FrameworkId>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<crate::AgentId>,
    #[prost(message, required, tag = "3")]
    pub info: crate::offer::Operation,
    #[prost(message, required, tag = "4")]
    pub latest_status: crate::OperationStatus,
    #[prost(message, repeated, tag = "5")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<crate::OperationStatus>,
    #[prost(message, required, tag = "6")]
    pub uuid: crate::Uuid,
}

crate::json::wire_enum! {
    /// `OperationState`
    pub enum OperationState {
        Unsupported = 0 => "OPERATION_UNSUPPORTED",
        Pending = 1 => "OPERATION_PENDING",
        Finished = 2 => "OPERATION_FINISHED",
        Failed = 3 => "OPERATION_FAILED",
        Error = 4 => "OPERATION_ERROR",
        Dropped = 5 => "OPERATION_DROPPED",
        Unreachable = 6 => "OPERATION_UNREACHABLE",
        GoneByOperator = 7 => "OPERATION_GONE_BY_OPERATOR",
        Recovering = 8 => "OPERATION_RECOVERING",
        Unknown = 9 => "OPERATION_UNKNOWN",
    }
}

/// `OperationStatus`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct OperationStatus {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<crate::OperationId>,
    #[prost(enumeration = "crate::OperationState", required, tag = "2")]
    #[serde(with = "crate::json::RequiredEnum::<crate::OperationState>")]
    pub state: i32,
    #[prost(string, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[prost(message, repeated, tag = "4")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub converted_resources: Vec<crate::Resource>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<crate::Uuid>,
    #[prost(message, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<crate::AgentId>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_provider_id: Option<crate::ResourceProviderId>,
}
