//! `NodeRestriction`: a node writes its own Node, Lease and the status of its own pods, nothing else.
//!
//! Source: upstream v1.37 `plugin/pkg/admission/noderestriction/admission.go`.

use km_api::resource::{NODES, PODS};
use km_api::{Resource, Status};
use serde_json::Value;

use crate::admit::Admission;
use crate::call::Call;
use crate::value::{at, entries, list, text};

/// Labels of its own Node that a node may set, besides those in the `kubelet` and `node` prefixes.
const OWN_LABELS: &[&str] = &[
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// Holds a node to its own Node.
pub(crate) fn restrict_node(admission: &Admission<'_>, object: &mut Value) -> Result<(), Status> {
    let Some(node) = admission.call.identity.node_name() else { return Ok(()) };
    let name = text(object, "metadata.name");
    if name != node {
        let why = format!("node {node:?} is not allowed to modify node {name:?}");
        return Err(admission.forbidden(object, why));
    }
    let before = admission.old.unwrap_or(&Value::Null);
    let label = |labels: Option<&Value>, key: &str| labels.and_then(|l| l.get(key)).cloned();
    let mut changed: Vec<&str> = Vec::new();
    for (from, other) in [(&*object, before), (before, &*object)] {
        for (key, value) in entries(from, "metadata.labels") {
            if label(at(other, "metadata.labels"), key).as_ref() != Some(value) && is_restricted(key) {
                changed.push(key);
            }
        }
    }
    if !changed.is_empty() {
        changed.sort_unstable();
        changed.dedup();
        let verb = if admission.is_create() { "set" } else { "modify" };
        let why = format!("is not allowed to {verb} the following labels: {}", changed.join(", "));
        return Err(admission.forbidden(object, why));
    }
    if admission.old.is_some() && at(before, "spec.taints") != at(object, "spec.taints") {
        let why = format!("node {node:?} is not allowed to modify taints");
        return Err(admission.forbidden(object, why));
    }
    Ok(())
}

/// Holds a node to the pods that run on it; it creates none but mirrors of static ones.
pub(crate) fn restrict_pod(admission: &Admission<'_>, object: &mut Value) -> Result<(), Status> {
    let Some(node) = admission.call.identity.node_name() else { return Ok(()) };
    let mirror = at(object, "metadata.annotations").is_some_and(|a| a.get("kubernetes.io/config.mirror").is_some());
    match admission.old {
        None if !mirror => {
            let name = text(object, "metadata.name");
            let why = format!(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
            );
            return Err(Status::forbidden(&PODS, name, why));
        }
        None => {
            let own = text(object, "spec.nodeName");
            if own != node {
                return Err(admission.forbidden(
                    object,
                    format!("node {node:?} can only create pods with spec.nodeName set to itself"),
                ));
            }
            // A pod on the node opens to it all that the pod refers to.
            if let Some(what) = reference(object) {
                return Err(
                    admission.forbidden(object, format!("node {node:?} can not create pods that reference {what}"))
                );
            }
        }
        Some(old) if text(old, "spec.nodeName") != node => {
            let why = format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself");
            return Err(admission.forbidden(object, why));
        }
        Some(old) => {
            let labels = |pod: &Value| at(pod, "metadata.labels").cloned();
            if labels(old) != labels(object) {
                let why = format!("node {node:?} cannot update labels through pod status");
                return Err(admission.forbidden(object, why));
            }
        }
    }
    Ok(())
}

/// Returns which kind of other object the pod refers to, if any.
fn reference(pod: &Value) -> Option<&'static str> {
    if ["spec.serviceAccountName", "spec.serviceAccount"].iter().any(|path| !text(pod, path).is_empty()) {
        return Some("a service account");
    }
    let containers = || ["spec.initContainers", "spec.containers", "spec.ephemeralContainers"];
    let containers = || containers().into_iter().flat_map(|path| list(pod, path));
    let volumes = || list(pod, "spec.volumes").iter();
    let refers = |volume: &str, env_from: &str, env: &str| {
        let of_container = |container: &Value| {
            list(container, "envFrom").iter().any(|e| at(e, env_from).is_some())
                || list(container, "env").iter().any(|e| at(e, &format!("valueFrom.{env}")).is_some())
        };
        let of_volume =
            |v: &Value| at(v, volume).is_some() || list(v, "projected.sources").iter().any(|s| at(s, volume).is_some());
        containers().any(of_container) || volumes().any(of_volume)
    };
    if !list(pod, "spec.imagePullSecrets").is_empty() || refers("secret", "secretRef", "secretKeyRef") {
        return Some("secrets");
    }
    if refers("configMap", "configMapRef", "configMapKeyRef") {
        return Some("configmaps");
    }
    volumes().any(|v| at(v, "persistentVolumeClaim").is_some()).then_some("persistentvolumeclaims")
}

/// Holds a node to its own Lease.
pub(crate) fn restrict_lease(admission: &Admission<'_>, object: &mut Value) -> Result<(), Status> {
    let Some(node) = admission.call.identity.node_name() else { return Ok(()) };
    if text(object, "metadata.namespace") != "kube-node-lease" || text(object, "metadata.name") != node {
        let why = "can only access node lease with the same name as the requesting node";
        return Err(admission.forbidden(object, why));
    }
    Ok(())
}

/// Holds a node to the deletion of its own pods.
pub(crate) fn restrict_delete(call: &Call<'_>, resource: &Resource, object: &Value) -> Result<(), Status> {
    let Some(node) = call.identity.node_name() else { return Ok(()) };
    let name = text(object, "metadata.name");
    if resource == &PODS && text(object, "spec.nodeName") != node {
        let why = format!("node {node:?} can only delete pods with spec.nodeName set to itself");
        return Err(Status::forbidden(resource, name, why));
    }
    if resource == &NODES {
        return Err(Status::forbidden(resource, name, format!("node {node:?} is not allowed to delete nodes")));
    }
    Ok(())
}

fn is_restricted(label: &str) -> bool {
    let Some((prefix, _)) = label.split_once('/') else { return false };
    let is = |domain: &str| prefix == domain || prefix.ends_with(&format!(".{domain}"));
    if is("node-restriction.kubernetes.io") {
        return true;
    }
    let kubernetes = is("kubernetes.io") || is("k8s.io");
    let granted = is("kubelet.kubernetes.io") || is("node.kubernetes.io") || OWN_LABELS.contains(&label);
    kubernetes && !granted
}
