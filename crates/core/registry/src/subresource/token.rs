//! Service account tokens (`TokenRequest`): what the token says is decided here, the driver signs it.
//!
//! Source: upstream v1.37 `pkg/registry/core/serviceaccount/storage/token.go`.

use std::time::Duration;

use km_api::resource::{NODES, PODS, SECRETS, SERVICE_ACCOUNTS};
use km_api::{Resource, Status};
use km_base::Uid;
use serde_json::{Value, json};

use crate::body;
use crate::call::{Call, Decision, Question, TokenClaims};
use crate::field::Errors;
use crate::value::{at, int, set, text, texts};
use crate::view::{View, key};

/// Shortest and longest life of a token, in seconds.
const SECONDS: (i64, i64) = (600, 1 << 32);

/// Asks the driver to sign a token for the service account that the request names.
pub(crate) fn request(view: &dyn View, call: &Call<'_>) -> Result<Decision, Status> {
    let request = call.request;
    let (namespace, name) = (request.namespace.as_str(), request.name.as_str());
    let account =
        view.get(&key(&SERVICE_ACCOUNTS, namespace, name)).ok_or_else(|| Status::not_found(&SERVICE_ACCOUNTS, name))?;
    let mut review = body::kind("authentication.k8s.io/v1", "TokenRequest", &request.body, &request.options)?.value;
    let seconds = int(&review, "spec.expirationSeconds").unwrap_or(3600);
    let mut errors = Errors::default();
    if seconds < SECONDS.0 {
        errors.invalid_value(
            "spec.expirationSeconds",
            &json!(seconds),
            "may not specify a duration less than 10 minutes",
        );
    } else if seconds > SECONDS.1 {
        errors.invalid_value(
            "spec.expirationSeconds",
            &json!(seconds),
            "may not specify a duration larger than 2^32 seconds",
        );
    }
    errors.into_result(&TOKEN_REQUESTS, name)?;
    let mut audiences: Vec<String> = texts(&review, "spec.audiences").into_iter().map(str::to_owned).collect();
    if audiences.is_empty() {
        audiences.clone_from(&call.config.api_audiences);
    }
    set(&mut review, "spec.audiences", json!(audiences));
    set(&mut review, "spec.expirationSeconds", seconds);
    let mut claims = TokenClaims {
        namespace: namespace.to_owned(),
        service_account: name.to_owned(),
        service_account_uid: account.meta().uid.clone(),
        pod: None,
        node: None,
        secret: None,
        audiences,
        issued: call.now,
        expires: call.now + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
    };
    if let Some(bound) = at(&review, "spec.boundObjectRef") {
        bind(view, call, bound, &mut claims)?;
    } else if call.identity.node_name().is_some() {
        return Err(Status::forbidden(&SERVICE_ACCOUNTS, name, "node requested token not bound to a pod"));
    }
    set(&mut review, "metadata.name", name);
    set(&mut review, "metadata.namespace", namespace);
    set(&mut review, "metadata.creationTimestamp", call.now.rfc3339());
    Ok(Decision::Ask(Question::SignToken { claims, review }))
}

fn bind(view: &dyn View, call: &Call<'_>, bound: &Value, claims: &mut TokenClaims) -> Result<(), Status> {
    let name = text(bound, "name");
    if call.identity.node_name().is_some() && text(bound, "kind") != "Pod" {
        let why = "node requested token not bound to a pod";
        return Err(Status::forbidden(&SERVICE_ACCOUNTS, &claims.service_account, why));
    }
    let resource: &'static Resource = match text(bound, "kind") {
        "Pod" => &PODS,
        "Secret" => &SECRETS,
        "Node" => &NODES,
        other => return Err(Status::bad_request(format!("cannot bind token to object of type {other}"))),
    };
    let object = view
        .get(&key(resource, if resource == &NODES { "" } else { &claims.namespace }, name))
        .ok_or_else(|| Status::not_found(resource, name))?;
    let uid = &object.meta().uid;
    let asked = text(bound, "uid");
    if !asked.is_empty() && asked != uid.as_str() {
        let why = format!(
            "the UID in the bound object reference ({asked}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(resource, name, why));
    }
    let reference = Some((name.to_owned(), uid.clone()));
    if resource == &SECRETS {
        claims.secret = reference;
        return Ok(());
    }
    if resource == &NODES {
        claims.node = reference;
        return Ok(());
    }
    let pod = object.to_value();
    let account = text(&pod, "spec.serviceAccountName");
    if account != claims.service_account {
        let why = format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            claims.service_account
        );
        return Err(Status::bad_request(why));
    }
    let node = text(&pod, "spec.nodeName");
    if call.identity.node_name().is_some_and(|own| own != node) {
        let why = "node requested token bound to a pod scheduled on a different node";
        return Err(Status::forbidden(&SERVICE_ACCOUNTS, &claims.service_account, why));
    }
    claims.pod = reference;
    if !node.is_empty() {
        let uid = view.get(&key(&NODES, "", node)).map(|n| n.meta().uid.clone()).unwrap_or_else(|| Uid(String::new()));
        claims.node = Some((node.to_owned(), uid));
    }
    Ok(())
}

/// Names `TokenRequest` in errors; it has no collection.
static TOKEN_REQUESTS: Resource = Resource {
    group: "authentication.k8s.io",
    version: "v1",
    kind: "TokenRequest",
    plural: "tokenrequests",
    singular: "tokenrequest",
    short_names: &[],
    categories: &[],
    scope: km_api::Scope::Namespaced,
    persistence: km_api::resource::Persistence::CreateOnly,
    subresources: &[],
};
