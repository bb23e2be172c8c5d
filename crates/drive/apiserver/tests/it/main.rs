//! A real API server on a port of its own, with a store in a temporary folder, and real clients.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod child;
mod disk;
mod identities;
mod kubectl;
mod nodes;
mod restart;
mod server;
mod watches;
mod wire;
