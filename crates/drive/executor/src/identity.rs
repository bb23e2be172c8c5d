//! The executor's identity: a bootstrap token becomes a certificate, by CSR, once.
//!
//! Client and serving certificate are kept outside the sandbox (Mesos shows its files) with mode 0600, so that an executor which starts
//! again needs no token. Whether a request is approved and signed is the control plane's decision.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use km_api::resource::CERTIFICATE_SIGNING_REQUESTS;
use km_api::{Object, Status};
use km_base::Timestamp;
use km_client::Client;
use km_net::pki::{self, Credential, PkiError};
use km_podwire::ExecutorData;
use serde_json::json;
use tracing::{debug, info};

/// Who signs client certificates of nodes.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Who signs serving certificates of nodes.
const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
/// How often a pending request is looked at.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Longest wait for a signature.
const SIGNED_WITHIN: Duration = Duration::from_secs(60);
/// A certificate that ends sooner is not taken up again.
const REMAINING_MIN: Duration = Duration::from_secs(3_600);

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("failed to make a signing request")]
    Request(#[source] PkiError),
    #[error("failed to ask for a certificate by {signer}")]
    Ask {
        signer: &'static str,
        #[source]
        source: Status,
    },
    #[error("the request for a certificate by {signer} was denied: {message}")]
    Denied { signer: &'static str, message: String },
    #[error("the request for a certificate by {signer} was not signed within {} s", SIGNED_WITHIN.as_secs())]
    Unsigned { signer: &'static str },
    #[error("failed to keep the certificate")]
    Keep(#[source] PkiError),
}

impl IdentityError {
    /// Tells whether the credential that was shown is of no use any more: a bootstrap token that has ended, or that was
    /// used up by a request whose answer was lost.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Ask { source, .. } => source.code == 401,
            Self::Denied { .. } => true,
            Self::Request(_) | Self::Unsigned { .. } | Self::Keep(_) => false,
        }
    }
}

/// Which certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Client,
    Serving,
}

impl Kind {
    fn signer(self) -> &'static str {
        match self {
            Self::Client => CLIENT_SIGNER,
            Self::Serving => SERVING_SIGNER,
        }
    }

    fn file(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Self::Client => "client.pem",
            Self::Serving => "serving.pem",
        })
    }
}

/// Returns a certificate of an earlier life that is still good.
pub(crate) fn kept(dir: &Path, kind: Kind, now: Timestamp) -> Option<Credential> {
    let text = std::fs::read_to_string(kind.file(dir)).ok()?;
    let split = text.find("-----BEGIN PRIVATE KEY-----")?;
    let credential = Credential { certificate_pem: text[..split].to_owned(), key_pem: text[split..].to_owned() };
    let ends = pki::not_after(&credential.certificate_pem).ok()?;
    (ends > now + REMAINING_MIN).then_some(credential)
}

/// Gets a certificate signed and keeps it.
pub(crate) async fn obtain(
    client: &Client,
    data: &ExecutorData,
    dir: &Path,
    kind: Kind,
) -> Result<Credential, IdentityError> {
    let user = format!("system:node:{}", data.node_name);
    let names = match kind {
        Kind::Client => Vec::new(),
        Kind::Serving => vec![data.node_name.clone(), data.node_ip.clone()],
    };
    let (request, key_pem) = pki::make_request(&user, Some("system:nodes"), &names).map_err(IdentityError::Request)?;
    let signer = kind.signer();
    let usages = match kind {
        Kind::Client => ["digital signature", "client auth"],
        Kind::Serving => ["digital signature", "server auth"],
    };
    let body = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "csr-"},
        "spec": {"request": STANDARD.encode(&request), "signerName": signer, "usages": usages},
    });
    let asked = |source| IdentityError::Ask { signer, source };
    let created = client.create(&CERTIFICATE_SIGNING_REQUESTS, "", body.to_string()).await.map_err(asked)?;
    let certificate_pem = tokio::time::timeout(SIGNED_WITHIN, signed(client, &created.meta().name, signer))
        .await
        .map_err(|_| IdentityError::Unsigned { signer })??;
    let kept = format!("{}\n{key_pem}", certificate_pem.trim_end());
    pki::write_private(&kind.file(dir), kept.as_bytes()).map_err(IdentityError::Keep)?;
    info!(signer, node = data.node_name, "got a certificate");
    Ok(Credential { certificate_pem, key_pem })
}

async fn signed(client: &Client, name: &str, signer: &'static str) -> Result<String, IdentityError> {
    loop {
        match client.get(&CERTIFICATE_SIGNING_REQUESTS, "", name).await {
            Ok(object) => {
                if let Some(answer) = answer(&object, signer) {
                    return answer;
                }
            }
            Err(status) if status.retryable() => debug!(error = %status, "failed to look at the signing request"),
            Err(source) => return Err(IdentityError::Ask { signer, source }),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Returns the certificate or the refusal, once there is one.
fn answer(request: &Object, signer: &'static str) -> Option<Result<String, IdentityError>> {
    let value = request.to_value();
    let status = &value["status"];
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    if let Some(condition) = conditions.find(|c| c["type"] == "Denied" || c["type"] == "Failed") {
        let message = condition["message"].as_str().unwrap_or_default().to_owned();
        return Some(Err(IdentityError::Denied { signer, message }));
    }
    let bytes = STANDARD.decode(status["certificate"].as_str().filter(|text| !text.is_empty())?).ok()?;
    String::from_utf8(bytes).ok().map(Ok)
}

#[cfg(test)]
mod tests {
    use km_api::Reason;

    use super::*;

    #[test]
    fn a_token_that_is_over_or_used_up_is_of_no_use() {
        let asked =
            |code, reason| IdentityError::Ask { signer: CLIENT_SIGNER, source: Status::failure(code, reason, "") };
        assert!(asked(401, Reason::Unauthorized).is_refusal());
        assert!(IdentityError::Denied { signer: CLIENT_SIGNER, message: "used before".into() }.is_refusal());
        assert!(!asked(403, Reason::Forbidden).is_refusal());
        assert!(!asked(503, Reason::ServiceUnavailable).is_refusal());
        assert!(!IdentityError::Unsigned { signer: CLIENT_SIGNER }.is_refusal());
    }
}
