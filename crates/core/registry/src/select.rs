//! Which objects of a collection a request means: label and field selectors.
//!
//! Field paths per kind are upstream's (`pkg/apis/core/v1/conversion.go`, `pkg/registry/*/strategy.go`); they are
//! read from the bytes without decoding the rest of the object.

use std::borrow::Cow;
use std::fmt;

use km_api::selector::{FieldSelector, LabelSelector};
use km_api::{Object, Options, Resource, Status};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use crate::strategy;

/// A parsed selection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
    api_group_events: bool,
}

/// Parses the selectors of a request for `resource`.
///
/// # Errors
/// 400, with upstream's text for a field that the kind does not offer.
pub fn selection(resource: &Resource, options: &Options) -> Result<Selection, Status> {
    let labels = LabelSelector::parse(&options.label_selector).map_err(|err| Status::bad_request(err.to_string()))?;
    let fields = FieldSelector::parse(&options.field_selector).map_err(|err| Status::bad_request(err.to_string()))?;
    let known = strategy::of(resource).map_or(&[][..], |s| s.fields);
    for requirement in fields.requirements() {
        let path = requirement.path.as_str();
        if path != "metadata.name" && path != "metadata.namespace" && !known.contains(&path) {
            return Err(Status::bad_request(format!("field label not supported: {path}")));
        }
    }
    Ok(Selection { labels, fields, api_group_events: resource.group == "events.k8s.io" })
}

impl Selection {
    /// Tells whether everything is selected.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Tells whether `object` is selected.
    #[must_use]
    pub fn matches(&self, object: &Object) -> bool {
        self.labels.matches(&object.meta().labels)
            && (self.fields.is_empty() || self.fields.matches(|path| field(object, self.stored_path(path))))
    }

    /// Events are stored in the core form.
    fn stored_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        match path.strip_prefix("regarding.") {
            Some(rest) if self.api_group_events => format!("involvedObject.{rest}").into(),
            _ => path.into(),
        }
    }
}

/// Returns the field at `path` of an object as selectors compare it.
pub(crate) fn field(object: &Object, path: Cow<'_, str>) -> Option<Cow<'static, str>> {
    match path.as_ref() {
        "metadata.name" => Some(object.meta().name.clone().into()),
        "metadata.namespace" => Some(object.meta().namespace.clone().into()),
        // A boolean in the object, text in the selector.
        "spec.hostNetwork" | "spec.unschedulable" => {
            Some(lookup(object, &path).unwrap_or_else(|| "false".to_owned()).into())
        }
        "source" => lookup(object, "source.component").or_else(|| lookup(object, "reportingComponent")).map(Cow::Owned),
        path => lookup(object, path).map(Cow::Owned),
    }
}

fn lookup(object: &Object, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let mut deserializer = serde_json::Deserializer::from_slice(object.bytes());
    PathSeed(&parts).deserialize(&mut deserializer).ok().flatten()
}

/// Reads one scalar at a path and skips everything else.
struct PathSeed<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for PathSeed<'_> {
    type Value = Option<String>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PathSeed<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match self.0.split_first() {
                Some((head, rest)) if *head == key => found = map.next_value_seed(PathSeed(rest))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.is_empty().then(|| text.to_owned()))
    }

    fn visit_bool<E>(self, is: bool) -> Result<Self::Value, E> {
        Ok(self.0.is_empty().then(|| is.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(self.0.is_empty().then(|| number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(self.0.is_empty().then(|| number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(self.0.is_empty().then(|| number.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
