//! One HTTP POST to Mesos and its answer.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::ClientError;

/// Media type of protobuf messages (Mesos docs/scheduler-http-api.md).
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Header that ties calls to their subscription.
pub(crate) const STREAM_ID: &str = "Mesos-Stream-Id";

/// An unreachable host is given up after this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A call that is not answered within this long has failed. Mesos answers calls in milliseconds; a master that
/// recovers holds them for a few seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest error text that is read from a refusal.
const REFUSAL_BYTES_MAX: usize = 16 * 1024;

/// Followed redirects per call: list of masters, non-leader, leader; more is a loop.
const REDIRECTS_MAX: usize = 4;

/// Name and password for HTTP basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Principal.
    pub principal: String,
    /// Secret.
    pub secret: String,
}

impl std::fmt::Debug for Credential {
    /// Shows the principal only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Sends messages to Mesos processes.
#[derive(Clone)]
pub(crate) struct Transport {
    client: Client<HttpConnector, Full<Bytes>>,
    authorization: Option<HeaderValue>,
}

/// One message to one path.
pub(crate) struct Post<'a> {
    /// Path, e.g. `/api/v1/scheduler`.
    pub(crate) path: &'a str,
    /// Type of the call, for error texts.
    pub(crate) call: &'a str,
    /// The encoded message.
    pub(crate) body: Bytes,
    /// Subscription that the call belongs to.
    pub(crate) stream_id: Option<&'a str>,
}

/// A successful answer, and who gave it.
pub(crate) struct Answer {
    /// `host:port` of the answerer: the leader, after redirects.
    pub(crate) peer: String,
    /// `Mesos-Stream-Id`, if any.
    pub(crate) stream_id: Option<String>,
    /// Body, still unread.
    pub(crate) body: Incoming,
}

impl Transport {
    pub(crate) fn new(credential: Option<&Credential>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let authorization = credential.map(|c| {
            let text = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", c.principal, c.secret));
            let mut value = HeaderValue::try_from(format!("Basic {text}")).expect("base64 is valid in a header");
            value.set_sensitive(true);
            value
        });
        Self { client, authorization }
    }

    /// Posts to `peer`, following redirects to the leading master.
    pub(crate) async fn post(&self, peer: &str, post: &Post<'_>) -> Result<Answer, ClientError> {
        let mut peer = peer.to_owned();
        let mut path = post.path.to_owned();
        for _ in 0..REDIRECTS_MAX {
            let answer = self.post_once(&peer, &path, post).await?;
            match answer.status().as_u16() {
                200..=299 => {
                    let stream_id =
                        answer.headers().get(STREAM_ID).and_then(|v| v.to_str().ok()).map(ToOwned::to_owned);
                    return Ok(Answer { peer, stream_id, body: answer.into_body() });
                }
                301 | 302 | 307 | 308 => {
                    let location = answer.headers().get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
                    (peer, path) = redirect(location).ok_or_else(|| ClientError::NoLeader {
                        message: format!("{peer} redirects to {location:?}"),
                    })?;
                }
                code => return Err(refusal(peer, post.call, code, answer.into_body()).await),
            }
        }
        Err(ClientError::NoLeader { message: format!("redirected {REDIRECTS_MAX} times, last to {peer}") })
    }

    async fn post_once(
        &self,
        peer: &str,
        path: &str,
        post: &Post<'_>,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Connect { peer: peer.to_owned(), source };
        let mut request =
            http::Request::post(format!("http://{peer}{path}")).header(CONTENT_TYPE, PROTOBUF).header(ACCEPT, PROTOBUF);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(stream_id) = post.stream_id {
            request = request.header(STREAM_ID, stream_id);
        }
        let request = request.body(Full::new(post.body.clone())).map_err(|e| failed(Box::new(e)))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|e| failed(Box::new(e))),
            Err(elapsed) => Err(failed(Box::new(elapsed))),
        }
    }
}

/// Reads a redirect's target. Mesos writes it scheme-relative: `//host:port/master/api/v1/scheduler`.
fn redirect(location: &str) -> Option<(String, String)> {
    let rest = location.strip_prefix("http:").unwrap_or(location).strip_prefix("//")?;
    let (peer, path) = rest.split_once('/')?;
    (!peer.is_empty()).then(|| (peer.to_owned(), format!("/{path}")))
}

async fn refusal(peer: String, call: &str, code: u16, body: Incoming) -> ClientError {
    let text = Limited::new(body, REFUSAL_BYTES_MAX).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let message = String::from_utf8_lossy(&text).trim().to_owned();
    ClientError::Refused { peer, call: call.to_owned(), code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_scheme_relative() {
        let target = Some(("10.0.0.1:5050".to_owned(), "/master/api/v1/scheduler".to_owned()));
        assert_eq!(redirect("//10.0.0.1:5050/master/api/v1/scheduler"), target);
        assert_eq!(redirect("http://10.0.0.1:5050/master/api/v1/scheduler"), target);
        for nowhere in ["", "/master", "//", "///x"] {
            assert_eq!(redirect(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let credential = Credential { principal: "km".into(), secret: "hunter2".into() };
        assert!(!format!("{credential:?}").contains("hunter2"));
    }
}
