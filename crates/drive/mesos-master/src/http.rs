//! Paths, methods, credentials and encodings of the master's HTTP endpoints. Every call becomes one [`Input`] to the loop.

use std::sync::Arc;

use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use km_core_mesos::master::{Answer, StreamId};
use km_core_mesos::wire::{self, Encoding, Refusal};
use km_mesos::{Credential, master, scheduler};
use km_net::body::{self, Body};
use tokio::sync::{mpsc, oneshot};

use crate::legacy;

/// The longest accepted call, in bytes: an ACCEPT of some thousand tasks.
const CALL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What handlers ask of the loop.
pub(crate) enum Input {
    Call { stream: Option<StreamId>, call: Box<scheduler::Call>, encoding: Encoding, reply: Reply },
    Subscribe { encoding: Encoding, reply: Reply },
    Operate { call: Box<master::Call>, reply: Reply },
    Query { call: Box<master::Call>, reply: oneshot::Sender<Option<Box<master::Response>>> },
}

pub(crate) type Reply = oneshot::Sender<Replied>;

/// How the loop answers.
pub(crate) enum Replied {
    Answer(Answer),
    Stream { id: StreamId, body: Body },
}

pub(crate) struct Handler {
    pub(crate) credentials: Vec<Credential>,
    pub(crate) address: String,
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Handler {
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        if wire::principal(text(request.headers(), AUTHORIZATION), &self.credentials).is_none() {
            let mut response = plain(StatusCode::UNAUTHORIZED, String::new());
            let realm = HeaderValue::from_static("Basic realm=\"mesos-master-readwrite\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
            return response;
        }
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let path = path.strip_prefix("/master").unwrap_or(&path);
        let outcome = match path {
            "/api/v1/scheduler" => self.scheduler(request).await,
            "/api/v1" => self.operator(request).await,
            "/state" | "/state.json" => self.query(master::call::Type::GetState, legacy::state).await,
            "/slaves" => self.query(master::call::Type::GetAgents, legacy::slaves).await,
            "/health" => Ok(plain(StatusCode::OK, String::new())),
            "/version" => self.query(master::call::Type::GetVersion, legacy::version).await,
            "/metrics/snapshot" => self.query(master::call::Type::GetState, legacy::metrics).await,
            "/redirect" => Ok(self.redirect()),
            _ => Ok(plain(StatusCode::NOT_FOUND, "404 Not Found.".to_owned())),
        };
        outcome.unwrap_or_else(|refusal| refused(&refusal))
    }

    async fn scheduler(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return Ok(not_post(request.method()));
        }
        let (head, body) = request.into_parts();
        let call: scheduler::Call = read(&head.headers, body).await?;
        let encoding = match call.r#type() {
            scheduler::call::Type::Subscribe => Encoding::accepted(text(&head.headers, ACCEPT))?,
            // What a call is answered with has no body, so nobody minds the type.
            _ => Encoding::Json,
        };
        let stream = head.headers.get("Mesos-Stream-Id").and_then(|value| value.to_str().ok());
        let stream = stream.map(|value| StreamId(value.to_owned()));
        let (reply, answer) = oneshot::channel();
        self.ask(Input::Call { stream, call: Box::new(call), encoding, reply }).await;
        let replied = answer.await.map_err(|_| stopping())?;
        let is_stream = matches!(replied, Replied::Stream { .. });
        let id = match &replied {
            Replied::Stream { id, .. } => HeaderValue::try_from(id.0.as_str()).ok(),
            Replied::Answer(_) => None,
        };
        let mut response = respond(replied, encoding);
        if let Some(id) = id.filter(|_| is_stream) {
            response.headers_mut().insert("Mesos-Stream-Id", id);
        }
        Ok(response)
    }

    async fn operator(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        if request.method() != Method::POST {
            return Ok(not_post(request.method()));
        }
        let (head, body) = request.into_parts();
        let call: master::Call = read(&head.headers, body).await?;
        if call.r#type() == master::call::Type::Unknown {
            let text = "Failed to validate master::Call: Expecting 'type' to be present".to_owned();
            return Err(Refusal { status: 400, text });
        }
        let encoding = Encoding::accepted(text(&head.headers, ACCEPT))?;
        if call.r#type() == master::call::Type::Subscribe {
            let (reply, answer) = oneshot::channel();
            self.ask(Input::Subscribe { encoding, reply }).await;
            return Ok(respond(answer.await.map_err(|_| stopping())?, encoding));
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Input::Query { call: Box::new(call.clone()), reply }).await;
        if let Some(response) = answer.await.map_err(|_| stopping())? {
            return Ok(typed(encoding.encode(&*response), encoding.media_type()));
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Input::Operate { call: Box::new(call), reply }).await;
        Ok(respond(answer.await.map_err(|_| stopping())?, encoding))
    }

    async fn query(
        &self,
        kind: master::call::Type,
        render: fn(&master::Response, &str) -> serde_json::Value,
    ) -> Result<Response<Body>, Refusal> {
        let call = master::Call { r#type: Some(kind as i32), ..master::Call::default() };
        let (reply, answer) = oneshot::channel();
        self.ask(Input::Query { call: Box::new(call), reply }).await;
        let response = answer.await.map_err(|_| stopping())?.ok_or_else(stopping)?;
        Ok(typed(render(&response, &self.address).to_string().into_bytes(), wire::JSON))
    }

    fn redirect(&self) -> Response<Body> {
        let mut response = plain(StatusCode::TEMPORARY_REDIRECT, String::new());
        // Scheme-relative, as Mesos writes it.
        if let Ok(location) = HeaderValue::try_from(format!("//{}", self.address)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    async fn ask(&self, input: Input) {
        // A closed channel drops the reply in the input, and the answer's receiver says so.
        let _ = self.inputs.send(input).await;
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

fn respond(replied: Replied, encoding: Encoding) -> Response<Body> {
    match replied {
        Replied::Stream { body, .. } => {
            let mut response = Response::new(body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
            response
        }
        Replied::Answer(Answer::Accepted) => plain(StatusCode::ACCEPTED, String::new()),
        Replied::Answer(Answer::Done | Answer::Subscribed(_)) => plain(StatusCode::OK, String::new()),
        Replied::Answer(Answer::Rejected(text)) => plain(StatusCode::BAD_REQUEST, text),
        Replied::Answer(Answer::NotImplemented(text)) => plain(StatusCode::NOT_IMPLEMENTED, text),
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    plain(status, refusal.text.clone())
}

fn stopping() -> Refusal {
    Refusal { status: 503, text: "The master is shutting down".to_owned() }
}

fn not_post(method: &Method) -> Response<Body> {
    let text = format!("405 Method Not Allowed. Expecting one of {{ 'POST' }}, but received '{method}'.");
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let has_text = !text.is_empty();
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    if has_text {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}

fn typed(bytes: impl Into<bytes::Bytes>, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body::full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
