//! FrameworkInfo and what only frameworks carry: a scheduler says this of itself in SUBSCRIBE.
//! Stands below every crate that talks Mesos; holds data only, no behaviour.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `FrameworkInfo`: a framework as it describes itself.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct FrameworkInfo {
    #[prost(string, required, tag = "1")]
    pub user: String,
    #[prost(string, required, tag = "2")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<crate::FrameworkId>,
    #[prost(double, optional, tag = "4", default = "0.0")]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::json::OptionalDouble")]
    pub failover_timeout: Option<f64>,
    #[prost(bool, optional, tag = "5", default = "false")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<bool>,
    #[prost(string, optional, tag = "6", default = "*")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[prost(string, repeated, tag = "12")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[prost(string, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[prost(string, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    #[prost(string, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webui_url: Option<String>,
    #[prost(message, repeated, tag = "10")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<crate::framework_info::Capability>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<crate::Labels>,
    #[prost(btree_map = "string, message", tag = "13")]
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub offer_filters: std::collections::BTreeMap<String, crate::OfferFilters>,
}

/// What is declared inside `FrameworkInfo`.
pub mod framework_info {
    /// `FrameworkInfo.Capability`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Capability {
        #[prost(enumeration = "crate::framework_info::capability::Type", optional, tag = "1")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::framework_info::capability::Type>"
        )]
        pub r#type: Option<i32>,
    }

    /// What is declared inside `FrameworkInfo.Capability`.
    pub mod capability {
        crate::json::wire_enum! {
            /// `FrameworkInfo.Capability.Type`
            pub enum Type {
                Unknown = 0 => "UNKNOWN",
                RevocableResources = 1 => "REVOCABLE_RESOURCES",
                TaskKillingState = 2 => "TASK_KILLING_STATE",
                GpuResources = 3 => "GPU_RESOURCES",
                SharedResources = 4 => "SHARED_RESOURCES",
                PartitionAware = 5 => "PARTITION_AWARE",
                MultiRole = 6 => "MULTI_ROLE",
                ReservationRefinement = 7 => "RESERVATION_REFINEMENT",
                RegionAware = 8 => "REGION_AWARE",
            }
        }
    }
}

/// `OfferFilters`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct OfferFilters {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_allocatable_resources: Option<crate::offer_filters::MinAllocatableResources>,
}

/// What is declared inside `OfferFilters`.
pub mod offer_filters {
    /// `OfferFilters.ResourceQuantities`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ResourceQuantities {
        #[prost(btree_map = "string, message", tag = "1")]
        #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
        pub quantities: std::collections::BTreeMap<String, crate::value::Scalar>,
    }

    /// `OfferFilters.MinAllocatableResources`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct MinAllocatableResources {
        #[prost(message, repeated, tag = "1")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub quantities: Vec<crate::offer_filters::ResourceQuantities>,
    }
}

/// `DomainInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct DomainInfo {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_domain: Option<crate::domain_info::FaultDomain>,
}

/// What is declared inside `DomainInfo`.
pub mod domain_info {
    /// `DomainInfo.FaultDomain`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct FaultDomain {
        #[prost(message, required, tag = "1")]
        pub region: crate::domain_info::fault_domain::RegionInfo,
        #[prost(message, required, tag = "2")]
        pub zone: crate::domain_info::fault_domain::ZoneInfo,
    }

    /// What is declared inside `DomainInfo.FaultDomain`.
    pub mod fault_domain {
        /// `DomainInfo.FaultDomain.RegionInfo`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct RegionInfo {
            #[prost(string, required, tag = "1")]
            pub name: String,
        }

        /// `DomainInfo.FaultDomain.ZoneInfo`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct ZoneInfo {
            #[prost(string, required, tag = "1")]
            pub name: String,
        }
    }
}

/// `Role`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Role {
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(double, required, tag = "2")]
    #[serde(with = "crate::json::RequiredDouble")]
    pub weight: f64,
    #[prost(message, repeated, tag = "3")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frameworks: Vec<crate::FrameworkId>,
    #[prost(message, repeated, tag = "4")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<crate::Resource>,
}
