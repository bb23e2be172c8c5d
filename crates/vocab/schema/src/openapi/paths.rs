//! The operations of a resource: what may be asked of which path, with which parameters and bodies.
//!
//! kubectl reads of it that `fieldValidation` is a parameter of PATCH, and which kind a path serves.

use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use super::{Dialect, Resource, gvk_value};
use crate::table::Gvk;

/// Query parameters: name, type, meaning.
type Parameter = (&'static str, &'static str, &'static str);

const DRY_RUN: Parameter = ("dryRun", "string", "All: run every stage of the request, but do not keep the outcome.");
const FIELD_MANAGER: Parameter =
    ("fieldManager", "string", "Name of the actor that makes the change, at most 128 printable characters.");
const FIELD_VALIDATION: Parameter = (
    "fieldValidation",
    "string",
    "What to do with unknown and duplicate fields: Ignore, Warn (the default) or Strict.",
);
const FORCE: Parameter = ("force", "boolean", "Take over fields that other managers own; for apply patches only.");
const PRETTY: Parameter = ("pretty", "string", "Set to true to have the answer indented.");
const GRACE_PERIOD: Parameter =
    ("gracePeriodSeconds", "integer", "Seconds until the object is deleted; 0 at once; absent, the kind's default.");
const PROPAGATION: Parameter =
    ("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground.");
const LIST: &[Parameter] = &[
    ("allowWatchBookmarks", "boolean", "Send bookmarks on a watch."),
    ("continue", "string", "The token of the previous page."),
    ("fieldSelector", "string", "Restricts the answer by fields."),
    ("labelSelector", "string", "Restricts the answer by labels."),
    ("limit", "integer", "At most so many objects in one answer."),
    ("resourceVersion", "string", "The revision to start from."),
    ("resourceVersionMatch", "string", "How resourceVersion applies to a list: Exact or NotOlderThan."),
    ("sendInitialEvents", "boolean", "Begin a watch with the present objects."),
    ("timeoutSeconds", "integer", "Ends the list or watch after so many seconds."),
    ("watch", "boolean", "Follow changes instead of answering once."),
];

/// The media types of the four patches.
const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Adds the paths of `resource`; none if its kind has no definition.
pub(super) fn write(
    dialect: Dialect,
    resource: &Resource<'_>,
    schemas: &mut Schemas<'_>,
    paths: &mut Map<String, Value>,
) {
    let gvk = Gvk {
        group: resource.group.to_owned().into(),
        version: resource.version.to_owned().into(),
        kind: resource.kind.to_owned().into(),
    };
    let Some(kind) = schemas.table().index_of_gvk(&gvk) else { return };
    let list = Gvk { kind: format!("{}List", resource.kind).into(), ..gvk.clone() };
    let list = schemas.table().index_of_gvk(&list);
    let mut writer = Writer { dialect, gvk, object: schemas.reference(kind), schemas };

    let root = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let collection = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        format!("{root}/{}", resource.plural)
    };
    let base: &[&str] = if resource.namespaced { &["namespace"] } else { &[] };
    let mut operations = Map::new();
    operations.insert("post".into(), writer.create());
    if resource.stored {
        if let Some(list) = list {
            let list = writer.schemas.reference(list);
            operations.insert("get".into(), writer.list(list.clone()));
            if resource.namespaced {
                let all = Map::from_iter([("get".to_owned(), writer.list(list))]);
                paths.insert(format!("{root}/{}", resource.plural), writer.path(all, &[]));
            }
        }
        operations.insert("delete".into(), writer.delete("deletecollection"));
        let named = Map::from_iter([
            ("get".to_owned(), writer.get()),
            ("put".to_owned(), writer.replace()),
            ("patch".to_owned(), writer.patch()),
            ("delete".to_owned(), writer.delete("delete")),
        ]);
        let names: Vec<&str> = std::iter::once("name").chain(base.iter().copied()).collect();
        paths.insert(format!("{collection}/{{name}}"), writer.path(named, &names));
        for subresource in resource
            .subresources
            .iter()
            .filter(|name| matches!(**name, "status" | "ephemeralcontainers" | "resize" | "approval"))
        {
            let operations = Map::from_iter([
                ("get".to_owned(), writer.get()),
                ("put".to_owned(), writer.replace()),
                ("patch".to_owned(), writer.patch()),
            ]);
            paths.insert(format!("{collection}/{{name}}/{subresource}"), writer.path(operations, &names));
        }
    }
    paths.insert(collection, writer.path(operations, base));
}

struct Writer<'a, 'b> {
    dialect: Dialect,
    gvk: Gvk,
    object: Value,
    schemas: &'a mut Schemas<'b>,
}

impl Writer<'_, '_> {
    fn get(&mut self) -> Value {
        let object = self.object.clone();
        self.operation("get", "read", &[], None, object)
    }

    fn list(&mut self, list: Value) -> Value {
        self.operation("list", "list or watch", LIST, None, list)
    }

    fn create(&mut self) -> Value {
        let object = self.object.clone();
        self.operation(
            "post",
            "create",
            &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION],
            Some((&["*/*"], object.clone())),
            object,
        )
    }

    fn replace(&mut self) -> Value {
        let object = self.object.clone();
        self.operation(
            "put",
            "replace",
            &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION],
            Some((&["*/*"], object.clone())),
            object,
        )
    }

    fn patch(&mut self) -> Value {
        let (object, patch) = (self.object.clone(), self.schemas.patch());
        self.operation(
            "patch",
            "change",
            &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE],
            Some((&PATCH_TYPES, patch)),
            object,
        )
    }

    fn delete(&mut self, action: &str) -> Value {
        let (options, status) = (self.schemas.meta("DeleteOptions"), self.schemas.meta("Status"));
        self.operation(action, "delete", &[DRY_RUN, GRACE_PERIOD, PROPAGATION], Some((&["*/*"], options)), status)
    }

    fn operation(
        &self,
        action: &str,
        verb: &str,
        query: &[Parameter],
        body: Option<(&[&str], Value)>,
        answer: Value,
    ) -> Value {
        let mut parameters: Vec<Value> = query.iter().map(|parameter| self.parameter("query", parameter)).collect();
        let id = format!("{action}{}{}{}", title(&self.gvk.group), title(&self.gvk.version), self.gvk.kind);
        let mut out = json!({
            "description": format!("{verb} {}", self.gvk.kind),
            "operationId": id,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk_value(&self.gvk),
        });
        match self.dialect {
            Dialect::V3 => {
                if let Some((types, schema)) = body {
                    let content: Map<String, Value> =
                        types.iter().map(|name| ((*name).to_owned(), json!({ "schema": schema }))).collect();
                    out["requestBody"] = json!({ "content": content, "required": action == "post" || action == "put" || action == "patch" });
                }
                out["responses"] = json!({
                    "200": { "description": "OK", "content": { "application/json": { "schema": answer } } },
                    "401": { "description": "Unauthorized" },
                });
            }
            Dialect::V2 => {
                if let Some((types, schema)) = body {
                    parameters.push(json!({ "name": "body", "in": "body", "schema": schema }));
                    out["consumes"] = json!(types);
                }
                out["produces"] = json!(["application/json"]);
                out["schemes"] = json!(["https"]);
                out["responses"] = json!({ "200": { "description": "OK", "schema": answer }, "401": { "description": "Unauthorized" } });
            }
        }
        if !parameters.is_empty() {
            out["parameters"] = Value::Array(parameters);
        }
        out
    }

    /// A path item: its operations and the parameters that they share.
    fn path(&self, mut operations: Map<String, Value>, names: &[&str]) -> Value {
        let mut parameters: Vec<Value> = names
            .iter()
            .map(|name| match *name {
                "name" => self.path_parameter("name", "Name of the object."),
                name => self.path_parameter(name, "Namespace of the object."),
            })
            .collect();
        parameters.push(self.parameter("query", &PRETTY));
        operations.insert("parameters".into(), Value::Array(parameters));
        Value::Object(operations)
    }

    fn path_parameter(&self, name: &str, description: &str) -> Value {
        let mut out =
            self.typed(json!({ "name": name, "in": "path", "description": description, "required": true }), "string");
        out["uniqueItems"] = true.into();
        if self.dialect == Dialect::V3 {
            out["schema"]["uniqueItems"] = true.into();
            out.as_object_mut().map(|out| out.remove("uniqueItems"));
        }
        out
    }

    fn parameter(&self, place: &str, &(name, kind, description): &Parameter) -> Value {
        self.typed(json!({ "name": name, "in": place, "description": description }), kind)
    }

    fn typed(&self, mut parameter: Value, kind: &str) -> Value {
        match self.dialect {
            Dialect::V2 => parameter["type"] = kind.into(),
            Dialect::V3 => parameter["schema"] = json!({ "type": kind }),
        }
        parameter
    }
}

/// The first part of a group name, capitalised, as operation IDs have it; `Core` for the core group.
fn title(text: &str) -> String {
    let first = text.split('.').next().filter(|first| !first.is_empty()).unwrap_or("core");
    let mut chars = first.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}
