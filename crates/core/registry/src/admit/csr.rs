//! Certificate signing requests: who asks is the server's knowledge, and who approves or signs must be allowed to.
//!
//! Source: upstream v1.37 `pkg/registry/certificates`, `plugin/pkg/admission/certificates/{approval,signing}`.

use km_api::Status;
use km_api::identity::SYSTEM_MASTERS;
use serde_json::{Value, json};

use crate::admit::Admission;
use crate::rbac::{Asked, Policy};
use crate::value::{object_mut, set, text};

/// Writes the requester into a new request; checks that an approver or signer may act for the signer's name.
pub(crate) fn requester(admission: &Admission<'_>, csr: &mut Value) -> Result<(), Status> {
    let identity = admission.call.identity;
    if let Some(old) = admission.old {
        let (verb, doing) = match admission.call.request.subresource.as_str() {
            "approval" => ("approve", "approve"),
            "status" if text(old, "status.certificate") != text(csr, "status.certificate") => ("sign", "sign"),
            _ => return Ok(()),
        };
        let signer = text(old, "spec.signerName");
        if may(admission, verb, signer) {
            return Ok(());
        }
        let why = format!("user not permitted to {doing} requests with signerName {signer:?}");
        return Err(admission.forbidden(csr, why));
    }
    let spec = object_mut(csr, "spec");
    for field in ["uid", "extra"] {
        spec.remove(field);
    }
    set(csr, "spec.username", identity.user.as_str());
    set(csr, "spec.groups", json!(identity.groups));
    if !identity.uid.is_empty() {
        set(csr, "spec.uid", identity.uid.as_str());
    }
    if !identity.extra.is_empty() {
        set(csr, "spec.extra", json!(identity.extra));
    }
    Ok(())
}

/// Tells whether the caller may `verb` requests of this signer, or of all signers in its domain.
fn may(admission: &Admission<'_>, verb: &str, signer: &str) -> bool {
    let identity = admission.call.identity;
    if identity.in_group(SYSTEM_MASTERS) {
        return true;
    }
    let policy = Policy::of(admission.view);
    let domain = signer.split_once('/').map(|(domain, _)| format!("{domain}/*")).unwrap_or_default();
    [signer, domain.as_str()].iter().any(|name| {
        let asked = Asked { verb, group: "certificates.k8s.io", resource: "signers", subresource: "", name, url: "" };
        policy.allows(identity, "", asked).is_some()
    })
}
