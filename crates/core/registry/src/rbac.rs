//! RBAC rules: what roles and bindings grant, and whether one set of rules covers another.
//!
//! Source: upstream v1.37 `pkg/registry/rbac/validation`, `plugin/pkg/auth/authorizer/rbac`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

use km_api::resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES};
use km_api::{Identity, Resource};
use serde_json::Value;

use crate::value::{list, text, texts};
use crate::view::{View, key, prefix};

/// One rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) urls: Vec<String>,
}

/// What one binding grants to whom.
#[derive(Clone, Debug)]
struct Grant {
    subjects: Vec<Subject>,
    /// `None`: everywhere.
    namespace: Option<String>,
    rules: Vec<Rule>,
    origin: String,
}

#[derive(Clone, Debug)]
enum Subject {
    User(String),
    Group(String),
    ServiceAccount(String),
}

/// All roles and bindings of one state, read for evaluation.
///
/// Building it reads every RBAC object; a driver keeps one until a commit touches such an object.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    grants: Vec<Grant>,
}

/// One thing that a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) name: &'a str,
    /// Non-resource path, or empty.
    pub(crate) url: &'a str,
}

impl Policy {
    /// Reads the roles and bindings of `view`.
    #[must_use]
    pub fn of(view: &dyn View) -> Self {
        let mut roles: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
        for resource in [&CLUSTER_ROLES, &ROLES] {
            view.range(&prefix(resource, ""), &mut |key, object| {
                roles.insert(key.to_owned(), rules_of(&object.to_value()));
                ControlFlow::Continue(())
            });
        }
        let mut grants = Vec::new();
        for resource in [&CLUSTER_ROLE_BINDINGS, &ROLE_BINDINGS] {
            view.range(&prefix(resource, ""), &mut |_, object| {
                let binding = object.to_value();
                if let Some(rules) = roles.get(&role_key(&binding)) {
                    grants.push(grant(resource, &binding, rules.clone()));
                }
                ControlFlow::Continue(())
            });
        }
        Self { grants }
    }

    /// Tells which binding lets `identity` do this in `namespace` (empty: cluster-wide).
    pub(crate) fn allows(&self, identity: &Identity, namespace: &str, asked: Asked<'_>) -> Option<&str> {
        self.grants_of(identity, namespace)
            .into_iter()
            .find(|grant| grant.rules.iter().any(|rule| rule.allows(asked)))
            .map(|grant| grant.origin.as_str())
    }

    /// Returns the rules that hold for `identity` in `namespace`.
    pub(crate) fn rules(&self, identity: &Identity, namespace: &str) -> Vec<Rule> {
        self.grants_of(identity, namespace).into_iter().flat_map(|grant| grant.rules.iter().cloned()).collect()
    }

    fn grants_of(&self, identity: &Identity, namespace: &str) -> Vec<&Grant> {
        let here = |grant: &&Grant| grant.namespace.as_deref().is_none_or(|own| own == namespace);
        let theirs = |grant: &&Grant| grant.subjects.iter().any(|subject| subject.is(identity));
        self.grants.iter().filter(here).filter(theirs).collect()
    }
}

impl Subject {
    fn is(&self, identity: &Identity) -> bool {
        match self {
            Self::User(name) | Self::ServiceAccount(name) => identity.user == *name,
            Self::Group(name) => identity.in_group(name),
        }
    }
}

impl Rule {
    /// Reads a PolicyRule.
    pub(crate) fn read(rule: &Value) -> Self {
        let all = |path| texts(rule, path).into_iter().map(str::to_owned).collect();
        Self {
            verbs: all("verbs"),
            groups: all("apiGroups"),
            resources: all("resources"),
            names: all("resourceNames"),
            urls: all("nonResourceURLs"),
        }
    }

    /// Writes a PolicyRule.
    pub(crate) fn to_value(&self) -> Value {
        let fields = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
            ("verbs", &self.verbs),
        ];
        let written = fields.into_iter().filter(|(_, texts)| !texts.is_empty());
        written.map(|(field, texts)| (field.to_owned(), Value::from(texts.clone()))).collect()
    }

    /// Tells whether the rule grants what is asked.
    pub(crate) fn allows(&self, asked: Asked<'_>) -> bool {
        if !has(&self.verbs, asked.verb) {
            return false;
        }
        if !asked.url.is_empty() {
            return self.urls.iter().any(|url| url_matches(url, asked.url));
        }
        has(&self.groups, asked.group)
            && self.resources.iter().any(|r| resource_matches(r, asked.resource, asked.subresource))
            && (self.names.is_empty() || self.names.iter().any(|n| n == asked.name))
    }

    /// Splits the rule into rules of one verb and one resource or URL each.
    fn parts(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        for verb in &self.verbs {
            let one = |x: &String| vec![x.clone()];
            for url in &self.urls {
                parts.push(Self { verbs: one(verb), urls: one(url), ..Self::default() });
            }
            for group in &self.groups {
                for resource in &self.resources {
                    let part =
                        Self { verbs: one(verb), groups: one(group), resources: one(resource), ..Self::default() };
                    if self.names.is_empty() {
                        parts.push(part.clone());
                    }
                    for name in &self.names {
                        parts.push(Self { names: one(name), ..part.clone() });
                    }
                }
            }
        }
        parts
    }

    /// Tells whether this rule grants all of `part`, a rule of one verb and one resource.
    fn covers(&self, part: &Self) -> bool {
        let covers_text = |own: &[String], asked: &[String]| asked.iter().all(|x| has(own, x));
        covers_text(&self.verbs, &part.verbs)
            && covers_text(&self.groups, &part.groups)
            && part.resources.iter().all(|asked| self.covers_resource(asked))
            && part.urls.iter().all(|asked| self.urls.iter().any(|own| url_matches(own, asked)))
            && (self.names.is_empty() || (!part.names.is_empty() && part.names.iter().all(|n| self.names.contains(n))))
    }

    fn covers_resource(&self, asked: &str) -> bool {
        let subresource = asked.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        self.resources.iter().any(|own| own == "*" || own == asked || subresource.as_ref() == Some(own))
    }
}

impl fmt::Display for Rule {
    /// Writes the rule as upstream's escalation errors do (`CompactString`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = parts
            .iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| format!("{name}:{}", quoted(values)))
            .collect();
        write!(f, "{{{}}}", shown.join(", "))
    }
}

/// Returns those parts of `asked` that `own` does not grant, put together again by resource.
pub(crate) fn uncovered(own: &[Rule], asked: &[Rule]) -> Vec<Rule> {
    let mut missing: Vec<Rule> = Vec::new();
    for part in asked.iter().flat_map(Rule::parts) {
        if own.iter().any(|rule| rule.covers(&part)) {
            continue;
        }
        let same = missing.iter_mut().find(|m| {
            m.groups == part.groups && m.resources == part.resources && m.names == part.names && m.urls == part.urls
        });
        match same {
            Some(found) => found.verbs.extend(part.verbs),
            None => missing.push(part),
        }
    }
    missing
}

/// Writes texts as Go's `%q` writes a slice.
pub(crate) fn quoted(values: &[String]) -> String {
    let inner: Vec<String> = values.iter().map(|v| format!("{v:?}")).collect();
    format!("[{}]", inner.join(" "))
}

/// Returns the rules of a role.
pub(crate) fn rules_of(role: &Value) -> Vec<Rule> {
    list(role, "rules").iter().map(Rule::read).collect()
}

/// Returns the key of the role that a binding refers to.
pub(crate) fn role_key(binding: &Value) -> String {
    let name = text(binding, "roleRef.name");
    if text(binding, "roleRef.kind") == "Role" {
        key(&ROLES, text(binding, "metadata.namespace"), name)
    } else {
        key(&CLUSTER_ROLES, "", name)
    }
}

fn grant(resource: &Resource, binding: &Value, rules: Vec<Rule>) -> Grant {
    let namespace = text(binding, "metadata.namespace");
    let name = text(binding, "metadata.name");
    let subjects = list(binding, "subjects").iter().filter_map(|subject| {
        let name = text(subject, "name");
        match text(subject, "kind") {
            "User" => Some(Subject::User(name.to_owned())),
            "Group" => Some(Subject::Group(name.to_owned())),
            "ServiceAccount" => {
                let space = match text(subject, "namespace") {
                    "" => namespace,
                    other => other,
                };
                (!space.is_empty()).then(|| Subject::ServiceAccount(format!("system:serviceaccount:{space}:{name}")))
            }
            _ => None,
        }
    });
    let (shown, own) = if namespace.is_empty() {
        (name.to_owned(), None)
    } else {
        (format!("{name}/{namespace}"), Some(namespace.to_owned()))
    };
    let role = format!("{} {:?}", text(binding, "roleRef.kind"), text(binding, "roleRef.name"));
    Grant {
        subjects: subjects.collect(),
        namespace: own,
        rules,
        origin: format!("RBAC: allowed by {} {shown:?} of {role}", resource.kind),
    }
}

fn has(values: &[String], asked: &str) -> bool {
    values.iter().any(|v| v == "*" || v == asked)
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == "*" || of == resource),
    }
}

fn url_matches(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}
