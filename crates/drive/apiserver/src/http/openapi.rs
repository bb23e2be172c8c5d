//! OpenAPI documents, made from the schema table when they are first asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::Response;
use km_api::{Reason, Status, resource};
use km_schema::openapi;

use super::health::{KUBERNETES_VERSION, respond, respond_tagged};
use super::negotiate::media_ranges;

/// What an `Accept` for version 2 in protobuf contains, before a version written in one of two ways.
const V2_PROTOBUF: &str = "proto-openapi.spec.v2";
/// Its media type in answers: the other way, with an at sign, is no valid one (kube-openapi pkg/handler/handler.go).
const V2_PROTOBUF_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Documents by path. The schema table is part of the program, so one cache a process is right.
static DOCUMENTS: Mutex<BTreeMap<String, Bytes>> = Mutex::new(BTreeMap::new());

/// Answers a path of OpenAPI; `None` when it is none.
pub(super) fn answer(path: &str, accept: &str, if_none_match: &str) -> Option<Result<Response<km_net::Body>, Status>> {
    let rest = path.strip_prefix("/openapi/")?;
    if rest == "v2" && accept.contains(V2_PROTOBUF) {
        return Some(Ok(respond(V2_PROTOBUF_TYPE, nameless_v2())));
    }
    // Clients ask for upstream's protobuf form first and fall back to JSON on 406.
    let json = accept.is_empty()
        || media_ranges(accept).any(|r| matches!(r.media_type, "application/json" | "*/*" | "application/*"));
    if !json {
        return Some(Err(Status::failure(406, Reason::NotAcceptable, "only application/json is served")));
    }
    let tag = format!("\"{}\"", hash());
    if if_none_match == tag {
        let mut unchanged = Response::new(km_net::body::empty());
        *unchanged.status_mut() = http::StatusCode::NOT_MODIFIED;
        return Some(Ok(unchanged));
    }
    if rest == "v3" {
        return Some(Ok(respond("application/json", index())));
    }
    let document = document(rest)?;
    Some(Ok(respond_tagged("application/json", document, &tag)))
}

/// Returns a version 2 document without definitions, as `openapi.v2.Document` of gnostic's protobuf.
///
/// kubectl asks for it to check an object of a kind that cannot be patched (Binding, the reviews), and takes no other
/// form. A kind that the document does not name it leaves to the server, which checks every field anyway.
fn nameless_v2() -> Vec<u8> {
    // gnostic OpenAPIv2.proto: Document {swagger = 1, info = 2}, Info {title = 1, version = 2}, all of them of wire type 2.
    let field = |tag: u8, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).expect("names and versions are shorter than 128 bytes");
        [&[tag << 3 | 2, len], bytes].concat()
    };
    let info = [field(1, b"Kubernetes"), field(2, KUBERNETES_VERSION.as_bytes())].concat();
    [field(1, b"2.0"), field(2, &info)].concat()
}

/// One hash serves all documents: they change only with the program.
fn hash() -> String {
    openapi::hash(format!("{KUBERNETES_VERSION}+{}", env!("CARGO_PKG_VERSION")).as_bytes())
}

fn index() -> String {
    let mut paths: Vec<String> = resource::ALL.iter().map(|r| openapi::v3_path(r.group, r.version)).collect();
    paths.sort();
    paths.dedup();
    let documents: Vec<(String, String)> = paths.into_iter().map(|path| (path, hash())).collect();
    openapi::v3_index(&documents).to_string()
}

fn document(rest: &str) -> Option<Bytes> {
    let mut documents = DOCUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(document) = documents.get(rest) {
        return Some(document.clone());
    }
    let resources: Vec<openapi::Resource<'_>> = resource::ALL.iter().map(|r| (*r).into()).collect();
    let value = if rest == "v2" {
        openapi::v2_document(&resources)
    } else {
        let path = rest.strip_prefix("v3/")?;
        let known = resource::ALL.iter().find(|r| openapi::v3_path(r.group, r.version) == path)?;
        openapi::v3_document(known.group, known.version, &resources)
    };
    let document = Bytes::from(value.to_string());
    documents.insert(rest.to_owned(), document.clone());
    Some(document)
}
