//! A real API server on a port of its own, with a store in a temporary folder, and real clients.

mod certificates;
mod child;
mod disk;
mod identities;
mod kubectl;
mod nodes;
mod restart;
mod server;
mod watches;
