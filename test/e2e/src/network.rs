//! A network namespace of one cluster's own, removed when dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Where `ip netns` keeps them.
const FOLDER: &str = "/run/netns";

/// A named network namespace with its loopback up.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
}

impl Network {
    /// Makes one.
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        ip(&["netns", "add", name])?;
        let network = Self { name: name.to_owned() };
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(network)
    }

    /// The file to enter it by.
    pub(crate) fn file(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            eprintln!("km-e2e: {error:#}");
        }
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("failed to run ip")?;
    ensure!(
        output.status.success(),
        "ip {}: {} (these tests need root)",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
