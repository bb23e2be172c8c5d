//! A small HTTP client: kubelet calls, artifact fetches. One pool per identity and trust.
//!
//! It follows no redirect, retries nothing, and leaves the body unread: `body::read_limited` reads it.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body::{self, Body, ReadBodyError};
use crate::tls::{self, Alpn, TlsError};

/// Idle connections are closed after this; a server's keep-alive is usually longer.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// How a client shows who it is and whom it trusts.
#[derive(Clone, Debug, Default)]
pub struct ClientIdentity {
    /// PEM of the CAs that it trusts; without it, `https` is refused.
    pub ca_pem: Option<String>,
    /// A client certificate.
    pub credential: Option<crate::pki::Credential>,
    /// A bearer token, sent with every request.
    pub bearer: Option<String>,
}

/// Why a call brought no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The identity cannot be used.
    #[error("failed to set up the client")]
    Tls(#[from] TlsError),
    /// The token has characters that no header may have.
    #[error("the bearer token is not a header value")]
    Bearer,
    /// `https` was asked of a client that trusts no CA.
    #[error("no CA is configured for {url}")]
    NoCa {
        /// What was asked for.
        url: String,
    },
    /// No connection, or it broke before the response.
    #[error("failed to call {url}")]
    Call {
        /// What was asked for, without its query.
        url: String,
        /// The cause.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// The response did not come in time.
    #[error("{url} did not answer within {timeout_ms} ms")]
    Timeout {
        /// What was asked for, without its query.
        url: String,
        /// The limit.
        timeout_ms: u64,
    },
    /// The response's body could not be read.
    #[error("failed to read the answer of {url}")]
    Read {
        /// What was asked for, without its query.
        url: String,
        /// The cause.
        #[source]
        source: ReadBodyError,
    },
}

/// An HTTP client; clones share the connections.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    authorization: Option<HeaderValue>,
    https: bool,
}

impl HttpClient {
    /// Makes a client. `alpn` is [`Alpn::Http1`] where responses will be upgraded.
    ///
    /// # Errors
    /// `Tls` or `Bearer`, when the identity cannot be used.
    pub fn new(identity: &ClientIdentity, alpn: Alpn, connect_timeout_ms: u64) -> Result<Self, ClientError> {
        let https = identity.ca_pem.is_some();
        let mut tls = match &identity.ca_pem {
            Some(ca) => (*tls::client_config(ca, identity.credential.as_ref(), alpn)?).clone(),
            None => tls::trusting_nobody()?,
        };
        // The connector sets ALPN itself, from the versions enabled below.
        tls.alpn_protocols.clear();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(Duration::from_millis(connect_timeout_ms)));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = match alpn {
            Alpn::Http2Or1 => connector.enable_http1().enable_http2().wrap_connector(tcp),
            Alpn::Http1 => connector.enable_http1().wrap_connector(tcp),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(connector);
        let authorization = identity.bearer.as_deref().map(bearer).transpose()?;
        Ok(Self { client, authorization, https })
    }

    /// Sends a request; waits for the response's head only.
    ///
    /// # Errors
    /// `NoCa`, or `Call` with the cause.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, ClientError> {
        let url = without_query(request.uri());
        if !self.https && request.uri().scheme_str() == Some("https") {
            return Err(ClientError::NoCa { url });
        }
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.client.request(request).await.map_err(|source| ClientError::Call { url, source })?;
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    /// Sends a request and reads the whole response, within a time and a size.
    ///
    /// # Errors
    /// Those of [`HttpClient::send`], `Timeout`, `Read`.
    pub async fn fetch(
        &self,
        request: Request<Body>,
        timeout_ms: u64,
        bytes_max: usize,
    ) -> Result<Response<bytes::Bytes>, ClientError> {
        let url = without_query(request.uri());
        let whole = async {
            let (head, body) = self.send(request).await?.into_parts();
            let read = body::read_limited(body, bytes_max).await;
            let bytes = read.map_err(|source| ClientError::Read { url: url.clone(), source })?;
            Ok(Response::from_parts(head, bytes))
        };
        match tokio::time::timeout(Duration::from_millis(timeout_ms), whole).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::Timeout { url, timeout_ms }),
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| ClientError::Bearer)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Queries can hold tokens, and errors are logged.
fn without_query(uri: &http::Uri) -> String {
    let scheme = uri.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    format!("{scheme}{}{}", uri.authority().map_or("", |authority| authority.as_str()), uri.path())
}
