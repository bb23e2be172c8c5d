//! drive/apiserver: the one door to the cluster's state.
//!
//! In the pod's journey every arrow that touches an object passes here: `kubectl create`, the framework's
//! Binding, the executor's status, each watch. It performs what `core/registry` decides, on the state of
//! `core/mvcc`, made durable by `io/store`.
//!
//! ```text
//!   HTTPS ─▶ http ─┐                              ┌─▶ read (durable snapshot)
//!                  ├─▶ service ── authorize ──────┼─▶ watch (hub, shared encodings)
//!   in process ────┘                              └─▶ writer ─▶ store ─▶ publisher ─▶ readers, watchers, answer
//! ```
//!
//! [`ApiServer::new`] opens it, [`ApiServer::service`] gives the components of this process their way in, and
//! [`ApiServer::run`] serves until shutdown.
//!
//! **Invariant:** one task decides and applies changes; one task makes them visible, in revision order, after
//! the store has them.
//! **Invariant:** nothing is answered 2xx or shown to anyone before it is durable (Events and Leases: written).
//! **Invariant:** every request is authorized by the same code, over TLS or in process.
//! **Invariant:** an object is encoded when it is written; lists and watches share those bytes.
//!
//! Deliberately absent: any decision about an object (`core/registry`), webhooks, audit logs, priority and
//! fairness (one bound on requests in flight instead), protobuf answers.

mod authn;
mod csr;
mod http;
mod kubeconfig;
mod kubernetes_service;
mod metrics;
mod pki;
mod publisher;
mod read;
mod server;
mod service;
mod storage;
mod view;
mod watch;
mod writer;

pub use authn::KeyError;
pub use kubeconfig::{kubeconfig, write_kubeconfig};
pub use pki::{CertificateError, client as client_certificate, open_ca};
pub use server::{ApiServer, ApiServerConfig, ApiServerDeps, ConfigError, StartError};
pub use service::Service;
pub use storage::{OpenError, Storage};
pub use writer::{BootstrapError, Clock};
