//! Where things are in the repository, and what to say when one has not been made yet.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// The repository's root.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A file that a script makes below `target`.
///
/// # Errors
/// It is not there; `made_by` says how to make it.
pub fn target_file(path: &str, made_by: &str) -> anyhow::Result<PathBuf> {
    let file = repository().join("target").join(path);
    ensure!(file.exists(), "{} is missing: run `{made_by}`", file.display());
    Ok(file)
}

/// The binary under test: `KM_BIN`, or what `cargo build -p km` made beside this test.
pub(crate) fn km() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("KM_BIN") {
        return Ok(named.into());
    }
    let this = std::env::current_exe().context("failed to find this program")?;
    // target/debug/deps/it-0123 → target/debug/km
    let folder = this.ancestors().nth(2).context("this program is in no target folder")?;
    let binary = folder.join("km");
    ensure!(binary.exists(), "{} is missing: run `cargo build -p km`", binary.display());
    Ok(binary)
}

/// The programs of Apache Mesos: `KM_APACHE_MESOS`, or what `test/apache-mesos/setup.sh` made.
pub(crate) fn apache_mesos() -> anyhow::Result<PathBuf> {
    match std::env::var_os("KM_APACHE_MESOS") {
        Some(named) => Ok(named.into()),
        None => target_file("apache-mesos/libexec/mesos", "test/apache-mesos/setup.sh target/apache-mesos"),
    }
}
