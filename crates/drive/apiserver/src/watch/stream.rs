//! One watch: its initial events, then what the hub sends, then its end.
//!
//! ```text
//!   Listing ──▶ ListEnd bookmark ──▶ Live ──▶ (final bookmark) ──▶ end
//!   Replaying ───────────────────────▲
//! ```

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use km_api::{Event, EventType, Object, Resource, Status};
use km_base::Revision;
use km_mvcc::{Range, Snapshot};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use super::change::{self, Change};
use super::hub::Delivery;
use super::{Filter, change::frame};

/// How often an idle watch is told how far it is complete.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Objects read at once from the snapshot of an initial list.
const LIST_CHUNK_LEN: usize = 256;

/// What a watch delivers.
pub(crate) enum Item {
    /// A change.
    Change(EventType, Arc<Change>),
    /// An object of the initial list.
    Initial(Object),
    /// The watch is complete up to this revision; `true`: this ends the initial list.
    Bookmark(Revision, bool),
    /// The watch failed.
    Error(Status),
}

impl Item {
    /// Encodes the item as HTTP watchers of the object itself see it.
    pub(crate) fn frame(&self, resource: &Resource) -> Option<Bytes> {
        match self {
            Self::Change(event_type, change) => change.frame(*event_type),
            Self::Initial(object) => Some(frame(EventType::Added.as_str(), object.bytes())),
            Self::Bookmark(revision, ends_list) => {
                Some(frame(EventType::Bookmark.as_str(), &bookmark(resource, *revision, *ends_list)))
            }
            Self::Error(status) => Some(frame("ERROR", &status.to_json())),
        }
    }

    /// The item as clients in this process see it.
    pub(crate) fn event(self, resource: &Resource) -> Option<Event> {
        Some(match self {
            Self::Change(event_type, change) => Event::Object(event_type, change.object(event_type)?.clone()),
            Self::Initial(object) => Event::Object(EventType::Added, object),
            Self::Bookmark(revision, ends_list) => {
                let object = Object::parse(bookmark(resource, revision, ends_list)).ok()?;
                Event::Object(EventType::Bookmark, object)
            }
            Self::Error(status) => Event::Error(status),
        })
    }
}

/// Encodes the object of a bookmark.
fn bookmark(resource: &Resource, revision: Revision, ends_list: bool) -> Vec<u8> {
    let annotations = if ends_list { r#","annotations":{"k8s.io/initial-events-end":"true"}"# } else { "" };
    format!(
        r#"{{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"{revision}","creationTimestamp":null{annotations}}}}}"#,
        resource.kind,
        resource.api_version()
    )
    .into_bytes()
}

/// What a watch begins with.
pub(crate) enum Initial {
    /// Nothing.
    None,
    /// Every object of the snapshot that matches, as additions.
    List(Snapshot),
    /// The changes since a revision.
    Replay(VecDeque<Delivery>),
    /// A failure, and the end.
    Error(Status),
}

/// How a watch was asked for.
pub(crate) struct Terms {
    pub(crate) filter: Arc<Filter>,
    pub(crate) bookmarks: bool,
    /// Send the bookmark that ends the initial list.
    pub(crate) marks_list_end: bool,
    pub(crate) timeout: Duration,
}

/// One watch.
pub(crate) struct Watch {
    terms: Terms,
    phase: Phase,
    /// Revision up to which the hub has dispatched: read before the queue is found empty, it is what the
    /// watcher is complete up to.
    dispatched: Arc<AtomicU64>,
    start: Revision,
    live: mpsc::Receiver<Delivery>,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

enum Phase {
    Listing { snapshot: Snapshot, after: Option<String>, ready: VecDeque<Object>, done: bool },
    Replaying(VecDeque<Delivery>),
    Live,
    Failed(Status),
    Ended,
}

impl Watch {
    /// Makes a watch that starts at `start`, the revision at which `live` was subscribed.
    pub(crate) fn new(
        terms: Terms,
        initial: Initial,
        start: Revision,
        live: mpsc::Receiver<Delivery>,
        dispatched: Arc<AtomicU64>,
    ) -> Self {
        let deadline = Instant::now() + terms.timeout;
        let first = if terms.bookmarks { deadline.min(Instant::now() + BOOKMARK_EVERY) } else { deadline };
        let phase = match initial {
            Initial::None => Phase::Live,
            Initial::List(snapshot) => Phase::Listing { snapshot, after: None, ready: VecDeque::new(), done: false },
            Initial::Replay(changes) => Phase::Replaying(changes),
            Initial::Error(status) => Phase::Failed(status),
        };
        Self { terms, phase, dispatched, start, live, deadline, timer: Box::pin(sleep_until(first)) }
    }

    /// The resource that is watched.
    pub(crate) fn resource(&self) -> &'static Resource {
        self.terms.filter.resource
    }

    /// Returns what comes before the changes that the hub delivers; `None` when all of it has been.
    fn next_initial(&mut self) -> Option<Item> {
        loop {
            match &mut self.phase {
                Phase::Listing { snapshot, after, ready, done } => {
                    if let Some(object) = ready.pop_front() {
                        return Some(Item::Initial(object));
                    }
                    if !*done {
                        *done = fill(&self.terms.filter, snapshot, after, ready);
                        continue;
                    }
                    self.phase = Phase::Live;
                    if self.terms.marks_list_end {
                        return Some(Item::Bookmark(self.start, true));
                    }
                }
                Phase::Replaying(changes) => match changes.pop_front() {
                    Some((event_type, change)) => return Some(Item::Change(event_type, change)),
                    None => self.phase = Phase::Live,
                },
                Phase::Failed(status) => {
                    let status = status.clone();
                    self.phase = Phase::Ended;
                    return Some(Item::Error(status));
                }
                Phase::Live | Phase::Ended => return None,
            }
        }
    }
}

/// Reads the next objects of an initial list; returns whether they were the last.
fn fill(filter: &Filter, snapshot: &Snapshot, after: &mut Option<String>, ready: &mut VecDeque<Object>) -> bool {
    let range = Range { prefix: &filter.prefix, after: after.as_deref(), limit: Some(LIST_CHUNK_LEN), at: None };
    let Ok(page) = snapshot.range(range) else { return true };
    for entry in page.entries.iter().filter(|entry| filter.may_match(entry)) {
        let object = crate::view::object(entry).filter(|o| filter.matches(o));
        ready.extend(object.map(|o| km_registry::present(filter.resource, o)));
    }
    *after = page.entries.last().map(|entry| entry.key.to_string());
    page.remaining == 0
}

impl Stream for Watch {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if let Some(item) = self.next_initial() {
            return Poll::Ready(Some(item));
        }
        if matches!(self.phase, Phase::Ended) {
            return Poll::Ready(None);
        }
        // Read before the queue: everything up to here is either delivered or found below.
        let complete = self.dispatched.load(Ordering::Acquire);
        match self.live.poll_recv(cx) {
            Poll::Ready(Some((event_type, change))) => return Poll::Ready(Some(Item::Change(event_type, change))),
            // Cut off, or the server stops: the client watches again from where it is.
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let now = Instant::now();
        if now >= self.deadline {
            self.phase = Phase::Ended;
        } else {
            // Polled again after this item, so the timer needs no waker yet.
            let next = self.deadline.min(now + BOOKMARK_EVERY);
            self.timer.as_mut().reset(next);
        }
        let bookmark = Item::Bookmark(Revision(complete).max(self.start), false);
        Poll::Ready(self.terms.bookmarks.then_some(bookmark))
    }
}

/// Makes the failure that a watch from a compacted revision gets.
pub(crate) fn too_old(asked: Revision, oldest: Revision) -> Status {
    // k8s 1.37 apiserver/pkg/storage/cacher: "too old resource version: %d (%d)".
    Status::expired(format!("too old resource version: {asked} ({oldest})"))
}

/// Keeps the changes that the filter selects.
pub(crate) fn replay(filter: &Filter, events: impl Iterator<Item = Arc<km_mvcc::Event>>) -> VecDeque<Delivery> {
    events
        .filter_map(|event| {
            let change = Arc::new(change::Change::new(event, filter.resource));
            filter.event_type(&change).map(|event_type| (event_type, change))
        })
        .collect()
}
