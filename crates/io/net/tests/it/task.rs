//! Tasks end on shutdown, are dropped when they do not, and their panics are told.

use std::time::Duration;

use km_net::task::TaskError;
use km_net::{Shutdown, TaskSet};

const GRACE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn tasks_that_watch_the_token_end_by_themselves() {
    let tasks = TaskSet::new(Shutdown::new());
    let (said, mut heard) = tokio::sync::mpsc::channel(1);
    let shutdown = tasks.shutdown();
    tasks.spawn("watcher", async move {
        shutdown.begun().await;
        said.send("cleaned up").await.expect("heard");
    });
    assert_eq!(tasks.len(), 1);
    tasks.shutdown().begin();
    assert_eq!(tasks.finish(Duration::from_secs(10)).await, Ok(()));
    assert_eq!(heard.recv().await, Some("cleaned up"));
    assert!(tasks.is_empty());
}

#[tokio::test]
async fn a_task_that_does_not_end_is_dropped_and_named() {
    let tasks = TaskSet::new(Shutdown::new());
    tasks.spawn("deaf", std::future::pending());
    tasks.shutdown().begin();
    assert_eq!(tasks.finish(GRACE).await, Err(TaskError::Dropped { names: vec!["deaf".into()] }));
    assert!(tasks.is_empty());
}

#[tokio::test]
async fn a_panic_begins_the_shutdown_and_is_reported() {
    let tasks = TaskSet::new(Shutdown::new());
    let shutdown = tasks.shutdown();
    tasks.spawn("other", async move { shutdown.begun().await });
    tasks.spawn("broken", async { panic!("slot {} is empty", 7) });
    let reported = tasks.finish(Duration::from_secs(10)).await;
    assert_eq!(reported, Err(TaskError::Panicked { name: "broken".into(), message: "slot 7 is empty".into() }));
}

#[tokio::test]
async fn a_contained_panic_ends_only_its_own_task() {
    let tasks = TaskSet::new(Shutdown::new());
    tasks.spawn_contained("request", async { panic!("bad request") });
    while !tasks.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!tasks.shutdown().is_begun());
}

#[tokio::test]
async fn a_child_begins_with_its_parent_but_not_the_other_way() {
    let parent = Shutdown::new();
    let (early, late) = (parent.child(), parent.child());
    early.begin();
    assert!(early.is_begun() && !parent.is_begun() && !late.is_begun());
    parent.begin();
    assert!(late.is_begun());
}
