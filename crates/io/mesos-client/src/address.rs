//! Where the masters are.

use std::fmt;

/// The masters of a Mesos cluster, any of which redirects to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterAddress {
    hosts: Vec<String>,
}

/// A master address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No host.
    #[error("a Mesos master address is HOST:PORT[,HOST:PORT...], got {text:?}")]
    Malformed {
        /// The text.
        text: String,
    },
    /// ZooKeeper detection is not there yet.
    #[error(
        "{text:?}: finding the leading master through ZooKeeper is not supported yet; give HOST:PORT[,HOST:PORT...]: each master redirects to the leader"
    )]
    ZooKeeper {
        /// The text.
        text: String,
    },
}

impl MasterAddress {
    /// Parses `HOST:PORT[,HOST:PORT...]`; a missing port means 5050, and `http://` before a host is accepted.
    ///
    /// # Errors
    /// [`AddressError`] when no host is named or the address is a ZooKeeper one.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.starts_with("zk://") {
            return Err(AddressError::ZooKeeper { text: text.to_owned() });
        }
        let malformed = || AddressError::Malformed { text: text.to_owned() };
        let mut hosts = Vec::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let host = part.strip_prefix("http://").unwrap_or(part).trim_end_matches('/');
            if host.is_empty() || host.contains(['/', ' ', '@']) {
                return Err(malformed());
            }
            let bracketed = host.ends_with(']');
            let has_port = !bracketed && host.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
            match (has_port, host.contains(':') && !bracketed) {
                (true, _) => hosts.push(host.to_owned()),
                (false, false) => hosts.push(format!("{host}:5050")),
                (false, true) => return Err(malformed()),
            }
        }
        if hosts.is_empty() { Err(malformed()) } else { Ok(Self { hosts }) }
    }

    /// Returns the masters in the order given, as `host:port`.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }
}

impl fmt::Display for MasterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hosts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_masters_are_read_and_nonsense_is_refused() {
        for (text, hosts) in [
            ("127.0.0.1:5050", &["127.0.0.1:5050"][..]),
            ("a, b:15050,http://c/", &["a:5050", "b:15050", "c:5050"]),
            ("[::1]:5050", &["[::1]:5050"]),
        ] {
            assert_eq!(MasterAddress::parse(text).unwrap().hosts(), hosts, "{text}");
        }
        for text in ["", ",", "a:b", "a b", "user@host"] {
            assert!(matches!(MasterAddress::parse(text), Err(AddressError::Malformed { .. })), "{text}");
        }
        assert!(matches!(MasterAddress::parse("zk://a/mesos"), Err(AddressError::ZooKeeper { .. })));
    }
}
