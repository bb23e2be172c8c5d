//! Deployments, ReplicaSets, ReplicationControllers. Source: upstream v1.37 `pkg/apis/{apps,core}/validation`.

use std::collections::BTreeMap;

use km_api::selector::LabelSelector;
use serde_json::{Value, json};

use super::{immutable, non_negative, pod};
use crate::field::Errors;
use crate::value::{at, entries, int, list, text};

const MISMATCH: &str = "`selector` does not match template `labels`";

/// Validates a Deployment.
pub(crate) fn deployment(object: &Value, errors: &mut Errors) {
    non_negative(object, "spec.replicas", "spec.replicas", errors);
    selector(object, "empty selector is invalid for deployment", errors);
    template(object, errors);
    strategy(object, errors);
    non_negative(object, "spec.minReadySeconds", "spec.minReadySeconds", errors);
    non_negative(object, "spec.revisionHistoryLimit", "spec.revisionHistoryLimit", errors);
    if let Some(deadline) = int(object, "spec.progressDeadlineSeconds") {
        if deadline < 0 {
            errors.invalid_value(
                "spec.progressDeadlineSeconds",
                &json!(deadline),
                "must be greater than or equal to 0",
            );
        }
        if deadline <= int(object, "spec.minReadySeconds").unwrap_or(0) {
            errors.invalid_value(
                "spec.progressDeadlineSeconds",
                &json!(deadline),
                "must be greater than minReadySeconds",
            );
        }
    }
}

/// Validates a ReplicaSet.
pub(crate) fn replica_set(object: &Value, errors: &mut Errors) {
    non_negative(object, "spec.replicas", "spec.replicas", errors);
    non_negative(object, "spec.minReadySeconds", "spec.minReadySeconds", errors);
    selector(object, "empty selector is invalid for replicaset", errors);
    template(object, errors);
}

/// Validates a ReplicationController.
pub(crate) fn replication_controller(object: &Value, errors: &mut Errors) {
    non_negative(object, "spec.replicas", "spec.replicas", errors);
    non_negative(object, "spec.minReadySeconds", "spec.minReadySeconds", errors);
    let wanted = labels(object, "spec.selector");
    if wanted.is_empty() {
        errors.required("spec.selector", "");
    }
    let own = labels(object, "spec.template.metadata.labels");
    if at(object, "spec.template").is_some() && !LabelSelector::from_labels(&wanted).matches(&own) {
        errors.invalid_value("spec.template.metadata.labels", &json!(own), MISMATCH);
    }
    template(object, errors);
}

/// Validates a change of a workload: its selector stays.
pub(crate) fn selector_update(old: &Value, new: &Value, errors: &mut Errors) {
    immutable(old, new, "spec.selector", errors);
}

fn selector(object: &Value, empty: &str, errors: &mut Errors) {
    let Some(selector) = at(object, "spec.selector") else {
        errors.required("spec.selector", "");
        return;
    };
    let mut wrapped = json!({});
    crate::value::set(&mut wrapped, "spec.selector", selector.clone());
    crate::meta::labels(&wrapped, "spec.selector.matchLabels", errors);
    let mut parsed = LabelSelector::from_labels(&labels(object, "spec.selector.matchLabels"));
    let operators = &["DoesNotExist", "Exists", "In", "NotIn"];
    for (i, expression) in list(selector, "matchExpressions").iter().enumerate() {
        let path = format!("spec.selector.matchExpressions[{i}]");
        let values: Vec<String> = crate::value::texts(expression, "values").into_iter().map(str::to_owned).collect();
        let operator = match text(expression, "operator") {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(format!("{path}.values"), "must be specified when `operator` is 'In' or 'NotIn'");
                continue;
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.forbidden(
                    format!("{path}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
                continue;
            }
            "In" => km_api::selector::Operator::In(values),
            "NotIn" => km_api::selector::Operator::NotIn(values),
            "Exists" => km_api::selector::Operator::Exists,
            "DoesNotExist" => km_api::selector::Operator::DoesNotExist,
            _ if operators.contains(&text(expression, "operator")) => continue,
            other => {
                errors.invalid(format!("{path}.operator"), other, "not a valid selector operator");
                continue;
            }
        };
        let key = text(expression, "key").to_owned();
        parsed.push(km_api::selector::Requirement { key, operator });
    }
    if parsed.is_empty() {
        errors.invalid_value("spec.selector", selector, empty);
        return;
    }
    let own = labels(object, "spec.template.metadata.labels");
    if at(object, "spec.template").is_some() && !parsed.matches(&own) {
        errors.invalid_value("spec.template.metadata.labels", &json!(own), MISMATCH);
    }
}

fn template(object: &Value, errors: &mut Errors) {
    let Some(template) = at(object, "spec.template") else {
        errors.required("spec.template", "");
        return;
    };
    pod::template(template, "spec.template", errors);
    let policy = text(template, "spec.restartPolicy");
    if ["OnFailure", "Never"].contains(&policy) {
        errors.not_supported("spec.template.spec.restartPolicy", policy, &["Always"]);
    }
    if at(template, "spec.activeDeadlineSeconds").is_some() {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.forbidden("spec.template.spec.activeDeadlineSeconds", detail);
    }
}

fn strategy(object: &Value, errors: &mut Errors) {
    let rolling = at(object, "spec.strategy.rollingUpdate");
    match text(object, "spec.strategy.type") {
        "Recreate" if rolling.is_some() => {
            errors.forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
        }
        "Recreate" => {}
        "RollingUpdate" => match rolling {
            None => errors.required("spec.strategy.rollingUpdate", "this should be defaulted and never be nil"),
            Some(rolling) => {
                for field in ["maxUnavailable", "maxSurge"] {
                    amount(rolling, field, errors);
                }
                let zero = |field: &str| match at(rolling, field) {
                    Some(Value::String(text)) => text == "0%",
                    Some(number) => number.as_i64() == Some(0),
                    None => false,
                };
                if zero("maxUnavailable") && zero("maxSurge") {
                    let shown = at(rolling, "maxUnavailable").cloned().unwrap_or_default();
                    errors.invalid_value(
                        "spec.strategy.rollingUpdate.maxUnavailable",
                        &shown,
                        "may not be 0 when `maxSurge` is 0",
                    );
                }
            }
        },
        other => errors.not_supported("spec.strategy", other, &["Recreate", "RollingUpdate"]),
    }
}

fn amount(rolling: &Value, field: &str, errors: &mut Errors) {
    let path = format!("spec.strategy.rollingUpdate.{field}");
    match at(rolling, field) {
        Some(Value::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|n| n.parse::<u32>().ok());
            match percent {
                None => errors.invalid(
                    path,
                    text,
                    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                     regex used for validation is '[0-9]+%')",
                ),
                Some(n) if field == "maxUnavailable" && n > 100 => {
                    errors.invalid(path, text, "must not be greater than 100%");
                }
                Some(_) => {}
            }
        }
        _ => non_negative(rolling, field, &path, errors),
    }
}

fn labels(object: &Value, path: &str) -> BTreeMap<String, String> {
    entries(object, path).map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
}
