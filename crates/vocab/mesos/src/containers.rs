//! ContainerInfo, networks and volumes: the parts a framework or its executor may name.
//! Images, seccomp and statistics are absent: km runs images through CRI, not through Mesos.

// JUSTIFICATION: fields are named, typed and numbered as in Mesos 1.11 include/mesos/v1; their meaning is documented there.
#![allow(missing_docs)]

/// `ContainerInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct ContainerInfo {
    #[prost(enumeration = "crate::container_info::Type", required, tag = "1")]
    #[serde(with = "crate::json::RequiredEnum::<crate::container_info::Type>")]
    pub r#type: i32,
    #[prost(message, repeated, tag = "2")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<crate::Volume>,
    #[prost(string, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[prost(message, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<crate::container_info::DockerInfo>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesos: Option<crate::container_info::MesosInfo>,
    #[prost(message, repeated, tag = "7")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_infos: Vec<crate::NetworkInfo>,
}

/// What is declared inside `ContainerInfo`.
pub mod container_info {
    crate::json::wire_enum! {
        /// `ContainerInfo.Type`
        pub enum Type {
            Docker = 1 => "DOCKER",
            Mesos = 2 => "MESOS",
        }
    }

    /// `ContainerInfo.DockerInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct DockerInfo {
        #[prost(string, required, tag = "1")]
        pub image: String,
        #[prost(enumeration = "crate::container_info::docker_info::Network", optional, tag = "2", default = "Host")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::container_info::docker_info::Network>"
        )]
        pub network: Option<i32>,
        #[prost(message, repeated, tag = "3")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub port_mappings: Vec<crate::container_info::docker_info::PortMapping>,
        #[prost(bool, optional, tag = "4", default = "false")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub privileged: Option<bool>,
        #[prost(message, repeated, tag = "5")]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub parameters: Vec<crate::Parameter>,
        #[prost(bool, optional, tag = "6")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub force_pull_image: Option<bool>,
        #[prost(string, optional, tag = "7")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub volume_driver: Option<String>,
    }

    /// What is declared inside `ContainerInfo.DockerInfo`.
    pub mod docker_info {
        crate::json::wire_enum! {
            /// `ContainerInfo.DockerInfo.Network`
            pub enum Network {
                Host = 1 => "HOST",
                Bridge = 2 => "BRIDGE",
                None = 3 => "NONE",
                User = 4 => "USER",
            }
        }

        /// `ContainerInfo.DockerInfo.PortMapping`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct PortMapping {
            #[prost(uint32, required, tag = "1")]
            pub host_port: u32,
            #[prost(uint32, required, tag = "2")]
            pub container_port: u32,
            #[prost(string, optional, tag = "3")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub protocol: Option<String>,
        }
    }

    /// `ContainerInfo.MesosInfo`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct MesosInfo {}
}

/// `Volume`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    #[prost(enumeration = "crate::volume::Mode", required, tag = "3")]
    #[serde(with = "crate::json::RequiredEnum::<crate::volume::Mode>")]
    pub mode: i32,
    #[prost(string, required, tag = "1")]
    pub container_path: String,
    #[prost(string, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    #[prost(message, optional, tag = "5")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<crate::volume::Source>,
}

/// What is declared inside `Volume`.
pub mod volume {
    crate::json::wire_enum! {
        /// `Volume.Mode`
        pub enum Mode {
            Rw = 1 => "RW",
            Ro = 2 => "RO",
        }
    }

    /// `Volume.Source`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct Source {
        #[prost(enumeration = "crate::volume::source::Type", optional, tag = "1")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::volume::source::Type>"
        )]
        pub r#type: Option<i32>,
        #[prost(message, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub docker_volume: Option<crate::volume::source::DockerVolume>,
        #[prost(message, optional, tag = "5")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub host_path: Option<crate::volume::source::HostPath>,
        #[prost(message, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub sandbox_path: Option<crate::volume::source::SandboxPath>,
        #[prost(message, optional, tag = "4")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub secret: Option<crate::Secret>,
    }

    /// What is declared inside `Volume.Source`.
    pub mod source {
        crate::json::wire_enum! {
            /// `Volume.Source.Type`
            pub enum Type {
                Unknown = 0 => "UNKNOWN",
                DockerVolume = 1 => "DOCKER_VOLUME",
                HostPath = 4 => "HOST_PATH",
                SandboxPath = 2 => "SANDBOX_PATH",
                Secret = 3 => "SECRET",
                CsiVolume = 5 => "CSI_VOLUME",
            }
        }

        /// `Volume.Source.DockerVolume`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct DockerVolume {
            #[prost(string, optional, tag = "1")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub driver: Option<String>,
            #[prost(string, required, tag = "2")]
            pub name: String,
            #[prost(message, optional, tag = "3")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub driver_options: Option<crate::Parameters>,
        }

        /// `Volume.Source.HostPath`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct HostPath {
            #[prost(string, required, tag = "1")]
            pub path: String,
            #[prost(message, optional, tag = "2")]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub mount_propagation: Option<crate::MountPropagation>,
        }

        /// `Volume.Source.SandboxPath`
        #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
        pub struct SandboxPath {
            #[prost(enumeration = "crate::volume::source::sandbox_path::Type", optional, tag = "1")]
            #[serde(
                default,
                skip_serializing_if = "Option::is_none",
                with = "crate::json::OptionalEnum::<crate::volume::source::sandbox_path::Type>"
            )]
            pub r#type: Option<i32>,
            #[prost(string, required, tag = "2")]
            pub path: String,
        }

        /// What is declared inside `Volume.Source.SandboxPath`.
        pub mod sandbox_path {
            crate::json::wire_enum! {
                /// `Volume.Source.SandboxPath.Type`
                pub enum Type {
                    Unknown = 0 => "UNKNOWN",
                    Self_ = 1 => "SELF",
                    Parent = 2 => "PARENT",
                }
            }
        }
    }
}

/// `MountPropagation`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct MountPropagation {
    #[prost(enumeration = "crate::mount_propagation::Mode", optional, tag = "1")]
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::json::OptionalEnum::<crate::mount_propagation::Mode>"
    )]
    pub mode: Option<i32>,
}

/// What is declared inside `MountPropagation`.
pub mod mount_propagation {
    crate::json::wire_enum! {
        /// `MountPropagation.Mode`
        pub enum Mode {
            Unknown = 0 => "UNKNOWN",
            HostToContainer = 1 => "HOST_TO_CONTAINER",
            Bidirectional = 2 => "BIDIRECTIONAL",
        }
    }
}

/// `NetworkInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct NetworkInfo {
    #[prost(message, repeated, tag = "5")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<crate::network_info::IpAddress>,
    #[prost(string, optional, tag = "6")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[prost(string, repeated, tag = "3")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<crate::Labels>,
    #[prost(message, repeated, tag = "7")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub port_mappings: Vec<crate::network_info::PortMapping>,
}

/// What is declared inside `NetworkInfo`.
pub mod network_info {
    crate::json::wire_enum! {
        /// `NetworkInfo.Protocol`
        pub enum Protocol {
            IPv4 = 1 => "IPv4",
            IPv6 = 2 => "IPv6",
        }
    }

    /// `NetworkInfo.IPAddress`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct IpAddress {
        #[prost(enumeration = "crate::network_info::Protocol", optional, tag = "1", default = "IPv4")]
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::json::OptionalEnum::<crate::network_info::Protocol>"
        )]
        pub protocol: Option<i32>,
        #[prost(string, optional, tag = "2")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ip_address: Option<String>,
    }

    /// `NetworkInfo.PortMapping`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct PortMapping {
        #[prost(uint32, required, tag = "1")]
        pub host_port: u32,
        #[prost(uint32, required, tag = "2")]
        pub container_port: u32,
        #[prost(string, optional, tag = "3")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub protocol: Option<String>,
    }
}

/// `ContainerStatus`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct ContainerStatus {
    #[prost(message, optional, tag = "4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<crate::ContainerId>,
    #[prost(message, repeated, tag = "1")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_infos: Vec<crate::NetworkInfo>,
    #[prost(message, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_info: Option<crate::CgroupInfo>,
    #[prost(uint32, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_pid: Option<u32>,
}

/// `CgroupInfo`
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
pub struct CgroupInfo {
    #[prost(message, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_cls: Option<crate::cgroup_info::NetCls>,
}

/// What is declared inside `CgroupInfo`.
pub mod cgroup_info {
    /// `CgroupInfo.NetCls`
    #[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
    pub struct NetCls {
        #[prost(uint32, optional, tag = "1")]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub classid: Option<u32>,
    }
}
