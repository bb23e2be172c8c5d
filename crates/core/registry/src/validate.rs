//! Validation of meaning, per kind, with upstream's field paths and texts.
//!
//! Structure (types of fields, quantities, unknown fields) was checked by `vocab/schema` before. Not everything that
//! upstream refuses is refused here: what people run into comes first.

pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod core;
pub(crate) mod networking;
pub(crate) mod pod;
pub(crate) mod pod_update;
pub(crate) mod rbac;
mod volume;
pub(crate) mod workload;

use serde_json::Value;

use crate::field::Errors;
use crate::value::{at, int};

/// Checks an integer against a minimum of zero.
pub(crate) fn non_negative(value: &Value, field: &str, path: &str, errors: &mut Errors) {
    if let Some(number) = int(value, field).filter(|n| *n < 0) {
        errors.invalid_value(path, &Value::from(number), "must be greater than or equal to 0");
    }
}

/// Checks a port number.
pub(crate) fn port(number: i64, path: &str, errors: &mut Errors) {
    if !(1..=65535).contains(&number) {
        errors.invalid_value(path, &Value::from(number), "must be between 1 and 65535, inclusive");
    }
}

/// Checks a port number or name.
pub(crate) fn port_or_name(value: &Value, field: &str, path: &str, errors: &mut Errors) {
    match at(value, field) {
        Some(Value::Number(number)) => port(number.as_i64().unwrap_or(0), path, errors),
        Some(Value::String(name)) => errors.invalid_all(path, name, crate::names::port_name(name)),
        _ => port(0, path, errors),
    }
}

/// Checks that a field did not change.
pub(crate) fn immutable(old: &Value, new: &Value, path: &str, errors: &mut Errors) {
    if at(old, path) != at(new, path) {
        errors.invalid_value(path, at(new, path).unwrap_or(&Value::Null), "field is immutable");
    }
}
