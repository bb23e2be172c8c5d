//! Default resources: what Mesos is told of a container that says nothing is shown in the pod.
//!
//! As the original's `scheduler/resources/resource.go` (kubernetes-mesos 0.6): nothing asked means 0.25 cpu and
//! 64 MB; a request alone is the limit too; nothing lies below 0.01 cpu and 32 MB.

use km_api::{Quantity, Status};
use serde_json::{Value, json};

use crate::admit::Admission;
use crate::value::{list_mut, object_mut, set, text};

/// Resource name, default, floor.
const DEFAULTS: &[(&str, &str, Quantity)] =
    &[("cpu", "250m", Quantity::from_milli(10)), ("memory", "64Mi", Quantity::from_units(32 * 1024 * 1024))];

/// Completes the requests and limits of every container.
pub(crate) fn default_resources(admission: &Admission<'_>, pod: &mut Value) -> Result<(), Status> {
    if !admission.is_create() || !admission.call.config.default_resources {
        return Ok(());
    }
    for path in ["spec.initContainers", "spec.containers"] {
        for container in list_mut(pod, path) {
            for (name, usual, floor) in DEFAULTS {
                complete(container, name, usual, *floor);
            }
        }
    }
    let class = crate::validate::pod::qos_class(pod);
    set(pod, "status.qosClass", class);
    Ok(())
}

fn complete(container: &mut Value, name: &str, usual: &str, floor: Quantity) {
    let request = text(container, &format!("resources.requests.{name}")).to_owned();
    let limit = text(container, &format!("resources.limits.{name}")).to_owned();
    let (request, limit) = match (request.as_str(), limit.as_str()) {
        ("", "") => (usual, usual),
        (request, "") => (request, request),
        ("", limit) => (limit, limit),
        both => both,
    };
    for (kind, amount) in [("requests", request), ("limits", limit)] {
        let amount = at_least(amount, floor, name);
        object_mut(container, &format!("resources.{kind}")).insert(name.to_owned(), json!(amount));
    }
}

/// Raises an amount to its floor; what is no quantity or below zero is left to validation.
fn at_least(amount: &str, floor: Quantity, name: &str) -> String {
    match Quantity::parse(amount) {
        Ok(asked) if asked < floor && !asked.is_negative() => {
            if name == "memory" {
                floor.to_binary_string()
            } else {
                floor.to_string()
            }
        }
        _ => amount.to_owned(),
    }
}
