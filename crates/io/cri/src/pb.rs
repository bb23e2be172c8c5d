//! The messages and gRPC stubs of CRI v1, as generated code kept in the tree.
//!
//! Nobody needs `protoc` to build: the code was made once from `runtime/v1/api.proto` with protox and
//! tonic-prost-build (`build_server(false)`, `build_transport(false)`, doc comments stripped).
//! What a field means is written in the CRI API itself: <https://github.com/kubernetes/cri-api>.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

include!("generated/runtime.v1.rs");
