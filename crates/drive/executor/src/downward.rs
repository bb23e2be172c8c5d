//! Fields and resources of a pod as text: what `fieldRef` and `resourceFieldRef` name.

use km_api::Quantity;
use km_kinds::api::core::v1::{Container, Pod, ResourceFieldSelector};

/// What of a running pod is not in its object yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) host_ip: String,
    pub(crate) pod_ips: Vec<String>,
}

/// Returns a field of the pod, or why there is none.
pub(crate) fn field(pod: &Pod, facts: &Facts, path: &str) -> Result<String, String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    if let Some((base, key)) = subscript(path) {
        let map = match base {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(unsupported(path)),
        };
        return Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let text = match path {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        "metadata.labels" => Some(lines(meta.labels.as_ref())),
        "metadata.annotations" => Some(lines(meta.annotations.as_ref())),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|s| s.service_account_name.clone()),
        "status.hostIP" | "status.hostIPs" => Some(facts.host_ip.clone()),
        "status.podIP" => facts.pod_ips.first().cloned(),
        "status.podIPs" => Some(facts.pod_ips.join(",")),
        _ => return Err(unsupported(path)),
    };
    Ok(text.unwrap_or_default())
}

fn unsupported(path: &str) -> String {
    format!("unsupported fieldPath: {path}")
}

fn subscript(path: &str) -> Option<(&str, &str)> {
    let (base, key) = path.strip_suffix("']")?.split_once("['")?;
    Some((base, key))
}

/// Writes a map as upstream's downward API does: `key="value"`, sorted, one a line.
fn lines(map: Option<&std::collections::BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

/// Returns a container's limit or request, in the divisor's unit, rounded up.
pub(crate) fn resource(pod: &Pod, own: &Container, selector: &ResourceFieldSelector) -> Result<String, String> {
    let spec = pod.spec.as_ref();
    let all = spec.map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()));
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => {
            all.into_iter().flatten().find(|c| c.name == name).ok_or(format!("container {name} not found"))?
        }
        None => own,
    };
    let (list, name) = selector
        .resource
        .split_once('.')
        .ok_or_else(|| format!("unsupported container resource : {}", selector.resource))?;
    let resources = container.resources.as_ref();
    let amount = |list: &str| {
        let map = match list {
            "limits" => resources.and_then(|r| r.limits.as_ref()),
            _ => resources.and_then(|r| r.requests.as_ref()),
        };
        map.and_then(|map| map.get(name)).and_then(|q| Quantity::parse(&q.0).ok())
    };
    // A missing request reads as the limit, as the API's own defaulting would have made it.
    let value = amount(list).or_else(|| amount("limits")).unwrap_or(Quantity::ZERO);
    let divisor = selector.divisor.as_ref().and_then(|q| Quantity::parse(&q.0).ok()).filter(|q| !q.is_zero());
    let divisor = divisor.unwrap_or(Quantity::from_units(1));
    // Milli-units are exact for everything that can be a divisor (1m, 1, 1k, 1Mi ...).
    let (value, divisor) = (value.milli_ceil(), divisor.milli_ceil().max(1));
    Ok(((value + divisor - 1) / divisor).to_string())
}

#[cfg(test)]
mod tests {
    use km_kinds::Codec as _;

    use super::*;

    #[test]
    fn fields_and_resources_read_as_upstream_writes_them() {
        let pod = Pod::decode(
            br#"{"metadata":{"name":"web","labels":{"b":"2","a":"x \"y\""}},"spec":{"nodeName":"n1","containers":[
            {"name":"c","resources":{"limits":{"cpu":"250m","memory":"64Mi"}}}]}}"#,
        )
        .unwrap();
        let facts = Facts { host_ip: "10.0.0.1".into(), pod_ips: vec!["10.1.0.2".into()] };
        for (path, text) in [
            ("metadata.labels['b']", "2"),
            ("metadata.labels", "a=\"x \\\"y\\\"\"\nb=\"2\""),
            ("spec.nodeName", "n1"),
            ("status.podIP", "10.1.0.2"),
            ("metadata.annotations['none']", ""),
        ] {
            assert_eq!(field(&pod, &facts, path).unwrap(), text, "{path}");
        }
        assert!(field(&pod, &facts, "spec.containers").is_err());
        let container = &pod.spec.as_ref().unwrap().containers[0];
        for (name, divisor, text) in
            [("limits.cpu", "0", "1"), ("limits.cpu", "1m", "250"), ("requests.memory", "1Mi", "64")]
        {
            let divisor = Some(km_kinds::apimachinery::pkg::api::resource::Quantity(divisor.into()));
            let selector = ResourceFieldSelector { container_name: None, divisor, resource: name.into() };
            assert_eq!(resource(&pod, container, &selector).unwrap(), text, "{name}");
        }
    }
}
