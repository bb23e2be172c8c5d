//! Resource: a named amount with its allocation, reservations and disk.
//! Arithmetic on resources is in `crate::resources`.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `Resource`: a named amount; `reservations` is a stack, the last one is in force.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Resource {
    #[prost(message, optional, tag = "12")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<crate::ResourceProviderId>,
    #[prost(string, required, tag = "1")]
    pub name: String,
    #[prost(enumeration = "crate::value::Type", required, tag = "2")]
    #[serde(with = "crate::json::RequiredEnum::<crate::value::Type>")]
    pub r#type: i32,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalar: Option<crate::value::Scalar>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<crate::value::Ranges>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<crate::value::Set>,
    #[prost(string, optional, tag = "6", default = "*")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[prost(message, optional, tag = "11")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_info: Option<crate::resource::AllocationInfo>,
    #[prost(message, optional, tag = "8")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<crate::resource::ReservationInfo>,
    #[prost(message, repeated, tag = "13")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reservations: Vec<crate::resource::ReservationInfo>,
    #[prost(message, optional, tag = "7")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<crate::resource::DiskInfo>,
    #[prost(message, optional, tag = "9")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocable: Option<crate::resource::RevocableInfo>,
    #[prost(message, optional, tag = "10")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<crate::resource::SharedInfo>,
}

/// What is declared inside `Resource`.
pub mod resource {
    /// `Resource.AllocationInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct AllocationInfo {
        #[prost(string, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub role: Option<String>,
    }

    /// `Resource.ReservationInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct ReservationInfo {
        #[prost(enumeration = "crate::resource::reservation_info::Type", optional, tag = "4")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::resource::reservation_info::Type>"
        )]
        pub r#type: Option<i32>,
        #[prost(string, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub role: Option<String>,
        #[prost(string, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub principal: Option<String>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub labels: Option<crate::Labels>,
    }

    /// What is declared inside `Resource.ReservationInfo`.
    pub mod reservation_info {
        crate::json::wire_enum! {
            /// `Resource.ReservationInfo.Type`
            pub enum Type {
                Unknown = 0 => "UNKNOWN",
                Static = 1 => "STATIC",
                Dynamic = 2 => "DYNAMIC",
            }
        }
    }

    /// `Resource.DiskInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct DiskInfo {
        #[prost(message, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub persistence: Option<crate::resource::disk_info::Persistence>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub volume: Option<crate::Volume>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub source: Option<crate::resource::disk_info::Source>,
    }

    /// What is declared inside `Resource.DiskInfo`.
    pub mod disk_info {
        /// `Resource.DiskInfo.Persistence`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Persistence {
            #[prost(string, required, tag = "1")]
            pub id: String,
            #[prost(string, optional, tag = "2")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub principal: Option<String>,
        }

        /// `Resource.DiskInfo.Source`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct Source {
            #[prost(enumeration = "crate::resource::disk_info::source::Type", required, tag = "1")]
            #[serde(with = "crate::json::RequiredEnum::<crate::resource::disk_info::source::Type>")]
            pub r#type: i32,
            #[prost(message, optional, tag = "2")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub path: Option<crate::resource::disk_info::source::Path>,
            #[prost(message, optional, tag = "3")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mount: Option<crate::resource::disk_info::source::Mount>,
            #[prost(string, optional, tag = "7")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub vendor: Option<String>,
            #[prost(string, optional, tag = "4")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub id: Option<String>,
            #[prost(message, optional, tag = "5")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub metadata: Option<crate::Labels>,
            #[prost(string, optional, tag = "6")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub profile: Option<String>,
        }

        /// What is declared inside `Resource.DiskInfo.Source`.
        pub mod source {
            crate::json::wire_enum! {
                /// `Resource.DiskInfo.Source.Type`
                pub enum Type {
                    Unknown = 0 => "UNKNOWN",
                    Path = 1 => "PATH",
                    Mount = 2 => "MOUNT",
                    Block = 3 => "BLOCK",
                    Raw = 4 => "RAW",
                }
            }

            /// `Resource.DiskInfo.Source.Path`
            #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
            pub struct Path {
                #[prost(string, optional, tag = "1")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub root: Option<String>,
            }

            /// `Resource.DiskInfo.Source.Mount`
            #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
            pub struct Mount {
                #[prost(string, optional, tag = "1")]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub root: Option<String>,
            }
        }
    }

    /// `Resource.RevocableInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct RevocableInfo {}

    /// `Resource.SharedInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct SharedInfo {}
}
