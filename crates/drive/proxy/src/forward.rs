//! Leads pods to an API server that listens on the node's loopback address: bytes in, bytes out.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::debug;

use crate::{ProxyConfig, ProxyError};

/// Connections forwarded at a time; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 1_024;

/// A TCP forwarder.
pub(crate) struct Forwarder {
    listener: TcpListener,
    target: SocketAddr,
}

impl Forwarder {
    /// Listens, when the configuration asks for a forwarder.
    pub(crate) async fn bind(config: &ProxyConfig) -> Result<Option<Self>, ProxyError> {
        let Some(target) = config.api_forward else { return Ok(None) };
        let address = config.api_forward_address();
        let listener = TcpListener::bind(address).await.map_err(|source| ProxyError::Bind {
            address,
            purpose: "the way to the API server",
            source,
        })?;
        Ok(Some(Self { listener, target }))
    }

    /// Serves until dropped.
    pub(crate) async fn run(self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    if let Ok((client, _)) = accepted {
                        connections.spawn(forward(client, self.target));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr) {
    match TcpStream::connect(target).await {
        Ok(mut server) => {
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            // Either side may hang up at any time; that is the end of the connection, not an error.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
        Err(error) => debug!(%target, %error, "the API server does not accept a forwarded connection"),
    }
}
