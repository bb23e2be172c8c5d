//! Opening again: after a clean end, a torn tail at every byte, corruption, snapshots, and twice at once.

use std::fs;
use std::path::{Path, PathBuf};

use km_base::Revision;
use km_store::{Durability, StoreError};

use crate::fixture::{State, append, config, entries, fold, open, record, revisions};

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).expect("dir").map(|file| file.expect("file").path());
    let mut found: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    found.sort();
    found
}

/// A store that was killed (no clean end) after `last`, as the files a fresh process would find.
async fn killed_after(last: u64) -> tempfile::TempDir {
    let (work, copy) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
    let (store, ..) = open(work.path()).expect("open");
    assert!(append(&store, 2, last).await.iter().all(Result::is_ok));
    copy_files(work.path(), copy.path());
    store.close().await.expect("close");
    copy
}

fn copy_files(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("dir") {
        let file = file.expect("file");
        fs::copy(file.path(), to.join(file.file_name())).expect("copy");
    }
}

/// Where record `revision`'s frame lies in a segment that begins at record 2.
fn frame_of(file: &[u8], revision: u64) -> std::ops::Range<usize> {
    let mut start = 36;
    for _ in 2..revision {
        start += frame_len(&file[start..]);
    }
    start..start + frame_len(&file[start..])
}

fn frame_len(at: &[u8]) -> usize {
    8 + u32::from_le_bytes(at[..4].try_into().expect("four")) as usize
}

#[tokio::test]
async fn a_closed_store_opens_clean_and_goes_on_without_a_skip() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, recovery, _) = open(dir.path()).expect("open");
    assert_eq!((recovery.last_revision, recovery.next_revision, recovery.clean), (Revision(1), Revision(2), true));
    assert!(append(&store, 2, 200).await.iter().all(Result::is_ok));
    store.close().await.expect("close");
    assert!(matches!(store.append(record(201), Durability::Sync).await, Err(StoreError::Closed)));
    assert!(segments(dir.path()).len() > 2, "the test should cross segments");
    for _ in 0..3 {
        let (store, recovery, seen) = open(dir.path()).expect("open");
        assert_eq!((recovery.next_revision, recovery.clean, recovery.torn), (Revision(201), true, None));
        assert!(seen.records.iter().eq((2..=200).map(record).collect::<Vec<_>>().iter()));
        store.close().await.expect("close");
    }
}

#[tokio::test]
async fn an_unclean_end_skips_revisions_even_where_nothing_was_written_since() {
    let dir = killed_after(9).await;
    let (_open, recovery, seen) = open(dir.path()).expect("open");
    assert_eq!((recovery.next_revision, recovery.clean, revisions(&seen).len()), (Revision(1_000_010), false, 8));
    let again = tempfile::tempdir().expect("dir");
    copy_files(dir.path(), again.path());
    let (store, recovery, _) = open(again.path()).expect("open");
    assert!(recovery.next_revision >= Revision(1_000_010));
    let next = recovery.next_revision.0;
    assert!(append(&store, next, next + 5).await.iter().all(Result::is_ok));
    store.close().await.expect("close");
    let (_, recovery, seen) = open(again.path()).expect("open");
    assert_eq!(revisions(&seen), (2..=9).chain(next..=next + 5).collect::<Vec<_>>());
    assert_eq!(recovery.next_revision, Revision(next + 6));
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_loses_only_the_record_that_was_being_written() {
    let dir = killed_after(11).await;
    let path = segments(dir.path()).pop().expect("segment");
    let whole = fs::read(&path).expect("read");
    let last = frame_of(&whole, 11);
    assert!(last.len() > 100);
    for cut in last.clone() {
        for zeros in [0, 500] {
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + zeros, 0);
            check_torn(&path, &torn, 10, cut > last.start);
        }
    }
    for at in last {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        check_torn(&path, &flipped, 10, true);
    }
}

fn check_torn(path: &Path, bytes: &[u8], last: u64, reported: bool) {
    let dir = tempfile::tempdir().expect("dir");
    fs::write(dir.path().join(path.file_name().expect("name")), bytes).expect("write");
    let (_, recovery, seen) = open(dir.path()).expect("torn tails open");
    assert_eq!(revisions(&seen), (2..=last).collect::<Vec<_>>());
    assert!(seen.records.iter().all(|r| *r == record(r.revision.0)));
    // A cut within zeros of the frame itself looks like space written ahead: nothing to report.
    assert!(recovery.torn.is_some() || !reported || bytes[36..].ends_with(&[0]));
    assert_eq!(recovery.last_revision, Revision(last));
}

#[tokio::test]
async fn damage_before_a_durable_record_is_an_error_that_names_file_and_offset() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, ..) = open(dir.path()).expect("open");
    for revision in 2..=6 {
        // One by one: each batch then knows the one before to be durable.
        assert!(append(&store, revision, revision).await[0].is_ok());
    }
    let copy = tempfile::tempdir().expect("dir");
    copy_files(dir.path(), copy.path());
    let path = segments(copy.path()).pop().expect("segment");
    let whole = fs::read(&path).expect("read");
    let middle = frame_of(&whole, 4);
    for at in middle.clone() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x55;
        fs::write(&path, flipped).expect("write");
        let Err(StoreError::Corrupt { path: named, offset, .. }) = open(copy.path()).map(|_| ()) else {
            panic!("byte {at} went unnoticed")
        };
        assert_eq!((named, offset), (path.clone(), middle.start as u64));
    }
}

#[tokio::test]
async fn a_missing_segment_and_a_damaged_finished_one_are_errors() {
    let dir = killed_after(200).await;
    let all = segments(dir.path());
    let kept = fs::read(&all[1]).expect("read");
    fs::remove_file(&all[1]).expect("remove");
    let error = open(dir.path()).map(|_| ()).expect_err("a hole");
    assert!(error.to_string().contains("the segment before this one is missing"), "{error}");
    fs::write(&all[1], &kept[..kept.len() - 1]).expect("write");
    let error = open(dir.path()).map(|_| ()).expect_err("shortened");
    assert!(matches!(&error, StoreError::Corrupt { path, .. } if *path == all[1]), "{error}");
}

#[tokio::test]
async fn a_snapshot_replaces_the_segments_it_covers() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, ..) = open(dir.path()).expect("open");
    let mut state = State::new();
    (2..=300).for_each(|revision| fold(&mut state, &record(revision)));
    assert!(append(&store, 2, 300).await.iter().all(Result::is_ok));
    let before = store.journal_bytes();
    let ahead = store.snapshot(Revision(301), entries(&state)).await;
    assert!(matches!(ahead, Err(StoreError::SnapshotAhead { .. })));
    let report = store.snapshot(Revision(300), entries(&state)).await.expect("snapshot");
    assert_eq!(report.entries, state.len() as u64);
    assert!(report.segments_removed > 2 && store.journal_bytes() < before / 10);
    assert!(append(&store, 301, 310).await.iter().all(Result::is_ok));
    (301..=310).for_each(|revision| fold(&mut state, &record(revision)));
    store.close().await.expect("close");
    let (_, recovery, seen) = open(dir.path()).expect("open");
    assert_eq!((seen.snapshot, revisions(&seen)), (Some(300), (301..=310).collect()));
    assert_eq!((seen.state, recovery.next_revision), (state, Revision(311)));
}

#[tokio::test]
async fn a_snapshot_of_skipped_revisions_opens_again() {
    let dir = killed_after(9).await;
    let (store, recovery, seen) = open(dir.path()).expect("open");
    let at = Revision(recovery.next_revision.0 - 1);
    let kept = segments(dir.path()).remove(0);
    let bytes = fs::read(&kept).expect("read");
    store.snapshot(at, entries(&seen.state)).await.expect("snapshot");
    // As if the crash came before the covered segment was removed.
    fs::write(&kept, bytes).expect("write");
    store.close().await.expect("close");
    for _ in 0..2 {
        let (store, recovery, again) = open(dir.path()).expect("open");
        assert_eq!((again.snapshot, &again.state), (Some(at.0), &seen.state));
        assert_eq!((revisions(&again).len(), recovery.last_revision), (0, at));
        store.close().await.expect("close");
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_an_error_at_every_byte() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, ..) = open(dir.path()).expect("open");
    assert!(append(&store, 2, 4).await.iter().all(Result::is_ok));
    let state = State::from([("/a".into(), "1".into()), ("/b".into(), "22".into())]);
    store.snapshot(Revision(4), entries(&state)).await.expect("snapshot");
    store.close().await.expect("close");
    drop(store);
    let path = dir.path().join("snapshot-00000000000000000004.snap");
    let whole = fs::read(&path).expect("read");
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x01;
        fs::write(&path, flipped).expect("write");
        assert!(matches!(open(dir.path()).map(|_| ()), Err(StoreError::Corrupt { .. })), "byte {at}");
        fs::write(&path, &whole[..at]).expect("write");
        assert!(matches!(open(dir.path()).map(|_| ()), Err(StoreError::Corrupt { .. })), "cut at {at}");
    }
    fs::write(&path, &whole).expect("write");
    assert_eq!(open(dir.path()).expect("whole again").2.state, state);
}

#[tokio::test]
async fn two_processes_cannot_open_one_store() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, ..) = open(dir.path()).expect("open");
    assert!(matches!(open(dir.path()).map(|_| ()), Err(StoreError::Locked { .. })));
    assert_eq!(config(dir.path()).dir, dir.path());
    store.close().await.expect("close");
}
