//! Who makes a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An authenticated caller (`authentication.k8s.io/v1` `UserInfo`).
///
/// Made by the API server's authenticators from certificates and tokens, or by `main` for a component in the
/// same process; it is never decoded from a request, so a caller on the network cannot forge one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// User name, e.g. `system:kube-scheduler`.
    pub user: String,
    /// Unique ID of the user, if the authenticator knows one (a service account's UID).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Groups, e.g. `system:masters`, `system:authenticated`.
    pub groups: Vec<String>,
    /// Further attributes, e.g. `authentication.kubernetes.io/pod-name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Identity {
    /// Makes an authenticated identity; `system:authenticated` is added to its groups.
    #[must_use]
    pub fn authenticated(user: impl Into<String>, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        groups.push(SYSTEM_AUTHENTICATED.to_owned());
        Self { user: user.into(), groups, ..Self::default() }
    }

    /// Returns the identity of a request without credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            user: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..Self::default()
        }
    }

    /// Tells whether the caller is in `group`.
    #[must_use]
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// Returns the node name when the caller is a node (`system:node:<name>` in group `system:nodes`).
    #[must_use]
    pub fn node_name(&self) -> Option<&str> {
        if self.in_group(SYSTEM_NODES) { self.user.strip_prefix("system:node:") } else { None }
    }
}

/// Group of every authenticated caller.
pub const SYSTEM_AUTHENTICATED: &str = "system:authenticated";
/// Group whose members bypass authorization.
pub const SYSTEM_MASTERS: &str = "system:masters";
/// Group of all nodes.
pub const SYSTEM_NODES: &str = "system:nodes";
