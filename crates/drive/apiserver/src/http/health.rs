//! Paths that are no resources: discovery, health, version, metrics, OpenAPI.

use http::Response;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use km_api::Status;
use serde_json::json;

use super::{Front, discovery, status_of};

/// Version of Kubernetes whose API this is.
pub(crate) const KUBERNETES_VERSION: &str = "v1.37.1";

/// Paths that everyone may read, as upstream's anonymous health endpoints.
pub(super) fn is_public(path: &str) -> bool {
    matches!(path, "/healthz" | "/livez" | "/readyz" | "/version" | "/version/")
}

/// Answers a path that is no resource.
pub(super) fn answer(
    front: &Front,
    path: &str,
    query: &str,
    accept: &str,
    if_none_match: &str,
) -> Result<Response<km_net::Body>, Status> {
    let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    if let Some(document) = front.discovery.aggregated(trimmed)
        && discovery::wants_aggregated(accept)
    {
        return Ok(respond(discovery::AGGREGATED, document.clone()));
    }
    if let Some(document) = front.discovery.document(trimmed) {
        return Ok(respond("application/json", document.clone()));
    }
    match trimmed {
        "/healthz" | "/livez" | "/readyz" => Ok(health(front, trimmed, query)),
        "/version" => Ok(respond("application/json", version().to_string())),
        "/metrics" => {
            let state = front.service.state();
            let text = front.metrics.text(state.len(), front.service.journal_bytes());
            Ok(respond("application/openmetrics-text; version=1.0.0; charset=utf-8", text))
        }
        "/" => Ok(respond("application/json", paths().to_string())),
        _ => super::openapi::answer(trimmed, accept, if_none_match).unwrap_or_else(|| Err(status_of::no_such_path())),
    }
}

/// Makes a 200 of this media type.
pub(super) fn respond(content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<km_net::Body> {
    let mut response = Response::new(km_net::body::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Makes a 200 with an entity tag, for documents that clients cache.
pub(super) fn respond_tagged(
    content_type: &'static str,
    body: impl Into<bytes::Bytes>,
    tag: &str,
) -> Response<km_net::Body> {
    let mut response = respond(content_type, body);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn health(front: &Front, path: &str, query: &str) -> Response<km_net::Body> {
    let ready = front.service.is_ready();
    let check = path.trim_start_matches('/');
    let mark = if ready { "[+]storage ok" } else { "[-]storage failed: reason withheld" };
    let verbose = super::query::pairs(query).any(|(name, _)| name == "verbose");
    let text = match (ready, verbose) {
        (true, false) => "ok".to_owned(),
        (true, true) => format!("[+]ping ok\n{mark}\n{check} check passed\n"),
        (false, _) => format!("[+]ping ok\n{mark}\n{check} check failed\n"),
    };
    let mut response = respond("text/plain; charset=utf-8", text);
    if !ready {
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

fn version() -> serde_json::Value {
    json!({
        "major": "1",
        "minor": "37",
        "emulationMajor": "1",
        "emulationMinor": "37",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36",
        "gitVersion": format!("{KUBERNETES_VERSION}+km.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_arch()),
    })
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn paths() -> serde_json::Value {
    let mut paths = vec![
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<_>>();
    for resource in km_api::resource::ALL.iter().filter(|r| !r.group.is_empty()) {
        paths.push(format!("/apis/{}", resource.group));
        paths.push(format!("/apis/{}/{}", resource.group, resource.version));
    }
    paths.sort();
    paths.dedup();
    json!({"paths": paths})
}
