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
            (Shape::String, Value::String(_)) | (Shape::Bool, Value::Bool(_)) | (Shape::Double, Value::Number(_)) => {
                None
            }
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
        // The recorded name is the whole field's; of an element of a list only what follows the brackets.
        match (&field.go_type, &field.shape) {
            (Some(go), whole) if whole == shape => return go.to_string(),
            (Some(go), Shape::List(element)) if **element == *shape => return go.trim_start_matches("[]").to_owned(),
            _ => {}
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
            [b'-', ..] => (text.get(10..).unwrap_or_default(), "T"),
            _ => (&text[4..], "-"),
        },
        _ => (text, "2006"),
    };
    Some(format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {element:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;
    use crate::definition;

    #[track_caller]
    fn wrong(group: &str, kind: &str, value: Value, path: &str, message: &str) {
        let errors = check(&definition(group, "v1", kind).unwrap(), &value);
        let found: Vec<(&str, &str)> = errors.iter().map(|err| (err.path.as_str(), err.message.as_str())).collect();
        assert_eq!(found, [(path, message)]);
    }

    #[test]
    fn wrong_types_are_worded_as_go_words_them() {
        wrong(
            "",
            "Pod",
            json!({"metadata": {"labels": {"a": 1}}}),
            "metadata.labels.a",
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        );
        wrong(
            "apps",
            "Deployment",
            json!({"spec": {"replicas": "3"}}),
            "spec.replicas",
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        wrong(
            "apps",
            "Deployment",
            json!({"spec": {"template": {"spec": {"containers": {"name": "a"}}}}}),
            "spec.template.spec.containers",
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        );
        wrong(
            "",
            "Pod",
            json!({"spec": {"containers": [{"ports": [{"protocol": 6}]}]}}),
            "spec.containers[0].ports[0].protocol",
            "json: cannot unmarshal number into Go struct field ContainerPort.spec.containers.ports.protocol of type v1.Protocol",
        );
        wrong(
            "",
            "Pod",
            json!({"spec": {"containers": [{"command": "sh"}]}}),
            "spec.containers[0].command",
            "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string",
        );
        wrong(
            "",
            "Pod",
            json!({"spec": []}),
            "spec",
            "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec",
        );
        wrong(
            "",
            "Pod",
            json!({"spec": {"priority": 1.5}}),
            "spec.priority",
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32",
        );
        wrong(
            "",
            "PersistentVolumeClaim",
            json!({"spec": {"accessModes": [true]}}),
            "spec.accessModes[0]",
            "json: cannot unmarshal bool into Go struct field PersistentVolumeClaimSpec.spec.accessModes of type v1.PersistentVolumeAccessMode",
        );
        wrong("", "Pod", json!([]), "", "json: cannot unmarshal array into Go value of type v1.Pod");
    }

    #[test]
    fn scalars_with_a_syntax_of_their_own_are_read() {
        let resources =
            |quantity: Value| json!({"spec": {"containers": [{"resources": {"limits": {"cpu": quantity}}}]}});
        let path = "spec.containers[0].resources.limits.cpu";
        let text = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        wrong("", "Pod", resources(json!("lots")), path, text);
        wrong("", "Pod", resources(json!(true)), path, text);
        assert_eq!(check(&definition("", "v1", "Pod").unwrap(), &resources(json!(0.5))), []);
        wrong("", "Secret", json!({"data": {"a": "abc$"}}), "data.a", "illegal base64 data at input byte 3");
        wrong(
            "",
            "Pod",
            json!({"metadata": {"creationTimestamp": "yesterday"}}),
            "metadata.creationTimestamp",
            "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"",
        );
        let service = |port: Value| json!({"spec": {"ports": [{"port": 1, "targetPort": port}]}});
        wrong(
            "",
            "Service",
            service(json!(false)),
            "spec.ports[0].targetPort",
            "json: cannot unmarshal bool into Go value of type int32",
        );
        assert_eq!(check(&definition("", "v1", "Service").unwrap(), &service(json!("http"))), []);
    }

    #[test]
    fn null_is_an_absent_field() {
        let pod = json!({"metadata": null, "spec": {"containers": null, "hostname": null}});
        assert_eq!(check(&definition("", "v1", "Pod").unwrap(), &pod), []);
    }
}
