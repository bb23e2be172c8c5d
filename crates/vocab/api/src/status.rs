//! `metav1.Status`: the API's one error form, with the reasons and texts that clients know.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Resource;

/// Machine-readable reason of a failure (`metav1.StatusReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// 400.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 406.
    NotAcceptable,
    /// 409: the name is taken.
    AlreadyExists,
    /// 409: the object changed, or a precondition does not hold.
    Conflict,
    /// 410: the object or field is permanently gone.
    Gone,
    /// 410: the revision asked for was compacted.
    Expired,
    /// 413.
    RequestEntityTooLarge,
    /// 415.
    UnsupportedMediaType,
    /// 422: validation failed.
    Invalid,
    /// 429.
    TooManyRequests,
    /// 500.
    InternalError,
    /// 503.
    ServiceUnavailable,
    /// 504: the server waited too long.
    Timeout,
    /// 500: the server has no answer now; try again (`retryAfterSeconds`).
    ServerTimeout,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One cause of a failure, usually a field (`metav1.StatusCause`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// E.g. `FieldValueRequired`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What a failure is about (`metav1.StatusDetails`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Resource (plural) or kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Causes, one per field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Seconds after which to try again; 0 when not stated.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// The outcome of a request that does not answer with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Reason; `None` for successes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Text for people.
    #[serde(default)]
    pub message: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

impl Status {
    /// Makes a failure.
    #[must_use]
    pub fn failure(code: u16, reason: Reason, message: impl Into<String>) -> Self {
        Self { code, reason: Some(reason), message: message.into(), details: None }
    }

    /// Makes the answer to a deletion that is complete.
    #[must_use]
    pub fn deleted(resource: &Resource, name: &str, uid: &str) -> Self {
        Self {
            code: 200,
            reason: None,
            message: String::new(),
            details: Some(Details { uid: uid.to_owned(), ..Details::of(resource, name) }),
        }
    }

    /// 400 with `message`.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, Reason::BadRequest, message)
    }

    /// 401; upstream says only `Unauthorized`, so that nothing is learnt from trying.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::failure(401, Reason::Unauthorized, "Unauthorized")
    }

    /// 403 about an object: `pods "web" is forbidden: <why>`.
    #[must_use]
    pub fn forbidden(resource: &Resource, name: &str, why: impl fmt::Display) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", resource.group_resource())
        } else {
            format!("{} {name:?} is forbidden: {why}", resource.group_resource())
        };
        Self::about(403, Reason::Forbidden, message, resource, name)
    }

    /// 404: `pods "web" not found`.
    #[must_use]
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.group_resource());
        Self::about(404, Reason::NotFound, message, resource, name)
    }

    /// 405.
    #[must_use]
    pub fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::failure(405, Reason::MethodNotAllowed, message)
    }

    /// 409: `pods "web" already exists`.
    #[must_use]
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.group_resource());
        Self::about(409, Reason::AlreadyExists, message, resource, name)
    }

    /// 409: `Operation cannot be fulfilled on pods "web": <why>`.
    #[must_use]
    pub fn conflict(resource: &Resource, name: &str, why: impl fmt::Display) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.group_resource());
        Self::about(409, Reason::Conflict, message, resource, name)
    }

    /// 409 for an update of a stale object, in upstream's words.
    #[must_use]
    pub fn modified(resource: &Resource, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 410: the revision asked for is no longer kept.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, Reason::Expired, message)
    }

    /// 413.
    #[must_use]
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::failure(413, Reason::RequestEntityTooLarge, message)
    }

    /// 415.
    #[must_use]
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::failure(415, Reason::UnsupportedMediaType, message)
    }

    /// 422 with one cause per invalid field: `Pod "web" is invalid: spec.containers: Required value`.
    #[must_use]
    pub fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let texts: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} {name:?} is invalid: {list}", resource.group_kind());
        let details = Details { causes, kind: resource.kind.to_owned(), ..Details::of(resource, name) };
        Self { code: 422, reason: Some(Reason::Invalid), message, details: Some(details) }
    }

    /// 429, to be tried again after `retry_after_seconds`.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut status = Self::failure(429, Reason::TooManyRequests, message);
        status.details = Some(Details { retry_after_seconds, ..Details::default() });
        status
    }

    /// 500.
    #[must_use]
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::failure(500, Reason::InternalError, format!("Internal error occurred: {message}"))
    }

    /// 503.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, Reason::ServiceUnavailable, message)
    }

    /// 504.
    #[must_use]
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::failure(504, Reason::Timeout, message)
    }

    /// Tells whether the failure is of this reason.
    #[must_use]
    pub fn is(&self, reason: Reason) -> bool {
        self.reason == Some(reason)
    }

    /// Tells whether the same request may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self.code, 429 | 500 | 502 | 503 | 504)
    }

    /// Encodes as `{"kind":"Status","apiVersion":"v1",...}`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            kind: &'static str,
            api_version: &'static str,
            metadata: Empty,
            status: &'static str,
            #[serde(skip_serializing_if = "str::is_empty")]
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<Reason>,
            #[serde(skip_serializing_if = "Option::is_none")]
            details: Option<&'a Details>,
            code: u16,
        }
        #[derive(Serialize)]
        struct Empty {}
        let wire = Wire {
            kind: "Status",
            api_version: "v1",
            metadata: Empty {},
            status: if self.code < 400 { "Success" } else { "Failure" },
            message: &self.message,
            reason: self.reason,
            details: self.details.as_ref(),
            code: self.code,
        };
        serde_json::to_vec(&wire).expect("a Status holds only text and numbers")
    }

    /// Reads a `Status` from an answer's body, or makes one of the code where the body is none.
    #[must_use]
    pub fn from_answer(code: u16, body: &[u8]) -> Self {
        serde_json::from_slice::<Self>(body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&body[..body.len().min(512)]);
            let reason = match code {
                400 => Reason::BadRequest,
                401 => Reason::Unauthorized,
                403 => Reason::Forbidden,
                404 => Reason::NotFound,
                409 => Reason::Conflict,
                410 => Reason::Gone,
                429 => Reason::TooManyRequests,
                503 => Reason::ServiceUnavailable,
                504 => Reason::Timeout,
                _ => Reason::Unknown,
            };
            Self::failure(code, reason, text.trim())
        })
    }

    fn about(code: u16, reason: Reason, message: String, resource: &Resource, name: &str) -> Self {
        Self { code, reason: Some(reason), message, details: Some(Details::of(resource, name)) }
    }
}

impl Details {
    fn of(resource: &Resource, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            group: resource.group.to_owned(),
            kind: resource.plural.to_owned(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{DEPLOYMENTS, PODS};

    #[test]
    fn messages_are_upstreams() {
        assert_eq!(Status::not_found(&PODS, "web").message, r#"pods "web" not found"#);
        assert_eq!(Status::not_found(&DEPLOYMENTS, "web").message, r#"deployments.apps "web" not found"#);
        let cause = Cause {
            reason: "FieldValueRequired".into(),
            message: "Required value".into(),
            field: "spec.containers".into(),
        };
        let invalid = Status::invalid(&PODS, "web", vec![cause]);
        assert_eq!(invalid.message, r#"Pod "web" is invalid: spec.containers: Required value"#);
        assert_eq!(invalid.code, 422);
    }

    #[test]
    fn survives_the_wire() {
        let status = Status::modified(&DEPLOYMENTS, "web");
        assert_eq!(Status::from_answer(409, &status.to_json()), status);
        let plain = Status::from_answer(503, b"no healthy upstream\n");
        assert_eq!((plain.code, plain.message.as_str()), (503, "no healthy upstream"));
    }
}
