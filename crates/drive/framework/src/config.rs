//! What a framework is made of: plain configuration, and what `main` injects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use km_base::Backoff;
use km_client::Client;
use km_core_framework as core;
use km_mesos::resources::Milli;
use km_scheduler::{PortMapping, Scoring};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::mesos::Mesos;

/// Configuration of the framework.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameworkConfig {
    /// Name in Mesos; the original's is `Kubernetes`.
    pub framework_name: String,
    /// User as whom executors run; they need root.
    pub user: String,
    /// Principal of the credential that the Mesos session uses, if any.
    pub principal: Option<String>,
    /// Mesos roles, in order of preference; `*` alone by default.
    pub roles: Vec<String>,
    /// `spec.schedulerName` of the pods that are ours: `default-scheduler`.
    pub scheduler_name: String,
    /// Thousandths of a CPU for each executor: 250.
    pub executor_cpu_milli: i64,
    /// MB for each executor: 128.
    pub executor_mem_mb: i64,
    /// Most pods on a node: 110.
    pub pods_max: u32,
    /// Treatment of declared ports without host port.
    pub port_mapping: PortMapping,
    /// Spread or pack.
    pub scoring: Scoring,
    /// Base URL under which agents reach the artifact server, e.g. `http://10.0.0.1:10251`.
    pub artifact_server: String,
    /// URL under which executors reach the API server.
    pub api_server: String,
    /// PEM of the API server's CA.
    pub api_server_ca: String,
    /// Addresses and names of the cluster's network.
    pub network: ClusterNetwork,
    /// CRI endpoint for executors, instead of a containerd of their own.
    pub container_runtime_endpoint: Option<String>,
    /// The binary that the artifact server serves as `/km`.
    pub binary: PathBuf,
    /// Folder with image archives (OCI layout or `docker save`) that executors may take.
    pub images: Option<PathBuf>,
    /// Waits and intervals.
    pub timings: Timings,
}

/// The cluster's network, as executors are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterNetwork {
    /// Addresses of all pods; at most a /24, every node gets a /24 of it.
    pub cluster_cidr: String,
    /// Addresses of Services.
    pub service_cidr: String,
    /// Cluster IP of the DNS service.
    pub cluster_dns: String,
    /// DNS domain.
    pub cluster_domain: String,
}

/// Waits and intervals, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// How long Mesos keeps our tasks without a scheduler.
    pub failover_timeout_ms: u64,
    /// Longest time that an offer is held while pods wait.
    pub hold_max_ms: u64,
    /// How long offers are kept after the last pod was placed.
    pub idle_after_ms: u64,
    /// Filter on what is left of an ACCEPT's offers.
    pub accept_refuse_ms: u64,
    /// Filter on offers that no waiting pod can use.
    pub refuse_short_ms: u64,
    /// Filter on offers given up because nothing waits.
    pub refuse_long_ms: u64,
    /// Shortest time between two REVIVEs; one millisecond per agent is added.
    pub revive_interval_ms: u64,
    /// Time between two GET_AGENTS.
    pub poll_interval_ms: u64,
    /// How long an update waits for the informer before it is acknowledged all the same.
    pub ack_timeout_ms: u64,
    /// How long an agent is missing before deleted pods there are let go without it.
    pub release_after_ms: u64,
    /// How long an executor may take to shut down.
    pub executor_shutdown_grace_ms: u64,
}

impl Timings {
    /// The usual values.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            // A week: a long weekend without a control plane ends no pod.
            failover_timeout_ms: 7 * 24 * 3_600_000,
            hold_max_ms: 30_000,
            idle_after_ms: 5_000,
            // What is left comes back with the next REVIVE or allocation; the next pod may need it.
            accept_refuse_ms: 10,
            // The longest usual allocation interval: a shorter filter is none.
            refuse_short_ms: 5_000,
            // REVIVE lifts it; growing resources pierce it.
            refuse_long_ms: 300_000,
            revive_interval_ms: 50,
            poll_interval_ms: 5_000,
            ack_timeout_ms: 5_000,
            release_after_ms: 300_000,
            executor_shutdown_grace_ms: 60_000,
        }
    }
}

/// What the framework uses.
pub struct FrameworkDeps {
    /// The API, as the framework's identity.
    pub client: Client,
    /// The way to Mesos.
    pub mesos: Arc<dyn Mesos>,
    /// Where the artifact server listens.
    pub artifacts: TcpListener,
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No role.
    #[error("the framework needs at least one Mesos role, for example \"*\"")]
    NoRole,
    /// Not an address range that has a /24.
    #[error("cluster CIDR {cidr:?} is not an IPv4 range of at least a /24, for example 10.244.0.0/16")]
    ClusterCidr {
        /// What was given.
        cidr: String,
    },
    /// A pod's address could be a Service's.
    #[error("cluster CIDR {cluster} and service CIDR {service} overlap: choose ranges apart from each other")]
    RangesOverlap {
        /// Range of pods.
        cluster: String,
        /// Range of Services.
        service: String,
    },
    /// Nothing to serve.
    #[error("the binary {} cannot be served to the agents", path.display())]
    Binary {
        /// Where it should be.
        path: PathBuf,
        #[source]
        /// Why not.
        source: std::io::Error,
    },
}

impl FrameworkConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.roles.is_empty() {
            return Err(ConfigError::NoRole);
        }
        let range = self.network.cluster_cidr.split_once('/');
        let fits = range.is_some_and(|(base, bits)| {
            base.parse::<std::net::Ipv4Addr>().is_ok() && bits.parse::<u32>().is_ok_and(|bits| (1..=24).contains(&bits))
        });
        if !fits {
            return Err(ConfigError::ClusterCidr { cidr: self.network.cluster_cidr.clone() });
        }
        if overlap(&self.network.cluster_cidr, &self.network.service_cidr) {
            return Err(ConfigError::RangesOverlap {
                cluster: self.network.cluster_cidr.clone(),
                service: self.network.service_cidr.clone(),
            });
        }
        std::fs::metadata(&self.binary)
            .map(drop)
            .map_err(|source| ConfigError::Binary { path: self.binary.clone(), source })
    }

    pub(crate) fn framework_core(&self, new_framework_id: String) -> core::Config {
        let times = &self.timings;
        core::Config {
            framework_name: self.framework_name.clone(),
            user: self.user.clone(),
            principal: self.principal.clone(),
            roles: self.roles.clone(),
            new_framework_id,
            failover_timeout: ms(times.failover_timeout_ms),
            scheduler_name: self.scheduler_name.clone(),
            executor_cpus: Milli(self.executor_cpu_milli),
            executor_mem: Milli(self.executor_mem_mb * 1_000),
            executor_shutdown_grace: ms(times.executor_shutdown_grace_ms),
            artifact_server: self.artifact_server.trim_end_matches('/').to_owned(),
            api_server: self.api_server.clone(),
            api_server_ca: self.api_server_ca.clone(),
            cluster_cidr: self.network.cluster_cidr.clone(),
            service_cidr: self.network.service_cidr.clone(),
            cluster_dns: self.network.cluster_dns.clone(),
            cluster_domain: self.network.cluster_domain.clone(),
            container_runtime_endpoint: self.container_runtime_endpoint.clone(),
            pods_max: self.pods_max,
            accept_refuse: ms(times.accept_refuse_ms),
            revive_interval: ms(times.revive_interval_ms),
            revive_interval_max: Duration::from_secs(30),
            retry: Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(30) },
            poll_interval: ms(times.poll_interval_ms),
            // A Lease is good for 40 s: three renewals may be lost.
            lease_interval: Duration::from_secs(10),
            ack_timeout: ms(times.ack_timeout_ms),
            release_after: ms(times.release_after_ms),
        }
    }

    pub(crate) fn scheduler_core(&self) -> km_scheduler::Config {
        let times = &self.timings;
        km_scheduler::Config {
            roles: self.roles.clone(),
            executor_cpus: Milli(self.executor_cpu_milli),
            executor_mem: Milli(self.executor_mem_mb * 1_000),
            port_mapping: self.port_mapping,
            scoring: self.scoring,
            hold_max: ms(times.hold_max_ms),
            idle_after: ms(times.idle_after_ms),
            refuse_short: ms(times.refuse_short_ms),
            refuse_long: ms(times.refuse_long_ms),
            // Longer than a REVIVE takes and than Mesos's usual allocation interval of 1 s.
            reason_grace: Duration::from_millis(1_500),
            backoff: Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(60) },
            // Mesos 1.11, measured: 300 tasks in one ACCEPT run after 1.85 s; an agent is quadratic beyond.
            batch_len_max: 100,
        }
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Tells whether two IPv4 ranges have an address in common; what is no range has none.
fn overlap(one: &str, other: &str) -> bool {
    let parse = |text: &str| {
        let (base, bits) = text.split_once('/')?;
        Some((base.parse::<std::net::Ipv4Addr>().ok()?.to_bits(), bits.parse::<u32>().ok()?.min(32)))
    };
    let (Some((one, one_bits)), Some((other, other_bits))) = (parse(one), parse(other)) else { return false };
    let differ = (one ^ other).leading_zeros();
    differ >= one_bits.min(other_bits)
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn ranges_overlap_where_one_lies_in_the_other() {
        assert!(overlap("10.96.0.0/16", "10.96.0.0/16"));
        assert!(overlap("10.0.0.0/8", "10.96.0.0/16"));
        assert!(overlap("10.96.0.0/16", "10.96.128.0/17"));
        assert!(!overlap("10.244.0.0/16", "10.96.0.0/16"));
        assert!(!overlap("10.96.0.0/17", "10.96.128.0/17"));
    }
}
