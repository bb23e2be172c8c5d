//! Who may do what: `system:masters`, the node authorizer, RBAC.
//!
//! Source: upstream v1.37 `plugin/pkg/auth/authorizer/node`, `apiserver/pkg/endpoints/handlers/responsewriters`.

use std::ops::ControlFlow;

use km_api::identity::SYSTEM_MASTERS;
use km_api::resource::{self, PODS};
use km_api::selector::FieldSelector;
use km_api::status::Details;
use km_api::{Identity, Object, Reason, Request, Status, Verb};
use serde_json::Value;

use crate::rbac::Asked;
pub use crate::rbac::Policy;
use crate::value::{at, list, text};
use crate::view::{View, key, prefix};

/// What an authorizer is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Verb, e.g. `get`; for non-resource paths the lowercase HTTP method.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Resource (plural).
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name, or empty.
    pub name: String,
    /// Path of a request for something that is not a resource, e.g. `/healthz`; else empty.
    pub path: String,
    /// Field selector of a list or watch.
    pub field_selector: FieldSelector,
}

/// The request is not allowed; upstream's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why, beyond that no rule allows it; usually empty.
    pub reason: String,
    status: Status,
}

impl Attributes {
    /// Returns the attributes of a request. A list or watch of one name is about that name.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let field_selector = FieldSelector::parse(&request.options.field_selector).unwrap_or_default();
        let mut name = request.name.clone();
        if name.is_empty() && matches!(request.verb, Verb::List | Verb::Watch | Verb::DeleteCollection) {
            name = selected(&field_selector, "metadata.name").unwrap_or_default().to_owned();
        }
        Self {
            verb: request.verb.as_str().to_owned(),
            group: request.resource.group.to_owned(),
            resource: request.resource.plural.to_owned(),
            subresource: request.subresource.clone(),
            namespace: request.namespace.clone(),
            name,
            path: String::new(),
            field_selector,
        }
    }

    /// Returns the attributes of a request for a path that is no resource; `method` is HTTP's.
    #[must_use]
    pub fn non_resource(method: &str, path: &str) -> Self {
        Self { verb: method.to_ascii_lowercase(), path: path.to_owned(), ..Self::default() }
    }
}

impl Denied {
    /// Returns the 403.
    #[must_use]
    pub fn into_status(self) -> Status {
        self.status
    }

    fn new(identity: &Identity, asked: &Attributes, reason: String) -> Self {
        let user = &identity.user;
        let mut why = if asked.path.is_empty() {
            let resource = match asked.subresource.as_str() {
                "" => asked.resource.clone(),
                sub => format!("{}/{sub}", asked.resource),
            };
            let place = match asked.namespace.as_str() {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {namespace:?}"),
            };
            format!("User {user:?} cannot {} resource {resource:?} in API group {:?} {place}", asked.verb, asked.group)
        } else {
            format!("User {user:?} cannot {} path {:?}", asked.verb, asked.path)
        };
        if !reason.is_empty() {
            why = format!("{why}: {reason}");
        }
        let group_resource =
            if asked.group.is_empty() { asked.resource.clone() } else { format!("{}.{}", asked.resource, asked.group) };
        let message = match (asked.path.is_empty(), asked.name.as_str()) {
            (false, _) => format!("forbidden: {why}"),
            (true, "") => format!("{group_resource} is forbidden: {why}"),
            (true, name) => format!("{group_resource} {name:?} is forbidden: {why}"),
        };
        let mut status = Status::failure(403, Reason::Forbidden, message);
        status.details = Some(Details {
            name: asked.name.clone(),
            group: asked.group.clone(),
            kind: asked.resource.clone(),
            ..Details::default()
        });
        Self { reason, status }
    }
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        denied.status
    }
}

/// Decides whether `identity` may do this, reading all RBAC objects of `view`.
///
/// # Errors
/// [`Denied`] when nothing allows it.
pub fn authorize(view: &dyn View, identity: &Identity, asked: &Attributes) -> Result<(), Denied> {
    if identity.in_group(SYSTEM_MASTERS) {
        return Ok(());
    }
    authorize_with(view, &Policy::of(view), identity, asked).map(|_| ())
}

/// Decides with roles and bindings that were read before; returns which rule allows it.
///
/// # Errors
/// [`Denied`] when nothing allows it.
pub fn authorize_with(
    view: &dyn View,
    policy: &Policy,
    identity: &Identity,
    asked: &Attributes,
) -> Result<String, Denied> {
    if identity.in_group(SYSTEM_MASTERS) {
        return Ok(String::new());
    }
    let mut reason = String::new();
    if let Some(node) = identity.node_name()
        && asked.path.is_empty()
    {
        match node_may(view, node, asked) {
            Opinion::Allow => return Ok(String::new()),
            Opinion::None(why) => reason = why,
        }
    }
    let question = Asked {
        verb: &asked.verb,
        group: &asked.group,
        resource: &asked.resource,
        subresource: &asked.subresource,
        name: &asked.name,
        url: &asked.path,
    };
    match policy.allows(identity, &asked.namespace, question) {
        Some(origin) => Ok(origin.to_owned()),
        None => Err(Denied::new(identity, asked, reason)),
    }
}

enum Opinion {
    Allow,
    /// No opinion, with upstream's reason.
    None(String),
}

fn node_may(view: &dyn View, node: &str, asked: &Attributes) -> Opinion {
    let opinion = |allowed: bool, why: &str| if allowed { Opinion::Allow } else { Opinion::None(why.to_owned()) };
    let verb = |verbs: &[&str]| verbs.contains(&asked.verb.as_str());
    let reads = verb(&["get", "list", "watch"]);
    let related = |found: bool| opinion(found, &format!("no relationship found between node '{node}' and this object"));
    match (asked.group.as_str(), asked.resource.as_str(), asked.subresource.as_str()) {
        ("", "secrets" | "configmaps", "") => {
            if !reads {
                return opinion(false, "can only read resources of this type");
            }
            if asked.name.is_empty() {
                return opinion(false, "No Object name found");
            }
            // A list of one name in all namespaces would show every namespace's object of that name.
            if asked.namespace.is_empty() {
                return related(false);
            }
            related(node_pod(view, node, &asked.namespace, &|pod| refers(pod, &asked.resource, &asked.name)))
        }
        ("", "serviceaccounts", "" | "token") => {
            let allowed = if asked.subresource == "token" { verb(&["create"]) } else { reads };
            if !allowed || asked.name.is_empty() {
                return opinion(false, "can only read resources of this type");
            }
            if asked.namespace.is_empty() {
                return related(false);
            }
            related(node_pod(view, node, &asked.namespace, &|pod| text(pod, "spec.serviceAccountName") == asked.name))
        }
        ("", "pods", "") if reads => {
            let pod = || view.get(&key(&PODS, &asked.namespace, &asked.name));
            let runs_here = |pod: Object| text(&pod.to_value(), "spec.nodeName") == node;
            if asked.verb == "get" {
                // Of one that is gone the node is told just that.
                return related(pod().is_none_or(runs_here));
            }
            if selected(&asked.field_selector, "spec.nodeName") == Some(node) {
                return Opinion::Allow;
            }
            if !asked.name.is_empty() {
                return related(!asked.namespace.is_empty() && pod().is_some_and(runs_here));
            }
            opinion(false, "can only list/watch pods with spec.nodeName field selector")
        }
        ("", "nodes", "") if reads => {
            let own = asked.name == node;
            opinion(own, &format!("node '{node}' cannot read '{}', only its own Node object", asked.name))
        }
        ("coordination.k8s.io", "leases", "") => {
            let own = asked.namespace == "kube-node-lease" && (asked.name == node || asked.verb == "create");
            opinion(
                own && verb(&["get", "create", "update", "patch", "delete"]),
                "can only access node lease with the same name as the requesting node",
            )
        }
        (group, resource, subresource) => opinion(node_rule(group, resource, subresource, &asked.verb), ""),
    }
}

/// What every node may do, before admission (`NodeRestriction`) narrows it to its own objects.
fn node_rule(group: &str, resource: &str, subresource: &str, verb: &str) -> bool {
    let rules: &[(&str, &str, &str, &[&str])] = &[
        ("", "nodes", "", &["create", "update", "patch"]),
        ("", "nodes", "status", &["update", "patch"]),
        ("", "pods", "", &["create", "delete"]),
        ("", "pods", "status", &["update", "patch"]),
        ("", "pods", "eviction", &["create"]),
        ("", "services", "", &["get", "list", "watch"]),
        ("", "namespaces", "", &["get", "list", "watch"]),
        ("", "endpoints", "", &["get", "list", "watch"]),
        ("discovery.k8s.io", "endpointslices", "", &["get", "list", "watch"]),
        ("", "events", "", &["create", "update", "patch"]),
        ("events.k8s.io", "events", "", &["create", "update", "patch"]),
        ("certificates.k8s.io", "certificatesigningrequests", "", &["create", "get", "list", "watch"]),
        ("authentication.k8s.io", "tokenreviews", "", &["create"]),
        ("authorization.k8s.io", "subjectaccessreviews", "", &["create"]),
        ("authorization.k8s.io", "localsubjectaccessreviews", "", &["create"]),
    ];
    rules.iter().any(|(g, r, s, verbs)| *g == group && *r == resource && *s == subresource && verbs.contains(&verb))
}

/// Tells whether a pod of `namespace` that runs on `node` meets `test`.
fn node_pod(view: &dyn View, node: &str, namespace: &str, test: &dyn Fn(&Value) -> bool) -> bool {
    let mut found = false;
    // As this crate encodes it: of a namespace's many pods only the node's own are decoded.
    let needle = format!("\"nodeName\":{}", Value::from(node));
    view.range(&prefix(&resource::PODS, namespace), &mut |_, object| {
        if !std::str::from_utf8(object.bytes()).is_ok_and(|text| text.contains(&needle)) {
            return ControlFlow::Continue(());
        }
        let pod = object.to_value();
        if text(&pod, "spec.nodeName") == node && test(&pod) {
            found = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found
}

/// Tells whether the pod refers to the secret or config map `name`.
fn refers(pod: &Value, resource: &str, name: &str) -> bool {
    let secret = resource == "secrets";
    let (env_from, env_key) = if secret { ("secretRef", "secretKeyRef") } else { ("configMapRef", "configMapKeyRef") };
    let containers = ["spec.initContainers", "spec.containers", "spec.ephemeralContainers"];
    let in_container = containers.iter().flat_map(|path| list(pod, path)).any(|container| {
        list(container, "envFrom").iter().any(|e| text(e, &format!("{env_from}.name")) == name)
            || list(container, "env").iter().any(|e| text(e, &format!("valueFrom.{env_key}.name")) == name)
    });
    let in_volume = list(pod, "spec.volumes").iter().any(|volume| {
        let direct = if secret { text(volume, "secret.secretName") } else { text(volume, "configMap.name") };
        let source = if secret { "secret" } else { "configMap" };
        direct == name
            || list(volume, "projected.sources").iter().any(|s| at(s, source).is_some_and(|s| text(s, "name") == name))
    });
    let pulls = secret && list(pod, "spec.imagePullSecrets").iter().any(|s| text(s, "name") == name);
    in_container || in_volume || pulls
}

fn selected<'a>(selector: &'a FieldSelector, path: &str) -> Option<&'a str> {
    selector.requirements().iter().find(|r| r.equal && r.path == path).map(|r| r.value.as_str())
}
