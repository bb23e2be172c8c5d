//! Reads the ConfigMaps, Secrets and tokens that a pod refers to, on demand.
//!
//! Nothing is cached: a volume's refresh or a container's start asks again, so a change is seen by the next one.

use km_api::resource::{CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS};
use km_api::{Response, Status};
use km_client::Client;
use km_kinds::api::core::v1::{ConfigMap, Pod, Secret};
use serde_json::json;

/// Why something that a pod refers to cannot be had, in the words that a kubelet shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ReferenceError(pub(crate) String);

impl ReferenceError {
    fn of(status: &Status) -> Self {
        Self(status.message.clone())
    }
}

/// Reads a ConfigMap; absent is an answer.
pub(crate) async fn config_map(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<ConfigMap>, ReferenceError> {
    let found = client.find(&CONFIG_MAPS, namespace, name).await.map_err(|status| ReferenceError::of(&status))?;
    found.map(|object| object.decode()).transpose().map_err(|error| ReferenceError(error.to_string()))
}

/// Reads a Secret; absent is an answer.
pub(crate) async fn secret(client: &Client, namespace: &str, name: &str) -> Result<Option<Secret>, ReferenceError> {
    let found = client.find(&SECRETS, namespace, name).await.map_err(|status| ReferenceError::of(&status))?;
    found.map(|object| object.decode()).transpose().map_err(|error| ReferenceError(error.to_string()))
}

/// What "not found" is called: `configmap "x" not found`.
pub(crate) fn not_found(kind: &str, name: &str) -> ReferenceError {
    ReferenceError(format!("{kind} {name:?} not found"))
}

/// Asks for a token of the pod's service account, bound to the pod.
pub(crate) async fn token(
    client: &Client,
    pod: &Pod,
    audience: Option<&str>,
    expiration_seconds: i64,
) -> Result<String, ReferenceError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let audiences: Vec<&str> = audience.into_iter().filter(|a| !a.is_empty()).collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": audiences,
            "expirationSeconds": expiration_seconds,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod.metadata.name,
                "uid": pod.metadata.uid,
            },
        },
    });
    let answer = client.post(&SERVICE_ACCOUNTS, namespace, account, "token", body.to_string()).await;
    let failed =
        |why: &str| ReferenceError(format!("failed to fetch token for service account {namespace}/{account}: {why}"));
    match answer {
        Ok(Response::Object(object) | Response::Created(object)) => {
            let token = object.to_value()["status"]["token"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() { Err(failed("the answer holds none")) } else { Ok(token) }
        }
        Ok(_) => Err(failed("the answer is not a TokenRequest")),
        Err(status) => Err(failed(&status.message)),
    }
}
