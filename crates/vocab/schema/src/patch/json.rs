//! JSON patch (RFC 6902), with the error texts of evanphx/json-patch, which the API server shows.

use serde_json::Value;

use super::{COPIED_BYTES_MAX, DEPTH_MAX, OPERATIONS_MAX, PatchError};

/// Applies the operations of `patch` to `target` in order.
///
/// As lenient as the library upstream uses (v4 of it): replacing or copying a key that an object does not have is no
/// error, and a negative index counts from the end.
///
/// # Errors
///
/// [`PatchError::Malformed`] when `patch` is not a list of operations, [`PatchError::DoesNotApply`] when an operation
/// names a path that is not there or a test fails, [`PatchError::TooManyOperations`].
pub fn json_patch(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Array(operations) = patch else {
        let text = format!("json: cannot unmarshal {} into Go value of type jsonpatch.Patch", word(patch));
        return Err(PatchError::Malformed(text));
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooManyOperations(operations.len()));
    }
    let mut copied = 0;
    operations.iter().try_for_each(|operation| apply(target, operation, &mut copied))
}

fn apply(target: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), PatchError> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let op = text("op").unwrap_or("unknown");
    if !matches!(op, "add" | "remove" | "replace" | "move" | "copy" | "test") {
        return Err(refused(format!("Unexpected kind: {op}")));
    }
    let path = text("path").ok_or_else(|| refused(format!("{op} operation failed to decode path: missing value")))?;
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let from = || {
        let missing = || format!("{op} operation failed to decode from: operation, missing from field: missing value");
        text("from").ok_or_else(|| refused(missing()))
    };
    match op {
        "add" => add(target, path, value(), op),
        "remove" => remove(target, path, op).map(drop),
        "replace" => replace(target, path, value()),
        "move" => {
            let value = remove(target, from()?, op)?;
            add(target, path, value, op)
        }
        "copy" => {
            let value = get(target, from()?, op)?;
            *copied += value.to_string().len();
            if *copied > COPIED_BYTES_MAX {
                return Err(PatchError::TooMuchCopied(*copied));
            }
            add(target, path, value, op)
        }
        _ => {
            if equal(&get(target, path, op)?, &value()) {
                Ok(())
            } else {
                Err(refused(format!("testing value {path} failed: test failed")))
            }
        }
    }
}

fn refused(text: String) -> PatchError {
    PatchError::DoesNotApply(text)
}

/// The parent of what a path names is not there.
fn absent(op: &str, path: &str) -> PatchError {
    refused(match op {
        "replace" => format!("replace operation does not apply: doc is missing path: {path}: missing value"),
        "test" => format!("test operation does not apply: is missing path: {path}: missing value"),
        "move" | "copy" => format!("{op} operation does not apply: doc is missing from path: {path}: missing value"),
        _ => format!("{op} operation does not apply: doc is missing path: \"{path}\": missing value"),
    })
}

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

/// Returns the object or list that holds what `path` names, and the unescaped last token.
fn holder<'a>(target: &'a mut Value, path: &str, op: &str) -> Result<(&'a mut Value, String), PatchError> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| absent(op, path))?;
    match target.pointer_mut(parent) {
        Some(holder @ (Value::Object(_) | Value::Array(_))) => Ok((holder, last.replace("~1", "/").replace("~0", "~"))),
        _ => Err(absent(op, path)),
    }
}

fn get(target: &mut Value, path: &str, op: &str) -> Result<Value, PatchError> {
    if path.is_empty() {
        return Ok(target.clone());
    }
    let (holder, key) = holder(target, path, op)?;
    match holder {
        Value::Array(items) => {
            let at = index(&key, items.len(), op, path)?;
            Ok(items[at].clone())
        }
        other => Ok(other.get(&key).cloned().unwrap_or(Value::Null)),
    }
}

/// Refuses to nest `value` too deep below `path`; so no value ever is, and this recursion is bounded too.
fn check_depth(path: &str, value: &Value) -> Result<(), PatchError> {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    if path.matches('/').count() + depth(value) > DEPTH_MAX {
        return Err(refused(format!("operation nests the value at {path} deeper than {DEPTH_MAX} levels")));
    }
    Ok(())
}

fn add(target: &mut Value, path: &str, value: Value, op: &str) -> Result<(), PatchError> {
    check_depth(path, &value)?;
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    // The errors of adding do not differ by the operation that adds.
    let (holder, key) = holder(target, path, "add").map_err(|_| match op {
        "add" => absent("add", path),
        _ => refused(format!("{op} operation does not apply: doc is missing destination path: {path}: missing value")),
    })?;
    match holder {
        Value::Array(items) => {
            let at = match key.as_str() {
                "-" => items.len(),
                key if key.parse::<i64>().is_err() => {
                    let text = "value was not a proper array index";
                    let cause = format!("strconv.Atoi: parsing {key:?}: invalid syntax");
                    return Err(refused(format!("error in {op} for path: '{path}': {text}: '{key}': {cause}")));
                }
                key => index(key, items.len() + 1, op, path)?,
            };
            items.insert(at, value);
        }
        Value::Object(map) => drop(map.insert(key, value)),
        _ => return Err(absent(op, path)),
    }
    Ok(())
}

fn replace(target: &mut Value, path: &str, value: Value) -> Result<(), PatchError> {
    check_depth(path, &value)?;
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (holder, key) = holder(target, path, "replace")?;
    match holder {
        Value::Array(items) => {
            let missing = format!("replace operation does not apply: doc is missing key: {path}: missing value");
            let at = index(&key, items.len(), "replace", path).map_err(|_| refused(missing))?;
            items[at] = value;
        }
        Value::Object(map) => drop(map.insert(key, value)),
        _ => return Err(absent("replace", path)),
    }
    Ok(())
}

fn remove(target: &mut Value, path: &str, op: &str) -> Result<Value, PatchError> {
    let (holder, key) = holder(target, path, op)?;
    match holder {
        Value::Array(items) => {
            let at = index(&key, items.len(), op, path)?;
            Ok(items.remove(at))
        }
        Value::Object(map) => map.remove(&key).ok_or_else(|| {
            let shown = if op == "move" { key.as_str() } else { path };
            refused(format!(
                "error in {op} for path: '{shown}': Unable to remove nonexistent key: {key}: missing value"
            ))
        }),
        _ => Err(absent(op, path)),
    }
}

/// Reads a list index below `bound`; a negative one counts from `bound`.
fn index(key: &str, bound: usize, op: &str, path: &str) -> Result<usize, PatchError> {
    let Ok(number) = key.parse::<i64>() else {
        return Err(refused(format!(
            "error in {op} for path: '{path}': strconv.Atoi: parsing {key:?}: invalid syntax"
        )));
    };
    let at = match usize::try_from(number) {
        Ok(at) => Some(at),
        Err(_) => usize::try_from(number.unsigned_abs()).ok().and_then(|back| bound.checked_sub(back)),
    };
    at.filter(|at| *at < bound).ok_or_else(|| {
        let text = format!("Unable to access invalid index: {number}: invalid index referenced");
        refused(format!("error in {op} for path: '{path}': {text}"))
    })
}
