//! Reading: one object, a collection, and objects as of a revision.

use std::ops::ControlFlow;

use km_api::{List, Object, Request, Resource, Status};
use km_base::Revision;

use crate::select::selection;
use crate::value::set;
use crate::view::{View, key, prefix};

/// Returns the object that `request` names.
///
/// # Errors
/// 404.
pub fn get(view: &dyn View, request: &Request) -> Result<Object, Status> {
    view.get(&key(request.resource, &request.namespace, &request.name))
        .map(|object| present(request.resource, object))
        .ok_or_else(|| Status::not_found(request.resource, &request.name))
}

/// Returns the objects that `request` selects, by namespace and name.
///
/// A limit cuts the list; the continue token is `<revision>:<last key>`, to be continued on a view of that revision
/// or a later one (upstream's "inconsistent continue").
///
/// # Errors
/// 400 for a selector or token that cannot be read.
pub fn list(view: &dyn View, request: &Request) -> Result<List, Status> {
    let resource = request.resource;
    let selection = selection(resource, &request.options)?;
    let after = match request.options.continue_token.as_str() {
        "" => String::new(),
        token => token
            .split_once(':')
            .map(|(_, key)| key.to_owned())
            .ok_or_else(|| Status::bad_request("continue key is not valid: invalid token"))?,
    };
    let limit = usize::try_from(request.options.limit).unwrap_or(usize::MAX);
    let mut found = List { revision: view.revision(), ..List::default() };
    let mut last = String::new();
    view.range(&prefix(resource, &request.namespace), &mut |key, object| {
        if (!after.is_empty() && key <= after.as_str()) || !selection.matches(object) {
            return ControlFlow::Continue(());
        }
        if limit > 0 && found.items.len() == limit {
            found.continue_token = format!("{}:{last}", view.revision());
            return ControlFlow::Break(());
        }
        key.clone_into(&mut last);
        found.items.push(present(resource, object.clone()));
        ControlFlow::Continue(())
    });
    Ok(found)
}

/// Returns `object` with another resource version: what watchers see of a deleted object.
#[must_use]
pub fn at_revision(object: &Object, revision: Revision) -> Object {
    let mut value = object.to_value();
    set(&mut value, "metadata.resourceVersion", revision.to_string());
    reparse(&value).unwrap_or_else(|| object.clone())
}

/// Shows a stored object as one of `resource`: only events have two forms.
#[must_use]
pub fn present(resource: &Resource, object: Object) -> Object {
    let own = object.meta();
    if own.api_version.is_empty() || own.api_version == resource.api_version() {
        return object;
    }
    reparse(&crate::subresource::event::present(resource, object.to_value())).unwrap_or(object)
}

fn reparse(value: &serde_json::Value) -> Option<Object> {
    Object::parse(value.to_string()).ok()
}
