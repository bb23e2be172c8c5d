//! Writes a request's options as the query string and the `DeleteOptions` body that HTTP carries.

use km_api::{Options, Propagation, Request, Verb};

/// Returns path and query of `request`.
pub(crate) fn path_and_query(request: &Request) -> String {
    let mut path = request.resource.path(&request.namespace);
    for part in [&request.name, &request.subresource] {
        if !part.is_empty() {
            path.push('/');
            path.push_str(&encode(part));
        }
    }
    let query = pairs(request)
        .into_iter()
        .map(|(name, value)| format!("{name}={}", encode(&value)))
        .collect::<Vec<_>>()
        .join("&");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

fn pairs(request: &Request) -> Vec<(&'static str, String)> {
    let options = &request.options;
    let mut pairs = Vec::new();
    if request.verb == Verb::Watch {
        pairs.push(("watch", "true".to_owned()));
    }
    for (name, value) in [
        ("labelSelector", &options.label_selector),
        ("fieldSelector", &options.field_selector),
        ("resourceVersion", &options.resource_version),
        ("resourceVersionMatch", &options.resource_version_match),
        ("continue", &options.continue_token),
        ("fieldValidation", &options.field_validation),
        ("fieldManager", &options.field_manager),
    ] {
        if !value.is_empty() {
            pairs.push((name, value.clone()));
        }
    }
    if options.limit > 0 {
        pairs.push(("limit", options.limit.to_string()));
    }
    if let Some(seconds) = options.timeout_seconds {
        pairs.push(("timeoutSeconds", seconds.to_string()));
    }
    if let Some(initial) = options.send_initial_events {
        pairs.push(("sendInitialEvents", initial.to_string()));
    }
    for (name, set) in [("allowWatchBookmarks", options.allow_watch_bookmarks), ("force", options.force)] {
        if set {
            pairs.push((name, "true".to_owned()));
        }
    }
    if options.dry_run {
        pairs.push(("dryRun", "All".to_owned()));
    }
    pairs
}

/// Returns the `DeleteOptions` body of a deletion.
pub(crate) fn delete_options(options: &Options) -> Vec<u8> {
    let mut body = serde_json::json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    if let Some(seconds) = options.grace_period_seconds {
        body["gracePeriodSeconds"] = seconds.into();
    }
    if let Some(uid) = &options.precondition_uid {
        body["preconditions"]["uid"] = uid.as_str().into();
    }
    if let Some(version) = &options.precondition_resource_version {
        body["preconditions"]["resourceVersion"] = version.as_str().into();
    }
    if let Some(propagation) = options.propagation {
        body["propagationPolicy"] = match propagation {
            Propagation::Orphan => "Orphan",
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
        }
        .into();
    }
    body.to_string().into_bytes()
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use km_api::resource::PODS;

    use super::*;

    #[test]
    fn options_become_the_query_that_the_api_documents() {
        let mut request = Request::new(Verb::Watch, &PODS, "default", "");
        request.options.field_selector = "spec.nodeName=a b".to_owned();
        request.options.allow_watch_bookmarks = true;
        assert_eq!(
            path_and_query(&request),
            "/api/v1/namespaces/default/pods?watch=true&fieldSelector=spec.nodeName%3Da%20b&allowWatchBookmarks=true"
        );
        let bind = Request::new(Verb::Create, &PODS, "default", "web").subresource("binding");
        assert_eq!(path_and_query(&bind), "/api/v1/namespaces/default/pods/web/binding");
    }
}
