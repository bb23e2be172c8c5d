//! Nodes, events, leases, certificate signing requests. Source: upstream v1.37 `pkg/apis/{core,coordination,
//! certificates}/validation`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use km_api::Quantity;
use serde_json::{Value, json};

use crate::field::Errors;
use crate::value::{at, entries, int, list, text};

/// Validates a Node.
pub(crate) fn node(object: &Value, errors: &mut Errors) {
    let known = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
    for (i, taint) in list(object, "spec.taints").iter().enumerate() {
        let path = format!("spec.taints[{i}]");
        let key = text(taint, "key");
        errors.invalid_all(format!("{path}.key"), key, crate::names::qualified_name(key));
        match text(taint, "effect") {
            "" => errors.required(format!("{path}.effect"), ""),
            effect if !known.contains(&effect) => errors.not_supported(format!("{path}.effect"), effect, known),
            _ => {}
        }
        let same = |other: &Value| text(other, "key") == key && text(other, "effect") == text(taint, "effect");
        if list(object, "spec.taints")[..i].iter().any(same) {
            errors.duplicate(path, taint);
        }
    }
    for kind in ["capacity", "allocatable"] {
        for (name, amount) in entries(object, &format!("status.{kind}")) {
            let amount = amount.as_str().unwrap_or_default();
            if Quantity::parse(amount).is_ok_and(Quantity::is_negative) {
                errors.invalid(format!("status.{kind}[{name}]"), amount, "must be greater than or equal to 0");
            }
        }
    }
}

/// Validates a change of a Node.
pub(crate) fn node_update(old: &Value, new: &Value, errors: &mut Errors) {
    for field in ["podCIDR", "providerID"] {
        let path = format!("spec.{field}");
        let before = text(old, &path);
        if !before.is_empty() && before != text(new, &path) {
            errors.forbidden(path, "node updates may not change ".to_owned() + field + " except from \"\" to valid");
        }
    }
}

/// Validates an Event, in either form.
pub(crate) fn event(object: &Value, errors: &mut Errors) {
    let namespace = text(object, "metadata.namespace");
    let path = if at(object, "regarding").is_some() { "regarding" } else { "involvedObject" };
    let about = text(object, &format!("{path}.namespace"));
    let fits = if about.is_empty() { namespace == "default" || namespace == "kube-system" } else { about == namespace };
    if !fits {
        errors.invalid("involvedObject.namespace", about, "does not match event.namespace");
    }
}

/// Validates a Lease.
pub(crate) fn lease(object: &Value, errors: &mut Errors) {
    for field in ["leaseDurationSeconds", "leaseTransitions"] {
        let Some(number) = int(object, &format!("spec.{field}")) else { continue };
        if field == "leaseDurationSeconds" && number <= 0 {
            errors.invalid_value(format!("spec.{field}"), &json!(number), "must be greater than 0");
        } else if number < 0 {
            errors.invalid_value(format!("spec.{field}"), &json!(number), "must be greater than or equal to 0");
        }
    }
}

/// How a request for a certificate begins.
const CSR_PEM: &[u8] = b"-----BEGIN CERTIFICATE REQUEST-----";

/// Validates a CertificateSigningRequest.
pub(crate) fn csr(object: &Value, errors: &mut Errors) {
    // What stands in the block is the signer's to read: it alone can parse X.509.
    let request = text(object, "spec.request");
    let pem = STANDARD.decode(request).unwrap_or_default();
    if !pem.windows(CSR_PEM.len()).any(|window| window == CSR_PEM) {
        errors.invalid("spec.request", request, "PEM block type must be CERTIFICATE REQUEST");
    }
    if list(object, "spec.usages").is_empty() {
        errors.required("spec.usages", "");
    }
    match text(object, "spec.signerName") {
        "" => errors.required("spec.signerName", ""),
        name if !name.contains('/') || name.starts_with('/') || name.ends_with('/') => {
            let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            errors.invalid("spec.signerName", name, detail);
        }
        _ => {}
    }
    if let Some(seconds) = int(object, "spec.expirationSeconds").filter(|n| *n < 600) {
        errors.invalid_value(
            "spec.expirationSeconds",
            &json!(seconds),
            "may not specify a duration less than 600 seconds (10 minutes)",
        );
    }
}

/// Validates a change of a CertificateSigningRequest.
pub(crate) fn csr_update(old: &Value, new: &Value, errors: &mut Errors) {
    if old.get("spec") != new.get("spec") {
        errors.forbidden("spec", "field is immutable");
    }
}
