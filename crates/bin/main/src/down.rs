//! `km down`: stops `km up` and its pods; where none runs, what it left running.

use anyhow::Context as _;

use crate::cli::DataOptions;
use crate::control::{self, Order};
use crate::layout::Layout;

/// Stops everything of a data folder.
pub(crate) async fn run(options: &DataOptions) -> anyhow::Result<()> {
    let layout = Layout::new(&options.data_dir)?;
    if control::running(&layout)?.is_some() {
        return control::give(&layout, Order::Down).await.context("failed to stop km");
    }
    if layout.root().exists() {
        crate::up::stop_what_is_left(&layout).await?;
    }
    Ok(())
}
