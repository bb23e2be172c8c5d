//! Service account tokens: signed with this server's own key, checked against the objects they are bound to.
//!
//! Claims are upstream's (k8s 1.37 pkg/serviceaccount/claims.go). A token is valid while its signature, times
//! and audience hold *and* its service account, and the pod or secret it is bound to, still exist with the
//! UIDs it names.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use km_api::resource::{NODES, PODS, SECRETS, SERVICE_ACCOUNTS};
use km_api::{Identity, Resource};
use km_base::{Timestamp, Uid};
use km_mvcc::Snapshot;
use km_registry::TokenClaims;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A pod's token stays valid this long after the pod was marked for deletion, for its last words.
/// k8s 1.37 pkg/serviceaccount/claims.go: 60 s of leeway after deletionTimestamp.
const AFTER_DELETION_SECS: i64 = 60;

/// Signs and checks tokens.
pub(crate) struct Tokens {
    issuer: String,
    /// Audiences of the API server itself.
    audiences: Vec<String>,
    key_id: String,
    signing: EncodingKey,
    checking: DecodingKey,
}

/// The signing key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A new key cannot be written.
    #[error("failed to keep a new service account key")]
    Write(#[source] km_net::pki::PkiError),
    /// The file cannot be read.
    #[error("failed to read the service account key {path}", path = path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no key.
    #[error("service account key {path} is no EC P-256 private key in PEM", path = path.display())]
    Form {
        /// The file.
        path: std::path::PathBuf,
    },
    /// A new key cannot be made.
    #[error("failed to make a service account key")]
    Make(#[source] rcgen::Error),
}

/// Why a token is not valid. Clients learn only that it is not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("token is not signed by this server or its time is over")]
    Signature(#[source] jsonwebtoken::errors::Error),
    #[error("token audiences {found:?} do not include any of {wanted:?}")]
    Audience { found: Vec<String>, wanted: Vec<String> },
    #[error("token names {kind} {name:?}, which is gone")]
    Gone { kind: &'static str, name: String },
    #[error("bootstrap token is unknown")]
    UnknownBootstrap,
    #[error("bootstrap token has expired")]
    Expired,
}

/// Whose token it is.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) identity: Identity,
    /// The audiences asked for that the token is for.
    pub(crate) audiences: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: Vec<String>,
    exp: i64,
    iat: i64,
    iss: String,
    jti: String,
    nbf: i64,
    sub: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

#[derive(Serialize, Deserialize)]
struct Bound {
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    serviceaccount: Reference,
}

#[derive(Serialize, Deserialize)]
struct Reference {
    name: String,
    uid: Uid,
}

impl Reference {
    fn of((name, uid): &(String, Uid)) -> Self {
        Self { name: name.clone(), uid: uid.clone() }
    }
}

impl Tokens {
    /// Reads the signing key, or makes one where the file does not exist (mode 0600).
    ///
    /// # Errors
    /// [`KeyError`].
    pub(crate) fn open(path: &Path, issuer: String, audiences: Vec<String>) -> Result<Self, KeyError> {
        let file = |source| KeyError::File { path: path.to_owned(), source };
        let pem = match std::fs::read_to_string(path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = rcgen::KeyPair::generate().map_err(KeyError::Make)?.serialize_pem();
                km_net::pki::write_private(path, pem.as_bytes()).map_err(KeyError::Write)?;
                pem
            }
            Err(error) => return Err(file(error)),
        };
        let form = || KeyError::Form { path: path.to_owned() };
        let pair = rcgen::KeyPair::from_pem(&pem).map_err(|_| form())?;
        let signing = EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| form())?;
        let public = pair.public_key_pem();
        let checking = DecodingKey::from_ec_pem(public.as_bytes()).map_err(|_| form())?;
        let key_id = URL_SAFE_NO_PAD.encode(Sha256::digest(public.as_bytes()));
        Ok(Self { issuer, audiences, key_id, signing, checking })
    }

    /// Signs a token.
    ///
    /// # Errors
    /// When the signature cannot be made.
    pub(crate) fn sign(&self, claims: &TokenClaims) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        header.typ = None;
        let claims = Claims {
            aud: claims.audiences.clone(),
            exp: claims.expires.as_secs(),
            iat: claims.issued.as_secs(),
            iss: self.issuer.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            nbf: claims.issued.as_secs(),
            sub: user(&claims.namespace, &claims.service_account),
            kubernetes: Bound {
                namespace: claims.namespace.clone(),
                node: claims.node.as_ref().map(Reference::of),
                pod: claims.pod.as_ref().map(Reference::of),
                secret: claims.secret.as_ref().map(Reference::of),
                serviceaccount: Reference {
                    name: claims.service_account.clone(),
                    uid: claims.service_account_uid.clone(),
                },
            },
        };
        jsonwebtoken::encode(&header, &claims, &self.signing)
    }

    /// Checks a token against `audiences` (empty: the API server's own) and the objects it is bound to.
    pub(crate) fn authenticate(
        &self,
        state: &Snapshot,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Bearer, TokenError> {
        let claims = self.verified(token, now)?;
        let wanted = if audiences.is_empty() { &self.audiences } else { audiences };
        let matching: Vec<String> = wanted.iter().filter(|a| claims.aud.contains(a)).cloned().collect();
        if matching.is_empty() {
            return Err(TokenError::Audience { found: claims.aud, wanted: wanted.to_vec() });
        }
        check_bound(state, &claims.kubernetes, now)?;
        Ok(Bearer { identity: identity(claims), audiences: matching })
    }

    fn verified(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[&self.issuer]);
        // Audiences and times are compared here: the one is a request's, the other the injected clock's.
        validation.validate_aud = false;
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.checking, &validation).map_err(TokenError::Signature)?.claims;
        if claims.exp <= now.as_secs() {
            return Err(TokenError::Signature(jsonwebtoken::errors::ErrorKind::ExpiredSignature.into()));
        }
        // A minute for clocks that differ: upstream's jwt.DefaultLeeway.
        if claims.nbf > now.as_secs() + 60 {
            return Err(TokenError::Signature(jsonwebtoken::errors::ErrorKind::ImmatureSignature.into()));
        }
        Ok(claims)
    }
}

fn user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

fn check_bound(state: &Snapshot, bound: &Bound, now: Timestamp) -> Result<(), TokenError> {
    exists(state, &SERVICE_ACCOUNTS, &bound.namespace, &bound.serviceaccount, now)?;
    if let Some(pod) = &bound.pod {
        exists(state, &PODS, &bound.namespace, pod, now)?;
    } else if let Some(node) = &bound.node {
        // A token bound to a pod names the pod's node too, which may be replaced while the pod lives on.
        exists(state, &NODES, "", node, now)?;
    }
    match &bound.secret {
        Some(secret) => exists(state, &SECRETS, &bound.namespace, secret, now),
        None => Ok(()),
    }
}

fn exists(
    state: &Snapshot,
    resource: &Resource,
    namespace: &str,
    reference: &Reference,
    now: Timestamp,
) -> Result<(), TokenError> {
    let key = km_registry::key(resource, namespace, &reference.name);
    let found = state.get(&key).and_then(|entry| crate::view::object(entry)).is_some_and(|object| {
        let meta = object.meta();
        let deleted = meta.deletion_timestamp.is_some_and(|t| t.as_secs() + AFTER_DELETION_SECS < now.as_secs());
        meta.uid == reference.uid && !deleted
    });
    if found { Ok(()) } else { Err(TokenError::Gone { kind: resource.kind, name: reference.name.clone() }) }
}

fn identity(claims: Claims) -> Identity {
    let bound = claims.kubernetes;
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{}", bound.namespace)];
    let mut identity =
        Identity::authenticated(user(&bound.namespace, &bound.serviceaccount.name), &[&groups[0], &groups[1]]);
    identity.uid = bound.serviceaccount.uid.0;
    let mut extra = |key: &str, value: String| {
        identity.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    };
    extra("credential-id", format!("JTI={}", claims.jti));
    if let Some(pod) = bound.pod {
        extra("pod-name", pod.name);
        extra("pod-uid", pod.uid.0);
    }
    if let Some(node) = bound.node {
        extra("node-name", node.name);
        extra("node-uid", node.uid.0);
    }
    identity
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use km_mvcc::{Durability, Expect, Limits, Mvcc, Op, Txn};

    use super::*;

    fn state() -> Mvcc {
        let mut mvcc = Mvcc::new(Limits { events_max: 10, events_bytes_max: 1 << 20 });
        let key = km_registry::key(&SERVICE_ACCOUNTS, "default", "app");
        let json =
            r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"app","namespace":"default","uid":"u1"}}"#;
        let ops = vec![Op::put(key, Expect::Absent, Bytes::from_static(json.as_bytes()))];
        mvcc.apply(Txn { ops, durability: Durability::Sync }).unwrap();
        mvcc
    }

    fn claims(uid: &str) -> TokenClaims {
        TokenClaims {
            namespace: "default".into(),
            service_account: "app".into(),
            service_account_uid: Uid(uid.into()),
            pod: None,
            node: None,
            secret: None,
            audiences: vec!["api".into()],
            issued: Timestamp::from_secs(1_000),
            expires: Timestamp::from_secs(4_600),
        }
    }

    #[test]
    fn token_is_valid_while_its_time_audience_and_account_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sa.key");
        let tokens = Tokens::open(&path, "km".into(), vec!["api".into()]).unwrap();
        let again = Tokens::open(&path, "km".into(), vec!["api".into()]).unwrap();
        let state = state();
        let at = Timestamp::from_secs;
        let token = tokens.sign(&claims("u1")).unwrap();
        let bearer = again.authenticate(state.head(), &token, &[], at(2_000)).unwrap();
        assert_eq!(bearer.identity.user, "system:serviceaccount:default:app");
        assert!(bearer.identity.in_group("system:serviceaccounts:default"));
        assert!(matches!(again.authenticate(state.head(), &token, &[], at(4_600)), Err(TokenError::Signature(_))));
        let other = ["other".to_owned()];
        assert!(matches!(
            again.authenticate(state.head(), &token, &other, at(2_000)),
            Err(TokenError::Audience { .. })
        ));
        let recreated = tokens.sign(&claims("u2")).unwrap();
        assert!(matches!(again.authenticate(state.head(), &recreated, &[], at(2_000)), Err(TokenError::Gone { .. })));
        let foreign = Tokens::open(&dir.path().join("other.key"), "km".into(), vec!["api".into()]).unwrap();
        assert!(matches!(foreign.authenticate(state.head(), &token, &[], at(2_000)), Err(TokenError::Signature(_))));
    }
}
