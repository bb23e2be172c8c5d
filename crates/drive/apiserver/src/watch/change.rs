//! One change of one object, parsed and encoded at most once for everyone who sees it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use km_api::{EventType, Object, Resource};
use km_mvcc::Event;

use crate::view::object;

/// A change as the watchers of one resource see it.
pub(crate) struct Change {
    event: Arc<Event>,
    resource: &'static Resource,
    now: OnceLock<Option<Object>>,
    before: OnceLock<Option<Object>>,
    shown: OnceLock<Option<Object>>,
    gone: OnceLock<Option<Object>>,
    frames: [OnceLock<Bytes>; 3],
}

impl Change {
    pub(crate) fn new(event: Arc<Event>, resource: &'static Resource) -> Self {
        Self {
            event,
            resource,
            now: OnceLock::new(),
            before: OnceLock::new(),
            shown: OnceLock::new(),
            gone: OnceLock::new(),
            frames: [OnceLock::new(), OnceLock::new(), OnceLock::new()],
        }
    }

    /// Key of the object.
    pub(crate) fn key(&self) -> &str {
        &self.event.key
    }

    /// Whether the object existed before.
    pub(crate) fn existed(&self) -> bool {
        self.event.prev.is_some()
    }

    /// Whether the object exists now.
    pub(crate) fn exists(&self) -> bool {
        self.event.now.is_some()
    }

    /// The object since the change, as stored: what selectors look at.
    pub(crate) fn now(&self) -> Option<&Object> {
        self.now.get_or_init(|| self.event.now.as_deref().and_then(object)).as_ref()
    }

    /// The object before the change, as stored.
    pub(crate) fn before(&self) -> Option<&Object> {
        self.before.get_or_init(|| self.event.prev.as_deref().and_then(object)).as_ref()
    }

    /// The object that an event of this type carries: the last state for a deletion, with the revision of
    /// the change, so that a watch may go on from there.
    pub(crate) fn object(&self, event_type: EventType) -> Option<&Object> {
        if event_type == EventType::Deleted {
            return self.gone.get_or_init(|| self.before().map(|last| self.last_state(last))).as_ref();
        }
        self.shown.get_or_init(|| self.now().map(|o| km_registry::present(self.resource, o.clone()))).as_ref()
    }

    fn last_state(&self, last: &Object) -> Object {
        let last = km_registry::present(self.resource, last.clone());
        km_registry::at_revision(&last, self.event.revision)
    }

    /// The line that HTTP watchers of the object itself are sent.
    pub(crate) fn frame(&self, event_type: EventType) -> Option<Bytes> {
        let slot = match event_type {
            EventType::Added => &self.frames[0],
            EventType::Modified => &self.frames[1],
            EventType::Deleted => &self.frames[2],
            EventType::Bookmark => return None,
        };
        let object = self.object(event_type)?;
        Some(slot.get_or_init(|| frame(event_type.as_str(), object.bytes())).clone())
    }
}

/// Encodes one event of a watch.
pub(crate) fn frame(event_type: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + event_type.len() + 24);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(event_type.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}
