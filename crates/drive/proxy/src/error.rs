//! What can keep a proxy from working.

use std::net::SocketAddr;

/// A failed operation of the proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// A program could not be started.
    #[error("failed to start {program} (Debian package {package})")]
    Start {
        /// The program.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program failed.
    #[error("{program} failed: {message}")]
    Failed {
        /// The program and its first arguments.
        program: String,
        /// What it printed.
        message: String,
    },
    /// A kernel setting could not be written.
    #[error("failed to set {path}")]
    Sysctl {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A socket could not be bound.
    #[error("failed to listen on {address} for {purpose}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What for.
        purpose: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
