//! The typed Kubernetes kinds (k8s-openapi, v1.37), and the only place where their JSON code is instantiated.
//!
//! Decisions are made on these types; they are never written back whole, because decoding drops what the
//! type does not know. Cores emit patches or new objects instead.
//!
//! **Invariant:** no other crate calls `serde_json` with a k8s-openapi kind as its type parameter: the
//! (de)serialisers are the dearest code to compile, and here they are compiled once.
//! Deliberately absent: types of our own, validation, defaults (`vocab/schema`, `core/registry`).

pub use k8s_openapi::*;

mod codec;

pub use codec::{Codec, DecodeError};
