//! What the two encodings do with values that do not fit.

use km_mesos::scheduler::{Event, event};
use km_mesos::{TaskInfo, TaskState, TaskStatus, task_status, value};
use prost::Message;

#[test]
fn unknown_enum_names_and_fields_do_not_fail_an_event() {
    let text = r#"{"type":"UPDATE","brand_new":1,"update":{"status":{"task_id":{"value":"t"},
        "state":"TASK_SLEEPING","reason":"REASON_OF_TOMORROW","source":"SOURCE_AGENT","uuid":"AAECAw=="}}}"#;
    let event: Event = serde_json::from_str(text).expect("decodes");
    assert_eq!(event.r#type(), event::Type::Update);
    let status = event.update.expect("update").status;
    assert_eq!(status.known_state(), None);
    assert_eq!(status.reason, None);
    assert_eq!(status.source(), task_status::Source::Agent);
    assert_eq!(status.uuid.as_deref(), Some(&[0, 1, 2, 3][..]));
    assert!(status.needs_acknowledgement());
}

#[test]
fn unknown_enum_numbers_are_kept() {
    let status = TaskStatus { state: 77, ..TaskStatus::default() };
    let again = TaskStatus::decode(status.encode_to_vec().as_slice()).expect("decodes");
    assert_eq!((again.state, again.known_state()), (77, None));
    let json: TaskStatus = serde_json::from_value(serde_json::to_value(&status).expect("encodes")).expect("decodes");
    assert_eq!(json.state, 77);
}

#[test]
fn infinite_limits_pass_both_encodings() {
    let mut task = TaskInfo::default();
    task.limits.insert("mem".to_owned(), value::Scalar { value: f64::INFINITY });
    let text = serde_json::to_string(&task).expect("encodes");
    assert!(text.contains(r#""limits":{"mem":{"value":"Infinity"}}"#), "{text}");
    assert_eq!(serde_json::from_str::<TaskInfo>(&text).expect("decodes"), task);
    assert_eq!(TaskInfo::decode(task.encode_to_vec().as_slice()).expect("decodes"), task);
}

#[test]
fn a_missing_required_field_fails_in_json() {
    let error = serde_json::from_str::<TaskStatus>(r#"{"task_id":{}}"#).expect_err("id without value");
    assert!(error.to_string().contains("missing field `value`"), "{error}");
}

#[test]
fn terminal_states_are_those_of_mesos() {
    let terminal: Vec<&str> = (0..=13)
        .filter_map(|number| TaskState::try_from(number).ok())
        .filter(|state| state.is_terminal())
        .map(TaskState::wire_name)
        .collect();
    assert_eq!(
        terminal,
        [
            "TASK_FINISHED",
            "TASK_FAILED",
            "TASK_KILLED",
            "TASK_LOST",
            "TASK_ERROR",
            "TASK_DROPPED",
            "TASK_GONE",
            "TASK_GONE_BY_OPERATOR"
        ]
    );
}
