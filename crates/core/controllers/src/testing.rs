//! Builders for tests.

use std::sync::Arc;

use km_api::Object;
use km_api::lister::Lister;
use km_kinds::Codec;
use serde_json::Value;

use crate::{Plan, Write};

/// Adds objects to a lister.
pub(crate) fn fill<T: Codec>(lister: &mut Lister<T>, objects: &[Value]) {
    for value in objects {
        let object = Object::parse(value.to_string().into_bytes()).unwrap();
        lister.upsert(object.shared_meta(), Arc::new(object.decode().unwrap()));
    }
}

/// Writes a plan as one line per write, for comparison.
pub(crate) fn lines(plan: &Plan) -> Vec<String> {
    plan.writes
        .iter()
        .map(|write| match write {
            Write::Create { resource, namespace, object } => {
                let meta = &object["metadata"];
                let name = meta["name"].as_str().or(meta["generateName"].as_str()).unwrap_or_default();
                format!("create {} {namespace}/{name}", resource.plural)
            }
            Write::Patch { resource, key, subresource, patch } => {
                format!("patch {} {key} {subresource} {patch}", resource.plural)
            }
            Write::Delete { resource, key, .. } => format!("delete {} {key}", resource.plural),
            Write::DeleteAll { resource, namespace } => format!("delete-all {} {namespace}", resource.plural),
            Write::Finalize { namespace, finalizers } => format!("finalize {namespace} {finalizers:?}"),
        })
        .collect()
}
