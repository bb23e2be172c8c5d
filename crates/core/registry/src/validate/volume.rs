//! Volumes of pods and templates. Source: upstream v1.37 `pkg/apis/core/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::container::field_ref;
use crate::field::Errors;
use crate::names;
use crate::value::{at, int, list, text};

/// Fields of the pod that downward API files may take.
const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Validates the volumes of a pod's spec and returns their names.
pub(crate) fn validate(spec: &Value, path: &str, errors: &mut Errors) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for (i, volume) in list(spec, "volumes").iter().enumerate() {
        let path = format!("{path}.volumes[{i}]");
        source(volume, &path, errors);
        match text(volume, "name") {
            "" => errors.required(format!("{path}.name"), ""),
            name => {
                errors.invalid_all(format!("{path}.name"), name, names::label(name));
                if !seen.insert(name.to_owned()) {
                    errors.duplicate(format!("{path}.name"), &json!(name));
                }
            }
        }
    }
    seen
}

fn source(volume: &Value, path: &str, errors: &mut Errors) {
    let sources: Vec<&String> =
        volume.as_object().into_iter().flatten().map(|(key, _)| key).filter(|k| *k != "name").collect();
    if sources.is_empty() {
        errors.required(path, "must specify a volume type");
    }
    for (i, source) in sources.into_iter().enumerate() {
        let path = format!("{path}.{source}");
        if i > 0 {
            errors.forbidden(path, "may not specify more than 1 volume type");
            continue;
        }
        let value = &volume[source.as_str()];
        match source.as_str() {
            "secret" => {
                require(value, "secretName", &path, errors);
                items(value, &path, errors);
            }
            "configMap" => {
                require(value, "name", &path, errors);
                items(value, &path, errors);
            }
            "hostPath" => require(value, "path", &path, errors),
            "persistentVolumeClaim" => require(value, "claimName", &path, errors),
            "downwardAPI" => downward(value, &path, errors),
            "projected" => projected(value, &path, errors),
            _ => {}
        }
    }
}

fn projected(value: &Value, path: &str, errors: &mut Errors) {
    for (i, source) in list(value, "sources").iter().enumerate() {
        let path = format!("{path}.sources[{i}]");
        for kind in ["secret", "configMap"] {
            if let Some(inner) = at(source, kind) {
                require(inner, "name", &format!("{path}.{kind}"), errors);
                items(inner, &format!("{path}.{kind}"), errors);
            }
        }
        if let Some(inner) = at(source, "downwardAPI") {
            downward(inner, &format!("{path}.downwardAPI"), errors);
        }
        if let Some(token) = at(source, "serviceAccountToken") {
            let path = format!("{path}.serviceAccountToken");
            require(token, "path", &path, errors);
            if let Some(seconds) = int(token, "expirationSeconds").filter(|n| *n < 600) {
                let detail = "may not specify a duration less than 10 minutes";
                errors.invalid_value(format!("{path}.expirationSeconds"), &json!(seconds), detail);
            }
        }
    }
    mode(value, path, errors);
}

fn downward(value: &Value, path: &str, errors: &mut Errors) {
    for (i, item) in list(value, "items").iter().enumerate() {
        let path = format!("{path}.items[{i}]");
        relative(text(item, "path"), &format!("{path}.path"), errors);
        match (at(item, "fieldRef"), at(item, "resourceFieldRef")) {
            (Some(field), None) => {
                field_ref(text(field, "fieldPath"), &format!("{path}.fieldRef"), FILE_FIELDS, errors)
            }
            (None, Some(_)) => {}
            (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
            (Some(_), Some(_)) => {
                errors.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
    }
    mode(value, path, errors);
}

fn items(value: &Value, path: &str, errors: &mut Errors) {
    for (i, item) in list(value, "items").iter().enumerate() {
        let path = format!("{path}.items[{i}]");
        require(item, "key", &path, errors);
        relative(text(item, "path"), &format!("{path}.path"), errors);
    }
    mode(value, path, errors);
}

fn mode(value: &Value, path: &str, errors: &mut Errors) {
    if let Some(mode) = int(value, "defaultMode").filter(|mode| !(0..=0o777).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.invalid_value(format!("{path}.defaultMode"), &json!(mode), detail);
    }
}

fn relative(target: &str, path: &str, errors: &mut Errors) {
    if target.is_empty() {
        errors.required(path, "");
    } else if target.starts_with('/') {
        errors.invalid(path, target, "must be a relative path");
    } else if target.split('/').any(|part| part == "..") {
        errors.invalid(path, target, "must not contain '..'");
    }
}

fn require(value: &Value, field: &str, path: &str, errors: &mut Errors) {
    if text(value, field).is_empty() {
        errors.required(format!("{path}.{field}"), "");
    }
}
