//! Bodies that kubectl sent (1.37.1 and, where named so, 1.32) and what the same commands print with
//! `--dry-run=client -o json`. The `.json` of a kind without dry run is absent; its test states the outcome.

use std::fs;
use std::path::PathBuf;

use km_schema::{canonical, definition_of, proto};
use serde_json::{Value, json};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn decoded(name: &str) -> (proto::TypeMeta, Value, Vec<u8>) {
    let bytes = fs::read(path(name)).unwrap();
    let (meta, value) = proto::decode(&bytes).unwrap_or_else(|err| panic!("{name}: {err}"));
    (meta, value, bytes)
}

fn names() -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".pb"));
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    names
}

#[test]
fn protobuf_bodies_read_as_the_json_that_kubectl_prints() {
    for name in names() {
        let (_, mut value, _) = decoded(&name);
        let golden = path(&name.replace(".pb", ".json"));
        let Ok(golden) = fs::read(golden) else { continue };
        let mut golden: Value = serde_json::from_slice(&golden).unwrap();
        // A command's dry run and its request differ in nulls (kubectl before 1.34) and in the dry run's namespace.
        let ty = definition_of(golden["apiVersion"].as_str().unwrap(), golden["kind"].as_str().unwrap()).unwrap();
        canonical(&ty, &mut golden);
        for object in [&mut value, &mut golden] {
            object["metadata"].as_object_mut().unwrap().remove("namespace");
        }
        assert_eq!(value, golden, "{name}");
    }
}

#[test]
fn encoding_gives_back_the_bytes_of_go() {
    for name in names() {
        let (meta, value, bytes) = decoded(&name);
        let ty = definition_of(&meta.api_version, &meta.kind).unwrap();
        assert_eq!(hex(&proto::encode(&ty, &value)), hex(&bytes), "{name}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn reviews_and_token_requests_are_read() {
    assert_eq!(
        decoded("selfsubjectaccessreview.pb").1["spec"]["resourceAttributes"],
        json!({"namespace": "default", "verb": "list", "resource": "pods"})
    );
    assert_eq!(decoded("tokenrequest.pb").1["kind"], "TokenRequest");
    assert_eq!(decoded("selfsubjectreview.pb").1["apiVersion"], "authentication.k8s.io/v1");
}

#[test]
fn any_damaged_body_is_an_error_or_a_value_but_never_a_panic() {
    for name in names() {
        let bytes = fs::read(path(&name)).unwrap();
        for at in 0..bytes.len() {
            let _ = proto::decode(&bytes[..at]);
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            let _ = proto::decode(&damaged);
        }
    }
}
