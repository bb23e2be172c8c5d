//! The schema crate from outside: real bytes of kubectl, random instances of every kind, and agreement with
//! k8s-openapi.

mod fixtures;
mod instances;
mod pruning;
