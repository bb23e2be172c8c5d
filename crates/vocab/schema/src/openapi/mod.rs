//! OpenAPI documents of the kinds that the API serves, for `kubectl explain`, server-side field validation, and client
//! generators.
//!
//! `/openapi/v3` lists one document per group and version; `/openapi/v2` is one document of everything, as JSON. The
//! caller gives the resources as plain data and caches the bytes: writing the core group takes some tens of
//! milliseconds. Absent: the protobuf form of either document (kubectl asks for v3 as JSON since 1.27).

mod descriptions;
mod paths;
mod schemas;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::builtin::builtin;
use crate::table::Gvk;
use schemas::Schemas;

/// One resource to document.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Kind of its objects.
    pub kind: &'a str,
    /// Name in paths.
    pub plural: &'a str,
    /// Whether its paths name a namespace.
    pub namespaced: bool,
    /// Whether objects are kept; others (reviews) are only created.
    pub stored: bool,
    /// Names of its subresources.
    pub subresources: &'a [&'a str],
}

impl<'a> From<&'a km_api::resource::Resource> for Resource<'a> {
    fn from(resource: &'a km_api::resource::Resource) -> Self {
        Self {
            group: resource.group,
            version: resource.version,
            kind: resource.kind,
            plural: resource.plural,
            namespaced: resource.is_namespaced(),
            stored: resource.persistence == km_api::resource::Persistence::Stored,
            subresources: resource.subresources,
        }
    }
}

/// Which OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    V2,
    V3,
}

impl Dialect {
    /// The reference to a schema.
    fn reference(self, name: &str) -> Value {
        match self {
            Self::V2 => json!({ "$ref": format!("#/definitions/{name}") }),
            Self::V3 => json!({ "$ref": format!("#/components/schemas/{name}") }),
        }
    }
}

/// Returns the path of a group and version below `/openapi/v3/`, e.g. `apis/apps/v1` or `api/v1`.
#[must_use]
pub fn v3_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// Returns the answer to `/openapi/v3`: where each document is. `documents` are paths ([`v3_path`]) and hashes of the
/// documents, which let clients cache them forever.
#[must_use]
pub fn v3_index(documents: &[(String, String)]) -> Value {
    let entries = documents
        .iter()
        .map(|(path, hash)| (path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}") })));
    json!({ "paths": Value::Object(entries.collect()) })
}

/// Returns a hash of a document for [`v3_index`]: FNV-1a of 64 bits, in hexadecimal.
#[must_use]
pub fn hash(document: &[u8]) -> String {
    let hash = document
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016X}")
}

/// Returns the OpenAPI v3 document of one group and version. Resources of other groups and versions are ignored, and
/// so are kinds without a built-in definition.
#[must_use]
pub fn v3_document(group: &str, version: &str, resources: &[Resource<'_>]) -> Value {
    let own: Vec<Resource<'_>> =
        resources.iter().copied().filter(|r| r.group == group && r.version == version).collect();
    let (paths, schemas) = document(Dialect::V3, &own);
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "BearerToken": bearer_token() },
        },
    })
}

/// Returns the OpenAPI v2 document of all resources.
#[must_use]
pub fn v2_document(resources: &[Resource<'_>]) -> Value {
    let (paths, definitions) = document(Dialect::V2, resources);
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": { "BearerToken": bearer_token() },
        "security": [{ "BearerToken": [] }],
    })
}

fn document(dialect: Dialect, resources: &[Resource<'_>]) -> (Value, Value) {
    let mut schemas = Schemas::new(dialect, builtin());
    let mut paths = Map::new();
    for resource in resources {
        paths::write(dialect, resource, &mut schemas, &mut paths);
    }
    (Value::Object(paths), schemas.finish())
}

/// The Kubernetes version of the table.
fn info() -> Value {
    json!({ "title": "Kubernetes", "version": "v1.37.0" })
}

fn bearer_token() -> Value {
    json!({ "description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey" })
}

/// The extension that ties an operation or a schema to a kind.
fn gvk_value(gvk: &Gvk) -> Value {
    json!({ "group": gvk.group, "kind": gvk.kind, "version": gvk.version })
}
