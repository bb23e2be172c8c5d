//! Single rules of the transcoding; whole bodies are in tests/it.

use serde_json::{Value, json};

use super::{decode, decode_message, encode, encode_envelope, encode_message};
use crate::definition_named;

#[track_caller]
fn check(definition: &str, value: Value, bytes: &[u8]) {
    let ty = definition_named(definition).unwrap();
    assert_eq!(encode_message(&ty, &value), bytes);
    assert_eq!(decode_message(&ty, bytes).unwrap(), value);
}

#[test]
fn single_fields_take_their_wire_form() {
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.";
    // Time: seconds and nanoseconds; the zero time is an empty message and no JSON.
    check(
        &format!("{meta}GroupVersionForDiscovery"),
        json!({"groupVersion": "a", "version": "b"}),
        b"\x0a\x01a\x12\x01b",
    );
    // IntOrString: type, number, string, all written.
    check("io.k8s.api.core.v1.TCPSocketAction", json!({"port": 80}), b"\x0a\x06\x08\x00\x10\x50\x1a\x00\x12\x00");
    check("io.k8s.api.core.v1.TCPSocketAction", json!({"port": "a"}), b"\x0a\x07\x08\x01\x10\x00\x1a\x01a\x12\x00");
    // Negative int32: ten bytes, sign-extended.
    check(
        "io.k8s.api.core.v1.PreferredSchedulingTerm",
        json!({"weight": -1, "preference": {}}),
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x00",
    );
    // Inline structs are messages of their own.
    check("io.k8s.api.core.v1.Volume", json!({"name": "v", "emptyDir": {}}), b"\x0a\x01v\x12\x04\x12\x02\x0a\x00");
    // ExtraValue: a list in JSON, a message in protobuf.
    check(
        "io.k8s.api.authentication.v1.UserInfo",
        json!({"username": "u", "extra": {"k": ["a", "b"]}}),
        b"\x0a\x01u\x12\x00\x22\x0b\x0a\x01k\x12\x06\x0a\x01a\x0a\x01b",
    );
}

#[test]
fn zero_values_show_as_go_shows_them() {
    let ty = definition_named("io.k8s.api.core.v1.ContainerStatus").unwrap();
    // restartCount, ready, image and imageID have no omitempty; state and lastState are structs by value.
    let expected = json!({"name": "", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": {}, "lastState": {}});
    assert_eq!(decode_message(&ty, b"").unwrap(), expected);
    let spec = definition_named("io.k8s.api.apps.v1.ReplicaSetSpec").unwrap();
    let value = decode_message(&spec, b"\x08\x00\x20\x00").unwrap();
    assert_eq!((&value["replicas"], value.get("minReadySeconds")), (&json!(0), None), "a pointer keeps its zero");
}

#[test]
fn a_zero_time_in_a_map_is_kept_as_null() {
    let ty = definition_named("io.k8s.api.policy.v1.PodDisruptionBudgetStatus").unwrap();
    let mut value = decode_message(&ty, b"").unwrap();
    value["disruptedPods"] = json!({"a": null});
    let bytes = encode_message(&ty, &value);
    assert!(bytes.windows(7).any(|part| part == b"\x12\x05\x0a\x01a\x12\x00"), "{bytes:?}");
    assert_eq!(decode_message(&ty, &bytes).unwrap(), value);
}

#[test]
fn packed_and_unpacked_numbers_are_read() {
    let ty = definition_named("io.k8s.api.core.v1.PodSecurityContext").unwrap();
    let groups = |bytes: &[u8]| decode_message(&ty, bytes).unwrap()["supplementalGroups"].clone();
    assert_eq!(groups(b"\x20\x01\x20\x02"), json!([1, 2]));
    assert_eq!(groups(b"\x22\x02\x01\x02"), json!([1, 2]));
}

#[test]
fn an_embedded_object_may_be_an_envelope_itself() {
    let pod = definition_named("io.k8s.api.core.v1.Pod").unwrap();
    let inner = encode(&pod, &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}));
    let mut raw = vec![0x0a, u8::try_from(inner.len()).unwrap()];
    raw.extend(&inner);
    let mut event = b"\x0a\x05ADDED\x12".to_vec();
    event.push(u8::try_from(raw.len()).unwrap());
    event.extend(&raw);
    let (_, value) = decode(&encode_envelope("v1", "WatchEvent", &event)).unwrap();
    assert_eq!(value["object"]["metadata"]["name"], "a");
    assert_eq!(value["object"]["kind"], "Pod");
}

#[test]
fn errors_say_what_is_wrong_with_the_envelope() {
    let text = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    assert_eq!(
        text(b"{}"),
        "provided data does not appear to be a protobuf message, expected prefix [107, 56, 115, 0]"
    );
    assert_eq!(text(&encode_envelope("v2", "Pod", b"")), "no kind \"Pod\" is registered for version \"v2\"");
    assert_eq!(text(b"k8s\0\x0a\x05"), "unexpected EOF");
    assert_eq!(text(b"k8s\0\x07"), "proto: illegal tag 7");
    assert_eq!(text(b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "proto: integer overflow");
    assert_eq!(text(&encode_envelope("v1", "Pod", b"\x08\x01")), "proto: wrong wireType for field metadata");
    assert_eq!(text(b"k8s\0\x1a\x04gzip"), "unsupported content of runtime.Unknown: gzip");
    let raw = b"\x0a\x01a\x12\x03\x0a\x01{";
    assert_eq!(text(&encode_envelope("v1", "WatchEvent", raw)), "unexpected end of JSON input");
}

#[test]
fn a_schema_nested_past_the_bound_is_an_error() {
    let ty = definition_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").unwrap();
    let mut value = json!({});
    for _ in 0..300 {
        value = json!({ "not": value });
    }
    assert_eq!(decode_message(&ty, &encode_message(&ty, &value)).unwrap_err().to_string(), "proto: exceeded max depth");
}

#[test]
fn the_deepest_schema_with_the_deepest_default_is_read_within_the_stack() {
    let ty = definition_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").unwrap();
    let mut inner = json!(1);
    for _ in 0..128 {
        inner = json!([inner]);
    }
    let mut value = json!({ "default": inner });
    for _ in 0..128 {
        value = json!({ "not": value });
    }
    assert_eq!(decode_message(&ty, &encode_message(&ty, &value)).unwrap(), value);
}

#[test]
fn envelopes_nested_past_the_bound_are_an_error() {
    let field = |number: u8, body: &[u8]| {
        let mut out = vec![number << 3 | 2];
        let mut len = body.len();
        while len >= 0x80 {
            out.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend(body);
        out
    };
    let nested = |levels: usize| {
        let mut bytes = encode_envelope("v1", "WatchEvent", b"");
        for _ in 0..levels {
            bytes = encode_envelope("v1", "WatchEvent", &field(2, &field(1, &bytes)));
        }
        bytes
    };
    assert!(decode(&nested(7)).is_ok());
    assert_eq!(decode(&nested(5_000)).unwrap_err().to_string(), "proto: exceeded max depth");
}
