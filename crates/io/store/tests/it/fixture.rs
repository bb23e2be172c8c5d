//! Records whose contents follow from their revision, so that a replay can be judged; and short ways to open.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use km_base::Revision;
use km_store::{Durability, OsDisk, Record, Recovery, Replayed, StateEntry, Store, StoreConfig, StoreDeps, StoreError};

pub(crate) type State = BTreeMap<String, Bytes>;

/// What a replay showed.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) snapshot: Option<u64>,
    pub(crate) records: Vec<Record>,
    pub(crate) state: State,
}

/// Small segments, so that tests cross them.
pub(crate) fn config(dir: &Path) -> StoreConfig {
    StoreConfig { segment_bytes_max: 64 << 10, batched_sync_ms: 20, ..StoreConfig::new(dir.to_owned()) }
}

pub(crate) fn record(revision: u64) -> Record {
    let len = usize::try_from(revision * 7919 % 3000).expect("small");
    let value = Bytes::from(vec![u8::try_from(revision % 251).expect("small"); len]);
    let mut ops: Vec<(Arc<str>, _)> = vec![(format!("/k/{}", revision % 17).into(), Some(value))];
    if revision.is_multiple_of(5) {
        ops.push((format!("/k/{}", (revision + 3) % 17).into(), None));
    }
    Record { revision: Revision(revision), ops }
}

pub(crate) fn fold(state: &mut State, record: &Record) {
    for (key, value) in &record.ops {
        match value {
            Some(value) => state.insert(key.to_string(), value.clone()),
            None => state.remove(&**key),
        };
    }
}

pub(crate) fn entries(state: &State) -> Box<dyn Iterator<Item = StateEntry> + Send> {
    let entry = |(key, value): (String, Bytes)| StateEntry {
        key: key.into(),
        value,
        create_revision: Revision(2),
        mod_revision: Revision(2),
        version: 1,
    };
    Box::new(state.clone().into_iter().map(entry))
}

pub(crate) fn open_with(config: StoreConfig, deps: StoreDeps) -> Result<(Store, Recovery, Seen), StoreError> {
    let mut seen = Seen::default();
    let (store, recovery) = Store::open(config, deps, &mut |replayed| match replayed {
        Replayed::State(revision) => seen.snapshot = Some(revision.0),
        Replayed::Entry(entry) => drop(seen.state.insert(entry.key.to_string(), entry.value)),
        Replayed::Record(record) => {
            fold(&mut seen.state, &record);
            seen.records.push(record);
        }
    })?;
    Ok((store, recovery, seen))
}

pub(crate) fn open(dir: &Path) -> Result<(Store, Recovery, Seen), StoreError> {
    open_with(config(dir), StoreDeps { disk: Arc::new(OsDisk) })
}

/// Appends records `from..=to`, all in flight at once.
pub(crate) async fn append(store: &Store, from: u64, to: u64) -> Vec<Result<(), StoreError>> {
    let pending: Vec<_> = (from..=to).map(|revision| store.append(record(revision), Durability::Sync)).collect();
    let mut answers = Vec::new();
    for answer in pending {
        answers.push(answer.await);
    }
    answers
}

pub(crate) fn revisions(seen: &Seen) -> Vec<u64> {
    seen.records.iter().map(|record| record.revision.0).collect()
}
