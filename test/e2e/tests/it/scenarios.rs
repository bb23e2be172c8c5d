//! The same transcripts on each Mesos.

use std::fs;

use anyhow::Context as _;
use km_e2e::scenario::{parse, play};
use km_e2e::{Cluster, Flavour, Launcher, Test, repository};

pub(crate) const TESTS: [Test; 3] = [
    Test { name: "scenarios_embedded", run: || on(Flavour::Embedded) },
    Test { name: "scenarios_apache_mesos_posix", run: || on(Flavour::ApacheMesos(Launcher::Posix)) },
    Test { name: "scenarios_apache_mesos_linux_cgroups", run: || on(Flavour::ApacheMesos(Launcher::LinuxCgroups)) },
];

fn on(flavour: Flavour) -> anyhow::Result<()> {
    let folder = repository().join("test/e2e/scenarios");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .with_context(|| format!("failed to list {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .context("failed to list the scenarios")?;
    files.sort();
    let cluster = Cluster::start(flavour)?;
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {name}"))?;
        let scenario = parse(&text).with_context(|| name.clone())?;
        println!(" {name}");
        if let Err(error) = play(&cluster, &name, &scenario) {
            failures.push(format!("{error:#}"));
        }
    }
    if let Err(error) = cluster.down() {
        failures.push(format!("{error:#}; {}", cluster.keep_logs()));
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
