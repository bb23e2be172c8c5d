//! Who we are to Mesos: the framework ID of our own choice and the epoch of this run.
//!
//! Stored in the ConfigMap `kube-system/km-framework` before the first SUBSCRIBE, so that no crash leaves a
//! framework behind that no one can subscribe as. Each start writes the next epoch; a conflicting write means
//! that another scheduler starts, and everything is read again.

use km_api::resource::CONFIG_MAPS;
use km_api::{ContentType, Object, Request, Verb};
use serde_json::{Value, json};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "km-framework";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub framework_id: String,
    pub epoch: u64,
}

/// What was found in the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub identity: Identity,
    pub resource_version: String,
}

pub(crate) fn load() -> Request {
    Request::new(Verb::Get, &CONFIG_MAPS, NAMESPACE, NAME)
}

pub(crate) fn parse(object: &Object) -> Stored {
    let value = object.to_value();
    let data = |key: &str| value.get("data").and_then(|d| d.get(key)).and_then(Value::as_str).unwrap_or_default();
    Stored {
        identity: Identity { framework_id: data("frameworkId").to_owned(), epoch: data("epoch").parse().unwrap_or(0) },
        resource_version: object.meta().resource_version.clone(),
    }
}

/// Writes `identity`: creates the object, or changes the one that was read at `resource_version`.
pub(crate) fn store(identity: &Identity, resource_version: Option<&str>) -> Request {
    let data = json!({ "frameworkId": identity.framework_id, "epoch": identity.epoch.to_string() });
    match resource_version {
        None => {
            let body = json!({ "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": NAME, "namespace": NAMESPACE }, "data": data });
            Request::new(Verb::Create, &CONFIG_MAPS, NAMESPACE, "").body(ContentType::Json, body.to_string())
        }
        Some(version) => {
            let body = json!({ "metadata": { "resourceVersion": version }, "data": data });
            Request::new(Verb::Patch, &CONFIG_MAPS, NAMESPACE, NAME).body(ContentType::MergePatch, body.to_string())
        }
    }
}
