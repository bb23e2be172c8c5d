//! Writes kubeconfig files: the administrator's, and those of components in other processes.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use km_net::pki::{Credential, PkiError, write_private};
use serde_json::{Value, json};

/// Name of the cluster, the context and the user in the file.
const CLUSTER: &str = "km";

/// Returns a kubeconfig for one user of one server (`https://host:port`). JSON, which is YAML too.
#[must_use]
pub fn kubeconfig(server: &str, ca_pem: &str, user: &str, credential: &Credential) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER, "cluster": {
            "server": server,
            "certificate-authority-data": STANDARD.encode(ca_pem),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": STANDARD.encode(&credential.certificate_pem),
            "client-key-data": STANDARD.encode(&credential.key_pem),
        }}],
        "contexts": [{"name": CLUSTER, "context": {"cluster": CLUSTER, "user": user}}],
        "current-context": CLUSTER,
    })
}

/// Writes a kubeconfig with mode 0600.
///
/// # Errors
/// When the file cannot be written.
pub fn write_kubeconfig(path: &Path, kubeconfig: &Value) -> Result<(), PkiError> {
    let mut text = serde_json::to_vec_pretty(kubeconfig).expect("a kubeconfig is text");
    text.push(b'\n');
    write_private(path, &text)
}
