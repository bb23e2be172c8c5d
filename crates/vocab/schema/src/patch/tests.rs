//! Each patch directive on the examples that upstream documents
//! (kubernetes/community, contributors/devel/sig-api-machinery/strategic-merge-patch.md; RFC 6902 and 7386).

use serde_json::{Value, json};

use super::{OPERATIONS_MAX, PatchError, json_patch, merge_patch, strategic_merge_patch};
use crate::definition_named;

#[track_caller]
fn strategic(definition: &str, mut target: Value, patch: Value, expected: Value) {
    let ty = definition_named(&format!("io.k8s.api.{definition}")).unwrap();
    strategic_merge_patch(&ty, &mut target, &patch).unwrap();
    assert_eq!(target, expected);
}

#[track_caller]
fn refused(definition: &str, mut target: Value, patch: Value, text: &str) {
    let ty = definition_named(&format!("io.k8s.api.{definition}")).unwrap();
    assert_eq!(strategic_merge_patch(&ty, &mut target, &patch).unwrap_err().to_string(), text);
}

#[test]
fn lists_with_a_merge_key_merge_and_others_are_replaced() {
    strategic(
        "core.v1.PodSpec",
        json!({"containers": [{"name": "nginx", "image": "nginx-1.0", "args": ["a", "b"]}], "nodeSelector": {"a": "b"}}),
        json!({"containers": [{"name": "log-tailer", "image": "log-tailer-1.0"}, {"name": "nginx", "args": ["c"]}], "nodeSelector": {"c": "d"}}),
        json!({"containers": [
            {"name": "log-tailer", "image": "log-tailer-1.0"},
            {"name": "nginx", "image": "nginx-1.0", "args": ["c"]}],
            "nodeSelector": {"a": "b", "c": "d"}}),
    );
}

#[test]
fn null_deletes_and_is_dropped_where_there_is_nothing_to_delete() {
    strategic(
        "core.v1.PodSpec",
        json!({"nodeName": "n", "hostname": "h"}),
        json!({"nodeName": null, "subdomain": null, "securityContext": {"runAsUser": 1, "fsGroup": null}}),
        json!({"hostname": "h", "securityContext": {"runAsUser": 1}}),
    );
}

#[test]
fn patch_delete_removes_a_list_element_and_empties_a_map() {
    strategic(
        "core.v1.PodSpec",
        json!({"containers": [{"name": "nginx"}, {"name": "log-tailer"}]}),
        json!({"containers": [{"$patch": "delete", "name": "log-tailer"}, {"$patch": "delete", "name": "none"}]}),
        json!({"containers": [{"name": "nginx"}]}),
    );
    strategic(
        "apps.v1.DeploymentSpec",
        json!({"strategy": {"type": "RollingUpdate"}, "replicas": 1}),
        json!({"strategy": {"$patch": "delete"}}),
        json!({"strategy": {}, "replicas": 1}),
    );
}

#[test]
fn patch_replace_replaces_a_list_or_a_map() {
    strategic(
        "core.v1.PodSpec",
        json!({"containers": [{"name": "nginx"}, {"name": "log-tailer"}]}),
        json!({"containers": [{"name": "new"}, {"$patch": "replace"}]}),
        json!({"containers": [{"name": "new"}]}),
    );
    strategic(
        "apps.v1.DeploymentSpec",
        json!({"strategy": {"rollingUpdate": {"maxSurge": 1}, "type": "RollingUpdate"}}),
        json!({"strategy": {"$patch": "replace", "type": "Recreate"}}),
        json!({"strategy": {"type": "Recreate"}}),
    );
}

#[test]
fn retain_keys_drops_what_it_does_not_name() {
    strategic(
        "apps.v1.DeploymentSpec",
        json!({"strategy": {"rollingUpdate": {"maxSurge": 1}, "type": "RollingUpdate"}}),
        json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
        json!({"strategy": {"type": "Recreate"}}),
    );
    strategic(
        "core.v1.PodSpec",
        json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/a"}}]}),
        json!({"volumes": [{"name": "v", "hostPath": {"path": "/a"}}, {"name": "w", "emptyDir": {}}]}),
    );
    refused(
        "apps.v1.DeploymentSpec",
        json!({"strategy": {}}),
        json!({"strategy": {"$retainKeys": ["rollingUpdate"], "type": "Recreate"}}),
        "invalid patch format of retainKeys",
    );
}

#[test]
fn sets_of_primitives_merge_and_delete_from_primitive_list_takes_out() {
    strategic(
        "core.v1.Namespace",
        json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
        json!({"metadata": {"finalizers": ["d"], "$deleteFromPrimitiveList/finalizers": ["a", "c"]}}),
        json!({"metadata": {"finalizers": ["d", "b"]}}),
    );
}

#[test]
fn set_element_order_sorts_and_keeps_what_only_the_server_knows() {
    strategic(
        "core.v1.PodSpec",
        json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "server"}, {"name": "c"}]}),
        json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "new"}, {"name": "a"}],
               "containers": [{"name": "new", "image": "x"}, {"name": "a", "image": "y"}]}),
        json!({"containers": [{"name": "b"}, {"name": "server"}, {"name": "c"}, {"name": "new", "image": "x"}, {"name": "a", "image": "y"}]}),
    );
    strategic(
        "core.v1.PodSpec",
        json!({"containers": [{"name": "a"}, {"name": "b"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
        json!({"containers": [{"name": "b"}, {"name": "a"}]}),
    );
    strategic(
        "core.v1.Namespace",
        json!({"metadata": {"finalizers": ["a", "b"]}}),
        json!({"metadata": {"$setElementOrder/finalizers": ["c", "b", "a"], "finalizers": ["c"]}}),
        json!({"metadata": {"finalizers": ["c", "b", "a"]}}),
    );
}

#[test]
fn annotations_and_labels_merge_as_maps() {
    strategic(
        "core.v1.Pod",
        json!({"metadata": {"annotations": {"a": "1", "b": "2"}}}),
        json!({"metadata": {"annotations": {"a": null, "c": "3"}, "labels": {"x": "y"}}}),
        json!({"metadata": {"annotations": {"b": "2", "c": "3"}, "labels": {"x": "y"}}}),
    );
}

#[test]
fn malformed_strategic_patches_are_refused_in_upstreams_words() {
    let pod = || json!({"containers": [{"name": "a"}], "securityContext": {"x": {}}, "strange": {}});
    refused("core.v1.PodSpec", pod(), json!([]), "invalid JSON document");
    refused("core.v1.PodSpec", pod(), json!({"$patch": "merge"}), "unknown patch type: merge in map: map[]");
    refused(
        "core.v1.PodSpec",
        pod(),
        json!({"containers": [{"image": "b"}]}),
        "map: map[image:b] does not contain declared merge key: name",
    );
    refused(
        "core.v1.PodSpec",
        pod(),
        json!({"containers": [{"$patch": "delete"}]}),
        "map: map[$patch:delete] does not contain declared merge key: name",
    );
    refused(
        "core.v1.PodSpec",
        pod(),
        json!({"containers": [{"$patch": "merge", "name": "a"}]}),
        "merging lists cannot yet be specified in the patch",
    );
    refused("core.v1.PodSpec", pod(), json!({"strange": {}}), "unable to find api field \"strange\" in v1.PodSpec");
    refused(
        "core.v1.PodSpec",
        pod(),
        json!({"$setElementOrder/containers": 1}),
        "invalid patch format of setElementOrder list",
    );
    refused(
        "core.v1.PodSpec",
        pod(),
        json!({"$deleteFromPrimitiveList": []}),
        "invalid patch format of primitive list",
    );
    refused("core.v1.PodSpec", pod(), json!({"containers": ["a"]}), "expected a map, but received a string");
}

#[test]
fn merge_patch_follows_the_table_of_rfc_7386() {
    for (target, patch, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        let mut value = target;
        merge_patch(&mut value, &patch).unwrap();
        assert_eq!(value, expected);
    }
    assert!(merge_patch(&mut json!({}), &json!([])).is_err());
}

#[test]
fn json_patch_operations_follow_rfc_6902() {
    for (target, patch, expected) in [
        (
            json!({"foo": "bar"}),
            json!([{"op": "add", "path": "/baz", "value": "qux"}]),
            json!({"baz": "qux", "foo": "bar"}),
        ),
        (
            json!({"foo": ["a", "c"]}),
            json!([{"op": "add", "path": "/foo/1", "value": "b"}]),
            json!({"foo": ["a", "b", "c"]}),
        ),
        (json!({"foo": ["a"]}), json!([{"op": "add", "path": "/foo/-", "value": ["b"]}]), json!({"foo": ["a", ["b"]]})),
        (json!({"a": 1, "b": 2}), json!([{"op": "remove", "path": "/a"}]), json!({"b": 2})),
        (json!({"a": [1, 2, 3]}), json!([{"op": "remove", "path": "/a/1"}]), json!({"a": [1, 3]})),
        (json!({"a": 1}), json!([{"op": "replace", "path": "/a", "value": 2}]), json!({"a": 2})),
        (
            json!({"a": {"b": 1}, "c": {}}),
            json!([{"op": "move", "from": "/a/b", "path": "/c/d"}]),
            json!({"a": {}, "c": {"d": 1}}),
        ),
        (json!({"a": 1}), json!([{"op": "copy", "from": "/a", "path": "/b"}]), json!({"a": 1, "b": 1})),
        (json!({"/": 9, "~1": 10}), json!([{"op": "test", "path": "/~01", "value": 10}]), json!({"/": 9, "~1": 10})),
        (json!({"a": 1}), json!([{"op": "test", "path": "/a", "value": 1.0}]), json!({"a": 1})),
        (json!({"a": {}}), json!([{"op": "add", "path": "/a/b~1c", "value": "x"}]), json!({"a": {"b/c": "x"}})),
        (json!({"a": 1}), json!([{"op": "test", "path": "/b", "value": null}]), json!({"a": 1})),
        (json!({"a": 1}), json!([{"op": "replace", "path": "", "value": {"b": 2}}]), json!({"b": 2})),
        (json!({}), json!([{"op": "replace", "path": "/a", "value": 1}]), json!({"a": 1})),
        (json!({}), json!([{"op": "copy", "from": "/a", "path": "/b"}]), json!({"b": null})),
        (json!({"l": [1]}), json!([{"op": "add", "path": "/l/-1", "value": 2}]), json!({"l": [1, 2]})),
        (json!({"l": [1, 2]}), json!([{"op": "remove", "path": "/l/-1"}]), json!({"l": [1]})),
    ] {
        let mut value = target;
        json_patch(&mut value, &patch).unwrap();
        assert_eq!(value, expected, "{patch}");
    }
}

#[test]
fn json_patches_that_do_not_apply_say_so_in_upstreams_words() {
    // Texts of kubectl 1.37.1 `patch --local --type=json`, which has the library of the API server.
    for (patch, text) in [
        (json!([{"op": "test", "path": "/a", "value": 2}]), "testing value /a failed: test failed"),
        (
            json!([{"op": "test", "path": "/x/y"}]),
            "test operation does not apply: is missing path: /x/y: missing value",
        ),
        (
            json!([{"op": "test", "path": "/l/5"}]),
            "error in test for path: '/l/5': Unable to access invalid index: 5: invalid index referenced",
        ),
        (
            json!([{"op": "remove", "path": "/x"}]),
            "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value",
        ),
        (
            json!([{"op": "remove", "path": "/x/y"}]),
            "remove operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (
            json!([{"op": "remove", "path": "/l/x"}]),
            "error in remove for path: '/l/x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            json!([{"op": "replace", "path": "/x/y"}]),
            "replace operation does not apply: doc is missing path: /x/y: missing value",
        ),
        (
            json!([{"op": "replace", "path": "/l/7"}]),
            "replace operation does not apply: doc is missing key: /l/7: missing value",
        ),
        (
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            "add operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
            "error in add for path: '/l/9': Unable to access invalid index: 9: invalid index referenced",
        ),
        (
            json!([{"op": "add", "path": "/l/x", "value": 1}]),
            "error in add for path: '/l/x': value was not a proper array index: 'x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            json!([{"op": "move", "from": "/x/z", "path": "/y"}]),
            "move operation does not apply: doc is missing from path: /x/z: missing value",
        ),
        (
            json!([{"op": "move", "from": "/z", "path": "/y"}]),
            "error in move for path: 'z': Unable to remove nonexistent key: z: missing value",
        ),
        (
            json!([{"op": "copy", "path": "/y"}]),
            "copy operation failed to decode from: operation, missing from field: missing value",
        ),
        (json!([{"op": "add", "value": 1}]), "add operation failed to decode path: missing value"),
        (json!([{"op": "frob", "path": "/a"}]), "Unexpected kind: frob"),
    ] {
        let result = json_patch(&mut json!({"a": 1, "l": []}), &patch);
        assert_eq!(result, Err(PatchError::DoesNotApply(text.into())));
    }
    assert!(matches!(json_patch(&mut json!({}), &json!({})), Err(PatchError::Malformed(_))));
    let many = Value::Array(vec![json!({"op": "test", "path": "/a"}); OPERATIONS_MAX + 1]);
    assert_eq!(json_patch(&mut json!({}), &many), Err(PatchError::TooManyOperations(OPERATIONS_MAX + 1)));
}

#[test]
fn json_patches_do_not_grow_an_object_without_bound() {
    let doubling: Vec<Value> =
        (0..60).map(|n| json!({"op": "copy", "from": "", "path": format!("/metadata/{n}")})).collect();
    let mut value = json!({"metadata": {"name": "x".repeat(100)}});
    assert!(matches!(json_patch(&mut value, &Value::Array(doubling)), Err(PatchError::TooMuchCopied(_))));
    // Chains of values, each within the bounds of a parser, one put at the end of the other.
    let deep = (0..100).fold(json!({}), |inner, _| json!({"a": inner}));
    let end = "/a".repeat(100);
    let chained =
        json!([{"op": "add", "path": "/a", "value": deep}, {"op": "add", "path": format!("/a{end}/a"), "value": deep}]);
    assert!(matches!(json_patch(&mut json!({}), &chained), Err(PatchError::DoesNotApply(_))));
    let moved = json!([
        {"op": "add", "path": "/a", "value": deep}, {"op": "add", "path": "/b", "value": {}},
        {"op": "add", "path": "/b/a", "value": deep}, {"op": "move", "from": "/b", "path": format!("/a{end}/b")}]);
    assert!(matches!(json_patch(&mut json!({}), &moved), Err(PatchError::DoesNotApply(_))));
}
