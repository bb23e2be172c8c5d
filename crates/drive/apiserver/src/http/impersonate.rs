//! `kubectl --as`: a caller acts as another, if it may.
//!
//! k8s 1.37 apiserver/pkg/endpoints/filters/impersonation.go: the verb `impersonate` on `users`, `groups` and
//! `serviceaccounts`; extra fields of `Impersonate-Extra-*` are not taken over.

use http::{HeaderMap, HeaderName};
use km_api::identity::SYSTEM_AUTHENTICATED;
use km_api::{Identity, Status};
use km_registry::Attributes;

use crate::service::Service;

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// Returns the identity that the request is to be made as, and removes the headers that say so.
pub(super) fn apply(service: &Service, identity: Identity, headers: &mut HeaderMap) -> Result<Identity, Status> {
    let groups: Vec<String> =
        headers.get_all(GROUP).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect();
    headers.remove(GROUP);
    let user = match headers.remove(USER) {
        Some(user) => {
            user.to_str().map(str::to_owned).map_err(|_| Status::bad_request("Impersonate-User is no text"))?
        }
        None if groups.is_empty() => return Ok(identity),
        None => return Err(Status::bad_request("requested groups without impersonating a user")),
    };
    match user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => check(service, &identity, "serviceaccounts", namespace, name)?,
        None => check(service, &identity, "users", "", &user)?,
    }
    for group in &groups {
        check(service, &identity, "groups", "", group)?;
    }
    let mut acting = Identity { user, groups, ..Identity::default() };
    if let Some((namespace, _)) = acting.user.strip_prefix("system:serviceaccount:").and_then(|r| r.split_once(':'))
        && acting.groups.is_empty()
    {
        acting.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    if acting.user != "system:anonymous" && !acting.in_group(SYSTEM_AUTHENTICATED) {
        acting.groups.push(SYSTEM_AUTHENTICATED.to_owned());
    }
    Ok(acting)
}

fn check(service: &Service, identity: &Identity, resource: &str, namespace: &str, name: &str) -> Result<(), Status> {
    let attributes = Attributes {
        verb: "impersonate".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    service.authorize(identity, &attributes)
}
