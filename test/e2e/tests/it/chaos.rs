//! `kill -9` of `km up` at seeded moments, while objects are written and pods come and go.
//!
//! `KM_CHAOS_RUNS` says how often (a dozen by default), `KM_CHAOS_SEED` repeats a run that failed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use km_e2e::{Cluster, Flavour, Test, eventually};
use rustix::process::Signal;

use crate::lifecycle::end;
use crate::running::{POD_LIMIT, Running, commands, deploy, untouched};

pub(crate) const TESTS: [Test; 1] = [Test { name: "chaos_kill_9_loses_and_doubles_nothing", run: kill_9 }];

const REPLICAS: u32 = 2;
const RUNS: u64 = 12;
/// The latest moment of a kill: after several writes and the launch of a pod.
const MOMENT_MS_MAX: u64 = 2_500;

fn kill_9() -> anyhow::Result<()> {
    let runs = number("KM_CHAOS_RUNS").unwrap_or(RUNS);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let seed = number("KM_CHAOS_SEED").unwrap_or(clock);
    println!("  {runs} kills; KM_CHAOS_SEED={seed}");
    let mut dice = Dice(seed);
    let cluster = Cluster::start(Flavour::Embedded)?;
    let result = deploy(&cluster, REPLICAS).and_then(|before| {
        for run in 1..=runs {
            one_run(&cluster, &before, run, &mut dice).with_context(|| format!("run {run} of seed {seed}"))?;
        }
        cluster.down()
    });
    result.map_err(|error| error.context(cluster.keep_logs()))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

fn one_run(cluster: &Cluster, before: &Running, run: u64, dice: &mut Dice) -> anyhow::Result<()> {
    let shell = cluster.shell();
    // Writes until told to stop; a name is in `acknowledged` when the API server said yes.
    shell.output(&format!(
        "rm -f stop acknowledged refused; touch acknowledged; ({{\n\
         kubectl run kept-{run} --image=localhost/demo -- sleep {seconds} && echo pod/kept-{run} >> acknowledged\n\
         kubectl delete pod kept-{last} --wait=false && echo gone/kept-{last} >> acknowledged\n\
         i=0; while [ ! -e stop ]; do i=$((i+1)); kubectl create configmap run-{run}-$i --from-literal=n=$i \
         && echo configmap/run-{run}-$i >> acknowledged || sleep 0.1; done; }} > writer.log 2>&1 & echo $! > writer.pid)",
        seconds = seconds(run),
        last = run - 1,
    ))?;
    pause_until(Instant::now() + Duration::from_millis(dice.roll(MOMENT_MS_MAX)));
    end(cluster, Signal::KILL)?;
    if dice.roll(3) == 0 {
        // A second blow while it is coming up.
        cluster.begin_up()?;
        let km = eventually(Duration::from_secs(10), "km up", || cluster.km_up());
        pause_until(Instant::now() + Duration::from_millis(dice.roll(1_000)));
        if let Ok(km) = &km {
            km.signal(Signal::KILL);
        }
        eventually(Duration::from_secs(20), "the end of both", || {
            let left = cluster.processes().into_iter().find(|process| process.command.contains("km up "));
            let left = left.or_else(|| km.as_ref().ok().filter(|km| !km.is_gone()).cloned());
            left.map_or(Ok(()), |process| Err(format!("{process:?}")))
        })?;
    }
    cluster.up()?;
    shell.output("touch stop; while kill -0 $(cat writer.pid) 2>/dev/null; do :; done")?;
    untouched(cluster, before, REPLICAS)?;
    let acknowledged = shell.output("cat acknowledged")?;
    acknowledged_is_there(cluster, &acknowledged)?;
    pods_run_once(cluster, &acknowledged, run)
}

/// A command line of its own for each run's pod.
fn seconds(run: u64) -> u64 {
    100_000 + run
}

/// Lets the chosen moment come: the one place where a test waits for time itself.
fn pause_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn acknowledged_is_there(cluster: &Cluster, acknowledged: &str) -> anyhow::Result<()> {
    let listed = cluster.shell().output("kubectl get configmaps,pods -o name")?;
    let there: BTreeSet<&str> = listed.lines().collect();
    let kept = acknowledged.lines().filter(|name| !name.starts_with("gone/"));
    let lost: Vec<&str> = kept.filter(|name| !there.contains(name)).collect();
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    Ok(())
}

/// The run's pod comes to run, in one process; the last run's is gone, with its process, when it was deleted.
fn pods_run_once(cluster: &Cluster, acknowledged: &str, run: u64) -> anyhow::Result<()> {
    let created = acknowledged.contains(&format!("pod/kept-{run}\n"));
    let deleted = acknowledged.contains(&format!("gone/kept-{}\n", run - 1));
    let shell = cluster.shell();
    if created {
        shell.output(&format!("kubectl wait pod/kept-{run} --for=condition=Ready --timeout=60s"))?;
        let processes = commands(cluster, &format!("/demo sleep {}", seconds(run)));
        ensure!(processes.len() == 1, "kept-{run} runs as {processes:?}");
        let restarts =
            format!("kubectl get pod kept-{run} -o jsonpath='{{.status.containerStatuses[0].restartCount}}'");
        let restarts = shell.output(&restarts)?;
        ensure!(restarts == "0", "kept-{run} was restarted {restarts} times");
    }
    if !deleted {
        shell.output(&format!("kubectl delete pod kept-{} --ignore-not-found --wait=false", run - 1))?;
    }
    eventually(POD_LIMIT, "the last pod's end", || {
        let processes = commands(cluster, &format!("/demo sleep {}", seconds(run - 1)));
        ensure!(processes.is_empty(), "{processes:?}");
        let left = shell.output(&format!("kubectl get pod kept-{} --ignore-not-found -o name", run - 1))?;
        ensure!(left.is_empty(), "{left} is there");
        Ok::<_, anyhow::Error>(())
    })
}
