//! JSON to protobuf.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::MAGIC;
use super::wire::{put_bytes_field, put_double_field, put_varint_field};
use crate::builtin::definition_named;
use crate::table::{Field, Shape, Table, Type};

/// The definition that `apiextensions/v1`'s unions hold.
pub(super) const SCHEMA_PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// Encodes `value`, an object of `ty`, in an envelope with its own `apiVersion` and `kind`.
///
/// Fields without a protobuf number and values of the wrong JSON type are left out; `check` finds the latter.
#[must_use]
pub fn encode(ty: &Type, value: &Value) -> Vec<u8> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    encode_envelope(text("apiVersion"), text("kind"), &encode_message(ty, value))
}

/// Wraps an encoded message in the envelope of a kind.
#[must_use]
pub fn encode_envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    put_bytes_field(&mut meta, 1, api_version.as_bytes());
    put_bytes_field(&mut meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(message.len() + 64);
    out.extend_from_slice(&MAGIC);
    put_bytes_field(&mut out, 1, &meta);
    put_bytes_field(&mut out, 2, message);
    put_bytes_field(&mut out, 3, b"");
    put_bytes_field(&mut out, 4, b"");
    out
}

/// Encodes `value` as one bare message of `ty`.
#[must_use]
pub fn encode_message(ty: &Type, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if let Value::Object(map) = value {
        message(&ty.table, ty.def, map, &mut out);
    }
    out
}

fn message(table: &Table, def: usize, map: &Map<String, Value>, out: &mut Vec<u8>) {
    for field in table.def(def).fields.iter().filter(|field| field.number > 0) {
        if field.inline {
            if let Shape::Object(inner) = field.shape {
                let mut body = Vec::new();
                message(table, inner, map, &mut body);
                put_bytes_field(out, field.number, &body);
            }
        } else {
            match (map.get(field.name.as_ref()), &field.shape) {
                (Some(Value::Array(items)), Shape::List(inner)) => {
                    items.iter().for_each(|item| one(table, inner, field.number, item, out));
                }
                (Some(Value::Object(members)), Shape::Map(inner)) => {
                    for (key, member) in members {
                        let mut entry = Vec::new();
                        put_bytes_field(&mut entry, 1, key.as_bytes());
                        // A zero time is null in JSON, an empty message here.
                        match member {
                            Value::Null => put_bytes_field(&mut entry, 2, b""),
                            member => one(table, inner, 2, member, &mut entry),
                        }
                        put_bytes_field(out, field.number, &entry);
                    }
                }
                (Some(value), shape) if !value.is_null() => one(table, shape, field.number, value, out),
                _ => absent(field, out),
            }
        }
    }
}

/// gogo writes every field that is not a pointer, zero or not; readers of other languages may count on it.
fn absent(field: &Field, out: &mut Vec<u8>) {
    if field.pointer {
        return;
    }
    match field.shape {
        Shape::String => put_bytes_field(out, field.number, b""),
        Shape::Bool | Shape::Int32 | Shape::Int64 => put_varint_field(out, field.number, 0),
        Shape::Double => put_double_field(out, field.number, 0.0),
        Shape::Object(_) | Shape::Time | Shape::MicroTime => put_bytes_field(out, field.number, b""),
        _ => {}
    }
}

fn one(table: &Table, shape: &Shape, number: u32, value: &Value, out: &mut Vec<u8>) {
    let mut nested = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut body = Vec::new();
        write(&mut body);
        put_bytes_field(out, number, &body);
    };
    match (shape, value) {
        (Shape::String, Value::String(text)) => put_bytes_field(out, number, text.as_bytes()),
        (Shape::Bytes, Value::String(text)) => put_bytes_field(out, number, &STANDARD.decode(text).unwrap_or_default()),
        (Shape::Bool, Value::Bool(is)) => put_varint_field(out, number, u64::from(*is)),
        (Shape::Int32 | Shape::Int64, Value::Number(n)) => {
            put_varint_field(out, number, n.as_i64().unwrap_or(0) as u64)
        }
        (Shape::Double, Value::Number(n)) => put_double_field(out, number, n.as_f64().unwrap_or(0.0)),
        (Shape::Quantity, Value::String(text)) => nested(&|body| put_bytes_field(body, 1, text.as_bytes())),
        (Shape::Quantity, Value::Number(n)) => nested(&|body| put_bytes_field(body, 1, n.to_string().as_bytes())),
        (Shape::IntOrString, Value::Number(n)) => nested(&|body| int_or_string(0, n.as_i64().unwrap_or(0), "", body)),
        (Shape::IntOrString, Value::String(text)) => nested(&|body| int_or_string(1, 0, text, body)),
        (Shape::Time | Shape::MicroTime, Value::String(text)) => nested(&|body| time(text, body)),
        (Shape::Duration, Value::String(text)) => {
            nested(&|body| put_varint_field(body, 1, go_duration_nanos(text) as u64))
        }
        (Shape::FieldsV1 | Shape::Any | Shape::RawExtension, value) => {
            nested(&|body| put_bytes_field(body, 1, value.to_string().as_bytes()));
        }
        (Shape::Wrapped(inner), Value::Array(items)) => {
            nested(&|body| items.iter().for_each(|item| one(table, inner, 1, item, body)));
        }
        (Shape::Object(def), Value::Object(map)) => nested(&|body| message(table, *def, map, body)),
        (Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings, value) => {
            nested(&|body| schema_or(shape, value, body));
        }
        _ => {}
    }
}

fn int_or_string(kind: u64, number: i64, text: &str, out: &mut Vec<u8>) {
    put_varint_field(out, 1, kind);
    put_varint_field(out, 2, number as u64);
    put_bytes_field(out, 3, text.as_bytes());
}

fn time(text: &str, out: &mut Vec<u8>) {
    if let Ok(at) = text.parse::<Timestamp>() {
        put_varint_field(out, 1, at.as_second() as u64);
        put_varint_field(out, 2, i64::from(at.subsec_nanosecond()) as u64);
    }
}

fn schema_or(shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    let Some(ty) = definition_named(SCHEMA_PROPS) else { return };
    let number = if *shape == Shape::SchemaOrBool { 2 } else { 1 };
    match value {
        Value::Object(map) => {
            // gogo writes the boolean whether or not there is a schema, and true beside one.
            if *shape == Shape::SchemaOrBool {
                put_varint_field(out, 1, 1);
            }
            let mut body = Vec::new();
            message(&ty.table, ty.def, map, &mut body);
            put_bytes_field(out, number, &body);
        }
        Value::Bool(allows) => put_varint_field(out, 1, u64::from(*allows)),
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::String(text) => put_bytes_field(out, 2, text.as_bytes()),
                    item => put_bytes_field(out, 2, &encode_message(&ty, item)),
                }
            }
        }
        _ => {}
    }
}

/// Reads Go's duration text (`1h2m3.5s`); what does not read counts as zero, since `check` has seen it.
fn go_duration_nanos(text: &str) -> i64 {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut nanos = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return 0,
        };
        let Ok(number) = number.parse::<f64>() else { return 0 };
        nanos += number * unit;
        rest = after;
    }
    let nanos = nanos as i64;
    if negative { -nanos } else { nanos }
}
