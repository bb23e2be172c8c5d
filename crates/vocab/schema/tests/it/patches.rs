//! Strategic merge patches with all directives, chosen at random, and what `kubectl patch --local` (1.37.1) makes of
//! them: the same Go code that upstream's API server runs.

use km_schema::{definition_of, patch};
use serde_json::Value;

/// Drops nulls, empty lists and objects, and left-over directives: kubectl prints what it did not decode, where the API
/// server would.
fn settle(value: &mut Value) -> bool {
    match value {
        Value::Object(map) => {
            map.retain(|key, inner| !key.starts_with('$') && settle(inner));
            !map.is_empty()
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                settle(item);
            }
            !items.is_empty()
        }
        other => !other.is_null(),
    }
}

#[test]
fn strategic_patches_come_out_as_kubectl_makes_them() {
    let mut count = 0;
    for line in include_str!("../fixtures/strategic.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let mut target = case["target"].clone();
        let text = |key: &str| case["target"][key].as_str().unwrap();
        let ty = definition_of(text("apiVersion"), text("kind")).unwrap();
        patch::strategic_merge_patch(&ty, &mut target, &case["patch"]).unwrap();
        settle(&mut target);
        assert_eq!(target, case["outcome"], "{}", case["patch"]);
        count += 1;
    }
    assert!(count >= 50);
}
