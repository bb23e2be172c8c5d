//! The bridge that a node's pods hang on. The CNI plugin would make it with the first pod; DNS needs its
//! address before that.

use tokio::process::Command;

use crate::kernel::{run, sysctl};
use crate::{ProxyConfig, ProxyError};

/// Returns the name of bridge and table for a node: at most 15 characters (the kernel's limit for a link), the
/// same for the same node, different for any two nodes of one host.
#[must_use]
pub fn bridge_name(node_name: &str) -> String {
    // FNV-1a, 32 bits: a name, not a secret; two executors of one host collide once in four billion.
    let hash = node_name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    format!("km-{hash:08x}")
}

/// Makes the bridge with its gateway address, unless it is there, and sets what the rules need of the kernel.
pub(crate) async fn ensure(config: &ProxyConfig) -> Result<(), ProxyError> {
    let bridge = &config.net.bridge;
    if !exists(bridge) {
        ip(&["link", "add", "name", bridge, "type", "bridge"]).await?;
    }
    ip(&["address", "replace", &format!("{}/{}", config.gateway, config.prefix_len), "dev", bridge]).await?;
    ip(&["link", "set", "dev", bridge, "up"]).await?;
    sysctl("net/ipv4/ip_forward", "1").await?;
    // Lets a connection to 127.0.0.1:hostPort be led to a pod.
    sysctl(&format!("net/ipv4/conf/{bridge}/route_localnet"), "1").await?;
    // Without it the answer of a pod on the same bridge bypasses address translation.
    sysctl("net/bridge/bridge-nf-call-iptables", "1").await?;
    // The node itself reaches cluster IPs by its default route; where it has none, by the bridge. (Rules of the
    // output hook apply only to packets that have some route.)
    let cluster_ip = config.service_cidr.split('/').next().unwrap_or_default();
    if ip(&["route", "get", cluster_ip]).await.is_err() {
        ip(&["route", "replace", &config.service_cidr, "dev", bridge]).await?;
    }
    Ok(())
}

/// Removes the bridge if it is there.
pub(crate) async fn remove(bridge: &str) -> Result<(), ProxyError> {
    if exists(bridge) { ip(&["link", "delete", "dev", bridge]).await } else { Ok(()) }
}

/// Not /sys/class/net: that shows the network namespace in which /sys was mounted.
fn exists(link: &str) -> bool {
    let devices = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    devices.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| name.trim() == link)
}

async fn ip(arguments: &[&str]) -> Result<(), ProxyError> {
    run("ip", "iproute2", Command::new("ip").args(arguments), None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_a_link_and_differ_by_node() {
        assert_eq!(bridge_name("agent1").len(), 11);
        assert_ne!(bridge_name("agent1"), bridge_name("agent2"));
    }
}
