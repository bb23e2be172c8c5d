//! `kubectl get`: collections as `meta.k8s.io/v1` Tables with upstream's columns.
//!
//! Source of columns and cells: upstream v1.37 `pkg/printers/internalversion/printers.go`. Ages are relative to the
//! `now` that is passed in.

mod cells;
mod pod;

use std::time::Duration;

use km_api::resource as r;
use km_api::{Object, Resource};
use km_base::Timestamp;
use serde_json::{Value, json};

use crate::value::{at, text};

/// What a row carries besides its cells (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// The object's metadata, as `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

/// One column: name, OpenAPI type, format, priority (above 0: only with `-o wide`).
type Column = (&'static str, &'static str, &'static str, u8);
/// Makes the cells of one object.
type Cells = fn(&Value, Timestamp) -> Vec<Value>;

const NAME: Column = ("Name", "string", "name", 0);
const AGE: Column = ("Age", "string", "", 0);
const CONTAINERS: Column = ("Containers", "string", "", 1);
const IMAGES: Column = ("Images", "string", "", 1);
const SELECTOR: Column = ("Selector", "string", "", 1);

const fn column(name: &'static str) -> Column {
    (name, "string", "", 0)
}

const fn wide(name: &'static str) -> Column {
    (name, "string", "", 1)
}

const fn number(name: &'static str) -> Column {
    (name, "integer", "", 0)
}

const REPLICAS: &[Column] =
    &[NAME, number("Desired"), number("Current"), number("Ready"), AGE, CONTAINERS, IMAGES, SELECTOR];
const EVENTS: &[Column] = &[
    column("Last Seen"),
    column("Type"),
    column("Reason"),
    column("Object"),
    wide("Subobject"),
    wide("Source"),
    column("Message"),
    wide("First Seen"),
    wide("Count"),
    ("Name", "string", "name", 1),
];
const BINDINGS: &[Column] = &[NAME, column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")];
const ROLES: &[Column] = &[NAME, ("Created At", "string", "", 0)];

/// Columns and cells per kind; other kinds have a name and an age.
static ROWS: &[(&Resource, &[Column], Cells)] = &[
    (
        &r::PODS,
        &[
            NAME,
            column("Ready"),
            column("Status"),
            column("Restarts"),
            AGE,
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ],
        pod::cells,
    ),
    (
        &r::NODES,
        &[
            NAME,
            column("Status"),
            column("Roles"),
            AGE,
            column("Version"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ],
        cells::node,
    ),
    (&r::NAMESPACES, &[NAME, column("Status"), AGE], cells::namespace),
    (
        &r::SERVICES,
        &[NAME, column("Type"), column("Cluster-IP"), column("External-IP"), column("Port(s)"), AGE, SELECTOR],
        cells::service,
    ),
    (
        &r::DEPLOYMENTS,
        &[NAME, column("Ready"), number("Up-to-date"), number("Available"), AGE, CONTAINERS, IMAGES, SELECTOR],
        cells::deployment,
    ),
    (&r::REPLICA_SETS, REPLICAS, cells::replicas),
    (&r::REPLICATION_CONTROLLERS, REPLICAS, cells::replicas),
    (&r::CONFIG_MAPS, &[NAME, number("Data"), AGE], cells::config_map),
    (&r::SECRETS, &[NAME, column("Type"), number("Data"), AGE], cells::secret),
    (&r::SERVICE_ACCOUNTS, &[NAME, number("Secrets"), AGE], cells::service_account),
    (&r::ENDPOINTS, &[NAME, column("Endpoints"), AGE], cells::endpoints),
    (
        &r::ENDPOINT_SLICES,
        &[NAME, column("AddressType"), column("Ports"), column("Endpoints"), AGE],
        cells::endpoint_slice,
    ),
    (&r::EVENTS, EVENTS, cells::event),
    (&r::EVENTS_V1, EVENTS, cells::event_v1),
    (&r::LEASES, &[NAME, column("Holder"), AGE], cells::lease),
    (&r::ROLES, ROLES, cells::role),
    (&r::CLUSTER_ROLES, ROLES, cells::role),
    (&r::ROLE_BINDINGS, BINDINGS, cells::role_binding),
    (&r::CLUSTER_ROLE_BINDINGS, BINDINGS, cells::role_binding),
    (
        &r::CERTIFICATE_SIGNING_REQUESTS,
        &[NAME, AGE, column("SignerName"), column("Requestor"), column("RequestedDuration"), column("Condition")],
        cells::csr,
    ),
];

/// Returns the Table of `objects`. Its metadata holds the resource version of a single object; that of a list is the
/// caller's to set.
#[must_use]
pub fn table(resource: &Resource, objects: &[Object], include: Include, now: Timestamp) -> Value {
    let (columns, cells) = ROWS
        .iter()
        .find(|(of, ..)| *of == resource)
        .map_or((&[NAME, AGE][..], cells::plain as Cells), |(_, columns, cells)| (*columns, *cells));
    let definitions: Vec<Value> = columns
        .iter()
        .map(|(name, kind, format, priority)| {
            json!({"name": name, "type": kind, "format": format, "description": "", "priority": priority})
        })
        .collect();
    let rows: Vec<Value> = objects.iter().map(|object| row(object, cells, include, now)).collect();
    let metadata = match objects {
        [one] => json!({"resourceVersion": one.meta().resource_version}),
        _ => json!({}),
    };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn row(object: &Object, cells: Cells, include: Include, now: Timestamp) -> Value {
    let value = object.to_value();
    let mut row = json!({"cells": cells(&value, now)});
    match include {
        Include::None => {}
        Include::Metadata => {
            row["object"] = json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": at(&value, "metadata").cloned().unwrap_or_default(),
            });
        }
        Include::Object => row["object"] = value,
    }
    row
}

/// Returns how long ago the object was created.
fn age(object: &Value, now: Timestamp) -> Value {
    since(text(object, "metadata.creationTimestamp"), now).into()
}

/// Returns how long ago a time was, or `<unknown>`.
fn since(time: &str, now: Timestamp) -> String {
    match Timestamp::parse(time) {
        Ok(time) => human(now.saturating_since(time)),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// Writes a duration in two or three characters where that is exact enough.
///
/// Source: apimachinery `pkg/util/duration`, `HumanDuration`.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        small => format!("{big}{big_unit}{small}{small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// Returns `text`, or `<none>` for nothing.
fn or_none(text: impl Into<String>) -> Value {
    let text = text.into();
    if text.is_empty() { "<none>".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (601, "10m"),
            (10_860, "3h1m"),
            (30_000, "8h"),
            (180_000, "2d2h"),
            (864_000, "10d"),
            (63_158_400, "2y1d"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
    }
}
