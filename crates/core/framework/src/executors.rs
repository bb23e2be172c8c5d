//! The executor of an agent: its ExecutorInfo, made once and echoed exactly while it runs.

use bytes::Bytes;
use km_mesos::{
    AgentId, CommandInfo, DurationInfo, ExecutorId, ExecutorInfo, FrameworkId, Resource, command_info, executor_info,
};
use km_podwire::ExecutorData;

use crate::Config;

/// What an agent's executor is made of, beyond the configuration.
pub(crate) struct Parts<'a> {
    pub framework_id: &'a str,
    /// Distinguishes this run of the executor from every other: `<epoch>-<n>`.
    pub nonce: String,
    pub node: &'a str,
    pub node_ip: &'a str,
    pub pod_cidr: &'a str,
    pub kubelet_port: u16,
    pub resources: Vec<Resource>,
}

/// An executor that runs or is being started.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    pub info: ExecutorInfo,
    /// Whether it has been heard of.
    pub running: bool,
    /// Whether the master told of it, rather than this run having started it.
    pub echoed: bool,
    /// Goes into each launch until the executor has been heard of.
    pub token: Option<String>,
    /// Whether the token is still being written.
    pub awaits_token: bool,
}

pub(crate) fn info(config: &Config, parts: Parts<'_>) -> ExecutorInfo {
    let data = ExecutorData {
        version: km_podwire::VERSION,
        node_name: parts.node.to_owned(),
        api_server: config.api_server.clone(),
        api_server_ca: config.api_server_ca.clone(),
        artifact_server: config.artifact_server.clone(),
        node_ip: parts.node_ip.to_owned(),
        kubelet_port: parts.kubelet_port,
        pod_cidr: parts.pod_cidr.to_owned(),
        cluster_cidr: config.cluster_cidr.clone(),
        service_cidr: config.service_cidr.clone(),
        cluster_dns: config.cluster_dns.clone(),
        cluster_domain: config.cluster_domain.clone(),
        container_runtime_endpoint: config.container_runtime_endpoint.clone(),
    }
    .encode();
    let command = CommandInfo {
        value: Some("./km executor".to_owned()),
        shell: Some(true),
        user: Some(config.user.clone()),
        uris: vec![command_info::Uri {
            value: format!("{}/km", config.artifact_server),
            executable: Some(true),
            extract: Some(false),
            cache: Some(false),
            output_file: None,
        }],
        ..CommandInfo::default()
    };
    let hash = fnv1a(&data);
    ExecutorInfo {
        r#type: Some(executor_info::Type::Custom as i32),
        executor_id: ExecutorId::new(format!("km-{hash:016x}-{}", parts.nonce)),
        framework_id: Some(FrameworkId::new(parts.framework_id)),
        command: Some(command),
        resources: parts.resources,
        name: Some("km executor".to_owned()),
        source: Some("kubernetes".to_owned()),
        data: Some(Bytes::from(data)),
        shutdown_grace_period: Some(duration(config.executor_shutdown_grace)),
        ..ExecutorInfo::default()
    }
}

pub(crate) fn duration(duration: std::time::Duration) -> DurationInfo {
    DurationInfo { nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
}

/// Names the configuration; not a defence against anyone.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `host:port` of an agent out of its libprocess address, e.g. `slave(1)@10.0.0.2:5051`.
pub(crate) fn address_of(pid: &str) -> Option<(&str, &str)> {
    let (_, address) = pid.rsplit_once('@')?;
    address.rsplit_once(':')
}

/// Names an agent in a message.
pub(crate) fn named(agent_id: &AgentId, hostname: &str) -> String {
    format!("agent {agent_id} ({hostname})")
}
