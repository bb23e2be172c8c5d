//! Paths, methods, credentials and encodings of the agent's HTTP endpoints. Every call becomes one [`Input`] to the loop.
//!
//! The executor API asks for no credentials, as a real agent without --authenticate_http_executors does not: an executor
//! is known by its framework and executor id. The operator API asks for HTTP basic credentials.

use std::sync::Arc;

use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use km_core_mesos::agent::Answer;
use km_core_mesos::wire::{self, Encoding, Refusal};
use km_mesos::{Credential, agent, executor};
use km_net::body::{self, Body};
use tokio::sync::{mpsc, oneshot};

/// The longest accepted call, in bytes. TaskStatus.data is small; an executor with 5,000 tasks lists them all.
const CALL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What handlers ask of the loop.
pub(crate) enum Input {
    Call { call: Box<executor::Call>, encoding: Encoding, reply: Reply },
    Query { call: agent::Call, reply: oneshot::Sender<Option<Box<agent::Response>>> },
}

pub(crate) type Reply = oneshot::Sender<Replied>;

/// How the loop answers.
pub(crate) enum Replied {
    Answer(Answer),
    Stream(Body),
}

pub(crate) struct Handler {
    pub(crate) credentials: Vec<Credential>,
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Handler {
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let path = path.strip_prefix("/slave(1)").unwrap_or(&path);
        if path == "/api/v1/executor" {
            return self.executor(request).await.unwrap_or_else(|refusal| refused(&refusal));
        }
        if wire::principal(text(request.headers(), AUTHORIZATION), &self.credentials).is_none() {
            let mut response = plain(StatusCode::UNAUTHORIZED, String::new());
            let realm = HeaderValue::from_static("Basic realm=\"mesos-agent-readwrite\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            return response;
        }
        let outcome = match path {
            "/api/v1" => self.operator(request).await,
            "/health" => Ok(plain(StatusCode::OK, String::new())),
            _ => Ok(plain(StatusCode::NOT_FOUND, "404 Not Found.".to_owned())),
        };
        outcome.unwrap_or_else(|refusal| refused(&refusal))
    }

    async fn executor(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return Ok(not_post(request.method()));
        }
        let (head, body) = request.into_parts();
        let call: executor::Call = read(&head.headers, body).await?;
        let encoding = match call.r#type() {
            executor::call::Type::Subscribe => Encoding::accepted(text(&head.headers, ACCEPT))?,
            // What a call is answered with has no body, so nobody minds the type.
            _ => Encoding::Json,
        };
        let (reply, answer) = oneshot::channel();
        // A closed channel drops the reply in the input, and the answer's receiver says so.
        let _ = self.inputs.send(Input::Call { call: Box::new(call), encoding, reply }).await;
        Ok(match answer.await.map_err(|_| stopping())? {
            Replied::Stream(body) => typed(body, encoding.media_type()),
            Replied::Answer(Answer::Accepted) => plain(StatusCode::ACCEPTED, String::new()),
            Replied::Answer(Answer::Done | Answer::Subscribed(_)) => plain(StatusCode::OK, String::new()),
            Replied::Answer(Answer::Rejected(text)) => plain(StatusCode::BAD_REQUEST, text),
            Replied::Answer(Answer::NotImplemented(text)) => plain(StatusCode::NOT_IMPLEMENTED, text),
        })
    }

    async fn operator(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return Ok(not_post(request.method()));
        }
        let (head, body) = request.into_parts();
        let call: agent::Call = read(&head.headers, body).await?;
        let kind = call.r#type();
        if kind == agent::call::Type::Unknown {
            let text = "Failed to validate agent::Call: Expecting 'type' to be present".to_owned();
            return Err(Refusal { status: 400, text });
        }
        let encoding = Encoding::accepted(text(&head.headers, ACCEPT))?;
        let (reply, answer) = oneshot::channel();
        let _ = self.inputs.send(Input::Query { call, reply }).await;
        Ok(match answer.await.map_err(|_| stopping())? {
            Some(response) => typed(body::full(encoding.encode(&*response)), encoding.media_type()),
            None => plain(StatusCode::NOT_IMPLEMENTED, format!("{kind} is not served by the embedded Mesos")),
        })
    }
}

async fn read<M: prost::Message + Default + serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<M, Refusal> {
    let bytes = body::read_limited(body, CALL_BYTES_MAX).await.map_err(|error| {
        let status = if matches!(error, body::ReadBodyError::TooLarge { .. }) { 413 } else { 400 };
        Refusal { status, text: error.to_string() }
    })?;
    wire::read_call(text(headers, CONTENT_TYPE), &bytes)
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    plain(status, refusal.text.clone())
}

fn stopping() -> Refusal {
    Refusal { status: 503, text: "The agent is shutting down".to_owned() }
}

fn not_post(method: &Method) -> Response<Body> {
    let text = format!("405 Method Not Allowed. Expecting one of {{ 'POST' }}, but received '{method}'.");
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut response = if text.is_empty() {
        Response::new(body::empty())
    } else {
        typed(body::full(text), "text/plain; charset=utf-8")
    };
    *response.status_mut() = status;
    response
}

fn typed(body: Body, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
