//! A disk that is full, or breaks: refused records are gone for good, acknowledged ones stay.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use km_base::Revision;
use km_store::{Disk, DiskFile, Durability, OsDisk, Store, StoreConfig, StoreDeps, StoreError};

use crate::fixture::{append, config, open, open_with, record, revisions};

#[derive(Default)]
struct Plan {
    /// Bytes that can still be written; the write that crosses it is done in part.
    room: Option<usize>,
    sync_fails: bool,
    cut_fails: bool,
    /// A new file is there, but its folder was not fsynced.
    begin_fails: bool,
}

#[derive(Clone, Default)]
struct FaultyDisk(Arc<Mutex<Plan>>);

struct FaultyFile {
    disk: FaultyDisk,
    file: Box<dyn DiskFile>,
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path, contents: &[u8]) -> io::Result<Box<dyn DiskFile>> {
        let file = OsDisk.create(path, contents)?;
        if self.0.lock().expect("no panics").begin_fails {
            return Err(io::Error::other("medium error"));
        }
        Ok(Box::new(FaultyFile { disk: self.clone(), file }))
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut plan = self.disk.0.lock().expect("no panics");
        let part = plan.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        plan.room = plan.room.map(|room| room - part);
        self.file.write_at(offset, &bytes[..part])?;
        if part < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.disk.0.lock().expect("no panics").sync_fails {
            return Err(io::Error::other("medium error"));
        }
        self.file.sync()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if self.disk.0.lock().expect("no panics").cut_fails {
            return Err(io::Error::other("medium error"));
        }
        self.file.set_len(len)
    }
}

fn faulty(dir: &Path) -> (Store, FaultyDisk) {
    let disk = FaultyDisk::default();
    let big = StoreConfig { segment_bytes_max: 1 << 30, ..config(dir) };
    let (store, ..) = open_with(big, StoreDeps { disk: Arc::new(disk.clone()) }).expect("open");
    (store, disk)
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_store_goes_on_when_there_is_room() {
    for room in (0..4000).step_by(97) {
        let dir = tempfile::tempdir().expect("dir");
        let (store, disk) = faulty(dir.path());
        assert!(append(&store, 2, 5).await.iter().all(Result::is_ok));
        disk.0.lock().expect("plan").room = Some(room);
        // One batch or several: after the first refusal nothing later may pass.
        let answers = append(&store, 6, 12).await;
        let passed = answers.iter().take_while(|answer| answer.is_ok()).count();
        assert!(answers[passed..].iter().all(|answer| answer.as_ref().is_err_and(StoreError::retryable)));
        disk.0.lock().expect("plan").room = None;
        let next = 6 + passed as u64;
        assert!(append(&store, next, next + 3).await.iter().all(Result::is_ok));
        store.close().await.expect("close");
        let (_, recovery, seen) = open(dir.path()).expect("open");
        assert_eq!(revisions(&seen), (2..=next + 3).collect::<Vec<_>>());
        assert!(seen.records.iter().all(|r| *r == record(r.revision.0)));
        assert_eq!(recovery.torn, None);
    }
}

#[tokio::test]
async fn a_record_after_a_refused_one_is_refused_too() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, _) = faulty(dir.path());
    let early = store.append(record(3), Durability::Sync).await;
    assert!(matches!(early, Err(StoreError::OutOfSequence { given: Revision(3), expected: Revision(2) })));
    assert!(append(&store, 2, 3).await.iter().all(Result::is_ok));
    let mut large = record(4);
    large.ops[0].1 = Some(vec![7; 17 << 20].into());
    let (large, behind) = (store.append(large, Durability::Sync), store.append(record(5), Durability::Sync));
    assert!(matches!(large.await, Err(StoreError::TooLarge { .. })));
    assert!(matches!(behind.await, Err(StoreError::OutOfSequence { .. })));
    assert!(append(&store, 4, 5).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_failed_fsync_makes_the_store_read_only_and_says_why() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, disk) = faulty(dir.path());
    assert!(append(&store, 2, 4).await.iter().all(Result::is_ok));
    disk.0.lock().expect("plan").sync_fails = true;
    assert!(matches!(append(&store, 5, 5).await[0], Err(StoreError::Write { .. })));
    disk.0.lock().expect("plan").sync_fails = false;
    let error = append(&store, 5, 5).await.remove(0).expect_err("read-only");
    assert!(!error.retryable() && error.to_string().contains("fsync of the journal failed"), "{error}");
    assert!(matches!(store.close().await, Err(StoreError::ReadOnly { .. })));
    let seen = reopen(dir.path());
    assert_eq!(seen[..3], [2, 3, 4]);
}

#[tokio::test]
async fn a_failed_write_that_cannot_be_cut_back_makes_the_store_read_only() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, disk) = faulty(dir.path());
    assert!(append(&store, 2, 4).await.iter().all(Result::is_ok));
    *disk.0.lock().expect("plan") = Plan { room: Some(10), cut_fails: true, ..Plan::default() };
    assert!(matches!(append(&store, 5, 5).await[0], Err(StoreError::Write { .. })));
    *disk.0.lock().expect("plan") = Plan::default();
    assert!(matches!(append(&store, 5, 5).await[0], Err(StoreError::ReadOnly { .. })));
    assert!(matches!(store.close().await, Err(StoreError::ReadOnly { .. })));
    assert_eq!(reopen(dir.path()), [2, 3, 4]);
}

#[tokio::test]
async fn a_segment_that_cannot_be_begun_leaves_the_one_before_to_go_on() {
    let dir = tempfile::tempdir().expect("dir");
    let disk = FaultyDisk::default();
    let (store, ..) = open_with(config(dir.path()), StoreDeps { disk: Arc::new(disk.clone()) }).expect("open");
    disk.0.lock().expect("plan").begin_fails = true;
    // More than two segments' worth.
    assert!(append(&store, 2, 120).await.iter().all(Result::is_ok));
    store.close().await.expect("close");
    assert_eq!(reopen(dir.path()), (2..=120).collect::<Vec<_>>());
}

#[tokio::test]
async fn batched_records_are_answered_before_their_fsync_and_fsynced_soon() {
    let dir = tempfile::tempdir().expect("dir");
    let (store, disk) = faulty(dir.path());
    disk.0.lock().expect("plan").sync_fails = true;
    store.append(record(2), Durability::Batched).await.expect("no fsync was waited for");
    // The fsync that is due makes the store read-only without any further append.
    let reason = loop {
        match store.append(record(3), Durability::Batched).await {
            Err(StoreError::ReadOnly { reason }) => break reason,
            Ok(()) | Err(StoreError::OutOfSequence { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(reason.contains("medium error"), "{reason}");
}

fn reopen(dir: &Path) -> Vec<u64> {
    revisions(&open(dir).expect("open").2)
}
