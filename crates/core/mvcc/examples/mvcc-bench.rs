//! What a write, a list and a watch's replay cost at 150,000 keys, a snapshot being published after each
//! write: `cargo run --release -p km-mvcc --example mvcc-bench`.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock; the crate does not")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use km_base::Revision;
use km_mvcc::{Durability, Expect, Limits, Mvcc, Op, Range, Txn, TxnError};

const KEYS: u32 = 150_000;
const WRITES: u32 = 300_000;

fn main() -> Result<(), TxnError> {
    let mut mvcc = Mvcc::new(Limits { events_max: 100_000, events_bytes_max: 256 << 20 });
    let value = Bytes::from(vec![b'v'; 1_500]);
    let key = |n: u32| format!("/registry/pods/default/web-{:08}", u64::from(n) * 7_919 % u64::from(KEYS));
    let mut published = mvcc.snapshot();
    for (what, count) in [("create", KEYS), ("update", WRITES)] {
        let begun = Instant::now();
        for n in 0..count {
            let op = Op::put(key(n), Expect::Any, value.clone());
            mvcc.apply(Txn { ops: vec![op], durability: Durability::Sync })?;
            published = mvcc.snapshot();
        }
        println!("{what}: {:?} each, {} keys", begun.elapsed() / count, published.len());
    }
    let prefix = "/registry/pods/";
    let range = Range { prefix, after: None, limit: None, at: None };
    let begun = Instant::now();
    let all = black_box(published.range(range).map_or(0, |page| page.entries.len()));
    println!("list of {all}: {:?}", begun.elapsed());
    let since = Revision(published.revision().0 - 50_000);
    let begun = Instant::now();
    let page = black_box(published.range(Range { limit: Some(500), at: Some(since), ..range }));
    println!("page of 500 as of 50,000 events ago: {:?} ({})", begun.elapsed(), page.is_ok());
    let begun = Instant::now();
    let replayed = black_box(published.events_since(since, prefix).map_or(0, Iterator::count));
    println!("replay of {replayed} events: {:?}", begun.elapsed());
    Ok(())
}
