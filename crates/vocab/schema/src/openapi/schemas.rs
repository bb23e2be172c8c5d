//! Definitions as OpenAPI schemas, with the extensions that clients merge and apply by.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::descriptions::Descriptions;
use super::{Dialect, gvk_value};
use crate::table::{Field, ListType, Shape, Table};

/// The schemas that a document refers to, and those that they refer to.
pub(super) struct Schemas<'a> {
    dialect: Dialect,
    table: &'a Table,
    wanted: BTreeSet<usize>,
    /// Types without a definition of their own in the table, by name.
    leaves: BTreeSet<&'static str>,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const FIELDS_V1: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const JSON: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON";
const SCHEMA_OR_ARRAY: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray";
const SCHEMA_OR_BOOL: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool";
const SCHEMA_OR_STRINGS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray";

impl<'a> Schemas<'a> {
    pub(super) fn new(dialect: Dialect, table: &'a Table) -> Self {
        Self { dialect, table, wanted: BTreeSet::new(), leaves: BTreeSet::new() }
    }

    pub(super) fn table(&self) -> &'a Table {
        self.table
    }

    /// Returns a reference to the definition at `index`, which becomes part of the document.
    pub(super) fn reference(&mut self, index: usize) -> Value {
        self.want(index);
        self.dialect.reference(&self.table.def(index).name)
    }

    /// Returns a reference to a `meta/v1` definition.
    pub(super) fn meta(&mut self, name: &str) -> Value {
        match self.table.index_of(&format!("{META}{name}")) {
            Some(index) => self.reference(index),
            None => self.dialect.reference(&format!("{META}{name}")),
        }
    }

    /// Returns a reference to the body of a patch.
    pub(super) fn patch(&mut self) -> Value {
        self.leaves.insert(PATCH);
        self.dialect.reference(PATCH)
    }

    fn want(&mut self, index: usize) {
        if !self.wanted.insert(index) {
            return;
        }
        let table = self.table;
        for field in table.fields(index) {
            let mut shape = &field.shape;
            while let Shape::List(inner) | Shape::Map(inner) | Shape::Wrapped(inner) = shape {
                shape = inner;
            }
            match shape {
                Shape::Object(inner) => self.want(*inner),
                other => {
                    if let Some(name) = leaf(other) {
                        self.leaves.insert(name);
                    }
                }
            }
        }
    }

    /// Writes all schemas that were referred to.
    pub(super) fn finish(self) -> Value {
        // Inline parts are not published themselves, but carry the descriptions of their fields.
        let mut described: BTreeSet<&str> = BTreeSet::new();
        for &index in &self.wanted {
            described.insert(&self.table.def(index).name);
            described.extend(self.table.def(index).json.iter().map(|&(def, _)| self.table.def(def).name.as_ref()));
        }
        let descriptions = Descriptions::of(|name| described.contains(name));
        let mut out: Map<String, Value> = self
            .wanted
            .iter()
            .map(|&index| (self.table.def(index).name.to_string(), self.schema(index, &descriptions)))
            .collect();
        for name in &self.leaves {
            out.insert((*name).to_owned(), leaf_schema(name, self.dialect));
        }
        Value::Object(out)
    }

    fn schema(&self, index: usize, descriptions: &Descriptions) -> Value {
        let def = self.table.def(index);
        let mut out = Map::new();
        if let Some(text) = descriptions.get(&def.name, "") {
            out.insert("description".into(), text.into());
        }
        out.insert("type".into(), "object".into());
        let mut properties = Map::new();
        let mut required = Vec::new();
        for &(owner, field) in &def.json {
            let owner = self.table.def(owner);
            let field = &owner.fields[field];
            let text = descriptions.get(&owner.name, &field.name);
            properties.insert(field.name.to_string(), self.property(field, text));
            if field.required {
                required.push(Value::from(field.name.as_ref()));
            }
        }
        if !properties.is_empty() {
            out.insert("properties".into(), Value::Object(properties));
        }
        if !required.is_empty() {
            out.insert("required".into(), Value::Array(required));
        }
        if !def.gvks.is_empty() {
            out.insert("x-kubernetes-group-version-kind".into(), def.gvks.iter().map(gvk_value).collect());
        }
        if def.atomic {
            out.insert("x-kubernetes-map-type".into(), "atomic".into());
        }
        Value::Object(out)
    }

    fn property(&self, field: &Field, description: Option<&str>) -> Value {
        let mut out = match self.shape(&field.shape) {
            // A reference has no siblings in v3; upstream wraps it.
            reference if self.dialect == Dialect::V3 && reference.get("$ref").is_some() => {
                Map::from_iter([("allOf".to_owned(), json!([reference]))])
            }
            Value::Object(map) => map,
            other => Map::from_iter([("type".to_owned(), other)]),
        };
        let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
        if let Some(text) = description {
            put("description", text.into());
        }
        if !field.values.is_empty() {
            put("enum", field.values.iter().map(|value| Value::from(value.as_ref())).collect());
        }
        if matches!(field.shape, Shape::List(_)) {
            match field.list_type {
                ListType::Map => {
                    put("x-kubernetes-list-type", "map".into());
                    put(
                        "x-kubernetes-list-map-keys",
                        field.list_keys.iter().map(|key| Value::from(key.as_ref())).collect(),
                    );
                }
                ListType::Set => put("x-kubernetes-list-type", "set".into()),
                ListType::Atomic => put("x-kubernetes-list-type", "atomic".into()),
            }
        }
        if let Some(key) = &field.merge_key {
            put("x-kubernetes-patch-merge-key", key.as_ref().into());
        }
        let strategy = [
            (field.strategy.merge, "merge"),
            (field.strategy.retain_keys, "retainKeys"),
            (field.strategy.replace, "replace"),
        ];
        let strategy: Vec<&str> = strategy.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        if !strategy.is_empty() {
            put("x-kubernetes-patch-strategy", strategy.join(",").into());
        }
        if field.atomic {
            put("x-kubernetes-map-type", "atomic".into());
        }
        Value::Object(out)
    }

    fn shape(&self, shape: &Shape) -> Value {
        match shape {
            Shape::String | Shape::Duration => json!({ "type": "string" }),
            Shape::Bytes => json!({ "type": "string", "format": "byte" }),
            Shape::Bool => json!({ "type": "boolean" }),
            Shape::Int32 => json!({ "type": "integer", "format": "int32" }),
            Shape::Int64 => json!({ "type": "integer", "format": "int64" }),
            Shape::Double => json!({ "type": "number", "format": "double" }),
            Shape::List(inner) | Shape::Wrapped(inner) => json!({ "type": "array", "items": self.element(inner) }),
            Shape::Map(inner) => json!({ "type": "object", "additionalProperties": self.element(inner) }),
            Shape::Object(def) => self.dialect.reference(&self.table.def(*def).name),
            other => match leaf(other) {
                Some(name) => self.dialect.reference(name),
                None => json!({}),
            },
        }
    }

    fn element(&self, shape: &Shape) -> Value {
        let schema = self.shape(shape);
        if self.dialect == Dialect::V3 && schema.get("$ref").is_some() {
            json!({ "allOf": [schema], "default": {} })
        } else {
            schema
        }
    }
}

/// The published name of a shape that is a schema of its own but no definition of the table.
fn leaf(shape: &Shape) -> Option<&'static str> {
    Some(match shape {
        Shape::Quantity => QUANTITY,
        Shape::IntOrString => INT_OR_STRING,
        Shape::Time => TIME,
        Shape::MicroTime => MICRO_TIME,
        Shape::FieldsV1 => FIELDS_V1,
        Shape::RawExtension => RAW_EXTENSION,
        Shape::Any => JSON,
        Shape::SchemaOrArray => SCHEMA_OR_ARRAY,
        Shape::SchemaOrBool => SCHEMA_OR_BOOL,
        Shape::SchemaOrStrings => SCHEMA_OR_STRINGS,
        _ => return None,
    })
}

fn leaf_schema(name: &str, dialect: Dialect) -> Value {
    match (name, dialect) {
        (QUANTITY, Dialect::V2) => {
            json!({ "description": "A fixed-point number with a suffix, e.g. 500m or 64Mi.", "type": "string" })
        }
        (QUANTITY, Dialect::V3) => {
            json!({ "description": "A fixed-point number with a suffix, e.g. 500m or 64Mi.", "oneOf": [{ "type": "string" }, { "type": "number" }] })
        }
        (INT_OR_STRING, Dialect::V2) => {
            json!({ "description": "A number or a string.", "type": "string", "format": "int-or-string" })
        }
        (INT_OR_STRING, Dialect::V3) => {
            json!({ "description": "A number or a string.", "oneOf": [{ "type": "integer" }, { "type": "string" }], "format": "int-or-string" })
        }
        (TIME, _) => {
            json!({ "description": "A time in RFC 3339, in seconds.", "type": "string", "format": "date-time" })
        }
        (MICRO_TIME, _) => {
            json!({ "description": "A time in RFC 3339, in microseconds.", "type": "string", "format": "date-time" })
        }
        (FIELDS_V1, _) => json!({ "description": "A set of fields, as a tree of their names.", "type": "object" }),
        (RAW_EXTENSION, _) => json!({ "description": "An object of any kind.", "type": "object" }),
        (PATCH, _) => {
            json!({ "description": "The body of a patch; its form follows from the content type.", "type": "object" })
        }
        _ => json!({ "description": "Any JSON." }),
    }
}
