//! Compiles images/pause with the compiler that compiles this crate, so that `km` can carry the sandbox image.
//!
//! `rustc` is called directly: a static program without standard and C library needs neither Cargo nor a second
//! target; the linker is the one that links everything else here.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let variable = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let source = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../../../images/pause/pause.rs");
    let program = PathBuf::from(variable("OUT_DIR")).join("pause");
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "pause"]);
    rustc.arg("--target").arg(variable("TARGET"));
    for option in ["panic=abort", "opt-level=s", "strip=symbols", "relocation-model=static"] {
        rustc.args(["-C", option]);
    }
    for argument in
        ["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noseparate-code"]
    {
        rustc.arg("-C").arg(format!("link-arg={argument}"));
    }
    rustc.arg("-o").arg(&program).arg(&source);
    // Flags meant for the main build (coverage, sanitizers) would break a program without a standard library.
    rustc.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = rustc.status().unwrap_or_else(|error| panic!("failed to run {rustc:?}: {error}"));
    assert!(status.success(), "failed to compile {}: {rustc:?} ended with {status}", source.display());
}
