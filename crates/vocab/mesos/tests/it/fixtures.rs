//! Every recorded record decodes; what Mesos wrote is what we would have written.

use std::path::{Path, PathBuf};

use km_mesos::recordio::Decoder;
use km_mesos::{agent, executor, master, scheduler};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Keys that this crate leaves out on purpose: only Mesos's own containerizer needs them.
const ABSENT: &[&str] = &[
    "resource_providers",
    "resource_statistics",
    "image",
    "linux_info",
    "seccomp",
    "rlimit_info",
    "tty_info",
    "get_resource_providers",
    "get_quota",
    "level",
];

/// How many such fields one record of the fixtures holds at most.
const INTERNAL_FIELDS_MAX: usize = 1;

struct HttpMessage {
    head: String,
    body: Vec<u8>,
    chunked: bool,
}

impl HttpMessage {
    fn has(&self, text: &str) -> bool {
        self.head.to_ascii_lowercase().contains(text)
    }
}

/// Splits a recorded direction of a connection into its messages; a stream that was cut off ends where it was cut.
fn http_messages(mut bytes: &[u8]) -> Vec<HttpMessage> {
    let mut messages = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes = &bytes[end + 4..];
        let lower = head.to_ascii_lowercase();
        let chunked = lower.contains("transfer-encoding: chunked");
        let body = if chunked {
            let (body, rest) = dechunk(bytes);
            bytes = rest;
            body
        } else {
            let len = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |text| text.trim().parse::<usize>().expect("recorded length"))
                .min(bytes.len());
            let (body, rest) = bytes.split_at(len);
            bytes = rest;
            body.to_vec()
        };
        messages.push(HttpMessage { head, body, chunked });
    }
    messages
}

fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let text = std::str::from_utf8(&bytes[..end]).expect("chunk size");
        let len = usize::from_str_radix(text, 16).expect("chunk size");
        let start = end + 2;
        if len == 0 {
            return (body, bytes.get(start + 2..).unwrap_or_default());
        }
        body.extend_from_slice(&bytes[start..(start + len).min(bytes.len())]);
        bytes = bytes.get(start + len + 2..).unwrap_or_default();
    }
    (body, bytes)
}

/// Fails on a value that Mesos wrote and we would not, other than those left out on purpose and empty lists.
fn assert_kept(at: &str, theirs: &Value, ours: &Value) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                if ABSENT.contains(&key.as_str()) || value.as_array().is_some_and(Vec::is_empty) {
                    continue;
                }
                if key == "checkpoint" && at.ends_with("agent_info") {
                    continue; // internal, see INTERNAL_FIELDS_MAX
                }
                let own = ours.get(key).unwrap_or_else(|| panic!("{at}.{key} is lost: {value}"));
                assert_kept(&format!("{at}.{key}"), value, own);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            assert_eq!(theirs.len(), ours.len(), "{at}");
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                assert_kept(&format!("{at}[{index}]"), theirs, ours);
            }
        }
        // serde_json's ordinary float parser may be off in the last bit; timestamps show it.
        (Value::Number(theirs), Value::Number(ours)) => {
            let (theirs, ours) = (theirs.as_f64().expect("finite"), ours.as_f64().expect("finite"));
            assert!((theirs - ours).abs() <= theirs.abs() * 1e-15, "{at}: {theirs} {ours}");
        }
        _ => assert_eq!(theirs, ours, "{at}"),
    }
}

fn check<M: Message + Default + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    name: &str,
    json: bool,
    record: &[u8],
) {
    let message: M = if json {
        let message: M = serde_json::from_slice(record).unwrap_or_else(|error| panic!("{name}: {error}"));
        let theirs: Value = serde_json::from_slice(record).expect("JSON");
        assert_kept(name, &theirs, &serde_json::to_value(&message).expect("encodes"));
        message
    } else {
        let message = M::decode(record).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Mesos passes on a few fields of its internal messages that v1 does not name, such as SlaveInfo.checkpoint
        // (2 bytes). They are all that may go.
        let lost = record.len() - message.encode_to_vec().len();
        assert!(lost <= 2 * INTERNAL_FIELDS_MAX, "{name}: {lost} bytes are lost of {message:?}");
        message
    };
    let again: M = M::decode(message.encode_to_vec().as_slice()).expect("decodes what we encode");
    assert!(again == message, "{name}: protobuf round trip");
    let text = serde_json::to_vec(&message).expect("encodes");
    let again: M = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value = |message: &M| serde_json::to_value(message).expect("encodes");
    assert_kept(name, &value(&message), &value(&again));
}

/// Which messages a connection carries, by the path of its request and the port of the peer.
#[derive(Clone, Copy)]
enum Api {
    Scheduler,
    Executor,
    Master,
    Agent,
}

fn check_call(api: Api, name: &str, json: bool, body: &[u8]) {
    match api {
        Api::Scheduler => check::<scheduler::Call>(name, json, body),
        Api::Executor => check::<executor::Call>(name, json, body),
        Api::Master => check::<master::Call>(name, json, body),
        Api::Agent => check::<agent::Call>(name, json, body),
    }
}

fn check_answer(api: Api, name: &str, answer: &HttpMessage) -> usize {
    let json = answer.has("content-type: application/json");
    if !answer.chunked {
        match api {
            Api::Master => check::<master::Response>(name, json, &answer.body),
            Api::Agent => check::<agent::Response>(name, json, &answer.body),
            Api::Scheduler | Api::Executor => panic!("{name}: an answer that is no stream"),
        }
        return 1;
    }
    let records = Decoder::default().push(&answer.body).expect("RecordIO");
    for record in &records {
        match api {
            Api::Scheduler => check::<scheduler::Event>(name, json, record),
            Api::Executor => check::<executor::Event>(name, json, record),
            Api::Master => check::<master::Event>(name, json, record),
            Api::Agent => panic!("{name}: the agent streams nothing that we read"),
        }
    }
    records.len()
}

fn check_connection(path: &Path) -> usize {
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let sent = http_messages(&std::fs::read(path).expect("readable"));
    let answered = path.with_file_name(name.replace(".c2s.", ".s2c."));
    let answers = http_messages(&std::fs::read(answered).expect("readable"));
    let mut checked = 0;
    for (call, answer) in sent.iter().zip(&answers) {
        let is_agent = call.has("host: 127.0.0.1:15051") || call.has("host: 127.0.0.1:15052");
        let api = match call.head.split_whitespace().nth(1) {
            Some("/api/v1/scheduler") => Api::Scheduler,
            Some("/api/v1/executor") => Api::Executor,
            Some("/api/v1") if is_agent => Api::Agent,
            Some("/api/v1") => Api::Master,
            _ => continue,
        };
        if !answer.head.contains(" 200 ") && !answer.head.contains(" 202 ") {
            continue;
        }
        check_call(api, &name, call.has("content-type: application/json"), &call.body);
        checked += 1;
        if answer.head.contains(" 200 ") && !answer.body.is_empty() && !answer.has("content-encoding: gzip") {
            checked += check_answer(api, &name, answer);
        }
    }
    checked
}

#[test]
fn recorded_exchanges_decode_and_lose_nothing() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut connections: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("entry").path()).collect();
    connections.retain(|path| path.to_string_lossy().ends_with(".c2s.bin"));
    let checked: usize = connections.iter().map(|path| check_connection(path)).sum();
    assert!(checked >= 60, "only {checked} records in {} connections", connections.len());
}
