//! core/registry: what the API server answers to a request, as one pure decision over a snapshot.
//!
//! In the pod's journey this is where `kubectl create` becomes a Pod with defaults, a UID and a service account,
//! where the framework's Binding is accepted once, and where an executor's status is taken over. The driver
//! (`drive/apiserver`) authenticates, calls [`authorize()`] and [`decide()`], commits what comes back and encodes it.
//!
//! Every kind is one row of [`strategy::Strategy`]: defaults, validation, what a client may set, columns. No kind
//! has a handler of its own; subresources and virtual kinds (reviews, bindings) are the few functions in
//! `subresource/`.
//!
//! **Invariant:** the same view, call and entropy give the same decision.
//! **Invariant:** every object that is written carries the revision that its commit will get, and every commit
//! writes all its keys at one revision.
//! **Invariant:** the driver decides and commits on one snapshot, so a decision needs no compare-and-set.
//!
//! Deliberately absent: `managedFields` and server-side apply; webhooks, quotas, LimitRange, PriorityClass and
//! PodDisruptionBudget objects (an eviction is a deletion); the `ephemeralcontainers` and `resize` subresources;
//! conversion other than that of events; the diff that upstream adds to its text about pod updates; streaming
//! subresources (`log`, `exec`: the driver's) and authentication.

mod admit;
pub mod authorize;
mod body;
pub mod bootstrap;
mod call;
mod decide;
mod delete;
mod field;
mod meta;
mod names;
mod rbac;
mod read;
mod select;
pub mod strategy;
mod subresource;
mod table;
mod validate;
mod value;
mod view;
mod write;

pub use authorize::{Attributes, Denied, authorize};
pub use bootstrap::bootstrap_objects;
pub use call::{
    Call, Commit, Config, Decision, Durability, Entropy, PortRange, Question, Reply, ServiceCidr, TokenClaims, Write,
};
pub use decide::{decide, resume};
pub use read::{at_revision, get, list, present};
pub use select::{Selection, selection};
pub use table::{Include, table};
pub use view::{MapView, View, key, prefix};

#[cfg(test)]
mod tests;
