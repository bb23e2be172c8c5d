//! `pods/proxy` and `services/proxy`: plain HTTP to a pod, from where this server runs.
//!
//! Names are upstream's `[scheme:]name[:port]` (k8s 1.37 apimachinery util/net SplitSchemeNamePort). It works where
//! this server's host can reach pod addresses.

use http::Uri;
use km_api::resource::{ENDPOINT_SLICES, PODS, SERVICES};
use km_api::{Reason, Status};
use serde_json::Value;

use super::Front;
use super::path::ResourcePath;

/// A name as it stands in a proxy's path.
struct Target<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

fn split(text: &str) -> Option<Target<'_>> {
    let parts: Vec<&str> = text.split(':').collect();
    let target = match parts.as_slice() {
        [name] => Target { scheme: "http", name, port: "" },
        [name, port] => Target { scheme: "http", name, port },
        ["" | "http", name, port] => Target { scheme: "http", name, port },
        ["https", name, port] => Target { scheme: "https", name, port },
        _ => return None,
    };
    (!target.name.is_empty()).then_some(target)
}

impl Front {
    /// Returns where a proxied request goes.
    pub(super) fn proxy_url(&self, path: &ResourcePath, query: &str) -> Result<Uri, Status> {
        let target = split(&path.name).ok_or_else(|| {
            Status::bad_request(format!("invalid {} request {:?}", path.resource.singular, path.name))
        })?;
        let (address, port) = if path.resource == &PODS {
            self.pod_address(&path.namespace, &target)?
        } else {
            self.service_address(&path.namespace, &target)?
        };
        let host = if address.contains(':') { format!("[{address}]") } else { address };
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        format!("{}://{host}:{port}/{}{query}", target.scheme, path.rest)
            .parse()
            .map_err(|error| Status::bad_request(format!("{:?} cannot be proxied to: {error}", path.name)))
    }

    fn pod_address(&self, namespace: &str, target: &Target<'_>) -> Result<(String, u64), Status> {
        let pod = self.object(&PODS, namespace, target.name)?;
        let address = pod["status"]["podIP"].as_str().unwrap_or_default();
        if address.is_empty() {
            return Err(Status::bad_request(format!("pod {} does not have an address assigned", target.name)));
        }
        let mut ports = pod["spec"]["containers"].as_array().into_iter().flatten().flat_map(ports_of);
        let port = match (target.port, target.port.parse()) {
            ("", _) => ports.next().and_then(|p| p["containerPort"].as_u64()).unwrap_or(80),
            (_, Ok(number)) => number,
            (name, _) => ports
                .find(|p| p["name"] == name)
                .and_then(|p| p["containerPort"].as_u64())
                .ok_or_else(|| Status::bad_request(format!("pod {} has no port {name:?}", target.name)))?,
        };
        Ok((address.to_owned(), port))
    }

    /// Returns a ready endpoint of the service; each request takes the first.
    fn service_address(&self, namespace: &str, target: &Target<'_>) -> Result<(String, u64), Status> {
        let service = self.object(&SERVICES, namespace, target.name)?;
        let none = || no_endpoints(target.name);
        let wanted = ports_of(&service["spec"])
            .find(|p| {
                target.port.is_empty()
                    || p["name"] == target.port
                    || target.port.parse::<u64>().is_ok_and(|n| p["port"] == n)
            })
            .map(|p| p["name"].as_str().unwrap_or_default().to_owned())
            .ok_or_else(none)?;
        let state = self.service.state();
        let prefix = km_registry::prefix(&ENDPOINT_SLICES, namespace);
        let slices = state.iter(&prefix).filter_map(|entry| crate::view::object(entry));
        for slice in
            slices.filter(|s| s.meta().labels.get("kubernetes.io/service-name").is_some_and(|n| n == target.name))
        {
            let slice = slice.to_value();
            let port = ports_of(&slice).find(|p| p["name"].as_str().unwrap_or_default() == wanted);
            let ready = slice["endpoints"].as_array().into_iter().flatten().find(|e| e["conditions"]["ready"] != false);
            let address = ready.and_then(|e| e["addresses"][0].as_str());
            if let (Some(address), Some(port)) = (address, port.and_then(|p| p["port"].as_u64())) {
                return Ok((address.to_owned(), port));
            }
        }
        Err(none())
    }
}

fn ports_of(value: &Value) -> impl Iterator<Item = &Value> {
    value["ports"].as_array().into_iter().flatten()
}

/// k8s 1.37 pkg/registry/core/service/storage: ResourceLocation.
fn no_endpoints(name: &str) -> Status {
    Status::failure(503, Reason::ServiceUnavailable, format!("no endpoints available for service {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_scheme_and_port() {
        let show = |text: &str| split(text).map(|t| format!("{} {} {}", t.scheme, t.name, t.port));
        for (text, want) in [
            ("web", Some("http web ")),
            ("web:80", Some("http web 80")),
            ("https:web:443", Some("https web 443")),
            ("http:web:", Some("http web ")),
            ("ftp:web:21", None),
            (":80", None),
            ("a:b:c:d", None),
        ] {
            assert_eq!(show(text).as_deref(), want, "{text}");
        }
    }
}
