//! io/net: certificates, TLS, HTTP serving and calling, bodies, and the life of tasks. Plumbing, no policy.
//!
//! Where it stands in the pod's journey: under every arrow that crosses a process: kubectl to API server, API
//! server to kubelet endpoints, agents fetching the executor from the framework's artifact server.
//!
//! **Invariant:** a [`PeerCertificate`] extension is on a request only if TLS verified that certificate against
//! the configured client CA; nothing in the request can put it there.
//! **Invariant:** every task belongs to a [`TaskSet`], has a name, ends on shutdown, and a panic in it is reported.
//! **Invariant:** a private key is on the disk with mode 0600 from its first byte, whole or not at all.
//!
//! Deliberately absent: routing, authentication (the certificate is only handed on), retries, proxies, metrics,
//! WebSocket, and trust in the machine's certificate store: who is trusted is always said.

pub mod body;
pub mod client;
pub mod pki;
pub mod serve;
pub mod task;
pub mod tls;

pub use body::Body;
pub use client::{ClientError, HttpClient};
pub use pki::PeerCertificate;
pub use serve::{ServeConfig, Service, serve_plain, serve_tls};
pub use task::{Shutdown, TaskSet};
