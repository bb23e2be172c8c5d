//! A real API server on a port of its own, with a store in a temporary folder, and real clients.

mod child;
mod kubectl;
mod restart;
mod server;
mod watches;
