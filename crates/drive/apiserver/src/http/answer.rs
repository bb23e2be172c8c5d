//! Encodes answers: objects, lists, watches and failures, in the form the client chose.

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use http::{Response, StatusCode};
use km_api::{Event, EventType, Object, Request, Resource, Status};
use km_registry::Include;
use serde_json::{Value, json};

use super::body;
use super::negotiate::{Encoding, Form, Shape};
use super::query::Query;
use crate::read::Page;
use crate::watch::{Item, Watch, change};
use crate::writer::{Answer, Clock};

/// Makes the answer to a request that failed.
pub(super) fn failure(status: &Status) -> Response<km_net::Body> {
    let mut response = respond(status.code, "application/json", status.to_json());
    let retry_after = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry_after > 0 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}

/// Makes the answer to anything but a list or watch.
pub(super) fn object(
    request: &Request,
    answer: Answer,
    form: Form,
    query: &Query,
    tabled: &Tabled,
) -> Result<Response<km_net::Body>, Status> {
    let (code, object) = match answer.response {
        km_api::Response::Object(object) => (200, object),
        km_api::Response::Created(object) => (201, object),
        km_api::Response::List(list) => {
            let page = Page {
                revision: list.revision,
                items: list.items.iter().map(|object| object.bytes().clone()).collect(),
                continue_token: list.continue_token,
                remaining: list.remaining,
            };
            return self::list(request, page, form, query, tabled);
        }
        km_api::Response::Status(status) => return Ok(warned(failure(&status), &answer.warnings)),
    };
    let bytes = match form.shape {
        Shape::Plain => object.bytes().clone(),
        Shape::Table => encode(&tabled.of(request.resource, std::slice::from_ref(&object))),
        Shape::PartialMetadata => encode(&partial(&object)),
    };
    Ok(warned(encoded(code, bytes, form.encoding, query)?, &answer.warnings))
}

/// Makes the answer to a list.
pub(super) fn list(
    request: &Request,
    page: Page,
    form: Form,
    query: &Query,
    tabled: &Tabled,
) -> Result<Response<km_net::Body>, Status> {
    let resource = request.resource;
    if form.shape == Shape::Plain && form.encoding == Encoding::Json && !query.pretty {
        let mut response = Response::new(body::list(resource, page));
        headers(&mut response, "application/json");
        return Ok(response);
    }
    let list = page.into_list();
    let mut metadata = json!({"resourceVersion": list.revision.to_string()});
    if !list.continue_token.is_empty() {
        metadata["continue"] = list.continue_token.into();
    }
    if let Some(remaining) = list.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    let value = match form.shape {
        Shape::Table => {
            let mut table = tabled.of(resource, &list.items);
            table["metadata"] = metadata;
            table
        }
        Shape::PartialMetadata => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": list.items.iter().map(partial).collect::<Vec<_>>(),
        }),
        Shape::Plain => json!({
            "kind": format!("{}List", resource.kind),
            "apiVersion": resource.api_version(),
            "metadata": metadata,
            "items": list.items.iter().map(Object::to_value).collect::<Vec<_>>(),
        }),
    };
    encoded(200, encode(&value), form.encoding, query)
}

/// Makes the answer to a watch: events, one a line, until it ends.
pub(super) fn watch(watch: Watch, form: Form, tabled: Tabled) -> Response<km_net::Body> {
    let resource = watch.resource();
    let mut first = true;
    let shape = form.shape;
    let frames = watch.filter_map(move |item| {
        let frame = match shape {
            Shape::Plain => item.frame(resource),
            _ => shaped(item, resource, shape, &tabled, std::mem::replace(&mut first, false)),
        };
        std::future::ready(frame)
    });
    let mut response = Response::new(body::stream(frames));
    headers(&mut response, "application/json");
    response
}

fn shaped(item: Item, resource: &'static Resource, shape: Shape, tabled: &Tabled, first: bool) -> Option<Bytes> {
    let (event_type, object) = match item.event(resource)? {
        Event::Object(EventType::Bookmark, object) => return Some(change::frame("BOOKMARK", object.bytes())),
        Event::Object(event_type, object) => (event_type, object),
        Event::Error(status) => return Some(change::frame("ERROR", &status.to_json())),
    };
    let value = match shape {
        Shape::PartialMetadata => partial(&object),
        _ => {
            let mut table = tabled.of(resource, std::slice::from_ref(&object));
            if !first {
                // The columns are told once.
                table["columnDefinitions"] = Value::Null;
            }
            table
        }
    };
    Some(change::frame(event_type.as_str(), value.to_string().as_bytes()))
}

/// How a Table is asked for.
#[derive(Clone)]
pub(super) struct Tabled {
    include: Include,
    clock: Clock,
}

impl Tabled {
    pub(super) fn new(query: &Query, clock: &Clock) -> Self {
        let include = match query.include_object.as_str() {
            "None" => Include::None,
            "Object" => Include::Object,
            _ => Include::Metadata,
        };
        Self { include, clock: Clock::clone(clock) }
    }

    fn of(&self, resource: &Resource, objects: &[Object]) -> Value {
        km_registry::table(resource, objects, self.include, (self.clock)())
    }
}

fn partial(object: &Object) -> Value {
    let mut value = object.to_value();
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"].take()})
}

fn encode(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn encoded(code: u16, json: Bytes, encoding: Encoding, query: &Query) -> Result<Response<km_net::Body>, Status> {
    if encoding == Encoding::Json && !query.pretty {
        return Ok(respond(code, "application/json", json));
    }
    let value: Value = serde_json::from_slice(&json).map_err(|error| Status::internal(&error))?;
    if encoding == Encoding::Json {
        let mut text = serde_json::to_vec_pretty(&value).map_err(|error| Status::internal(&error))?;
        text.push(b'\n');
        return Ok(respond(code, "application/json", text));
    }
    let text = serde_saphyr::to_string(&value).map_err(|error| Status::internal(&error))?;
    Ok(respond(code, "application/yaml", text))
}

fn respond(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response<km_net::Body> {
    let mut response = Response::new(km_net::body::full(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    headers(&mut response, content_type);
    response
}

fn headers(response: &mut Response<km_net::Body>, content_type: &'static str) {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Answers depend on who asks.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
}

/// Adds `Warning: 299 - "text"` headers (RFC 7234, as apimachinery's net.NewWarningHeader writes them).
fn warned(mut response: Response<km_net::Body>, warnings: &[String]) -> Response<km_net::Body> {
    for warning in warnings {
        let escaped: String = warning
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
            .collect();
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{escaped}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}
