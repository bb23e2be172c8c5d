//! `km status` and `km why`: asks the framework's debug endpoints.

use anyhow::Context as _;
use km_base::ObjectKey;

use crate::cli::{DataOptions, Output, StatusOptions, WhyOptions};
use crate::layout::Layout;
use crate::up::Remembered;

/// Shows both halves of the cluster.
pub(crate) async fn status(options: &StatusOptions) -> anyhow::Result<()> {
    let status = km_framework::status::status(&framework_url(&options.data)?).await?;
    match options.output {
        Output::Json => println!("{status:#}"),
        Output::Text => print!("{}", km_framework::status::text(&status)),
    }
    Ok(())
}

/// Says why a pod waits.
pub(crate) async fn why(options: &WhyOptions) -> anyhow::Result<()> {
    let status = km_framework::status::status(&framework_url(&options.data)?).await?;
    let pod = ObjectKey::namespaced(options.namespace.as_str(), options.pod.as_str());
    println!("{}", km_framework::status::why(&status, &pod));
    Ok(())
}

fn framework_url(data: &DataOptions) -> anyhow::Result<String> {
    let remembered = Remembered::read(&Layout::new(&data.data_dir)?)?;
    let options = remembered
        .with_context(|| format!("there is no cluster in {}: start one with 'km up'", data.data_dir.display()))?;
    Ok(format!("http://{}:{}", options.options.listen.bind_address, options.options.framework.artifact_port))
}
