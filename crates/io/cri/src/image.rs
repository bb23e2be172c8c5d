//! Images as files: OCI image layouts, written and read, and their way into containerd.
//!
//! No registry is needed for what this repository brings itself (the pause image, the demo) nor for a person's own
//! tar file. [`layout`] and [`archive`] are pure over bytes; [`import`] runs containerd's `ctr`.

pub mod archive;
pub mod import;
pub mod layout;
pub mod pause;

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of `bytes` in lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names the architecture this program runs on in OCI's (Go's) words.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
