//! The state against a naive model that keeps every version whole, and the cases a client can see.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use km_base::Revision;
use proptest::prelude::*;

use crate::*;

const ROOMY: Limits = Limits { events_max: 10_000, events_bytes_max: 1 << 30 };

/// Every version, whole: revision → key → entry.
#[derive(Default)]
struct Model {
    versions: BTreeMap<u64, BTreeMap<String, Entry>>,
    events: Vec<(u64, String, Option<Bytes>, Option<Bytes>)>,
}

impl Model {
    fn new() -> Self {
        Self { versions: [(1, BTreeMap::new())].into(), events: Vec::new() }
    }

    fn current(&self) -> (u64, &BTreeMap<String, Entry>) {
        let (revision, state) = self.versions.last_key_value().expect("starts with one");
        (*revision, state)
    }

    fn apply(&mut self, ops: &[Op]) -> bool {
        let (current, state) = self.current();
        let mut next = state.clone();
        let revision = current + 1;
        let mut keys: Vec<_> = ops.iter().map(|op| &op.key).collect();
        keys.sort();
        keys.dedup();
        let holds = ops.iter().all(|op| match (op.expect, state.get(&*op.key)) {
            (Expect::Any, _) | (Expect::Absent, None) | (Expect::Present, Some(_)) => true,
            (Expect::At(at), Some(entry)) => entry.mod_revision == at,
            _ => false,
        });
        if keys.len() < ops.len() || !holds {
            return false;
        }
        let mut events = Vec::new();
        for op in ops {
            let key = op.key.to_string();
            let old = next.get(&key).cloned();
            let before = old.as_ref().map(|entry| entry.value.clone());
            match &op.change {
                Change::Check => {}
                Change::Delete if old.is_none() => {}
                Change::Delete => {
                    next.remove(&key);
                    events.push((revision, key, None, before));
                }
                Change::Put(value) => {
                    let entry = Entry {
                        key: Arc::clone(&op.key),
                        value: value.clone(),
                        create_revision: old.as_ref().map_or(Revision(revision), |entry| entry.create_revision),
                        mod_revision: Revision(revision),
                        version: old.as_ref().map_or(1, |entry| entry.version + 1),
                    };
                    next.insert(key.clone(), entry);
                    events.push((revision, key, Some(value.clone()), before));
                }
            }
        }
        if !events.is_empty() {
            self.versions.insert(revision, next);
            self.events.extend(events);
        }
        true
    }

    fn range(&self, at: u64, prefix: &str, after: &str) -> Vec<Entry> {
        let state = &self.versions[&at];
        state.values().filter(|e| e.key.starts_with(prefix) && *e.key > *after).cloned().collect()
    }
}

fn key() -> impl Strategy<Value = Key> {
    (0u32..3, 0u32..60).prop_map(|(kind, name)| format!("/registry/{kind}/{name}").into())
}

fn op() -> impl Strategy<Value = Op> {
    let expect = prop_oneof![
        6 => Just(Expect::Any),
        1 => Just(Expect::Absent),
        1 => Just(Expect::Present),
        1 => (1u64..40).prop_map(|at| Expect::At(Revision(at))),
    ];
    let change = prop_oneof![
        5 => any::<[u8; 3]>().prop_map(|value| Change::Put(Bytes::copy_from_slice(&value))),
        3 => Just(Change::Delete),
        1 => Just(Change::Check),
    ];
    (key(), expect, change).prop_map(|(key, expect, change)| Op { key, expect, change })
}

fn txns(len_max: usize) -> impl Strategy<Value = Vec<Vec<Op>>> {
    let txn = prop_oneof![8 => prop::collection::vec(op(), 1..4), 1 => prop::collection::vec(op(), 10..40)];
    prop::collection::vec(txn, 1..len_max)
}

fn run(mvcc: &mut Mvcc, model: &mut Model, txns: Vec<Vec<Op>>) -> Vec<Snapshot> {
    let mut snapshots = vec![mvcc.snapshot()];
    for ops in txns {
        let taken = model.apply(&ops);
        let committed = mvcc.apply(Txn { ops, durability: Durability::Sync });
        assert_eq!(taken, committed.is_ok(), "{committed:?}");
        assert_eq!(mvcc.head().revision().0, model.current().0);
        if committed.is_ok_and(|committed| !committed.events.is_empty()) {
            snapshots.push(mvcc.snapshot());
        }
    }
    snapshots
}

fn plain(page: Page) -> Vec<Entry> {
    page.entries.iter().map(|entry| (**entry).clone()).collect()
}

fn check_reads(snapshot: &Snapshot, model: &Model) {
    let current = snapshot.revision().0;
    for prefix in ["/registry/", "/registry/1/", "/registry/2/1", "/nothing"] {
        assert_eq!(snapshot.count(prefix), model.range(current, prefix, "").len());
        for after in ["", "/registry/1/3", "/registry/1/59", "/zzz"] {
            for at in snapshot.oldest_readable().0..=current {
                let want = model.range(at, prefix, after);
                for limit in [0, 1, 7, 1000] {
                    let range = Range { prefix, after: Some(after), limit: Some(limit), at: Some(Revision(at)) };
                    let page = snapshot.range(range).expect("readable");
                    assert_eq!(page.remaining, want.len() - page.entries.len());
                    assert_eq!(plain(page), want[..limit.min(want.len())]);
                }
            }
        }
    }
}

fn check_events(snapshot: &Snapshot, model: &Model) {
    for since in 0..=snapshot.revision().0 {
        for prefix in ["", "/registry/1/"] {
            let got = snapshot.events_since(Revision(since), prefix);
            if since < snapshot.oldest_readable().0 {
                assert!(matches!(got.err(), Some(RevisionError::Compacted { .. })));
                continue;
            }
            let got: Vec<_> = got
                .expect("not compacted")
                .map(|e| (e.revision.0, e.key.to_string(), e.value().cloned(), e.prev_value().cloned()))
                .collect();
            let until = snapshot.revision().0;
            let want =
                model.events.iter().filter(|(at, key, ..)| *at > since && *at <= until && key.starts_with(prefix));
            assert_eq!(got, want.cloned().collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn state_and_history_equal_the_model(txns in txns(30)) {
        let (mut mvcc, mut model) = (Mvcc::new(ROOMY), Model::new());
        run(&mut mvcc, &mut model, txns);
        check_reads(mvcc.head(), &model);
        check_events(mvcc.head(), &model);
    }

    #[test]
    fn snapshots_never_change(txns in txns(60)) {
        let (mut mvcc, mut model) = (Mvcc::new(ROOMY), Model::new());
        for snapshot in run(&mut mvcc, &mut model, txns) {
            let want: Vec<_> = model.versions[&snapshot.revision().0].values().cloned().collect();
            prop_assert_eq!(snapshot.iter("").map(|e| (**e).clone()).collect::<Vec<_>>(), want);
            prop_assert_eq!(snapshot.len(), snapshot.iter("").count());
            check_events(&snapshot, &model);
        }
    }

    #[test]
    fn ring_is_bounded_and_never_has_a_hole(txns in txns(60), events_max in 1usize..50, bytes_max in 200usize..9000) {
        let limits = Limits { events_max, events_bytes_max: bytes_max };
        let (mut mvcc, mut model) = (Mvcc::new(limits), Model::new());
        for snapshot in run(&mut mvcc, &mut model, txns) {
            let (events, bytes) = snapshot.history_size();
            let newest = model.events.iter().filter(|(at, ..)| *at == snapshot.revision().0).count();
            prop_assert!(events <= events_max.max(newest));
            prop_assert!(bytes <= bytes_max || events == newest);
            check_events(&snapshot, &model);
        }
        check_reads(mvcc.head(), &model);
    }

    #[test]
    fn rollback_forgets_what_came_after(before in txns(20), lost in txns(20), after in txns(20)) {
        let (mut mvcc, mut model) = (Mvcc::new(ROOMY), Model::new());
        run(&mut mvcc, &mut model, before);
        let durable = mvcc.snapshot();
        for ops in lost {
            let _ = mvcc.apply(Txn { ops, durability: Durability::Sync });
        }
        mvcc.rollback_to(durable);
        run(&mut mvcc, &mut model, after);
        check_events(mvcc.head(), &model);
        check_reads(mvcc.head(), &model);
    }

    #[test]
    fn import_and_replay_rebuild_the_state(txns in txns(40), cut in 0usize..40) {
        let (mut mvcc, mut model) = (Mvcc::new(ROOMY), Model::new());
        let snapshots = run(&mut mvcc, &mut model, txns);
        let base = &snapshots[cut.min(snapshots.len() - 1)];
        let mut copy = Mvcc::import(ROOMY, base.revision(), base.iter("").map(|e| (**e).clone())).expect("consistent");
        let mut records: BTreeMap<u64, Vec<(Key, Option<Bytes>)>> = BTreeMap::new();
        for (at, key, value, _) in model.events.iter().filter(|(at, ..)| *at > base.revision().0) {
            records.entry(*at).or_default().push((key.as_str().into(), value.clone()));
        }
        for (at, changes) in records {
            copy.replay(Revision(at), changes).expect("in order");
        }
        prop_assert!(copy.head().iter("").eq(mvcc.head().iter("")));
        check_events(copy.head(), &model);
    }
}

#[test]
fn tree_survives_growth_and_shrinking() {
    let (mut mvcc, mut want) = (Mvcc::new(Limits { events_max: 1, events_bytes_max: 0 }), BTreeMap::new());
    // A fixed linear congruential sequence: mostly puts, then mostly deletes.
    let mut seed = 7u64;
    for step in 0..20_000u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = format!("/{:05}", (seed >> 33) % 5_000);
        let put = (seed >> 20) % 10 < if step < 10_000 { 8 } else { 1 };
        let op = if put { Op::put(&*key, Expect::Any, "v") } else { Op::delete(&*key, Expect::Any) };
        mvcc.apply(Txn { ops: vec![op], durability: Durability::Batched }).expect("unguarded");
        if put {
            want.insert(key, ())
        } else {
            want.remove(&key)
        };
        if step % 500 == 0 {
            assert!(mvcc.head().iter("").map(|e| e.key.to_string()).eq(want.keys().cloned()));
            assert_eq!(mvcc.head().count("/01"), want.keys().filter(|k| k.starts_with("/01")).count());
        }
    }
    let keys: Vec<_> = want.into_keys().collect();
    for key in keys {
        assert!(mvcc.head().get(&key).is_some());
        let op = Op::delete(&*key, Expect::Present);
        mvcc.apply(Txn { ops: vec![op], durability: Durability::Batched }).expect("present");
    }
    assert!(mvcc.head().is_empty());
}

fn put(mvcc: &mut Mvcc, key: &str, expect: Expect) -> Result<Committed, TxnError> {
    mvcc.apply(Txn { ops: vec![Op::put(key, expect, key.to_owned())], durability: Durability::Sync })
}

#[test]
fn first_write_is_revision_two_and_a_failed_guard_names_what_is_there() {
    let mut mvcc = Mvcc::new(ROOMY);
    assert_eq!(put(&mut mvcc, "/a", Expect::Absent).map(|c| c.revision), Ok(Revision(2)));
    let error = put(&mut mvcc, "/a", Expect::At(Revision(9))).expect_err("guard");
    let TxnError::Conflict { actual: Some(actual), .. } = error else { panic!("{error:?}") };
    assert_eq!(actual.mod_revision, Revision(2));
    let twice =
        Txn { ops: vec![Op::delete("/a", Expect::Any), Op::check("/a", Expect::Any)], durability: Durability::Sync };
    assert!(matches!(mvcc.apply(twice), Err(TxnError::DuplicateKey { .. })));
    assert_eq!(mvcc.head().revision(), Revision(2));
}

#[test]
fn skipped_revisions_answer_compacted_and_their_borders_do_not() {
    let mut mvcc = Mvcc::new(ROOMY);
    put(&mut mvcc, "/a", Expect::Any).expect("put");
    mvcc.skip_to(Revision(100)).expect("forward");
    put(&mut mvcc, "/b", Expect::Any).expect("put");
    let seen = |since| mvcc.head().events_since(Revision(since), "").map(Iterator::count);
    assert_eq!(seen(2), Ok(1));
    assert_eq!(seen(3), Err(RevisionError::Compacted { asked: Revision(3), oldest: Revision(100) }));
    assert_eq!(seen(99), Err(RevisionError::Compacted { asked: Revision(99), oldest: Revision(100) }));
    assert_eq!(seen(100), Ok(1));
    assert_eq!(seen(101), Ok(0));
    assert_eq!(seen(102), Err(RevisionError::Future { asked: Revision(102), current: Revision(101) }));
}

#[test]
fn compact_refuses_the_future_and_hides_the_past() {
    let mut mvcc = Mvcc::new(ROOMY);
    for name in ["/a", "/b", "/c"] {
        put(&mut mvcc, name, Expect::Any).expect("put");
    }
    assert!(matches!(mvcc.compact(Revision(9)), Err(RevisionError::Future { .. })));
    mvcc.compact(Revision(3)).expect("past");
    assert_eq!(mvcc.head().events_since(Revision(3), "").map(Iterator::count), Ok(1));
    assert!(mvcc.head().events_since(Revision(2), "").is_err());
    assert_eq!(mvcc.head().get_at("/c", Revision(3)), Ok(None));
    assert!(matches!(mvcc.replay(Revision(4), []), Err(RevisionError::Backwards { .. })));
}
