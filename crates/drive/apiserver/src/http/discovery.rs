//! Discovery: which groups, versions and resources there are, in the old documents and the aggregated one.
//!
//! Made once from the table of resources; the documents never change while the server runs.
//! Formats: k8s 1.37 `metav1.APIResourceList` and `apidiscovery.k8s.io/v2`.

use std::collections::BTreeMap;

use bytes::Bytes;
use km_api::resource::{self, Persistence};
use km_api::{Resource, Scope};
use serde_json::{Value, json};

/// Media type of the aggregated document.
pub(crate) const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The documents, by path.
pub(crate) struct Discovery {
    plain: BTreeMap<String, Bytes>,
    aggregated: BTreeMap<&'static str, Bytes>,
}

impl Discovery {
    /// Makes the documents; `address` is where clients reach the server, `host:port`.
    pub(crate) fn new(address: &str) -> Self {
        let groups = groups();
        let mut plain = BTreeMap::new();
        let versions = json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        });
        plain.insert("/api".to_owned(), encode(&versions));
        let named: Vec<&str> = groups.keys().copied().filter(|g| !g.is_empty()).collect();
        let list: Vec<Value> = named.iter().map(|group| api_group(group)).collect();
        plain.insert("/apis".to_owned(), encode(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list})));
        for (group, resources) in &groups {
            let path = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
            plain.insert(path, encode(&resource_list(group, resources)));
            if !group.is_empty() {
                let mut document = api_group(group);
                document["kind"] = "APIGroup".into();
                document["apiVersion"] = "v1".into();
                plain.insert(format!("/apis/{group}"), encode(&document));
            }
        }
        let core = aggregated(groups.iter().filter(|(g, _)| g.is_empty()));
        let others = aggregated(groups.iter().filter(|(g, _)| !g.is_empty()));
        Self { plain, aggregated: BTreeMap::from([("/api", core), ("/apis", others)]) }
    }

    /// Returns the document of a path.
    pub(crate) fn document(&self, path: &str) -> Option<&Bytes> {
        self.plain.get(path)
    }

    /// Returns the aggregated document of a path that has one.
    pub(crate) fn aggregated(&self, path: &str) -> Option<&Bytes> {
        self.aggregated.get(path)
    }
}

/// Tells whether the client wants the aggregated document.
pub(crate) fn wants_aggregated(accept: &str) -> bool {
    super::negotiate::media_ranges(accept).any(|range| {
        range.media_type == "application/json"
            && range.parameter("g") == "apidiscovery.k8s.io"
            && range.parameter("v") == "v2"
            && range.parameter("as") == "APIGroupDiscoveryList"
    })
}

fn groups() -> BTreeMap<&'static str, Vec<&'static Resource>> {
    let mut groups: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
    for resource in resource::ALL {
        groups.entry(resource.group).or_default().push(resource);
    }
    for resources in groups.values_mut() {
        resources.sort_by_key(|r| r.plural);
    }
    groups
}

fn api_group(group: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/v1"), "version": "v1"});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

/// Verbs of a resource. k8s 1.37 discovery.
pub(super) fn verbs(resource: &Resource) -> &'static [&'static str] {
    match (resource.persistence, resource.plural) {
        (Persistence::CreateOnly, _) => &["create"],
        // Deleting all namespaces at once is not offered.
        (_, "namespaces") => &["create", "delete", "get", "list", "patch", "update", "watch"],
        _ => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    }
}

/// Kind (with its group and version) and verbs of a subresource.
fn subresource(resource: &Resource, name: &str) -> (&'static str, &'static str, &'static str, &'static [&'static str]) {
    let options = &["create", "get"][..];
    let proxy = &["create", "delete", "get", "patch", "update"][..];
    let change = &["get", "patch", "update"][..];
    match (resource.plural, name) {
        (_, "scale") => ("autoscaling", "v1", "Scale", change),
        ("pods", "log") => ("", "v1", "Pod", &["get"]),
        ("pods", "exec") => ("", "v1", "PodExecOptions", options),
        ("pods", "attach") => ("", "v1", "PodAttachOptions", options),
        ("pods", "portforward") => ("", "v1", "PodPortForwardOptions", options),
        ("pods", "binding") => ("", "v1", "Binding", &["create"]),
        ("pods", "eviction") => ("policy", "v1", "Eviction", &["create"]),
        ("pods", "proxy") => ("", "v1", "PodProxyOptions", proxy),
        ("services", "proxy") => ("", "v1", "ServiceProxyOptions", proxy),
        ("nodes", "proxy") => ("", "v1", "NodeProxyOptions", proxy),
        ("serviceaccounts", "token") => ("authentication.k8s.io", "v1", "TokenRequest", &["create"]),
        ("namespaces", "finalize") => ("", "v1", "Namespace", &["update"]),
        _ => (resource.group, resource.version, resource.kind, change),
    }
}

fn resource_list(group: &str, resources: &[&Resource]) -> Value {
    let mut list = Vec::new();
    for resource in resources {
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.is_namespaced(),
            "kind": resource.kind,
            "verbs": verbs(resource),
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        list.push(entry);
        for name in resource.subresources {
            let (sub_group, version, kind, verbs) = subresource(resource, name);
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural),
                "singularName": "",
                "namespaced": resource.is_namespaced(),
                "kind": kind,
                "verbs": verbs,
            });
            if sub_group != resource.group {
                entry["group"] = sub_group.into();
                entry["version"] = version.into();
            }
            list.push(entry);
        }
    }
    let group_version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list})
}

fn aggregated<'a>(groups: impl Iterator<Item = (&'a &'static str, &'a Vec<&'static Resource>)>) -> Bytes {
    let items: Vec<Value> = groups
        .map(|(group, resources)| {
            let resources: Vec<Value> = resources.iter().map(|r| aggregated_resource(r)).collect();
            let metadata = if group.is_empty() {
                json!({"creationTimestamp": null})
            } else {
                json!({"name": group, "creationTimestamp": null})
            };
            json!({
                "metadata": metadata,
                "versions": [{"version": "v1", "resources": resources, "freshness": "Current"}],
            })
        })
        .collect();
    encode(&json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }))
}

fn aggregated_resource(resource: &Resource) -> Value {
    let scope = match resource.scope {
        Scope::Namespaced => "Namespaced",
        Scope::Cluster => "Cluster",
    };
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": scope,
        "singularResource": resource.singular,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|name| {
            let (group, version, kind, verbs) = subresource(resource, name);
            json!({
                "subresource": name,
                "responseKind": {"group": group, "version": version, "kind": kind},
                "verbs": verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

fn encode(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_is_found_in_both_forms() {
        let discovery = Discovery::new("127.0.0.1:6443");
        for resource in resource::ALL {
            let path =
                if resource.group.is_empty() { "/api/v1".into() } else { format!("/apis/{}/v1", resource.group) };
            let list: Value = serde_json::from_slice(discovery.document(&path).unwrap()).unwrap();
            assert!(list["resources"].as_array().unwrap().iter().any(|r| r["name"] == resource.plural), "{path}");
            let root = if resource.group.is_empty() { "/api" } else { "/apis" };
            let all: Value = serde_json::from_slice(discovery.aggregated(root).unwrap()).unwrap();
            let found = all["items"].as_array().unwrap().iter().any(|group| {
                group["versions"][0]["resources"].as_array().unwrap().iter().any(|r| r["resource"] == resource.plural)
            });
            assert!(found, "{root} {}", resource.plural);
        }
    }
}
