//! Kubernetes protobuf from and to JSON values, driven by the table.
//!
//! The wire form is that of upstream's `generated.proto` (proto2, gogo): the field numbers are in the table, and what
//! JSON shows of zero values is what Go would print (`canonical.rs`). The envelope is four magic bytes and a
//! `runtime.Unknown`. kubectl's typed commands, helm and operators send nothing else.

mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod wire;

pub use decode::{DecodeError, decode, decode_message};
pub use encode::{encode, encode_envelope, encode_message};

/// Content type of the envelope.
pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// First bytes of every envelope.
/// k8s 1.37 apimachinery pkg/runtime/serializer/protobuf/protobuf.go, protoEncodingPrefix.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// What the envelope says the object is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeMeta {
    /// Group and version, e.g. `apps/v1`.
    pub api_version: String,
    /// Kind, e.g. `Deployment`.
    pub kind: String,
}
