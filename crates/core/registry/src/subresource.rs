//! What has no row of its own: subresources and kinds that are only ever created.

pub(crate) mod binding;
pub(crate) mod event;
pub(crate) mod review;
pub(crate) mod scale;
pub(crate) mod token;

use km_api::Status;
use km_api::resource::{BINDINGS, TOKEN_REVIEWS};

use crate::body;
use crate::call::{Call, Decision};
use crate::decide::not_allowed;
use crate::delete;
use crate::value::{at, text};
use crate::view::View;

/// Posts to a subresource.
pub(crate) fn create(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    match (call.request.resource.plural, call.request.subresource.as_str()) {
        ("pods", "binding") => binding::bind(view, call),
        ("pods", "eviction") => evict(view, call),
        ("serviceaccounts", "token") => token::request(view, call),
        _ => Err(not_allowed(call)),
    }
}

/// Creates an object of a kind that is not stored.
pub(crate) fn create_only(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let resource = call.request.resource;
    if resource == &BINDINGS {
        return binding::bind(view, call);
    }
    if resource == &TOKEN_REVIEWS {
        return review::token(call);
    }
    review::decide(view, call)
}

/// Evicts a pod: a deletion, since there are no disruption budgets.
fn evict(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let request = call.request;
    let eviction = body::kind("policy/v1", "Eviction", &request.body, &request.options)?.value;
    let mut options = request.options.clone();
    if let Some(asked) = at(&eviction, "deleteOptions") {
        options.grace_period_seconds = crate::value::int(asked, "gracePeriodSeconds");
        let precondition = |path| Some(text(asked, path).to_owned()).filter(|t| !t.is_empty());
        options.precondition_uid = precondition("preconditions.uid");
        options.precondition_resource_version = precondition("preconditions.resourceVersion");
        options.dry_run |= crate::value::texts(asked, "dryRun").contains(&"All");
    }
    let mut decision = delete::delete_named(view, call, request.resource, &request.name, &options)?;
    let success = km_api::Response::Status(Status { code: 201, reason: None, message: String::new(), details: None });
    match &mut decision {
        Decision::Commit(commit) => commit.response = success,
        Decision::Answer { response, .. } => *response = success,
        Decision::Ask(_) => {}
    }
    Ok(decision)
}
