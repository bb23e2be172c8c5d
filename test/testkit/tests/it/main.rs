//! Holds this repository to its own law: `layers.toml` for imports, `km_testkit::tidy` for files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use km_testkit::{layers, tidy};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn output_of(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn law() -> layers::Law {
    layers::read_law(&std::fs::read_to_string(root().join("layers.toml")).unwrap()).unwrap()
}

/// Files that a commit holds or could hold: tracked ones, and new ones that are not ignored.
fn files() -> Vec<String> {
    let listed = output_of("git", &["ls-files", "--cached", "--others", "--exclude-standard"]);
    listed.lines().filter(|path| root().join(path).is_file()).map(str::to_owned).collect()
}

#[test]
fn imports_go_down_only() {
    let metadata = output_of(env!("CARGO"), &["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let members = layers::read_members(&metadata).unwrap();
    assert!(members.len() > 20, "cargo metadata lists {} members only", members.len());
    let wrong = layers::check_imports(&law(), &members);
    assert!(wrong.is_empty(), "against layers.toml:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_tidy() {
    let law = law();
    let mut wrong = Vec::new();
    for path in files() {
        // Recorded bytes of other programs are kept as they came.
        if path.contains("/fixtures/") {
            continue;
        }
        if let Ok(text) = std::fs::read_to_string(root().join(&path)) {
            wrong.extend(tidy::check_file(&law, &path, &text));
        }
    }
    assert!(wrong.is_empty(), "{} complaints:\n{}", wrong.len(), wrong.join("\n"));
}
