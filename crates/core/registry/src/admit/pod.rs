//! Pods: service account and its token, default tolerations, priority.
//!
//! Source: upstream v1.37 `plugin/pkg/admission/{serviceaccount,defaulttolerationseconds,priority}`.

use km_api::Status;
use km_api::resource::SERVICE_ACCOUNTS;
use serde_json::{Value, json};

use crate::admit::Admission;
use crate::value::{at, default, list, list_mut, object_mut, set, text};
use crate::view::key;

/// Where a container finds its pod's API credentials.
const TOKEN_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Lifetime of such a token; the odd seven seconds mark tokens that upstream's kubelet renews.
const TOKEN_SECONDS: i64 = 3607;

/// Gives the pod its service account and a volume with the account's token.
pub(crate) fn service_account(admission: &Admission<'_>, pod: &mut Value) -> Result<(), Status> {
    if !admission.is_create()
        || at(pod, "metadata.annotations").is_some_and(|a| a.get("kubernetes.io/config.mirror").is_some())
    {
        return Ok(());
    }
    default(pod, "spec.serviceAccountName", "default");
    let name = text(pod, "spec.serviceAccountName").to_owned();
    set(pod, "spec.serviceAccount", name.as_str());
    let namespace = text(pod, "metadata.namespace").to_owned();
    let Some(account) = admission.view.get(&key(&SERVICE_ACCOUNTS, &namespace, &name)) else {
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(admission.forbidden(pod, why));
    };
    let account = account.to_value();
    let wanted = at(pod, "spec.automountServiceAccountToken")
        .or_else(|| at(&account, "automountServiceAccountToken"))
        .and_then(Value::as_bool)
        .unwrap_or(true);
    if wanted {
        mount_token(admission, pod);
    }
    if list(pod, "spec.imagePullSecrets").is_empty() && !list(&account, "imagePullSecrets").is_empty() {
        set(pod, "spec.imagePullSecrets", list(&account, "imagePullSecrets"));
    }
    Ok(())
}

fn mount_token(admission: &Admission<'_>, pod: &mut Value) {
    let existing = list(pod, "spec.volumes")
        .iter()
        .map(|volume| text(volume, "name"))
        .find(|name| name.starts_with("kube-api-access-"))
        .map(str::to_owned);
    let volume = existing.clone().unwrap_or_else(|| format!("kube-api-access-{}", admission.call.entropy.suffix(100)));
    let mut mounted = false;
    for path in ["spec.initContainers", "spec.containers"] {
        for container in list_mut(pod, path) {
            if list(container, "volumeMounts").iter().any(|m| text(m, "mountPath") == TOKEN_MOUNT) {
                continue;
            }
            let mounts = object_mut(container, "").entry("volumeMounts").or_insert_with(|| json!([]));
            if let Some(mounts) = mounts.as_array_mut() {
                mounts.push(json!({"name": volume, "readOnly": true, "mountPath": TOKEN_MOUNT}));
                mounted = true;
            }
        }
    }
    if !mounted || existing.is_some() {
        return;
    }
    let volumes = object_mut(pod, "spec").entry("volumes").or_insert_with(|| json!([]));
    if let Some(volumes) = volumes.as_array_mut() {
        volumes.push(json!({"name": volume, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}));
    }
}

/// Lets the pod stay for five minutes on a node that is not ready or cannot be reached.
pub(crate) fn tolerations(admission: &Admission<'_>, pod: &mut Value) -> Result<(), Status> {
    if !admission.is_create() {
        return Ok(());
    }
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = list(pod, "spec.tolerations").iter().any(|t| {
            let (own, effect) = (text(t, "key"), text(t, "effect"));
            (own == key || own.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if tolerated {
            continue;
        }
        let tolerations = object_mut(pod, "spec").entry("tolerations").or_insert_with(|| json!([]));
        if let Some(items) = tolerations.as_array_mut() {
            items.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
    Ok(())
}

/// Sets the priority: there are no PriorityClass objects, only the two that upstream builds in.
pub(crate) fn priority(admission: &Admission<'_>, pod: &mut Value) -> Result<(), Status> {
    if !admission.is_create() {
        return Ok(());
    }
    let computed = match text(pod, "spec.priorityClassName") {
        "" => 0,
        "system-cluster-critical" => 2_000_000_000,
        "system-node-critical" => 2_000_001_000,
        other => return Err(admission.forbidden(pod, format!("no PriorityClass with name {other} was found"))),
    };
    if let Some(asked) = crate::value::int(pod, "spec.priority")
        && asked != computed
    {
        let why = format!(
            "the integer value of priority ({asked}) must not be provided in pod spec; priority admission controller computed {computed} from the given PriorityClass name"
        );
        return Err(admission.forbidden(pod, why));
    }
    set(pod, "spec.priority", computed);
    default(pod, "spec.preemptionPolicy", "PreemptLowerPriority");
    Ok(())
}
