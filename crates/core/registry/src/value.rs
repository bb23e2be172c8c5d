//! Reading and changing JSON values by dotted paths, for fields whose names hold no dots.

use serde_json::{Map, Value};

/// Returns the value at `path`.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |v, part| v.get(part)).filter(|v| !v.is_null())
}

/// Returns the value at `path`, to be changed.
pub(crate) fn at_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(value, |v, part| v.get_mut(part))
}

/// Returns the text at `path`, or empty text.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the integer at `path`.
pub(crate) fn int(value: &Value, path: &str) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// Tells whether `path` holds `true`.
pub(crate) fn is_true(value: &Value, path: &str) -> bool {
    at(value, path).and_then(Value::as_bool) == Some(true)
}

/// Returns the items of the list at `path`.
pub(crate) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the items of the list at `path`, to be changed; an absent list stays absent.
pub(crate) fn list_mut<'a>(value: &'a mut Value, path: &str) -> &'a mut [Value] {
    match at_mut(value, path) {
        Some(Value::Array(items)) => items,
        _ => &mut [],
    }
}

/// Returns the texts of the list at `path`.
pub(crate) fn texts<'a>(value: &'a Value, path: &str) -> Vec<&'a str> {
    list(value, path).iter().filter_map(Value::as_str).collect()
}

/// Returns the entries of the object at `path`.
pub(crate) fn entries<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    at(value, path).and_then(Value::as_object).into_iter().flatten()
}

/// Returns the object at `path`, made with its parents where absent.
pub(crate) fn object_mut<'a>(value: &'a mut Value, path: &str) -> &'a mut Map<String, Value> {
    let mut here = value;
    if !path.is_empty() {
        for part in path.split('.') {
            here = as_object(here).entry(part).or_insert(Value::Null);
        }
    }
    as_object(here)
}

/// Sets `path`, making parents.
pub(crate) fn set(value: &mut Value, path: &str, new: impl Into<Value>) {
    let (parent, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    object_mut(value, parent).insert(leaf.to_owned(), new.into());
}

/// Sets `path` unless it holds something; empty text counts as nothing.
pub(crate) fn default(value: &mut Value, path: &str, new: impl Into<Value>) {
    if at(value, path).is_none_or(|v| v.as_str() == Some("")) {
        set(value, path, new);
    }
}

/// Removes `path`.
pub(crate) fn remove(value: &mut Value, path: &str) -> Option<Value> {
    let (parent, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = if parent.is_empty() { Some(value) } else { at_mut(value, parent) };
    parent?.as_object_mut()?.remove(leaf)
}

/// Sets `path` of `to` to what `from` has there, or removes it.
pub(crate) fn copy(from: &Value, to: &mut Value, path: &str) {
    match at(from, path) {
        Some(value) => set(to, path, value.clone()),
        None => {
            remove(to, path);
        }
    }
}

fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object just above")
}
