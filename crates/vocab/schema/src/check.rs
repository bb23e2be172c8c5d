//! Wrong JSON types, in the words of upstream's decoder.
//!
//! `core/registry` validates meaning; this only answers whether Go's decoder could have read the value into the
//! kind's types, which is a 400 rather than a 422.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::quantity;
use crate::table::{Definition, Field, Shape, Table, Type};

/// A value that Go's decoder could not have read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TypeError {
    /// Path of the value, e.g. `spec.containers[0].ports`.
    pub path: String,
    /// Upstream's text.
    pub message: String,
}

/// Returns every value of the wrong type, in field order; upstream reports only the first.
#[must_use]
pub fn check(ty: &Type, value: &Value) -> Vec<TypeError> {
    let mut walk = Walk { table: &ty.table, path: Vec::new(), fields: Vec::new(), errors: Vec::new() };
    let def = ty.definition();
    if value.is_object() {
        walk.object(ty.def, value);
    } else if !value.is_null() {
        let message = format!("json: cannot unmarshal {} into Go value of type {}", word(value), def.go_type());
        walk.errors.push(TypeError { path: String::new(), message });
    }
    walk.errors
}

struct Walk<'a> {
    table: &'a Table,
    path: Vec<String>,
    /// JSON names of the struct fields on the way: Go's error context leaves out list indexes and map keys.
    fields: Vec<&'a str>,
    errors: Vec<TypeError>,
}

impl<'a> Walk<'a> {
    fn object(&mut self, def: usize, value: &Value) {
        let Value::Object(map) = value else { return };
        let definition = self.table.def(def);
        for (key, inner) in map {
            let table: &'a Table = self.table;
            let Some(field) = table.field(def, key) else { continue };
            self.path.push(if self.path.is_empty() { key.clone() } else { format!(".{key}") });
            self.fields.push(field.name.as_ref());
            self.value(&field.shape, field, definition, inner);
            self.fields.pop();
            self.path.pop();
        }
    }

    fn value(&mut self, shape: &'a Shape, field: &'a Field, parent: &Definition, value: &Value) {
        if value.is_null() {
            return;
        }
        match (shape, value) {
            (Shape::Object(def), Value::Object(_)) => self.object(*def, value),
            (Shape::List(inner) | Shape::Wrapped(inner), Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.path.push(format!("[{at}]"));
                    self.value(inner, field, parent, item);
                    self.path.pop();
                }
            }
            (Shape::Map(inner), Value::Object(map)) => {
                for (key, item) in map {
                    self.path.push(format!(".{key}"));
                    self.value(inner, field, parent, item);
                    self.path.pop();
                }
            }
            _ => {
                if let Some(message) = self.scalar(shape, field, parent, value) {
                    self.errors.push(TypeError { path: self.path.concat(), message });
                }
            }
        }
    }

    /// Says what is wrong with a value whose shape has no parts, or whose JSON type does not fit its shape.
    fn scalar(&self, shape: &Shape, field: &Field, parent: &Definition, value: &Value) -> Option<String> {
        let wrong = |value: String| {
            let (parent, path) = (parent.short_name(), self.fields.join("."));
            let go = self.go_type(shape, field);
            Some(format!("json: cannot unmarshal {value} into Go struct field {parent}.{path} of type {go}"))
        };
        let into = |go: &str| Some(format!("json: cannot unmarshal {} into Go value of type {go}", word(value)));
        match (shape, value) {
            (Shape::String, Value::String(_)) | (Shape::Bool, Value::Bool(_)) | (Shape::Double, Value::Number(_)) => None,
            (Shape::Bytes, Value::String(text)) => match STANDARD.decode(text) {
                Ok(_) => None,
                Err(err) => Some(format!("illegal base64 data at input byte {}", base64_offset(&err, text))),
            },
            (Shape::Int32, Value::Number(n)) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => None,
            (Shape::Int64, Value::Number(n)) if n.is_i64() => None,
            (Shape::Int32 | Shape::Int64, Value::Number(n)) => wrong(format!("number {n}")),
            (Shape::Quantity, Value::String(text)) => quantity::canonical(text).err().map(|err| err.to_string()),
            (Shape::Quantity, other) => quantity::canonical(&other.to_string()).err().map(|err| err.to_string()),
            (Shape::IntOrString, Value::String(_)) => None,
            (Shape::IntOrString, Value::Number(n)) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => None,
            (Shape::IntOrString, _) => into("int32"),
            (Shape::Time | Shape::MicroTime, Value::String(text)) => time_error(text),
            (Shape::Duration, Value::String(_)) => None,
            (Shape::Time | Shape::MicroTime | Shape::Duration, _) => into("string"),
            (Shape::FieldsV1 | Shape::Any | Shape::RawExtension, _) => None,
            (Shape::SchemaOrArray | Shape::SchemaOrBool | Shape::SchemaOrStrings, _) => None,
            _ => wrong(word(value).to_owned()),
        }
    }

    fn go_type(&self, shape: &Shape, field: &Field) -> String {
        // The recorded name is the whole field's; within lists and maps only its last part applies.
        if *shape == field.shape {
            if let Some(go) = &field.go_type {
                return go.to_string();
            }
        }
        match shape {
            Shape::String => "string".into(),
            Shape::Bytes => "[]uint8".into(),
            Shape::Bool => "bool".into(),
            Shape::Int32 => "int32".into(),
            Shape::Int64 => "int64".into(),
            Shape::Double => "float64".into(),
            Shape::List(inner) | Shape::Wrapped(inner) => format!("[]{}", self.go_type(inner, field)),
            Shape::Map(inner) if **inner == Shape::Quantity => "v1.ResourceList".into(),
            Shape::Map(inner) => format!("map[string]{}", self.go_type(inner, field)),
            Shape::Object(def) => self.table.def(*def).go_type().to_owned(),
            Shape::Quantity => "resource.Quantity".into(),
            Shape::IntOrString => "intstr.IntOrString".into(),
            Shape::Time => "v1.Time".into(),
            Shape::MicroTime => "v1.MicroTime".into(),
            Shape::Duration => "v1.Duration".into(),
            Shape::FieldsV1 => "v1.FieldsV1".into(),
            Shape::RawExtension => "runtime.RawExtension".into(),
            Shape::Any => "v1.JSON".into(),
            Shape::SchemaOrArray => "v1.JSONSchemaPropsOrArray".into(),
            Shape::SchemaOrBool => "v1.JSONSchemaPropsOrBool".into(),
            Shape::SchemaOrStrings => "v1.JSONSchemaPropsOrStringArray".into(),
        }
    }
}

/// Go's word for the JSON type of a value.
fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn base64_offset(err: &base64::DecodeError, text: &str) -> usize {
    match err {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len() / 4 * 4,
    }
}

/// Go's `time.Parse(time.RFC3339, text)`; the part it stops at is named only for a text that does not start as a date.
fn time_error(text: &str) -> Option<String> {
    if text.parse::<jiff::Timestamp>().is_ok() && text.contains(['T', 't']) {
        return None;
    }
    let layout = "2006-01-02T15:04:05Z07:00";
    let (rest, element) = match text.as_bytes() {
        [a, b, c, d, rest @ ..] if [a, b, c, d].iter().all(|c| c.is_ascii_digit()) => match rest {
            [b'-', ..] => (&text[10.min(text.len())..], "T"),
            _ => (&text[4..], "-"),
        },
        _ => (text, "2006"),
    };
    Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}"))
}
