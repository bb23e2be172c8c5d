//! Validation errors in upstream's form: a field's path, a reason and a text.
//!
//! Source of the texts: apimachinery `pkg/util/validation/field/errors.go`, v1.37.

use std::fmt::Display;

use km_api::{Cause, Resource, Status};
use serde_json::Value;

/// The errors found in one object, in the order of finding.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<Cause>);

impl Errors {
    /// The field must be set.
    pub(crate) fn required(&mut self, path: impl Display, detail: &str) {
        self.push("FieldValueRequired", path, "Required value".into(), detail);
    }

    /// The text is malformed.
    pub(crate) fn invalid(&mut self, path: impl Display, value: &str, detail: impl AsRef<str>) {
        self.push("FieldValueInvalid", path, format!("Invalid value: {value:?}"), detail.as_ref());
    }

    /// The value, printed as JSON, is malformed.
    pub(crate) fn invalid_value(&mut self, path: impl Display, value: &Value, detail: impl AsRef<str>) {
        self.push("FieldValueInvalid", path, format!("Invalid value: {value}"), detail.as_ref());
    }

    /// The value is taken.
    pub(crate) fn duplicate(&mut self, path: impl Display, value: &Value) {
        self.push("FieldValueDuplicate", path, format!("Duplicate value: {value}"), "");
    }

    /// The value is not one of an enumeration.
    pub(crate) fn not_supported(&mut self, path: impl Display, value: &str, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|v| format!("{v:?}")).collect();
        let detail = format!("supported values: {}", list.join(", "));
        self.push("FieldValueNotSupported", path, format!("Unsupported value: {value:?}"), &detail);
    }

    /// The value refers to nothing.
    pub(crate) fn not_found(&mut self, path: impl Display, value: &str) {
        self.push("FieldValueNotFound", path, format!("Not found: {value:?}"), "");
    }

    /// The field must not be set or changed.
    pub(crate) fn forbidden(&mut self, path: impl Display, detail: impl AsRef<str>) {
        self.push("FieldValueForbidden", path, "Forbidden".into(), detail.as_ref());
    }

    /// The value has too many bytes.
    pub(crate) fn too_long(&mut self, path: impl Display, max: usize) {
        let detail = format!("may not be more than {max} bytes");
        self.push("FieldValueTooLong", path, "Too long".into(), &detail);
    }

    /// Adds `Invalid` for each of `messages`.
    pub(crate) fn invalid_all(&mut self, path: impl Display, value: &str, messages: Vec<String>) {
        for message in messages {
            self.invalid(&path, value, message);
        }
    }

    /// Tells whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails with 422 when something was found.
    pub(crate) fn into_result(self, resource: &Resource, name: &str) -> Result<(), Status> {
        if self.0.is_empty() { Ok(()) } else { Err(Status::invalid(resource, name, self.0)) }
    }

    fn push(&mut self, reason: &str, path: impl Display, mut message: String, detail: &str) {
        if !detail.is_empty() {
            message.push_str(": ");
            message.push_str(detail);
        }
        self.0.push(Cause { reason: reason.into(), message, field: path.to_string() });
    }
}
