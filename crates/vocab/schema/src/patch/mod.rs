//! The three patches that change a whole object: JSON patch, JSON merge patch, strategic merge patch.
//!
//! Each takes the current object as a value and changes it in place; on an error the value is left in an unspecified
//! state, so the caller patches a copy. Precondition checks, defaulting and validation of the outcome are the write
//! path's. Server-side apply, the fourth, is not here yet.

mod json;
mod merge;
mod strategic;
#[cfg(test)]
mod tests;

pub use json::json_patch;
pub use merge::merge_patch;
pub use strategic::strategic_merge_patch;

/// Why a patch was refused; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: 400.
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit this object: 422.
    #[error("{0}")]
    DoesNotApply(String),
    /// More operations than `OPERATIONS_MAX`: 413.
    #[error("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {0}")]
    TooManyOperations(usize),
    /// More bytes copied than `COPIED_BYTES_MAX`: 422.
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is {0}, exceeding the limit {COPIED_BYTES_MAX}"
    )]
    TooMuchCopied(usize),
}

/// Bound on the operations of a JSON patch.
/// k8s 1.37 apiserver pkg/endpoints/handlers/patch.go, maxJSONPatchOperations.
pub const OPERATIONS_MAX: usize = 10_000;

/// Bound on the bytes that all `copy` operations of a JSON patch add, of which a few would else double an object until
/// memory ends. k8s 1.37 apiserver pkg/server/config.go: jsonpatch's AccumulatedCopySizeLimit is the limit of a body.
pub const COPIED_BYTES_MAX: usize = 3 << 20;

/// Bound on the nesting that a JSON patch may build, operation by operation: as that of a parsed body. What is nested
/// deeper exhausts the stack of whoever drops it.
const DEPTH_MAX: usize = 128;
