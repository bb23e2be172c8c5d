//! Reads a request's path: which resource, object and subresource it names, or that it is none of the API's.
//!
//! Parsed by hand: the grammar is fixed (`/api/v1/...`, `/apis/<group>/<version>/...`) and upstream's
//! `RequestInfo` rules (k8s 1.37 apiserver/pkg/endpoints/request/requestinfo.go) are a few lines.

use km_api::{Resource, resource};

/// What a path addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A resource: a collection, an object or a subresource.
    Resource(ResourcePath),
    /// A resource in the shape of the API that this server does not have.
    UnknownResource {
        /// API group.
        group: String,
        /// Plural name.
        plural: String,
        /// Namespace, or empty.
        namespace: String,
        /// Name, or empty.
        name: String,
    },
    /// Anything else: discovery, health, metrics.
    NonResource,
}

/// An address within one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    /// The resource.
    pub(crate) resource: &'static Resource,
    /// Namespace, or empty.
    pub(crate) namespace: String,
    /// Name, or empty for the collection.
    pub(crate) name: String,
    /// Subresource, or empty.
    pub(crate) subresource: String,
    /// What follows the subresource (`proxy/<rest>`), without the leading slash, still encoded.
    pub(crate) rest: String,
    /// Whether the path is of the old form `/api/v1/watch/...`.
    pub(crate) watch: bool,
}

/// Reads `path` (still percent-encoded, without query).
pub(crate) fn parse(path: &str) -> Target {
    let trimmed = path.trim_start_matches('/');
    let mut raw: Vec<&str> = trimmed.split('/').collect();
    if raw.last() == Some(&"") {
        raw.pop();
    }
    let (group, version, raw) = match raw.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Target::NonResource,
    };
    let (watch, raw) = match raw {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        other => (false, other),
    };
    let Some(split) = split(raw) else { return Target::NonResource };
    let (namespace, name) = (decode(split.namespace), decode(split.name));
    // What is allowed in a namespace must not reach what lies in none; and a collection has no subresources.
    let served = |resource: &&'static Resource| {
        (namespace.is_empty() || resource.is_namespaced()) && (!name.is_empty() || split.subresource.is_empty())
    };
    match resource::find(group, version, split.plural).filter(served) {
        Some(resource) => Target::Resource(ResourcePath {
            resource,
            namespace,
            name,
            subresource: split.subresource.to_owned(),
            rest: split.rest.join("/"),
            watch,
        }),
        None => Target::UnknownResource { group: group.to_owned(), plural: split.plural.to_owned(), namespace, name },
    }
}

struct Split<'a> {
    namespace: &'a str,
    plural: &'a str,
    name: &'a str,
    subresource: &'a str,
    rest: &'a [&'a str],
}

fn split<'a>(raw: &'a [&'a str]) -> Option<Split<'a>> {
    let (namespace, raw) = match raw {
        // `namespaces/x` and its own subresources address the Namespace; everything deeper lies in it.
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", raw),
        ["namespaces", namespace, rest @ ..] => (*namespace, rest),
        other => ("", other),
    };
    let (plural, raw) = raw.split_first()?;
    let (name, raw) = raw.split_first().map_or(("", raw), |(name, rest)| (*name, rest));
    let (subresource, rest) = raw.split_first().map_or(("", raw), |(sub, rest)| (*sub, rest));
    Some(Split { namespace, plural, name, subresource, rest })
}

/// Undoes percent-encoding; bytes that are no UTF-8 become the replacement character.
pub(crate) fn decode(text: &str) -> String {
    percent_decode(text, false)
}

/// Undoes the encoding of query strings, where `+` is a space.
pub(crate) fn decode_query(text: &str) -> String {
    percent_decode(text, true)
}

fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                at += 3;
            }
            (b'+', ..) if plus_is_space => {
                out.push(b' ');
                at += 1;
            }
            (other, ..) => {
                out.push(other);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|err| String::from_utf8_lossy(err.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(path: &str) -> String {
        match parse(path) {
            Target::Resource(p) => {
                format!("{}|{}|{}|{}|{}|{}", p.resource.plural, p.namespace, p.name, p.subresource, p.rest, p.watch)
            }
            Target::UnknownResource { group, plural, namespace, name } => {
                format!("unknown {group} {plural} {namespace} {name}")
            }
            Target::NonResource => "none".to_owned(),
        }
    }

    #[test]
    fn paths_name_resources_as_upstream_reads_them() {
        for (path, want) in [
            ("/api/v1/pods", "pods|||||false"),
            ("/api/v1/namespaces", "namespaces|||||false"),
            ("/api/v1/namespaces/a", "namespaces||a|||false"),
            ("/api/v1/namespaces/a/finalize", "namespaces||a|finalize||false"),
            ("/api/v1/namespaces/a/pods/", "pods|a||||false"),
            ("/api/v1/namespaces/a/pods/web/log", "pods|a|web|log||false"),
            ("/api/v1/namespaces/a/services/web:http/proxy/x/y%20z", "services|a|web:http|proxy|x/y%20z|false"),
            ("/api/v1/nodes/n%2D1", "nodes||n-1|||false"),
            ("/apis/apps/v1/namespaces/a/deployments/d/scale", "deployments|a|d|scale||false"),
            ("/api/v1/watch/namespaces/a/pods", "pods|a||||true"),
            ("/apis/apps/v1/namespaces/a/daemonsets/d", "unknown apps daemonsets a d"),
            ("/api/v1/namespaces/a/nodes/n", "unknown  nodes a n"),
            ("/api/v1/namespaces/a/namespaces/b", "unknown  namespaces a b"),
            (
                "/apis/rbac.authorization.k8s.io/v1/namespaces/a/clusterroles",
                "unknown rbac.authorization.k8s.io clusterroles a ",
            ),
            ("/api/v1/namespaces/a/pods//status", "unknown  pods a "),
            ("/apis/apps/v1", "none"),
            ("/api", "none"),
            ("/", "none"),
            ("/healthz", "none"),
        ] {
            assert_eq!(show(path), want, "{path}");
        }
    }

    #[test]
    fn broken_escapes_are_kept() {
        assert_eq!(decode("a%2fb%zz%4"), "a/b%zz%4");
        assert_eq!(decode_query("app%3Dweb+x"), "app=web x");
    }
}
