//! The two forms of events: stored as `v1`, shown as `v1` or `events.k8s.io/v1`.
//!
//! Source: upstream v1.37 `pkg/apis/events/v1/conversion.go`.

use km_api::Resource;
use serde_json::{Map, Value};

/// `events.k8s.io/v1` name, `v1` name.
const NAMES: &[(&str, &str)] = &[
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reportingController", "reportingComponent"),
];

/// Turns an `events.k8s.io/v1` event into the stored form.
pub(crate) fn store(event: Value) -> Value {
    renamed(event, "v1", |(new, old)| (new, old))
}

/// Turns a stored event into the form of `resource`.
pub(crate) fn present(resource: &Resource, event: Value) -> Value {
    renamed(event, &resource.api_version(), |(new, old)| (old, new))
}

fn renamed(
    event: Value,
    api_version: &str,
    direction: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Value {
    let Value::Object(fields) = event else { return event };
    let mut out = Map::new();
    for (key, value) in fields {
        let other = NAMES.iter().map(|pair| direction(*pair)).find(|(from, _)| *from == key);
        out.insert(other.map_or(key, |(_, to)| to.to_owned()), value);
    }
    out.insert("apiVersion".into(), api_version.into());
    Value::Object(out)
}
