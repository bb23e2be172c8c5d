//! The schema crate from outside: real bytes of kubectl, random instances of every kind, the outcomes of kubectl's own patching, and agreement with
//! k8s-openapi.

#![allow(clippy::unwrap_used, reason = "the shared functions of these tests are tests too")]

mod fixtures;
mod instances;
mod patches;
mod pruning;
