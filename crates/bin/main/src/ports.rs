//! Listening sockets, bound before anything else so that a taken port is told at once.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

/// A predecessor that was killed while it forked leaves its sockets to the child for a moment; no event tells of
/// their end.
const HANDOVER: Duration = Duration::from_secs(2);
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Binds a listener; the error names what it is for and the flag that moves it.
pub(crate) async fn bind(ip: IpAddr, port: u16, purpose: &str, flag: &str) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(ip, port);
    let deadline = tokio::time::Instant::now() + HANDOVER;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(TRY_EVERY).await;
            }
            bound => {
                return bound.with_context(|| {
                    format!("failed to listen on {address} for {purpose}; if another program has the port, choose one with {flag}")
                });
            }
        }
    }
}
