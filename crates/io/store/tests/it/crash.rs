//! A child process that writes, and is killed with SIGKILL at seeded moments, a dozen times over one store.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use km_base::Revision;
use km_store::{Durability, Store};

use crate::fixture::{Seen, State, entries, fold, open, record};

const CHILD_DIR: &str = "KM_STORE_CRASH_CHILD_DIR";

/// The child: not a test of its own. Writes until killed, with snapshots in between.
#[tokio::test]
async fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let (store, recovery, seen) = open(Path::new(&dir)).expect("open");
    let mut state = seen.state;
    let mut next = recovery.next_revision.0;
    println!("\nSTART {next}");
    loop {
        next = write_some(&store, next, &mut state).await;
        if next.is_multiple_of(7) {
            store.snapshot(Revision(next - 1), entries(&state)).await.expect("snapshot");
        }
    }
}

async fn write_some(store: &Store, next: u64, state: &mut State) -> u64 {
    let count = next * 31 % 12 + 1;
    let durability = |revision: u64| if revision.is_multiple_of(3) { Durability::Batched } else { Durability::Sync };
    let batch: Vec<_> = (next..next + count).map(|rev| (rev, store.append(record(rev), durability(rev)))).collect();
    for (revision, answer) in batch {
        answer.await.expect("append");
        fold(state, &record(revision));
        println!("ACK {revision}");
    }
    next + count
}

/// Runs the child until it has acknowledged `acks` records; returns where it began and what it acknowledged.
fn run_and_kill(dir: &Path, acks: usize) -> (u64, Vec<u64>) {
    let mut child = Command::new(std::env::current_exe().expect("test binary"))
        .args(["--exact", "crash::child", "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("spawn");
    let (mut start, mut acked) = (0, Vec::new());
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("line");
        if let Some(first) = line.strip_prefix("START ") {
            start = first.parse().expect("number");
        } else if let Some(revision) = line.strip_prefix("ACK ").and_then(|rest| rest.parse().ok()) {
            acked.push(revision);
            if acked.len() == acks {
                // What it still acknowledges until the signal arrives is read to the end of the pipe.
                child.kill().expect("kill");
            }
        }
    }
    child.wait().expect("wait");
    assert!(start > 0 && acked.len() >= acks, "the child ended by itself after {} acks", acked.len());
    (start, acked)
}

fn check_records(seen: &Seen, acked: &[u64]) {
    assert!(seen.records.iter().all(|r| *r == record(r.revision.0)), "a record was invented");
    let base = seen.snapshot.unwrap_or(0);
    let got: BTreeMap<u64, ()> = seen.records.iter().map(|r| (r.revision.0, ())).collect();
    let lost: Vec<_> = acked.iter().filter(|rev| **rev > base && !got.contains_key(rev)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[tokio::test]
async fn no_acknowledged_record_is_lost_and_none_invented_when_killed() {
    let dir = tempfile::tempdir().expect("dir");
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut acked = Vec::new();
    let mut seed = 42u64;
    for _ in 0..12 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (start, more) = run_and_kill(dir.path(), 1 + (seed >> 33) as usize % 150);
        acked.extend(more);
        let (store, recovery, seen) = open(dir.path()).expect("open after a kill");
        assert!(!recovery.clean);
        runs.push((start, recovery.last_revision.0));
        check_records(&seen, &acked);
        let mut want = State::new();
        for revision in runs.iter().flat_map(|(start, last)| *start..=*last) {
            fold(&mut want, &record(revision));
        }
        assert_eq!(seen.state, want);
        store.close().await.expect("close");
    }
}
