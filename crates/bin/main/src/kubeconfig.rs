//! `km kubeconfig`.

use anyhow::Context as _;

use crate::cli::DataOptions;
use crate::layout::Layout;

/// Prints the administrator's kubeconfig.
pub(crate) fn print(options: &DataOptions) -> anyhow::Result<()> {
    let path = Layout::new(&options.data_dir)?.kubeconfig();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("there is no cluster in {}: start one with 'km up'", options.data_dir.display()))?;
    print!("{text}");
    Ok(())
}
