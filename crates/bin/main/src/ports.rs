//! Listening sockets, bound before anything else so that a taken port is told at once.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use tokio::net::TcpListener;

/// Binds a listener; the error names what it is for and the flag that moves it.
pub(crate) async fn bind(ip: IpAddr, port: u16, purpose: &str, flag: &str) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(ip, port);
    TcpListener::bind(address).await.with_context(|| {
        format!("failed to listen on {address} for {purpose}; if another program has the port, choose one with {flag}")
    })
}
