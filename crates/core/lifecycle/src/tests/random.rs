//! Random orders of answers, failures, ends, deletions and kills: what must hold in every one of them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::bench::Bench;
use crate::*;

/// A small generator of its own: the core must not depend on a random source, nor the test on a crate for one.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("smaller than sides")
    }
}

#[derive(Default)]
struct Watcher {
    bound: bool,
    /// Containers that were told to be created and have not ended.
    live: BTreeSet<String>,
    terminal_updates: u32,
    forgotten: bool,
}

impl Watcher {
    fn see(&mut self, action: &Action, seed: u64) {
        match action {
            Action::CreateContainer { container, .. } => {
                assert!(self.bound, "seed {seed}: created before the binding");
                assert!(self.live.insert(container.clone()), "seed {seed}: {container} created twice");
            }
            Action::TaskUpdate(update) => {
                assert_eq!(self.terminal_updates, 0, "seed {seed}: {update:?} after the end");
                self.terminal_updates += u32::from(update.state.is_terminal());
            }
            Action::Forget => {
                assert!(self.live.is_empty(), "seed {seed}: forgotten while {:?} run", self.live);
                self.forgotten = true;
            }
            _ => {}
        }
    }
}

fn play(seed: u64) {
    let mut dice = Dice(seed * 2_654_435_761 + 1);
    let policy = ["Always", "OnFailure", "Never"][dice.roll(3)];
    let probe = json!({"tcpSocket": {"port": 80}, "failureThreshold": 1});
    let mut bench = Bench::new(json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 5,
        "initContainers": [{"name": "i", "image": "i"}, {"name": "s", "image": "i", "restartPolicy": "Always"}],
        "containers": [{"name": "a", "image": "i", "livenessProbe": probe,
            "lifecycle": {"postStart": {"sleep": {"seconds": 1}}, "preStop": {"sleep": {"seconds": 1}}}},
            {"name": "b", "image": "i"}]}));
    let mut watcher = Watcher::default();
    bench.event(Event::TaskLaunched);
    let mut seen = 0;
    for round in 0..400 {
        let chaos = round < 200;
        if !watcher.bound && dice.roll(4) == 0 {
            watcher.bound = true;
            bench.bind();
        }
        match dice.roll(40) {
            0 if chaos && dice.roll(6) == 0 => bench.event(Event::TaskKilled { grace: None }),
            1 if chaos && watcher.bound && dice.roll(6) == 0 => bench.delete(2),
            2 if chaos => {
                if let Some(id) = bench.machine.sandbox().map(|facts| facts.id.clone()) {
                    bench.event(Event::SandboxLost { id });
                    for name in ["i", "s", "a", "b"] {
                        end(&mut bench, &mut watcher, name, 137);
                    }
                }
            }
            3..8 => {
                let name = ["i", "s", "a", "b"][dice.roll(4)];
                let code = i32::from(dice.roll(2) == 0);
                end(&mut bench, &mut watcher, name, code);
            }
            8 if bench.machine.container_id("a").is_some() => bench.probe("a", ProbeKind::Liveness, Err("no")),
            9 => {
                bench.now = bench.now + Duration::from_secs(40);
                bench.event(Event::Tick);
            }
            _ => {}
        }
        if !bench.open.is_empty() {
            let at = dice.roll(bench.open.len());
            let action = bench.open.remove(at);
            let fail = chaos && dice.roll(8) == 0;
            if fail && let Action::CreateContainer { container, .. } = &action {
                watcher.live.remove(container);
            }
            if fail && let Action::StartContainer { container, .. } = &action {
                watcher.live.remove(container);
            }
            if !fail && let Action::StopContainer { container, id, .. } = &action {
                let current = bench.machine.container_id(container);
                if current.is_some_and(|(now, runs)| runs && now == id) {
                    watcher.live.remove(container);
                }
            }
            let dies_created = matches!(&action, Action::CreateContainer { .. });
            let name = match &action {
                Action::CreateContainer { container, .. } => container.clone(),
                _ => String::new(),
            };
            let before = bench.open.len();
            bench.answer_with(action, fail);
            // Created, but no longer wanted: it is removed without having run.
            if dies_created
                && !bench.open[before.min(bench.open.len())..]
                    .iter()
                    .any(|a| matches!(a, Action::StartContainer { .. }))
            {
                watcher.live.remove(&name);
            }
        }
        let log: Vec<Action> = bench.actions[seen..].to_vec();
        seen = bench.actions.len();
        for action in &log {
            watcher.see(action, seed);
        }
        if watcher.forgotten {
            assert_eq!(watcher.terminal_updates, 1, "seed {seed}: ended without telling Mesos");
            return;
        }
    }
    // Nothing fails any more: deletion must bring the end.
    if !watcher.bound {
        bench.bind();
        watcher.bound = true;
    }
    bench.delete(0);
    for _ in 0..20 {
        bench.settle();
        bench.now = bench.now + Duration::from_secs(600);
        bench.event(Event::Tick);
    }
    let forgotten = bench.actions.contains(&Action::Forget);
    assert!(forgotten, "seed {seed}: never ended after its deletion\n{:?}\n{}", bench.machine, bench.log);
}

fn end(bench: &mut Bench, watcher: &mut Watcher, name: &str, code: i32) {
    if bench.machine.container_id(name).is_some_and(|(_, runs)| runs) {
        watcher.live.remove(name);
        bench.exit(name, code, "");
    }
}

#[test]
fn no_order_of_events_runs_a_container_twice_or_leaves_a_pod_behind() {
    for seed in 1..600 {
        play(seed);
    }
}
