//! The way to the API: every part of km but the API server itself speaks to it through this crate.
//!
//! A [`Client`] has one of two backends: [`NetworkBackend`] (HTTPS, any Kubernetes API server) or the API
//! server's own in-process one, which `main` injects. An [`informer`] follows one resource and hands its
//! owner a stream of changes, projected to the type that the owner declared.
//!
//! **Invariant:** no cache is shared between tasks here: an informer's owner keeps the state it needs.
//! **Invariant:** whatever happens to the connection, an informer's changes converge to the server's state.
//! Deliberately absent: decisions, retries of writes (their callers know whether they may repeat them).

mod backend;
mod client;
mod informer;
mod network;
mod query;

pub use backend::{Backend, WatchStream};
pub use client::{Client, DeleteOptions};
pub use informer::{Change, Informer, InformerConfig, informer};
pub use network::{Endpoint, EndpointError, NetworkBackend};
