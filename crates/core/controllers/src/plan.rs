//! What a controller wants done.

use std::time::Duration;

use km_api::{Meta, Propagation, Resource};
use km_base::{ObjectKey, Uid};
use serde_json::Value;

/// One write to the API.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Create an object.
    Create {
        /// Of this resource.
        resource: &'static Resource,
        /// In this namespace.
        namespace: String,
        /// The whole object.
        object: Value,
    },
    /// Change fields of an object by a JSON merge patch.
    Patch {
        /// Of this resource.
        resource: &'static Resource,
        /// This object.
        key: ObjectKey,
        /// `status`, or empty for the object itself.
        subresource: &'static str,
        /// The fields; `null` removes one.
        patch: Value,
    },
    /// Delete an object.
    Delete {
        /// Of this resource.
        resource: &'static Resource,
        /// This object.
        key: ObjectKey,
        /// Only while it has this UID.
        uid: Uid,
        /// What happens to its dependents.
        propagation: Option<Propagation>,
        /// Seconds of grace; `None` takes the object's own.
        grace_period_seconds: Option<i64>,
    },
    /// Delete every object of a resource in a namespace.
    DeleteAll {
        /// Of this resource.
        resource: &'static Resource,
        /// In this namespace.
        namespace: String,
    },
    /// Tell the namespace's finalizer that all content is gone.
    Finalize {
        /// The namespace.
        namespace: String,
        /// What remains in `spec.finalizers`.
        finalizers: Vec<String>,
    },
}

/// What a controller wants done for one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Writes, which may be performed at the same time.
    pub writes: Vec<Write>,
    /// Look at the key again after this long, whatever changes until then.
    pub again_after: Option<Duration>,
}

impl Plan {
    /// Nothing to do.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// Adds a creation.
    pub fn create(&mut self, resource: &'static Resource, namespace: &str, object: Value) {
        self.writes.push(Write::Create { resource, namespace: namespace.to_owned(), object });
    }

    /// Adds a merge patch.
    pub fn patch(&mut self, resource: &'static Resource, key: ObjectKey, subresource: &'static str, patch: Value) {
        self.writes.push(Write::Patch { resource, key, subresource, patch });
    }

    /// Adds a deletion of exactly this object.
    pub fn delete(&mut self, resource: &'static Resource, meta: &Meta) {
        self.writes.push(Write::Delete {
            resource,
            key: meta.key(),
            uid: meta.uid.clone(),
            propagation: None,
            grace_period_seconds: None,
        });
    }

    /// Asks to be called again after `wait`, or earlier if that was asked already.
    pub fn again(&mut self, wait: Duration) {
        self.again_after = Some(self.again_after.map_or(wait, |w| w.min(wait)));
    }
}
