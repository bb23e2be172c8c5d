//! Reviews: may somebody do something, who am I, whose token is this.
//!
//! Source: upstream v1.37 `pkg/registry/{authorization,authentication}`.

use km_api::resource::{
    LOCAL_SUBJECT_ACCESS_REVIEWS, SELF_SUBJECT_ACCESS_REVIEWS, SELF_SUBJECT_REVIEWS, SELF_SUBJECT_RULES_REVIEWS,
};
use km_api::{Identity, Response, Status};
use serde_json::{Value, json};

use crate::authorize::{Attributes, Policy, authorize_with};
use crate::body;
use crate::call::{Call, Decision, Question, Reply};
use crate::decide::{answer, encode};
use crate::rbac::Rule;
use crate::value::{at, entries, remove, set, text, texts};
use crate::view::View;

/// Answers a review that the view alone can answer.
pub(crate) fn decide(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let request = call.request;
    let decoded = body::object(request.resource, &request.body, &request.options)?;
    let mut review = decoded.value;
    remove(&mut review, "status");
    if request.resource == &SELF_SUBJECT_REVIEWS {
        set(&mut review, "status.userInfo", user_info(call.identity));
    } else if request.resource == &SELF_SUBJECT_RULES_REVIEWS {
        rules(view, call, &mut review)?;
    } else {
        access(view, call, &mut review)?;
    }
    set(&mut review, "metadata.creationTimestamp", Value::Null);
    Ok(answer(Response::Created(encode(&review)?), decoded.warnings))
}

/// Asks the driver whose token a TokenReview holds.
pub(crate) fn token(call: &Call<'_>) -> Result<Decision, Status> {
    let request = call.request;
    let mut review = body::object(request.resource, &request.body, &request.options)?.value;
    remove(&mut review, "status");
    let token = text(&review, "spec.token").to_owned();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = texts(&review, "spec.audiences").into_iter().map(str::to_owned).collect();
    Ok(Decision::Ask(Question::ReviewToken { token, audiences, review }))
}

/// Completes the review that a question carried.
pub(crate) fn resume(_: &Call<'_>, question: Question, reply: Reply) -> Result<Decision, Status> {
    let review = match (question, reply) {
        (Question::SignToken { claims, mut review }, Reply::Token(token)) => {
            set(&mut review, "status.token", token);
            set(&mut review, "status.expirationTimestamp", claims.expires.rfc3339());
            review
        }
        (Question::ReviewToken { mut review, .. }, Reply::Authenticated { identity, audiences }) => {
            set(&mut review, "status.authenticated", true);
            set(&mut review, "status.user", user_info(&identity));
            set(&mut review, "status.audiences", json!(audiences));
            review
        }
        (Question::ReviewToken { mut review, .. }, Reply::Unauthenticated(why)) => {
            set(&mut review, "status.user", json!({}));
            set(&mut review, "status.error", why);
            review
        }
        (_, reply) => return Err(Status::internal(format!("reply {reply:?} answers another question"))),
    };
    Ok(answer(Response::Created(encode(&review)?), Vec::new()))
}

fn user_info(identity: &Identity) -> Value {
    let mut info = json!({"username": identity.user, "groups": identity.groups});
    if !identity.uid.is_empty() {
        set(&mut info, "uid", identity.uid.as_str());
    }
    if !identity.extra.is_empty() {
        set(&mut info, "extra", json!(identity.extra));
    }
    info
}

fn access(view: &dyn View, call: &Call<'_>, review: &mut Value) -> Result<(), Status> {
    let resource = call.request.resource;
    let identity = if resource == &SELF_SUBJECT_ACCESS_REVIEWS { call.identity.clone() } else { subject(review) };
    let (resource_asked, url_asked) = (at(review, "spec.resourceAttributes"), at(review, "spec.nonResourceAttributes"));
    let asked = match (resource_asked, url_asked) {
        (Some(asked), None) => Attributes {
            verb: text(asked, "verb").to_owned(),
            group: text(asked, "group").to_owned(),
            resource: text(asked, "resource").to_owned(),
            subresource: text(asked, "subresource").to_owned(),
            namespace: text(asked, "namespace").to_owned(),
            name: text(asked, "name").to_owned(),
            ..Attributes::default()
        },
        (None, Some(asked)) => Attributes::non_resource(text(asked, "verb"), text(asked, "path")),
        (None, None) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            return invalid(call, "spec.resourceAttributes", &Value::Null, why);
        }
        (Some(_), Some(url)) => {
            let why = "cannot be specified in combination with resourceAttributes";
            return invalid(call, "spec.nonResourceAttributes", url, why);
        }
    };
    if resource != &SELF_SUBJECT_ACCESS_REVIEWS && identity.user.is_empty() && identity.groups.is_empty() {
        return invalid(call, "spec.user", &Value::from(""), "at least one of user or group must be specified");
    }
    if resource == &LOCAL_SUBJECT_ACCESS_REVIEWS && asked.namespace != call.request.namespace {
        let namespace = Value::from(asked.namespace);
        return invalid(call, "spec.resourceAttributes.namespace", &namespace, "must match metadata.namespace");
    }
    match authorize_with(view, &Policy::of(view), &identity, &asked) {
        Ok(reason) => {
            set(review, "status.allowed", true);
            if !reason.is_empty() {
                set(review, "status.reason", reason);
            }
        }
        Err(denied) => {
            set(review, "status.allowed", false);
            if !denied.reason.is_empty() {
                set(review, "status.reason", denied.reason);
            }
        }
    }
    Ok(())
}

fn subject(review: &Value) -> Identity {
    let all = |v: &Value| v.as_array().into_iter().flatten().filter_map(|x| x.as_str().map(str::to_owned)).collect();
    Identity {
        user: text(review, "spec.user").to_owned(),
        uid: text(review, "spec.uid").to_owned(),
        groups: texts(review, "spec.groups").into_iter().map(str::to_owned).collect(),
        extra: entries(review, "spec.extra").map(|(key, values)| (key.clone(), all(values))).collect(),
    }
}

fn rules(view: &dyn View, call: &Call<'_>, review: &mut Value) -> Result<(), Status> {
    let namespace = text(review, "spec.namespace").to_owned();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let mut own = Policy::of(view).rules(call.identity, &namespace);
    if call.identity.in_group(km_api::identity::SYSTEM_MASTERS) {
        let any = || vec!["*".to_owned()];
        own.push(Rule { verbs: any(), groups: any(), resources: any(), ..Rule::default() });
        own.push(Rule { verbs: any(), urls: any(), ..Rule::default() });
    }
    let (urls, resources): (Vec<Rule>, Vec<Rule>) = own.into_iter().partition(|rule| !rule.urls.is_empty());
    let resources: Vec<Value> = resources
        .into_iter()
        .map(|rule| {
            let mut shown = json!({"verbs": rule.verbs, "apiGroups": rule.groups, "resources": rule.resources});
            if !rule.names.is_empty() {
                set(&mut shown, "resourceNames", json!(rule.names));
            }
            shown
        })
        .collect();
    let urls: Vec<Value> = urls.into_iter().map(|r| json!({"verbs": r.verbs, "nonResourceURLs": r.urls})).collect();
    set(review, "status", json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false}));
    Ok(())
}

// Paths and texts: k8s 1.37 pkg/apis/authorization/validation/validation.go.
fn invalid(call: &Call<'_>, path: &str, value: &Value, why: &str) -> Result<(), Status> {
    let mut errors = crate::field::Errors::default();
    errors.invalid_value(path, value, why);
    errors.into_result(call.request.resource, "")
}
