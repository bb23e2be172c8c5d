//! What a watch delivers.

use crate::{Object, Status};

/// The kind of a watch event, as the wire spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// The object is new, or has come to match the selector.
    Added,
    /// The object changed.
    Modified,
    /// The object is gone, or has ceased to match the selector; the event carries its last state.
    Deleted,
    /// No change: the object carries only the revision up to which the watch is complete.
    Bookmark,
}

impl EventType {
    /// Returns the wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
        }
    }

    /// Reads the wire's spelling; `ERROR` is not an event type here, see [`Event::Error`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Added, Self::Modified, Self::Deleted, Self::Bookmark].into_iter().find(|t| t.as_str() == text)
    }
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub enum Event {
    /// A change or bookmark.
    Object(EventType, Object),
    /// The watch failed and ends; 410 means: list again.
    Error(Status),
}
