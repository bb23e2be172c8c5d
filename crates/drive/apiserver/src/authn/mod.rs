//! Who makes a request: client certificates, service account tokens, bootstrap tokens, or nobody.
//!
//! A credential that is presented and wrong is a 401, never anonymous. Components in this process bring an
//! [`Identity`] as a type and never come here.

mod bootstrap;
mod tokens;

use km_api::{Identity, Status};
use km_base::Timestamp;
use km_mvcc::Snapshot;

pub(crate) use bootstrap::{BootstrapToken, token_of_user};
pub use tokens::KeyError;
pub(crate) use tokens::{Bearer, TokenError, Tokens};

/// What a connection and a request present.
pub(crate) struct Credentials<'a> {
    /// Identity in a verified client certificate.
    pub(crate) certificate: Option<&'a Identity>,
    /// The `Authorization` header, or what stands in for it.
    pub(crate) authorization: Option<&'a str>,
}

/// Returns who makes a request.
///
/// # Errors
/// 401 when a token is presented that is not valid.
pub(crate) fn authenticate(
    tokens: &Tokens,
    state: &Snapshot,
    credentials: &Credentials<'_>,
    now: Timestamp,
) -> Result<Identity, Status> {
    if let Some(identity) = credentials.certificate {
        return Ok(identity.clone());
    }
    let Some(authorization) = credentials.authorization else { return Ok(Identity::anonymous()) };
    let token = match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        // Another scheme is no credential of ours; upstream passes it over as well.
        _ => return Ok(Identity::anonymous()),
    };
    if token.is_empty() {
        return Ok(Identity::anonymous());
    }
    bearer(tokens, state, token, &[], now).map(|bearer| bearer.identity).map_err(|error| {
        tracing::debug!(error = %km_base::chain(&error), "refused a bearer token");
        Status::unauthorized()
    })
}

/// Returns whose token this is; empty `audiences` means the API server's own.
///
/// # Errors
/// Why the token is not valid.
pub(crate) fn bearer(
    tokens: &Tokens,
    state: &Snapshot,
    token: &str,
    audiences: &[String],
    now: Timestamp,
) -> Result<Bearer, TokenError> {
    if let Some(token) = BootstrapToken::parse(token) {
        return token.authenticate(state, now).map(|identity| Bearer { identity, audiences: Vec::new() });
    }
    tokens.authenticate(state, token, audiences, now)
}
