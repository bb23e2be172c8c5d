//! JSON patch (RFC 6902), with the error texts of evanphx/json-patch, which the API server shows.

use serde_json::Value;

use super::{OPERATIONS_MAX, PatchError};

/// Applies the operations of `patch` to `target` in order.
///
/// # Errors
///
/// [`PatchError::Malformed`] when `patch` is not a list of operations, [`PatchError::DoesNotApply`] when an operation
/// names a path that is not there or a test fails, [`PatchError::TooManyOperations`].
pub fn json_patch(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Array(operations) = patch else {
        let kind = if patch.is_object() { "object" } else { "value" };
        let text = format!("json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch");
        return Err(PatchError::Malformed(text));
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooManyOperations(operations.len()));
    }
    operations.iter().try_for_each(|operation| apply(target, operation))
}

fn apply(target: &mut Value, operation: &Value) -> Result<(), PatchError> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let op = text("op").unwrap_or("unknown");
    let missing = |what: &str| PatchError::DoesNotApply(format!("{op} operation does not apply: {what}: missing value"));
    let path = text("path").ok_or_else(|| missing("unable to decode path"))?;
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let from = || text("from").ok_or_else(|| missing("unable to decode from"));
    match op {
        "add" => add(target, path, value(), op),
        "remove" => remove(target, path, op).map(drop),
        "replace" => {
            let at = find_mut(target, path).ok_or_else(|| absent(op, path))?;
            *at = value();
            Ok(())
        }
        "move" => {
            let value = remove(target, from()?, op)?;
            add(target, path, value, op)
        }
        "copy" => {
            let from = from()?;
            let value = target.pointer(from).cloned().ok_or_else(|| absent(op, from))?;
            add(target, path, value, op)
        }
        "test" => {
            let found = target.pointer(path).unwrap_or(&Value::Null);
            if equal(found, &value()) {
                Ok(())
            } else {
                Err(PatchError::DoesNotApply(format!("testing value {path} failed: test failed")))
            }
        }
        _ => Err(PatchError::DoesNotApply(format!("Unexpected kind: {op}"))),
    }
}

fn absent(op: &str, path: &str) -> PatchError {
    let what = match op {
        "replace" => format!("replace operation does not apply: doc is missing key: {path}: missing value"),
        _ => format!("{op} operation does not apply: doc is missing path: \"{path}\": missing value"),
    };
    PatchError::DoesNotApply(what)
}

/// Equality by value: 1 and 1.0 are the same number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// Splits a pointer into its parent's pointer and the unescaped last token.
fn split(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn find_mut<'a>(target: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    target.pointer_mut(path)
}

fn add(target: &mut Value, path: &str, value: Value, op: &str) -> Result<(), PatchError> {
    let Some((parent, key)) = split(path) else {
        // The empty path is the whole document.
        if path.is_empty() {
            *target = value;
            return Ok(());
        }
        return Err(absent(op, path));
    };
    match find_mut(target, parent) {
        Some(Value::Object(map)) => {
            map.insert(key, value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let at = if key == "-" { items.len() } else { index(&key, items.len() + 1, op, path)? };
            items.insert(at, value);
            Ok(())
        }
        _ => Err(absent(op, path)),
    }
}

fn remove(target: &mut Value, path: &str, op: &str) -> Result<Value, PatchError> {
    let (parent, key) = split(path).ok_or_else(|| absent(op, path))?;
    match find_mut(target, parent) {
        Some(Value::Object(map)) => map.remove(&key).ok_or_else(|| {
            let text = format!("error in {op} for path: '{path}': Unable to remove nonexistent key: {key}: missing value");
            PatchError::DoesNotApply(text)
        }),
        Some(Value::Array(items)) => {
            let at = index(&key, items.len(), op, path)?;
            Ok(items.remove(at))
        }
        _ => Err(absent(op, path)),
    }
}

/// Reads a list index below `bound`.
fn index(key: &str, bound: usize, op: &str, path: &str) -> Result<usize, PatchError> {
    match key.parse::<usize>() {
        Ok(at) if at < bound => Ok(at),
        Ok(at) => {
            let text = format!("error in {op} for path: '{path}': Unable to access invalid index: {at}: invalid index referenced");
            Err(PatchError::DoesNotApply(text))
        }
        Err(_) => {
            let text = format!("error in {op} for path: '{path}': strconv.Atoi: parsing {key:?}: invalid syntax");
            Err(PatchError::DoesNotApply(text))
        }
    }
}
