//! The registry's view of the state: a snapshot of core/mvcc whose values are objects.

use std::ops::ControlFlow;

use km_api::Object;
use km_base::{Revision, chain};
use km_mvcc::{Entry, Snapshot};
use km_registry::View;
use tracing::error;

/// A snapshot as the registry reads it.
pub(crate) struct SnapshotView<'a>(pub(crate) &'a Snapshot);

impl View for SnapshotView<'_> {
    fn get(&self, key: &str) -> Option<Object> {
        self.0.get(key).and_then(|entry| object(entry))
    }

    fn range(&self, prefix: &str, visit: &mut dyn FnMut(&str, &Object) -> ControlFlow<()>) {
        for entry in self.0.iter(prefix) {
            let Some(object) = object(entry) else { continue };
            if visit(&entry.key, &object).is_break() {
                return;
            }
        }
    }

    fn revision(&self) -> Revision {
        self.0.revision()
    }
}

/// Reads the object that an entry holds. Everything in the store was an object when it was written, so one
/// that is none now is logged and treated as absent.
pub(crate) fn object(entry: &Entry) -> Option<Object> {
    match Object::parse(entry.value.clone()) {
        Ok(object) => Some(object),
        Err(error) => {
            error!(key = &*entry.key, error = %chain(&error), "stored value is no object");
            None
        }
    }
}
