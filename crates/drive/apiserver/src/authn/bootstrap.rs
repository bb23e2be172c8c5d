//! Bootstrap tokens: what an executor presents once, to get its own certificate.
//!
//! Upstream's form (k8s 1.37 plugin/pkg/auth/authenticator/token/bootstrap): a Secret
//! `kube-system/bootstrap-token-<id>` of type `bootstrap.kubernetes.io/token`. km's framework adds the keys
//! `node-name` and `agent-id`, which bind the token to one node: the approver of `csr.rs` holds it to them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use km_api::resource::SECRETS;
use km_api::{Identity, Object};
use km_base::Timestamp;
use km_mvcc::Snapshot;
use serde_json::Value;

use super::TokenError;

/// Prefix of the user names of bootstrap tokens.
const USER_PREFIX: &str = "system:bootstrap:";
/// The group that every bootstrap token is in.
const BOOTSTRAPPERS: &str = "system:bootstrappers";

/// A presented token, `<id>.<secret>`.
pub(crate) struct BootstrapToken<'a> {
    id: &'a str,
    secret: &'a str,
}

/// The Secret behind a token.
pub(crate) struct TokenSecret {
    value: Value,
    /// Name of the Secret.
    pub(crate) name: String,
}

/// Returns the Secret of the token that authenticated `user`, if it still exists.
pub(crate) fn token_of_user(state: &Snapshot, user: &str) -> Option<TokenSecret> {
    user.strip_prefix(USER_PREFIX).and_then(|id| TokenSecret::find(state, id))
}

impl<'a> BootstrapToken<'a> {
    /// Reads a token of this form: six and sixteen characters of `[a-z0-9]`.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.split_once('.')?;
        let plain = |t: &str| t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret)).then_some(Self { id, secret })
    }

    /// Returns the identity that the token stands for.
    pub(crate) fn authenticate(&self, state: &Snapshot, now: Timestamp) -> Result<Identity, TokenError> {
        let secret = TokenSecret::find(state, self.id).ok_or(TokenError::UnknownBootstrap)?;
        if secret.data("token-id") != self.id || !equal(&secret.data("token-secret"), self.secret) {
            return Err(TokenError::UnknownBootstrap);
        }
        if secret.is_expired(now) {
            return Err(TokenError::Expired);
        }
        if secret.data("usage-bootstrap-authentication") != "true" {
            return Err(TokenError::UnknownBootstrap);
        }
        let mut identity = Identity::authenticated(format!("{USER_PREFIX}{}", self.id), &[BOOTSTRAPPERS]);
        let extra = secret.data("auth-extra-groups");
        identity.groups.extend(
            extra.split(',').map(str::trim).filter(|g| g.starts_with("system:bootstrappers:")).map(str::to_owned),
        );
        Ok(identity)
    }
}

impl TokenSecret {
    fn find(state: &Snapshot, id: &str) -> Option<Self> {
        let name = format!("bootstrap-token-{id}");
        let entry = state.get(&km_registry::key(&SECRETS, "kube-system", &name))?;
        let object: Object = crate::view::object(entry)?;
        if object.meta().is_terminating() {
            return None;
        }
        let value = object.to_value();
        (value["type"] == "bootstrap.kubernetes.io/token").then_some(Self { value, name })
    }

    /// Returns one key of the Secret as text, or empty.
    pub(crate) fn data(&self, key: &str) -> String {
        let encoded = self.value["data"][key].as_str().unwrap_or_default();
        STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Returns the version of the Secret that was read.
    pub(crate) fn resource_version(&self) -> &str {
        self.value["metadata"]["resourceVersion"].as_str().unwrap_or_default()
    }

    /// Returns an annotation, or empty.
    pub(crate) fn annotation(&self, key: &str) -> &str {
        self.value["metadata"]["annotations"][key].as_str().unwrap_or_default()
    }

    /// Tells whether the token's time is over.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        let expiration = self.data("expiration");
        // One without expiration lives until it is deleted; one that cannot be read never was valid.
        !expiration.is_empty() && Timestamp::parse(&expiration).map_or(true, |end| end <= now)
    }
}

/// Compares secrets in a time that does not depend on where they differ.
fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |different, (x, y)| different | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_of_the_documented_form_are_bootstrap_tokens() {
        assert!(BootstrapToken::parse("abcdef.0123456789abcdef").is_some());
        for other in ["abcdef", "abcdef.short", "ABCDEF.0123456789abcdef", "a.b.c", ""] {
            assert!(BootstrapToken::parse(other).is_none(), "{other}");
        }
    }
}
