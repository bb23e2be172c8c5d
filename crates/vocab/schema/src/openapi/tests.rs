//! What kubectl looks for in the documents.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Resource, hash, v2_document, v3_document, v3_index, v3_path};

const RESOURCES: &[Resource<'_>] = &[
    Resource {
        group: "",
        version: "v1",
        kind: "Pod",
        plural: "pods",
        namespaced: true,
        stored: true,
        subresources: &["status", "log"],
    },
    Resource {
        group: "",
        version: "v1",
        kind: "Namespace",
        plural: "namespaces",
        namespaced: false,
        stored: true,
        subresources: &[],
    },
    Resource {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        plural: "deployments",
        namespaced: true,
        stored: true,
        subresources: &[],
    },
    Resource {
        group: "authorization.k8s.io",
        version: "v1",
        kind: "SubjectAccessReview",
        plural: "subjectaccessreviews",
        namespaced: false,
        stored: false,
        subresources: &[],
    },
];

/// Every reference of the document, as a name.
fn references(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner {
                    Value::String(target) if key == "$ref" => {
                        out.insert(target.rsplit('/').next().unwrap().to_owned());
                    }
                    other => references(other, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}

#[test]
fn every_reference_has_its_schema() {
    for document in [v3_document("", "v1", RESOURCES), v3_document("apps", "v1", RESOURCES), v2_document(RESOURCES)] {
        let schemas =
            document.pointer("/components/schemas").or(document.get("definitions")).unwrap().as_object().unwrap();
        let mut wanted = BTreeSet::new();
        references(&document, &mut wanted);
        let missing: Vec<_> = wanted.iter().filter(|name| !schemas.contains_key(*name)).collect();
        assert!(missing.is_empty() && wanted.len() > 50, "{missing:?}");
    }
}

#[test]
fn patch_names_field_validation_and_its_kind() {
    let document = v3_document("", "v1", RESOURCES);
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"], json!({"group": "", "version": "v1", "kind": "Pod"}));
    let names: Vec<&str> =
        patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    assert!(document["paths"].get("/api/v1/namespaces/{name}").is_some());
    assert!(document["paths"].get("/apis/apps/v1/namespaces/{namespace}/deployments").is_none(), "another group's");
}

#[test]
fn schemas_carry_descriptions_and_merge_keys_of_inline_fields_too() {
    let document = v3_document("", "v1", RESOURCES);
    let schemas = &document["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert!(containers["description"].as_str().unwrap().starts_with("List of containers belonging to the pod."));
    let volume = &schemas["io.k8s.api.core.v1.Volume"];
    assert!(volume["properties"]["emptyDir"]["description"].as_str().unwrap().starts_with("emptyDir represents"));
    assert_eq!(volume["required"], json!(["name"]));
    assert!(schemas.get("io.k8s.api.core.v1.VolumeSource").is_none(), "inline, not published");
    assert_eq!(
        schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"],
        json!([{"group": "", "kind": "Pod", "version": "v1"}])
    );
}

#[test]
fn reviews_are_only_created() {
    let document = v3_document("authorization.k8s.io", "v1", RESOURCES);
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/apis/authorization.k8s.io/v1/subjectaccessreviews"]);
    assert!(paths.values().next().unwrap().get("get").is_none());
}

#[test]
fn the_index_gives_cachable_addresses() {
    let index = v3_index(&[(v3_path("", "v1"), hash(b"a")), (v3_path("apps", "v1"), hash(b""))]);
    assert_eq!(
        index,
        json!({"paths": {
            "api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=AF63DC4C8601EC8C"},
            "apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=CBF29CE484222325"},
        }})
    );
}
