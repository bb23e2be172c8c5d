//! `km down`: stops `km up` and its pods; where none runs, what it left running.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::DataOptions;
use crate::control::{self, Order};
use crate::layout::Layout;
use crate::{executor, up};

/// Stops everything of a data folder.
pub(crate) async fn run(options: &DataOptions) -> anyhow::Result<()> {
    let layout = Layout::new(&options.data_dir)?;
    if control::running(&layout)?.is_some() {
        control::give(&layout, Order::Down).await?;
    } else if layout.root().exists() {
        up::stop_what_is_left(&layout).await?;
    }
    remove_if_empty(Path::new(executor::RUN_DIR))?;
    for root in cgroup_roots() {
        remove_if_empty(&root)?;
    }
    Ok(())
}

/// Returns the embedded agent's folder in every cgroup hierarchy; another cluster of this machine may still use it.
fn cgroup_roots() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let hierarchies = fields.filter(|f| f.get(2).is_some_and(|kind| *kind == "cgroup" || *kind == "cgroup2"));
    hierarchies.map(|f| Path::new(f[1]).join(up::CGROUPS_ROOT)).collect()
}

fn remove_if_empty(folder: &Path) -> anyhow::Result<()> {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotFound, ResourceBusy};
    match std::fs::remove_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), NotFound | DirectoryNotEmpty | ResourceBusy) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("failed to remove {}", folder.display())),
    }
}
