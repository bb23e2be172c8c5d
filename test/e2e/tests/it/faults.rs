//! What km stands on fails: Mesos's processes, an executor, containerd, the disk.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use km_e2e::{Cluster, Flavour, Launcher, Part, Test, eventually};
use rustix::process::Signal;

use crate::lifecycle::end;
use crate::running::{POD_LIMIT, Running, deploy, look, untouched};

pub(crate) const TESTS: [Test; 5] = [
    Test { name: "faults_a_mesos_master_that_is_down_at_first", run: master_down_at_first },
    Test { name: "faults_kill_9_of_apache_mesos_leaves_pods_running", run: apache_mesos_killed },
    Test { name: "faults_a_killed_containerd_comes_back", run: containerd_killed },
    Test { name: "faults_a_killed_executor_is_replaced", run: executor_killed },
    Test { name: "faults_a_full_disk_refuses_and_recovers", run: disk_full },
];

const REPLICAS: u32 = 2;

fn keeping_logs(cluster: &Cluster, result: anyhow::Result<()>) -> anyhow::Result<()> {
    result.map_err(|error| error.context(cluster.keep_logs()))
}

/// A pod that is made now comes to run, and goes.
fn a_new_pod_runs(cluster: &Cluster) -> anyhow::Result<()> {
    let shell = cluster.shell();
    shell.output("kubectl run fresh --image=localhost/demo -- sleep 3600")?;
    shell.output("kubectl wait pod/fresh --for=condition=Ready --timeout=80s")?;
    shell.output("kubectl delete pod fresh")?;
    Ok(())
}

fn master_down_at_first() -> anyhow::Result<()> {
    let mut cluster = Cluster::prepare(Flavour::ApacheMesos(Launcher::Posix))?;
    cluster.kill_mesos(Part::Master)?;
    let waits = |cluster: &Cluster| {
        cluster.up()?;
        let shell = cluster.shell();
        shell.output("kubectl create deployment web --image=localhost/demo --replicas=2 -- /demo serve")?;
        let events = "kubectl get events --field-selector reason=FailedScheduling -o jsonpath='{.items[*].message}'";
        eventually(Duration::from_secs(20), "an event that says why", || {
            let told = shell.output(events)?;
            let right = told.contains("not subscribed to Mesos") && told.contains("127.0.0.1:5050");
            ensure!(right, "told: {told}");
            Ok::<_, anyhow::Error>(())
        })
    };
    let waited = waits(&cluster);
    keeping_logs(&cluster, waited)?;
    cluster.start_mesos(Part::Master)?;
    let runs = eventually(POD_LIMIT, "pods, now that the master is there", || look(&cluster, REPLICAS)).map(drop);
    keeping_logs(&cluster, runs.and_then(|()| cluster.down()))
}

fn apache_mesos_killed() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(Flavour::ApacheMesos(Launcher::Posix))?;
    let before = deploy(&cluster, REPLICAS);
    let before = before.map_err(|error| error.context(cluster.keep_logs()))?;
    for part in [Part::Master, Part::Agent(1), Part::Agent(2)] {
        cluster.kill_mesos(part)?;
        let alive = still_there(&before).with_context(|| format!("after the end of {part:?}"));
        keeping_logs(&cluster, alive)?;
        cluster.start_mesos(part)?;
        let result = untouched(&cluster, &before, REPLICAS).and_then(|()| a_new_pod_runs(&cluster));
        keeping_logs(&cluster, result.with_context(|| format!("after the return of {part:?}")))?;
    }
    let restarted = end(&cluster, Signal::KILL)
        .and_then(|()| cluster.up())
        .and_then(|_| untouched(&cluster, &before, REPLICAS))
        .and_then(|()| a_new_pod_runs(&cluster))
        .and_then(|()| cluster.down());
    keeping_logs(&cluster, restarted)
}

fn still_there(before: &Running) -> anyhow::Result<()> {
    let gone: Vec<_> = before.processes.iter().filter(|process| !process.is_alive()).collect();
    ensure!(gone.is_empty(), "ended: {gone:?}");
    Ok(())
}

fn containerd_killed() -> anyhow::Result<()> {
    let cluster = Cluster::start(Flavour::Embedded)?;
    let test = || {
        let before = deploy(&cluster, REPLICAS)?;
        let is_containerd = |command: &str| command.split(' ').next().is_some_and(|name| name.ends_with("/containerd"));
        let mut found = cluster.processes();
        found.retain(|process| is_containerd(&process.command));
        ensure!(found.len() == 1, "want one containerd: {found:?}");
        found[0].signal(Signal::KILL);
        still_there(&before)?;
        a_new_pod_runs(&cluster)?;
        untouched(&cluster, &before, REPLICAS)?;
        cluster.down()
    };
    keeping_logs(&cluster, test())
}

fn executor_killed() -> anyhow::Result<()> {
    let cluster = Cluster::start(Flavour::Embedded)?;
    let test = || {
        let before = deploy(&cluster, REPLICAS)?;
        let mut found = cluster.processes();
        found.retain(|process| process.command.ends_with("km executor") && !process.command.starts_with("/bin/sh"));
        ensure!(found.len() == 1, "want one executor: {found:?}");
        found[0].signal(Signal::KILL);
        // Every pod ends with its executor, and is started again by the next one.
        eventually(POD_LIMIT, "pods below a new executor", || {
            let now = look(&cluster, REPLICAS)?;
            ensure!(now.processes.is_disjoint(&before.processes), "the old ones run: {now:?}");
            Ok::<_, anyhow::Error>(())
        })?;
        a_new_pod_runs(&cluster)?;
        cluster.down()
    };
    keeping_logs(&cluster, test())
}

/// The store lies on a small file system, which is filled to its last byte.
fn disk_full() -> anyhow::Result<()> {
    let cluster = Cluster::prepare(Flavour::Embedded)?;
    let store = cluster.data_dir().join("store");
    fs::create_dir_all(&store).with_context(|| format!("failed to make {}", store.display()))?;
    let shell = cluster.shell();
    shell.output(&format!("mount -t tmpfs -o size=64m tmpfs {}", store.display()))?;
    let test = || {
        cluster.up()?;
        shell.output("kubectl create configmap before --from-literal=a=b")?;
        // Fails when nothing more fits, which is the point.
        shell.run(&format!("cat /dev/zero > {}/filler", store.display()))?;
        // The journal's segment was given its room beforehand: what fits into that is still accepted.
        shell.output("head -c 900000 /dev/zero | tr '\\0' a > large")?;
        let refused = eventually(Duration::from_secs(40), "a refusal", || {
            let finished = shell.run("kubectl create configmap large-$RANDOM$RANDOM --from-file=large")?;
            ensure!(finished.code() != 0, "accepted: {}", finished.output);
            Ok::<_, anyhow::Error>(finished)
        })?;
        ensure!(!refused.timed_out && refused.output.contains("rror"), "said: {}", refused.output);
        shell.output("kubectl get configmap before")?;
        shell.output(&format!("rm {}/filler", store.display()))?;
        eventually(Duration::from_secs(30), "writes, now that there is room", || {
            shell.output("kubectl create configmap after-$RANDOM$RANDOM --from-literal=a=b")
        })?;
        end(&cluster, Signal::KILL)?;
        cluster.up()?;
        shell.output("kubectl get configmap before")?;
        shell.output("km down").map(drop)
    };
    let result = keeping_logs(&cluster, test());
    shell.output(&format!("umount -l {}", store.display()))?;
    result
}
