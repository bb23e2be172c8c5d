//! A container's environment: variables of services, of ConfigMaps and Secrets, its own; and `$(VAR)`.

use std::collections::BTreeMap;

use km_client::Client;
use km_kinds::api::core::v1::{Container, EnvVar, Pod};

use crate::downward::{self, Facts};
use crate::references;
use crate::services::Services;

/// Resolves the environment of a container, in order; later values replace earlier ones.
///
/// # Errors
/// The text that a kubelet shows with CreateContainerConfigError.
pub(crate) async fn resolve(
    client: &Client,
    services: &Services,
    pod: &Pod,
    container: &Container,
    facts: &Facts,
) -> Result<Vec<(String, String)>, String> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let links = pod.spec.as_ref().and_then(|s| s.enable_service_links).unwrap_or(true);
    let mut map: BTreeMap<String, String> = services.variables(&namespace, links).into_iter().collect();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut add = |key: &str, value: String| {
            // Keys that cannot name a variable are passed over (k8s 1.33 pkg/kubelet/kubelet_pods.go).
            if !key.is_empty() && !key.contains('=') {
                map.insert(format!("{prefix}{key}"), value);
            }
        };
        if let Some(reference) = &source.config_map_ref {
            let found = references::config_map(client, &namespace, &reference.name).await.map_err(|e| e.0)?;
            match found {
                Some(found) => found.data.into_iter().flatten().for_each(|(key, value)| add(&key, value)),
                None if reference.optional == Some(true) => {}
                None => return Err(references::not_found("configmap", &reference.name).0),
            }
        }
        if let Some(reference) = &source.secret_ref {
            let found = references::secret(client, &namespace, &reference.name).await.map_err(|e| e.0)?;
            match found {
                Some(found) => {
                    for (key, value) in found.data.into_iter().flatten() {
                        add(&key, String::from_utf8_lossy(&value.0).into_owned());
                    }
                }
                None if reference.optional == Some(true) => {}
                None => return Err(references::not_found("secret", &reference.name).0),
            }
        }
    }
    // Own variables see all others, and only those of their own that stand before them.
    let mut seen = map.clone();
    for variable in container.env.iter().flatten() {
        if let Some(value) = one(client, pod, container, facts, variable, &seen).await? {
            seen.insert(variable.name.clone(), value.clone());
            map.insert(variable.name.clone(), value);
        }
    }
    Ok(map.into_iter().collect())
}

async fn one(
    client: &Client,
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    variable: &EnvVar,
    seen: &BTreeMap<String, String>,
) -> Result<Option<String>, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(source) = &variable.value_from else {
        return Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), seen)));
    };
    if let Some(reference) = &source.field_ref {
        return downward::field(pod, facts, &reference.field_path).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        return downward::resource(pod, container, selector).map(Some);
    }
    if let Some(selector) = &source.config_map_key_ref {
        let optional = selector.optional == Some(true);
        let Some(found) = references::config_map(client, namespace, &selector.name).await.map_err(|e| e.0)? else {
            return if optional { Ok(None) } else { Err(references::not_found("configmap", &selector.name).0) };
        };
        let value = found.data.as_ref().and_then(|data| data.get(&selector.key)).cloned();
        return match value {
            None if !optional => {
                Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", selector.key, selector.name))
            }
            value => Ok(value),
        };
    }
    if let Some(selector) = &source.secret_key_ref {
        let optional = selector.optional == Some(true);
        let Some(found) = references::secret(client, namespace, &selector.name).await.map_err(|e| e.0)? else {
            return if optional { Ok(None) } else { Err(references::not_found("secret", &selector.name).0) };
        };
        let value = found.data.as_ref().and_then(|data| data.get(&selector.key));
        return match value {
            None if !optional => {
                Err(format!("couldn't find key {} in Secret {namespace}/{}", selector.key, selector.name))
            }
            value => Ok(value.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned())),
        };
    }
    Ok(Some(String::new()))
}

/// Replaces `$(NAME)` by the variable's value; `$$` is a dollar; unknown names stay as they are.
// k8s 1.33 third_party/forked/golang/expansion/expand.go.
pub(crate) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match variables.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_documented() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expanded) in
            [("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("$A $", "$A $"), ("$(A", "$(A"), ("x$(A)y", "x1y")]
        {
            assert_eq!(expand(text, &variables), expanded, "{text}");
        }
    }
}
