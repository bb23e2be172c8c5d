//! ConfigMaps and Secrets. Source: upstream v1.37 `ValidateConfigMap`, `ValidateSecret`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use km_api::Status;
use serde_json::{Value, json};

use super::immutable;
use crate::admit::Admission;
use crate::field::Errors;
use crate::names;
use crate::value::{at, entries, is_true, object_mut, remove, text};

/// Most bytes that the data of one object may take.
const DATA_BYTES_MAX: usize = 1024 * 1024;

/// Validates a ConfigMap.
pub(crate) fn config_map(object: &Value, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in entries(object, "data") {
        let path = format!("data[{key}]");
        errors.invalid_all(&path, key, names::config_key(key));
        if at(object, "binaryData").is_some_and(|binary| binary.get(key).is_some()) {
            errors.invalid(&path, key, "duplicate of key present in binaryData");
        }
        bytes += value.as_str().map_or(0, str::len);
    }
    for (key, value) in entries(object, "binaryData") {
        errors.invalid_all(format!("binaryData[{key}]"), key, names::config_key(key));
        bytes += value.as_str().map_or(0, |text| text.len() / 4 * 3);
    }
    if bytes > DATA_BYTES_MAX {
        // Go writes a path of one empty name so.
        errors.too_long("[]", DATA_BYTES_MAX);
    }
}

/// Validates a change of a ConfigMap.
pub(crate) fn config_map_update(old: &Value, new: &Value, errors: &mut Errors) {
    frozen(old, new, &["data", "binaryData"], errors);
}

/// Validates a Secret.
pub(crate) fn secret(object: &Value, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in entries(object, "data") {
        errors.invalid_all(format!("data[{key}]"), key, names::config_key(key));
        bytes += value.as_str().map_or(0, |text| text.len() / 4 * 3);
    }
    if bytes > DATA_BYTES_MAX {
        errors.too_long("data", DATA_BYTES_MAX);
    }
    let has = |key: &str| at(object, "data").is_some_and(|data| data.get(key).is_some());
    let needed: &[&str] = match text(object, "type") {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => &["username", "password"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| !has(key)) {
        errors.required(format!("data[{key}]"), "");
    }
    for key in [".dockercfg", ".dockerconfigjson"].iter().filter(|key| needed.contains(key)) {
        let encoded = at(object, "data").and_then(|data| data.get(key)).and_then(Value::as_str).unwrap_or_default();
        let decoded = STANDARD.decode(encoded).unwrap_or_default();
        if has(key)
            && let Err(err) = km_schema::parse_json(&decoded)
        {
            errors.invalid(format!("data[{key}]"), "<secret contents redacted>", err.to_string());
        }
    }
    let account = at(object, "metadata.annotations").and_then(|a| a.get("kubernetes.io/service-account.name"));
    if text(object, "type") == "kubernetes.io/service-account-token" && account.is_none() {
        errors.required("metadata.annotations[kubernetes.io/service-account.name]", "");
    }
}

/// Validates a change of a Secret.
pub(crate) fn secret_update(old: &Value, new: &Value, errors: &mut Errors) {
    immutable(old, new, "type", errors);
    frozen(old, new, &["data"], errors);
}

/// Moves `stringData`, which is only ever written, into `data`.
pub(crate) fn string_data(_: &Admission<'_>, object: &mut Value) -> Result<(), Status> {
    if let Some(Value::Object(texts)) = remove(object, "stringData") {
        let data = object_mut(object, "data");
        for (key, value) in texts {
            data.insert(key, json!(STANDARD.encode(value.as_str().unwrap_or_default())));
        }
    }
    Ok(())
}

fn frozen(old: &Value, new: &Value, fields: &[&str], errors: &mut Errors) {
    const WHY: &str = "field is immutable when `immutable` is set";
    if !is_true(old, "immutable") {
        return;
    }
    if !is_true(new, "immutable") {
        errors.forbidden("immutable", WHY);
    }
    for field in fields {
        if old.get(field) != new.get(field) {
            errors.forbidden(field, WHY);
        }
    }
}
