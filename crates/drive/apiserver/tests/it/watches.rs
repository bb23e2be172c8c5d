//! Watches under concurrent writes: order, no gaps, selectors, bookmarks.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use km_api::resource::{CONFIG_MAPS, EVENTS, EVENTS_V1};
use km_api::{ContentType, Event, EventType, Options};
use km_base::Revision;
use km_client::DeleteOptions;
use serde_json::json;

use crate::server::{PATIENCE, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_see_every_change_once_and_in_order() {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let client = server.client();
    let start = client.list(&CONFIG_MAPS, "", Options::default()).await.unwrap().revision;
    let mut watchers = Vec::new();
    for _ in 0..3 {
        let options = Options { resource_version: start.to_string(), ..Options::default() };
        watchers.push(client.watch(&CONFIG_MAPS, "", options).await.unwrap());
    }
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let client = client.clone();
        writers.push(tokio::spawn(async move {
            let name = format!("w{writer}");
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": "0"}});
            client.create(&CONFIG_MAPS, "default", body.to_string()).await.unwrap();
            for n in 1..WRITES {
                let patch = json!({"data": {"n": n.to_string()}}).to_string();
                client.patch(&CONFIG_MAPS, "default", &name, "", ContentType::MergePatch, patch).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // One that starts late is told the same, from the ring.
    let options = Options { resource_version: start.to_string(), ..Options::default() };
    watchers.push(client.watch(&CONFIG_MAPS, "", options).await.unwrap());
    for mut watcher in watchers {
        let mut last = start;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..WRITERS * WRITES {
            let event = tokio::time::timeout(PATIENCE, watcher.next()).await.unwrap().unwrap();
            let Event::Object(event_type, object) = event else { panic!("{event:?}") };
            let revision = object.meta().revision();
            assert!(revision > last, "{revision} after {last}");
            last = revision;
            let count = counts.entry(object.meta().name.clone()).or_default();
            assert_eq!(object.to_value()["data"]["n"], count.to_string(), "no change is left out");
            assert_eq!(event_type, if *count == 0 { EventType::Added } else { EventType::Modified });
            *count += 1;
        }
        assert_eq!(counts.len(), WRITERS);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_enter_and_leave_a_selection() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let client = server.client();
    let options = Options {
        label_selector: "app=web".into(),
        send_initial_events: Some(true),
        resource_version_match: "NotOlderThan".into(),
        allow_watch_bookmarks: true,
        ..Options::default()
    };
    let mut watch = client.watch(&CONFIG_MAPS, "default", options).await.unwrap();
    let mut next = async || match tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap() {
        Event::Object(event_type, object) => (event_type, object),
        Event::Error(status) => panic!("{status}"),
    };
    let (event_type, end) = next().await;
    assert_eq!(event_type, EventType::Bookmark);
    assert_eq!(end.meta().annotations["k8s.io/initial-events-end"], "true");
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    client.create(&CONFIG_MAPS, "default", body.to_string()).await.unwrap();
    let mut revisions = Vec::new();
    for labels in
        [json!({"app": "web"}), json!({"app": "web", "tier": "a"}), json!({"app": "db"}), json!({"app": "web"})]
    {
        let patch = json!({"metadata": {"labels": labels}}).to_string();
        let object = client.patch(&CONFIG_MAPS, "default", "x", "", ContentType::MergePatch, patch).await.unwrap();
        revisions.push(object.meta().revision());
    }
    client.delete(&CONFIG_MAPS, "default", "x", DeleteOptions::default()).await.unwrap();
    let expected = [EventType::Added, EventType::Modified, EventType::Deleted, EventType::Added];
    for (expected, revision) in expected.into_iter().zip(&revisions) {
        let (event_type, object) = next().await;
        assert_eq!((event_type, object.meta().revision()), (expected, *revision));
    }
    let (event_type, last) = next().await;
    assert_eq!(event_type, EventType::Deleted);
    assert!(last.meta().revision() > revisions[3], "a deletion has its own revision");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_ends_in_time_with_a_bookmark() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let client = server.client();
    let options = Options {
        resource_version: client.list(&CONFIG_MAPS, "", Options::default()).await.unwrap().revision.to_string(),
        timeout_seconds: Some(1),
        allow_watch_bookmarks: true,
        ..Options::default()
    };
    let watch = client.watch(&CONFIG_MAPS, "", options).await.unwrap();
    let events: Vec<Event> = tokio::time::timeout(Duration::from_secs(20), watch.collect()).await.unwrap();
    let [Event::Object(EventType::Bookmark, bookmark)] = events.as_slice() else { panic!("{events:?}") };
    assert!(bookmark.meta().revision() > Revision(0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_list_are_of_one_revision() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let client = server.client();
    let create = async |name: String| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        client.create(&CONFIG_MAPS, "default", body.to_string()).await.unwrap();
    };
    for n in 0..7 {
        create(format!("m{n}")).await;
    }
    let mut options = Options { limit: 3, ..Options::default() };
    let first = client.list(&CONFIG_MAPS, "default", options.clone()).await.unwrap();
    assert_eq!((first.items.len(), first.remaining), (3, Some(4)));
    create("m00".into()).await;
    let mut names: Vec<String> = first.items.iter().map(|o| o.meta().name.clone()).collect();
    options.continue_token = first.continue_token;
    while !options.continue_token.is_empty() {
        let page = client.list(&CONFIG_MAPS, "default", options.clone()).await.unwrap();
        assert_eq!(page.revision, first.revision);
        names.extend(page.items.iter().map(|o| o.meta().name.clone()));
        options.continue_token = page.continue_token;
    }
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_seen_in_both_their_forms() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let client = server.client();
    let mut options = Options { field_selector: "regarding.name=web".into(), ..Options::default() };
    options.send_initial_events = Some(false);
    let mut watch = client.watch(&EVENTS_V1, "default", options).await.unwrap();
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "web.1"}, "reason": "Testing",
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"}, "message": "hello", "type": "Normal"});
    client.create(&EVENTS, "default", event.to_string()).await.unwrap();
    let seen = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    let Event::Object(EventType::Added, object) = seen else { panic!("{seen:?}") };
    assert_eq!(object.meta().api_version, "events.k8s.io/v1");
    assert_eq!(object.to_value()["note"], "hello");
    let listed = client.list(&EVENTS_V1, "default", Options::default()).await.unwrap();
    assert_eq!(listed.items[0].to_value()["regarding"]["name"], "web");
    assert!(server.kubectl(&["events"]).await.contains("Testing"));
    server.stop().await;
}
