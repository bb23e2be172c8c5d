//! What runs in a cluster, seen from both sides: the pods' status and the machine's processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use km_e2e::{Cluster, ProcessId, eventually};

/// How long pods may take to come or go; one takes about a second.
pub(crate) const POD_LIMIT: Duration = Duration::from_secs(60);

/// The containers of a Deployment's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    /// Container ID and restarts by pod name and UID.
    pub(crate) containers: BTreeMap<String, String>,
    /// The processes in them.
    pub(crate) processes: BTreeSet<ProcessId>,
}

/// Makes a Deployment `web` and waits until it is there.
pub(crate) fn deploy(cluster: &Cluster, replicas: u32) -> anyhow::Result<Running> {
    let shell = cluster.shell();
    shell.output(&format!(
        "kubectl create deployment web --image=localhost/demo --replicas={replicas} -- /demo serve"
    ))?;
    shell.output("kubectl rollout status deployment/web --timeout=80s")?;
    look(cluster, replicas)
}

/// Looks at the Deployment's pods and processes, and holds them to be as many as they should be.
pub(crate) fn look(cluster: &Cluster, replicas: u32) -> anyhow::Result<Running> {
    let count = usize::try_from(replicas).context("a count of pods")?;
    let path = "{range .items[*]}{.metadata.name} {.metadata.uid}={.status.containerStatuses[0].containerID} \
                restarts {.status.containerStatuses[0].restartCount} ready {.status.containerStatuses[0].ready}{\"\\n\"}{end}";
    let listed = cluster.shell().output(&format!("kubectl get pods -l app=web -o jsonpath='{path}'"))?;
    let containers: BTreeMap<String, String> = listed
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(pod, container)| (pod.to_owned(), container.to_owned()))
        .collect();
    let ready = containers.values().filter(|container| container.ends_with("ready true")).count();
    ensure!(containers.len() == count && ready == count, "want {count} ready pods, there are: {listed}");
    let processes = commands(cluster, "/demo serve");
    ensure!(processes.len() == count, "want {count} processes, there are: {processes:?}");
    Ok(Running { containers, processes })
}

/// Holds the Deployment to run exactly as before, soon.
pub(crate) fn untouched(cluster: &Cluster, before: &Running, replicas: u32) -> anyhow::Result<()> {
    eventually(POD_LIMIT, "pods as they were", || {
        let now = look(cluster, replicas)?;
        ensure!(now == *before, "running before: {before:?}\nrunning now: {now:?}");
        Ok(())
    })
}

/// The processes with exactly this command line.
pub(crate) fn commands(cluster: &Cluster, command: &str) -> BTreeSet<ProcessId> {
    cluster.processes().into_iter().filter(|process| process.command == command).collect()
}
