//! The one entry: a request becomes a commit, an answer, a question or a refusal.

use km_api::resource::Persistence;
use km_api::{Object, Response, Status, Verb};
use serde_json::Value;

use crate::call::{Call, Commit, Decision, Durability, Question, Reply, Write};
use crate::view::View;
use crate::{delete, read, subresource, write};

/// Decides what a request does. The driver has authenticated the caller, and authorized the request with
/// [`crate::authorize()`], before.
///
/// # Errors
/// The [`Status`] to answer with.
pub fn decide(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let decision = dispatch(view, call)?;
    Ok(match decision {
        Decision::Commit(commit) if call.request.options.dry_run => {
            Decision::Answer { response: commit.response, warnings: commit.warnings }
        }
        other => other,
    })
}

/// Goes on after the driver found out what a [`Question`] asked.
///
/// # Errors
/// The [`Status`] to answer with.
pub fn resume(call: &Call<'_>, question: Question, reply: Reply) -> Result<Decision, Status> {
    subresource::review::resume(call, question, reply)
}

fn dispatch(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let request = call.request;
    let resource = request.resource;
    let sub = request.subresource.as_str();
    if !sub.is_empty() && !resource.subresources.contains(&sub) {
        return Err(Status::failure(404, km_api::Reason::NotFound, "the server could not find the requested resource"));
    }
    if resource.persistence == Persistence::CreateOnly {
        return match request.verb {
            Verb::Create => subresource::create_only(view, call),
            _ => Err(not_allowed(call)),
        };
    }
    match (request.verb, sub) {
        (Verb::Get, "scale") => subresource::scale::get(view, call),
        (Verb::Get, "" | "status" | "approval") => Ok(answer(Response::Object(read::get(view, request)?), Vec::new())),
        (Verb::List, "") => Ok(answer(Response::List(read::list(view, request)?), Vec::new())),
        (Verb::Create, "") => write::create(view, call),
        (Verb::Create, _) => subresource::create(view, call),
        (Verb::Update | Verb::Patch, "scale") => subresource::scale::update(view, call),
        (Verb::Update | Verb::Patch, "finalize") => write::update(view, call, write::Part::Finalize),
        (Verb::Update | Verb::Patch, "approval") => write::update(view, call, write::Part::Approval),
        (Verb::Update | Verb::Patch, "status") => write::update(view, call, write::Part::Status),
        (Verb::Update | Verb::Patch, "") => write::update(view, call, write::Part::Main),
        (Verb::Delete, "") => delete::delete(view, call),
        (Verb::DeleteCollection, "") => delete::collection(view, call),
        _ => Err(not_allowed(call)),
    }
}

/// Makes an answer without writes.
pub(crate) fn answer(response: Response, warnings: Vec<String>) -> Decision {
    Decision::Answer { response, warnings }
}

/// Makes a commit of one object.
pub(crate) fn commit(
    key: String,
    object: &Object,
    durability: Durability,
    response: Response,
    warnings: Vec<String>,
) -> Decision {
    let write = Write { key, value: Some(object.bytes().clone()), durability };
    Decision::Commit(Commit { writes: vec![write], response, warnings })
}

/// Encodes a value as an object.
pub(crate) fn encode(value: &Value) -> Result<Object, Status> {
    Object::parse(value.to_string()).map_err(|err| Status::bad_request(km_base::chain(&err).to_string()))
}

/// 405 in upstream's words.
pub(crate) fn not_allowed(call: &Call<'_>) -> Status {
    let verb = call.request.verb.as_str();
    let resource = call.request.resource.group_resource();
    Status::method_not_allowed(format!("{verb} is not supported on resources of kind \"{resource}\""))
}
