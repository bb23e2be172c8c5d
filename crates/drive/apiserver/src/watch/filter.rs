//! Which changes a watcher sees, and as what.

use km_api::{EventType, Object, Options, Resource, Status};
use km_registry::Selection;

use km_mvcc::Entry;

use super::Change;

/// A collection, or part of it.
pub(crate) struct Filter {
    /// The resource.
    pub(crate) resource: &'static Resource,
    /// Prefix of the keys.
    pub(crate) prefix: String,
    /// Labels and fields; `None` selects everything.
    selection: Option<Selection>,
    /// A field that every selected object has with this value: what the hub sorts watchers by.
    pub(crate) index: Option<(IndexedField, String)>,
    /// What the bytes of an object hold that is selected by its node.
    needle: String,
}

/// Fields that many watchers select by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IndexedField {
    /// `metadata.name`.
    Name,
    /// `spec.nodeName`: one watcher on each node.
    NodeName,
}

impl Filter {
    /// Reads the selectors of a list or watch.
    ///
    /// # Errors
    /// 400 for a selector that cannot be read, or a field that the resource does not offer.
    pub(crate) fn new(resource: &'static Resource, namespace: &str, options: &Options) -> Result<Self, Status> {
        let everything = options.label_selector.is_empty() && options.field_selector.is_empty();
        let selection = if everything { None } else { Some(km_registry::selection(resource, options)?) };
        let fields = km_api::selector::FieldSelector::parse(&options.field_selector).unwrap_or_default();
        let index = fields.requirements().iter().filter(|r| r.equal).find_map(|r| match r.path.as_str() {
            "metadata.name" => Some((IndexedField::Name, r.value.clone())),
            "spec.nodeName" => Some((IndexedField::NodeName, r.value.clone())),
            _ => None,
        });
        let needle = match &index {
            Some((IndexedField::NodeName, value)) if !value.is_empty() => format!("\"nodeName\":\"{value}\""),
            // A pod without node has no such field.
            _ => String::new(),
        };
        Ok(Self { resource, prefix: km_registry::prefix(resource, namespace), selection, index, needle })
    }

    /// Whether everything under the prefix is selected.
    pub(crate) fn selects_all(&self) -> bool {
        self.selection.is_none()
    }

    /// Whether an entry's object can be selected, found without reading it: of 150,000 pods a node's list
    /// reads its own alone.
    pub(crate) fn may_match(&self, entry: &Entry) -> bool {
        match &self.index {
            None => true,
            Some((IndexedField::Name, name)) => entry.key.rsplit('/').next() == Some(name),
            Some((IndexedField::NodeName, _)) => {
                // As core/registry encodes it; a value that JSON escapes is no node's name.
                std::str::from_utf8(&entry.value).is_ok_and(|text| text.contains(&self.needle))
            }
        }
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.selection.as_ref().is_none_or(|s| s.matches(object))
    }

    /// What the change is to this watcher: an object that comes to match is new to it, one that ceases to
    /// match is gone.
    pub(crate) fn event_type(&self, change: &Change) -> Option<EventType> {
        if !change.key().starts_with(&self.prefix) {
            return None;
        }
        let (before, now) = if self.selects_all() {
            (change.existed(), change.exists())
        } else {
            (change.before().is_some_and(|o| self.matches(o)), change.now().is_some_and(|o| self.matches(o)))
        };
        match (before, now) {
            (false, false) => None,
            (false, true) => Some(EventType::Added),
            (true, true) => Some(EventType::Modified),
            (true, false) => Some(EventType::Deleted),
        }
    }
}
