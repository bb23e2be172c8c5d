//! vocab/schema: what every kind looks like, as data.
//!
//! One schema form serves built-in kinds (a committed table) and, later, custom ones. The API server's write path
//! walks `serde_json::Value` along it: parse, find unknown fields, check, default, patch, and translate Kubernetes
//! protobuf. OpenAPI documents are written from the same table.
//!
//! **Invariant:** no function here does I/O, reads a clock or panics on what a client sends.
//! **Invariant:** a kind is rows in `data/table.txt` and in `defaults/`; no function names a kind, except the few
//! computed defaults, which are listed in one table.
//! **Invariant:** pruning agrees with `k8s-openapi`'s types of the same Kubernetes version (a test decodes by both).
//!
//! Deliberately absent: validation of meaning and of updates (`core/registry`), typed objects (`vocab/kinds`),
//! conversion between versions, and server-side apply (the list types it needs are in the table already).

mod builtin;
mod canonical;
mod check;
mod defaults;
pub mod openapi;
mod parse;
pub mod patch;
pub mod proto;
mod prune;
pub mod quantity;
mod table;

pub use builtin::{builtin, definition, definition_named, definition_of};
pub use canonical::canonical;
pub use check::{TypeError, check};
pub use defaults::default;
pub use parse::{
    ParseError, Parsed, duplicate_field_text, parse_json, parse_yaml, strict_error_text, unknown_field_text,
};
pub use prune::{UnknownFields, prune};
pub use table::{Definition, Field, Gvk, ListType, Name, PatchStrategy, Shape, Table, Type};
