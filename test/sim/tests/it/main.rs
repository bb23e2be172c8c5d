//! Seeds: those that once found a bug first, then new ones; and the same seed twice.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use km_sim::{Outcome, run};

/// Runs of an ordinary `make test`.
const SEEDS: u64 = 200;

/// What some of fifty runs try, or the simulation has become tame.
const EXPECTED: &[&str] = &[
    "API server dies",
    "agent dies",
    "agent is cut off",
    "crashes that lost unacknowledged changes",
    "executor dies",
    "executor starts again",
    "executor's session breaks",
    "framework dies",
    "machine dies",
    "machine is cut off",
    "manager dies",
    "master dies",
    "pods launched again",
    "pods that ended",
    "watches whose history was gone",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Seeds that found a bug: `<seed> <what it found>` a line.
fn known() -> Vec<u64> {
    let text = include_str!("../../seeds.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            line.split_whitespace().next().and_then(|seed| seed.parse().ok()).expect("a line begins with its seed")
        })
        .collect()
}

fn report(outcome: &Outcome) -> Option<String> {
    let failure = outcome.failure.as_ref()?;
    let lasted = outcome.lasted.as_secs();
    Some(format!(
        "{}\nseed {} after {} steps, {lasted} s: {}\nrun it alone: KM_SIM_SEED={} cargo test -p km-sim (KM_SIM_TRACE=1 prints all)\n",
        failure.tail, outcome.seed, outcome.steps, failure.what, outcome.seed
    ))
}

#[test]
fn invariants_hold_for_every_seed() {
    let loud = number("KM_SIM_TRACE").is_some();
    let seeds: Vec<u64> = match number("KM_SIM_SEED") {
        Some(seed) => vec![seed],
        None => {
            let from = number("KM_SIM_FROM").unwrap_or(1);
            known().into_iter().chain(from..from + number("KM_SIM_SEEDS").unwrap_or(SEEDS)).collect()
        }
    };
    let next = AtomicU64::new(0);
    let failures: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let totals: Mutex<(u64, u64, BTreeMap<&str, u64>)> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(seeds.len()) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                    let outcome = run(*seed, loud);
                    let mut totals = totals.lock().unwrap();
                    totals.0 += outcome.steps;
                    totals.1 += outcome.lasted.as_secs();
                    for (what, count) in &outcome.counts {
                        *totals.2.entry(what).or_insert(0) += count;
                    }
                    drop(totals);
                    if let Some(text) = report(&outcome) {
                        failures.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let (steps, seconds, counts) = totals.into_inner().unwrap();
    println!("{} seeds, {steps} steps, {seconds} s of virtual time: {counts:?}", seeds.len());
    if seeds.len() >= 50 {
        for what in EXPECTED {
            assert!(counts.contains_key(what), "in no run: {what}");
        }
    }
    let failures = failures.into_inner().unwrap();
    for text in failures.iter().filter(|_| failures.len() > 1) {
        println!("{}", text.lines().find(|line| line.starts_with("seed ")).unwrap_or_default());
    }
    assert!(failures.is_empty(), "{} of {} seeds fail; the first:\n{}", failures.len(), seeds.len(), failures[0]);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let (one, two) = (run(7, false), run(7, false));
    assert_eq!((one.hash, one.lines, one.steps), (two.hash, two.lines, two.steps));
    assert_ne!(one.hash, run(8, false).hash);
}
