//! The form that Go would print: what decoding into upstream's types and encoding again makes of a value.
//!
//! After pruning and checking, so that JSON and protobuf bodies of the same object are stored alike: nulls and empty
//! `omitempty` fields go, fields that Go always prints appear, quantities take their canonical text. Wrong JSON types
//! are left for `check.rs` to report.

use serde_json::{Map, Value};

use crate::quantity;
use crate::table::{Field, Shape, Table, Type};

/// Brings `value` into the form that upstream's types print.
pub fn canonical(ty: &Type, value: &mut Value) {
    object(&ty.table, ty.def, value);
}

pub(crate) fn object(table: &Table, def: usize, value: &mut Value) {
    let Value::Object(map) = value else { return };
    for field in table.fields(def) {
        if let Some(inner) = map.get_mut(field.name.as_ref()) {
            shaped(table, &field.shape, inner);
            if leaves_out(field, inner) {
                map.remove(field.name.as_ref());
            }
        }
        if !map.contains_key(field.name.as_ref()) {
            always_printed(table, field, map);
        }
    }
}

fn shaped(table: &Table, shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Object(def), value) => object(table, *def, value),
        (Shape::List(inner) | Shape::Wrapped(inner), Value::Array(items)) => {
            items.iter_mut().for_each(|item| shaped(table, inner, item));
        }
        (Shape::Map(inner), Value::Object(map)) => {
            for item in map.values_mut() {
                if item.is_null() && **inner == Shape::String {
                    *item = Value::String(String::new());
                }
                shaped(table, inner, item);
            }
        }
        (Shape::Quantity, value) => {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return,
            };
            if let Ok(text) = quantity::canonical(&text) {
                *value = Value::String(text);
            }
        }
        _ => {}
    }
}

/// Tells whether Go prints nothing for this value of the field.
pub(crate) fn leaves_out(field: &Field, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => field.omit_empty && items.is_empty(),
        Value::Object(map) => match field.shape {
            Shape::Map(_) => field.omit_empty && map.is_empty(),
            _ => field.omit_zero && !field.pointer && map.is_empty(),
        },
        _ if field.pointer || !field.omit_empty => false,
        Value::String(text) => text.is_empty() && matches!(field.shape, Shape::String | Shape::Bytes),
        Value::Bool(is) => !is && field.shape == Shape::Bool,
        Value::Number(number) => {
            number.as_f64() == Some(0.0) && matches!(field.shape, Shape::Int32 | Shape::Int64 | Shape::Double)
        }
    }
}

/// Adds an absent field that Go prints all the same: a struct by value, or a scalar without `omitempty`.
fn always_printed(table: &Table, field: &Field, map: &mut Map<String, Value>) {
    if field.pointer {
        return;
    }
    let zero = match &field.shape {
        Shape::Object(def) if !field.omit_zero => {
            let mut inner = Value::Object(Map::new());
            object(table, *def, &mut inner);
            inner
        }
        _ if field.omit_empty => return,
        Shape::String => Value::String(String::new()),
        Shape::Bool => Value::Bool(false),
        Shape::Int32 | Shape::Int64 | Shape::Double => Value::from(0),
        _ => return,
    };
    map.insert(field.name.to_string(), zero);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::canonical;
    use crate::definition_named;

    #[track_caller]
    fn check(definition: &str, mut value: Value, expected: Value) {
        canonical(&definition_named(&format!("io.k8s.{definition}")).unwrap(), &mut value);
        assert_eq!(value, expected);
    }

    #[test]
    fn empty_fields_go_and_fields_that_go_always_prints_appear() {
        check(
            "api.core.v1.Container",
            json!({"name": "a", "args": [], "image": "", "tty": false, "env": null, "resources": null}),
            json!({"name": "a", "resources": {}}),
        );
        check(
            "api.core.v1.Pod",
            json!({"metadata": {"name": "a", "labels": {}, "creationTimestamp": null}}),
            json!({"metadata": {"name": "a"}, "spec": {}, "status": {}}),
        );
        check("api.core.v1.ContainerPort", json!({}), json!({"containerPort": 0}));
    }

    #[test]
    fn pointers_keep_their_zeros_and_empty_objects() {
        check(
            "api.core.v1.PodSpec",
            json!({"terminationGracePeriodSeconds": 0, "enableServiceLinks": false, "securityContext": {}, "priority": 0}),
            json!({"terminationGracePeriodSeconds": 0, "enableServiceLinks": false, "securityContext": {}, "priority": 0}),
        );
        check("api.core.v1.Volume", json!({"name": "v", "emptyDir": {}}), json!({"name": "v", "emptyDir": {}}));
    }

    #[test]
    fn quantities_take_their_canonical_text() {
        check(
            "api.core.v1.ResourceRequirements",
            json!({"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "1000m"}}),
            json!({"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "1"}}),
        );
    }
}
