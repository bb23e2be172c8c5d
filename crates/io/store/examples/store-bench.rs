//! Durable writes a second at 1, 64 and 1,000 writers: `cargo run --release -p km-store --example store-bench [DIR [SECONDS]]`.
//!
//! DIR should lie on the disk that is meant (tmpfs makes fsync free). Each writer has one record of
//! 1.5 kB in flight, as a client of etcd's `benchmark put` has.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use km_base::Revision;
use km_store::{Durability, OsDisk, Record, Store, StoreConfig, StoreDeps, StoreError};

const VALUE_BYTES: usize = 1_500;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StoreError> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let seconds = args.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    for writers in [1, 64, 1_000] {
        let (rate, p50, p99) = run(&dir, writers, Duration::from_secs(seconds)).await?;
        println!("{writers:>5} writers: {rate:>8.0} durable writes/s, p50 {p50:?}, p99 {p99:?}");
    }
    Ok(())
}

async fn run(dir: &Path, writers: usize, time: Duration) -> Result<(f64, Duration, Duration), StoreError> {
    let dir = dir.join(format!("km-store-bench-{}", std::process::id()));
    let deps = StoreDeps { disk: Arc::new(OsDisk) };
    let (store, recovery) = Store::open(StoreConfig::new(dir.clone()), deps, &mut |_| ())?;
    let value = bytes::Bytes::from(vec![b'v'; VALUE_BYTES]);
    let mut next = recovery.next_revision.0;
    let mut put = || {
        let key = format!("/registry/pods/default/{}", next % 10_000).into();
        let record = Record { revision: Revision(next), ops: vec![(key, Some(value.clone()))] };
        next += 1;
        let (begun, durable) = (Instant::now(), store.append(record, Durability::Sync));
        async move { durable.await.map(|()| begun.elapsed()) }
    };
    let mut in_flight: FuturesUnordered<_> = (0..writers).map(|_| put()).collect();
    let (begun, mut taken) = (Instant::now(), Vec::new());
    while let Some(done) = in_flight.next().await {
        taken.push(done?);
        if begun.elapsed() < time {
            in_flight.push(put());
        }
    }
    let rate = taken.len() as f64 / begun.elapsed().as_secs_f64();
    taken.sort();
    store.close().await?;
    std::fs::remove_dir_all(&dir).map_err(|source| StoreError::Write { path: dir, source: Arc::new(source) })?;
    Ok((rate, taken[taken.len() / 2], taken[taken.len() * 99 / 100]))
}
