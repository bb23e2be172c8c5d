//! HTTP: reads a request, finds out who makes it and what it asks, lets the service answer, encodes the answer.
//!
//! The only place that knows of HTTP codes, headers and media types. Order of a request, as upstream's filters:
//! limits, authentication, path, authorization, body, service, encoding.

mod answer;
mod body;
mod connect;
mod discovery;
mod health;
mod impersonate;
mod negotiate;
mod openapi;
mod path;
mod proxy;
mod query;
mod status_of;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response};
use km_api::{Body, ContentType, Identity, Status, Verb};
use km_net::PeerCertificate;
use km_net::body::ReadBodyError;
use km_registry::Attributes;
use tokio::sync::Semaphore;
use tracing::debug;

pub(crate) use self::connect::Kubelets;
pub(crate) use self::discovery::Discovery;
use self::negotiate::Form;
use self::path::{ResourcePath, Target};
use self::query::Query;
use crate::authn::{self, Credentials};
use crate::metrics::Metrics;
use crate::service::Service;

/// Requests other than watches and streams at once. k8s 1.37: --max-requests-inflight 400 and
/// --max-mutating-requests-inflight 200, of one server among several.
const IN_FLIGHT_MAX: usize = 2_000;
/// k8s 1.37 apiserver/pkg/server: MaxRequestBodyBytes.
const BODY_BYTES_MAX: usize = 3 << 20;

/// A client that sends its body slower than this holds a place that others want. k8s 1.37 --request-timeout.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that requests need.
pub(crate) struct Front {
    pub(crate) service: Arc<Service>,
    pub(crate) discovery: Discovery,
    pub(crate) kubelets: Kubelets,
    pub(crate) metrics: Metrics,
    in_flight: Arc<Semaphore>,
}

/// One request after its head was understood.
struct Asked {
    identity: Identity,
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
}

impl Asked {
    fn header(&self, name: http::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn form(&self) -> Result<Form, Status> {
        negotiate::choose(self.header(ACCEPT))
    }
}

impl Front {
    pub(crate) fn new(service: Arc<Service>, discovery: Discovery, kubelets: Kubelets, metrics: Metrics) -> Self {
        Self { service, discovery, kubelets, metrics, in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)) }
    }

    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<km_net::Body>) -> Response<km_net::Body> {
        let started = Instant::now();
        let method = request.method().clone();
        let label = metric_label(request.uri().path());
        let path = request.uri().path().to_owned();
        let response = match self.route(request).await {
            Ok(response) => response,
            Err(status) => answer::failure(&status),
        };
        let (code, took) = (response.status().as_u16(), started.elapsed());
        debug!(%method, path, code, took_ms = took.as_millis(), "answered");
        self.metrics.request(&method, label, code, took);
        if method == Method::HEAD { without_body(response) } else { response }
    }

    async fn route(&self, mut request: Request<km_net::Body>) -> Result<Response<km_net::Body>, Status> {
        let identity = self.authenticate(&mut request)?;
        let identity = impersonate::apply(&self.service, identity, request.headers_mut())?;
        let (head, body) = request.into_parts();
        let asked = Asked {
            identity,
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers.clone(),
        };
        match path::parse(&asked.path) {
            Target::NonResource => self.non_resource(&asked).await,
            Target::UnknownResource { group, plural, namespace, name } => {
                let verb = asked.method.as_str().to_ascii_lowercase();
                let attributes = Attributes { verb, group, resource: plural, namespace, name, ..Attributes::default() };
                self.service.authorize(&asked.identity, &attributes)?;
                Err(status_of::no_such_path())
            }
            Target::Resource(target) if connect::is_connect(&target) => {
                self.connect(&asked, target, Request::from_parts(head, body)).await
            }
            Target::Resource(target) => self.resource(&asked, target, body).await,
        }
    }

    fn authenticate(&self, request: &mut Request<km_net::Body>) -> Result<Identity, Status> {
        let certificate = request.extensions().get::<PeerCertificate>().map(|peer| {
            let groups: Vec<&str> = peer.organizations.iter().map(String::as_str).collect();
            Identity::authenticated(&peer.common_name, &groups)
        });
        // Taken out, so that no token travels on to a kubelet or into a log.
        let authorization = request.headers_mut().remove(AUTHORIZATION);
        let credentials = Credentials {
            certificate: certificate.as_ref(),
            authorization: authorization.as_ref().and_then(|value| value.to_str().ok()),
        };
        authn::authenticate(&self.service.tokens, &self.service.state(), &credentials, self.service.now())
    }

    async fn non_resource(&self, asked: &Asked) -> Result<Response<km_net::Body>, Status> {
        let attributes = Attributes::non_resource(asked.method.as_str(), &asked.path);
        if !health::is_public(&asked.path) {
            self.service.authorize(&asked.identity, &attributes)?;
        }
        if asked.method != Method::GET && asked.method != Method::HEAD {
            return Err(Status::method_not_allowed("the server does not allow this method on the requested resource"));
        }
        health::answer(self, &asked.path, &asked.query, asked.header(ACCEPT), asked.header(http::header::IF_NONE_MATCH))
    }

    async fn resource(
        &self,
        asked: &Asked,
        target: ResourcePath,
        body: km_net::Body,
    ) -> Result<Response<km_net::Body>, Status> {
        let query = query::parse(&asked.query)?;
        let request = self.request(asked, &target, &query)?;
        self.service.authorize(&asked.identity, &crate::service::attributes(&request))?;
        let form = asked.form()?;
        let tabled = answer::Tabled::new(&query, &self.service.clock);
        if request.verb == Verb::Watch {
            let watch = self.service.watch(&request).await?;
            return Ok(answer::watch(watch, form, tabled));
        }
        let _permit = Arc::clone(&self.in_flight)
            .try_acquire_owned()
            .map_err(|_| Status::too_many_requests("Too many requests, please try again later.", 1))?;
        let _counted = self.metrics.in_flight(request.verb);
        let request = km_api::Request { body: read_body(asked, &request, body).await?, ..request };
        if request.verb == Verb::List {
            let page = self.service.list(&request).await?;
            return answer::list(&request, page, form, &query, &tabled);
        }
        let answer = self.service.perform(&asked.identity, request.clone()).await?;
        answer::object(&request, answer, form, &query, &tabled)
    }

    fn request(&self, asked: &Asked, target: &ResourcePath, query: &Query) -> Result<km_api::Request, Status> {
        let collection = target.name.is_empty();
        let watch = query.watch || target.watch;
        let verb = match (&asked.method, collection) {
            (&Method::GET | &Method::HEAD, _) if watch => Verb::Watch,
            (&Method::GET | &Method::HEAD, true) => Verb::List,
            (&Method::GET | &Method::HEAD, false) => Verb::Get,
            (&Method::POST, _) => Verb::Create,
            (&Method::PUT, false) => Verb::Update,
            (&Method::PATCH, false) => Verb::Patch,
            (&Method::DELETE, false) => Verb::Delete,
            // Nor are the objects of all namespaces deleted at once.
            (&Method::DELETE, true) if offers(target, Verb::DeleteCollection) => Verb::DeleteCollection,
            _ => return Err(status_of::method_not_allowed()),
        };
        let mut request = km_api::Request::new(verb, target.resource, &target.namespace, &target.name);
        request.subresource.clone_from(&target.subresource);
        request.options = query.options.clone();
        if watch && !collection {
            // A watch of one object is a watch of its collection, narrowed to its name.
            let name = format!("metadata.name={}", std::mem::take(&mut request.name));
            let fields = &mut request.options.field_selector;
            *fields = if fields.is_empty() { name } else { format!("{fields},{name}") };
        }
        if verb == Verb::Create && !collection && target.subresource.is_empty() {
            return Err(status_of::method_not_allowed());
        }
        Ok(request)
    }
}

/// Leaves an answer's headers: what follows those of a HEAD breaks an HTTP/2 stream (RFC 9110, 9.3.2).
fn without_body(response: Response<km_net::Body>) -> Response<km_net::Body> {
    let (mut head, body) = response.into_parts();
    if let Some(len) = hyper::body::Body::size_hint(&body).exact() {
        head.headers.insert(http::header::CONTENT_LENGTH, len.into());
    }
    Response::from_parts(head, km_net::body::empty())
}

/// Tells whether discovery names `verb` for the resource, and the path is of the scope where it is served.
fn offers(target: &ResourcePath, verb: Verb) -> bool {
    let scoped = target.resource.is_namespaced() != target.namespace.is_empty();
    scoped && discovery::verbs(target.resource).contains(&verb.as_str())
}

async fn read_body(asked: &Asked, request: &km_api::Request, body: km_net::Body) -> Result<Body, Status> {
    if matches!(request.verb, Verb::Get | Verb::List) {
        return Ok(Body::default());
    }
    let reading = tokio::time::timeout(BODY_TIMEOUT, km_net::body::read_limited(body, BODY_BYTES_MAX));
    let read = reading.await.map_err(|_| Status::timeout("the body of the request did not come in time"))?;
    let bytes = read.map_err(|error| match error {
        ReadBodyError::TooLarge { bytes_max } => {
            Status::too_large(format!("Request entity too large: limit is {bytes_max}"))
        }
        ReadBodyError::Transport(_) => Status::bad_request("the body of the request ended before it was complete"),
    })?;
    Ok(Body { content_type: content_type(asked, request.verb, &bytes)?, bytes })
}

fn content_type(asked: &Asked, verb: Verb, bytes: &Bytes) -> Result<ContentType, Status> {
    let text = asked.header(CONTENT_TYPE);
    if text.is_empty() || bytes.is_empty() {
        return Ok(ContentType::Json);
    }
    let known = ContentType::parse(text);
    match known {
        Some(ContentType::Json | ContentType::Yaml | ContentType::Protobuf) if verb != Verb::Patch => {}
        Some(ContentType::JsonPatch | ContentType::MergePatch | ContentType::StrategicMergePatch)
            if verb == Verb::Patch => {}
        // Server-side apply is not there: refused before the object is looked for, so that clients know at once.
        _ => {
            let accepted = if verb == Verb::Patch {
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json"
            } else {
                "application/json, application/yaml, application/vnd.kubernetes.protobuf"
            };
            return Err(Status::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            )));
        }
    }
    Ok(known.unwrap_or_default())
}

/// The part of a path that is worth a label of its own: never a name, which would make labels without end.
fn metric_label(path: &str) -> &'static str {
    match path::parse(path) {
        Target::Resource(target) => target.resource.plural,
        Target::UnknownResource { .. } => "unknown",
        Target::NonResource => "",
    }
}
