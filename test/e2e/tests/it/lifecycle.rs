//! `km up`, its end by signals, `km down`, and starts that cannot succeed.

use std::time::Duration;

use anyhow::ensure;
use km_e2e::{Cluster, Flavour, Test, eventually};
use rustix::process::Signal;

use crate::running::{POD_LIMIT, commands, deploy, look, untouched};

pub(crate) const TESTS: [Test; 5] = [
    Test { name: "lifecycle_second_up_finds_it_running", run: second_up },
    Test { name: "lifecycle_signals_leave_pods_running", run: signals },
    Test { name: "lifecycle_down_stops_and_up_starts_the_same_pods", run: down_and_up },
    Test { name: "lifecycle_down_ends_what_a_dead_km_left", run: down_after_death },
    Test { name: "lifecycle_a_start_that_cannot_succeed_says_why", run: impossible_starts },
];

const REPLICAS: u32 = 2;

/// Runs a test on a cluster; keeps the logs when it fails.
fn with_cluster(test: impl FnOnce(&Cluster) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let cluster = Cluster::start(Flavour::Embedded)?;
    test(&cluster).and_then(|()| cluster.down()).map_err(|error| error.context(cluster.keep_logs()))
}

fn second_up() -> anyhow::Result<()> {
    with_cluster(|cluster| {
        let first = cluster.km_up()?;
        let said = cluster.up()?;
        ensure!(said.contains(&format!("km is running already (pid {})", first.pid)), "said: {said}");
        ensure!(cluster.km_up()? == first, "another km up runs");
        Ok(())
    })
}

/// Ends `km up` with a signal and waits until it has ended.
pub(crate) fn end(cluster: &Cluster, signal: Signal) -> anyhow::Result<()> {
    let km = cluster.km_up()?;
    km.signal(signal);
    eventually(Duration::from_secs(20), "the end of km up", || {
        ensure!(km.is_gone(), "{} is there", km.pid);
        Ok::<_, anyhow::Error>(())
    })
}

fn signals() -> anyhow::Result<()> {
    with_cluster(|cluster| {
        let before = deploy(cluster, REPLICAS)?;
        for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
            end(cluster, signal)?;
            ensure!(commands(cluster, "/demo serve") == before.processes, "{signal:?} of km up reached the pods");
            cluster.up()?;
            untouched(cluster, &before, REPLICAS)?;
        }
        // And it is a whole cluster again.
        cluster.shell().output("kubectl run more --image=localhost/demo -- sleep 3600")?;
        cluster.shell().output("kubectl wait pod/more --for=condition=Ready --timeout=60s")?;
        cluster.shell().output("kubectl exec more -- /demo exit 0")?;
        cluster.shell().output("kubectl delete pod more")?;
        untouched(cluster, &before, REPLICAS)
    })
}

fn down_and_up() -> anyhow::Result<()> {
    with_cluster(|cluster| {
        let before = deploy(cluster, REPLICAS)?;
        cluster.down()?;
        cluster.up()?;
        let after = eventually(POD_LIMIT, "the same pods, started again", || look(cluster, REPLICAS))?;
        let same = before.containers.keys().eq(after.containers.keys());
        ensure!(same, "pods before: {before:?}, after: {after:?}");
        ensure!(before.processes.is_disjoint(&after.processes), "a process lived through km down");
        Ok(())
    })
}

fn down_after_death() -> anyhow::Result<()> {
    with_cluster(|cluster| {
        deploy(cluster, REPLICAS)?;
        end(cluster, Signal::KILL)
        // `km down` follows, and must leave nothing.
    })
}

fn impossible_starts() -> anyhow::Result<()> {
    let cluster = Cluster::prepare(Flavour::Embedded)?;
    let shell = cluster.shell();
    for (what, before, flags, told) in [
        (
            "a taken port",
            "python3 -m http.server --bind 127.0.0.1 6443 >/dev/null 2>&1 & echo $! > server.pid",
            "",
            "failed to listen on 127.0.0.1:6443",
        ),
        ("resources that cannot be read", "", "--resources=cpus:lots", "cpus:lots"),
        ("a data folder that is a file", "touch file", "--data-dir=file", "file"),
    ] {
        shell.output(&format!("{before}\ntrue"))?;
        if what == "a taken port" {
            eventually(Duration::from_secs(10), "the server that takes the port", || {
                shell.output("curl -sS -o /dev/null http://127.0.0.1:6443/")
            })?;
        }
        let finished = shell.run(&format!("km up --detach {flags}"))?;
        ensure!(finished.code() != 0 && !finished.timed_out, "{what}: km up went on: {finished:?}");
        ensure!(finished.output.contains(told), "{what}: want {told:?}, said: {}", finished.output);
        shell.output("if [ -f server.pid ]; then kill $(cat server.pid); rm server.pid; fi")?;
        eventually(Duration::from_secs(10), "nothing running", || {
            let left = cluster.processes();
            ensure!(left.is_empty(), "{what}: left {left:?}");
            Ok::<_, anyhow::Error>(())
        })?;
    }
    Ok(())
}
