//! A proxy's configuration.

use std::net::{Ipv4Addr, SocketAddr};

use km_base::ObjectKey;
use km_netrules::{Backend, LocalService, NetConfig, Protocol};

/// Port on the gateway address that leads to an API server on loopback.
const API_FORWARD_PORT: u16 = 6443;
/// Port of the cluster's DNS on the gateway address.
const DNS_PORT: u16 = 53;

/// How a node's proxy works.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Names and ranges of the node's rules.
    pub net: NetConfig,
    /// Address of the node on its pods' bridge; DNS answers there.
    pub gateway: Ipv4Addr,
    /// Length of the pod range's prefix.
    pub prefix_len: u8,
    /// Range of cluster IPs.
    pub service_cidr: String,
    /// The cluster's domain.
    pub cluster_domain: String,
    /// Where the API server is, when pods cannot reach it there themselves.
    pub api_forward: Option<SocketAddr>,
    /// Resolvers for names outside the cluster.
    pub resolvers: Vec<SocketAddr>,
}

/// A proxy configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not an address range.
    #[error("{name} {value:?} is not an IPv4 range such as 10.244.1.0/24")]
    Range {
        /// Which setting.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

impl ProxyConfig {
    /// Makes the configuration of the node whose bridge and table are called `name`, with pods in `pod_cidr`.
    ///
    /// The first address of the range is the gateway. `api_server` is where the node reaches the API server;
    /// on loopback it is forwarded, for no pod could reach it.
    ///
    /// # Errors
    /// [`ConfigError`] when a range is not one.
    pub fn new(
        name: &str,
        pod_cidr: &str,
        cluster_cidr: &str,
        service_cidr: &str,
        cluster_domain: &str,
        api_server: Option<SocketAddr>,
        resolvers: Vec<SocketAddr>,
    ) -> Result<Self, ConfigError> {
        let (base, prefix_len) = range("pod CIDR", pod_cidr)?;
        range("cluster CIDR", cluster_cidr)?;
        range("service CIDR", service_cidr)?;
        let gateway = Ipv4Addr::from(u32::from(base) + 1);
        let api_forward = api_server.filter(|a| a.ip().is_loopback());
        let mut local_services: Vec<LocalService> = [Protocol::Udp, Protocol::Tcp]
            .into_iter()
            .map(|protocol| LocalService {
                service: ObjectKey::namespaced("kube-system", "kube-dns"),
                protocol,
                port: DNS_PORT,
                backend: Backend { ip: gateway, port: DNS_PORT },
            })
            .collect();
        if api_forward.is_some() {
            local_services.push(LocalService {
                service: ObjectKey::namespaced("default", "kubernetes"),
                protocol: Protocol::Tcp,
                port: 443,
                backend: Backend { ip: gateway, port: API_FORWARD_PORT },
            });
        }
        let net = NetConfig {
            table: name.to_owned(),
            bridge: name.to_owned(),
            pod_cidr: pod_cidr.to_owned(),
            cluster_cidr: cluster_cidr.to_owned(),
            local_services,
        };
        Ok(Self {
            net,
            gateway,
            prefix_len,
            service_cidr: service_cidr.to_owned(),
            cluster_domain: cluster_domain.to_owned(),
            api_forward,
            resolvers,
        })
    }

    /// Returns where the forwarder to the API server listens.
    pub(crate) fn api_forward_address(&self) -> SocketAddr {
        (self.gateway, API_FORWARD_PORT).into()
    }

    /// Returns where DNS listens.
    pub(crate) fn dns_address(&self) -> SocketAddr {
        (self.gateway, DNS_PORT).into()
    }
}

fn range(name: &'static str, value: &str) -> Result<(Ipv4Addr, u8), ConfigError> {
    let parsed =
        value.split_once('/').and_then(|(ip, len)| Some((ip.parse::<Ipv4Addr>().ok()?, len.parse::<u8>().ok()?)));
    match parsed {
        Some((ip, len)) if len <= 30 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            Ok((Ipv4Addr::from(u32::from(ip) & mask), len))
        }
        _ => Err(ConfigError::Range { name, value: value.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_api_server_on_loopback_is_forwarded() {
        let make = |api: &str| {
            ProxyConfig::new(
                "km-1",
                "10.244.3.0/24",
                "10.244.0.0/16",
                "10.96.0.0/16",
                "cluster.local",
                Some(api.parse().unwrap()),
                vec![],
            )
            .unwrap()
        };
        let local = make("127.0.0.1:6443");
        assert_eq!(local.gateway, Ipv4Addr::new(10, 244, 3, 1));
        assert_eq!(local.net.local_services.len(), 3);
        let remote = make("192.0.2.9:6443");
        assert!(remote.api_forward.is_none());
        assert_eq!(remote.net.local_services.len(), 2);
        assert!(ProxyConfig::new("km-1", "10.244.3.0", "10.244.0.0/16", "10.96.0.0/16", "x", None, vec![]).is_err());
    }
}
