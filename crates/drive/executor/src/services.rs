//! The Services that containers find in their environment.
//!
//! A projection kept by the owner from its informer, handed out as an immutable snapshot.

use std::collections::BTreeMap;

use km_api::Object;
use km_base::ObjectKey;
use km_kinds::DecodeError;
use km_kinds::api::core::v1;

/// What of a Service shows in an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    cluster_ip: String,
    ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    name: String,
    protocol: String,
    port: i32,
}

impl Service {
    pub(crate) fn project(object: &Object) -> Result<Self, DecodeError> {
        let spec = object.decode::<v1::Service>()?.spec.unwrap_or_default();
        let ports = spec.ports.unwrap_or_default().into_iter().map(|p| Port {
            name: p.name.unwrap_or_default(),
            protocol: p.protocol.unwrap_or_else(|| "TCP".to_owned()),
            port: p.port,
        });
        Ok(Self { cluster_ip: spec.cluster_ip.unwrap_or_default(), ports: ports.collect() })
    }
}

/// All Services of the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Services(pub(crate) BTreeMap<ObjectKey, std::sync::Arc<Service>>);

impl Services {
    /// Returns the variables for a pod: those of its namespace's Services where it wants them, and always those
    /// of the API server's.
    pub(crate) fn variables(&self, namespace: &str, links: bool) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for (key, service) in &self.0 {
            let is_api = key.namespace == "default" && key.name == "kubernetes";
            let wanted = is_api || (links && key.namespace == namespace);
            let has_ip = !service.cluster_ip.is_empty() && service.cluster_ip != "None";
            if wanted && has_ip && !service.ports.is_empty() {
                append(&key.name, service, &mut out);
            }
        }
        out
    }
}

// k8s 1.33 pkg/kubelet/envvars/envvars.go.
fn append(name: &str, service: &Service, out: &mut Vec<(String, String)>) {
    let prefix = name.to_uppercase().replace('-', "_");
    let ip = &service.cluster_ip;
    let first = &service.ports[0];
    out.push((format!("{prefix}_SERVICE_HOST"), ip.clone()));
    out.push((format!("{prefix}_SERVICE_PORT"), first.port.to_string()));
    for port in service.ports.iter().filter(|p| !p.name.is_empty()) {
        let port_name = port.name.to_uppercase().replace('-', "_");
        out.push((format!("{prefix}_SERVICE_PORT_{port_name}"), port.port.to_string()));
    }
    let url = |port: &Port| format!("{}://{ip}:{}", port.protocol.to_lowercase(), port.port);
    out.push((format!("{prefix}_PORT"), url(first)));
    for port in &service.ports {
        let base = format!("{prefix}_PORT_{}_{}", port.port, port.protocol.to_uppercase());
        out.push((base.clone(), url(port)));
        out.push((format!("{base}_PROTO"), port.protocol.to_lowercase()));
        out.push((format!("{base}_PORT"), port.port.to_string()));
        out.push((format!("{base}_ADDR"), ip.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_as_docker_links_were() {
        let json = br#"{"metadata":{"namespace":"default","name":"kubernetes"},"spec":{"clusterIP":"10.96.0.1",
            "ports":[{"name":"https","port":443}]}}"#;
        let object = Object::parse(&json[..]).unwrap();
        let service = std::sync::Arc::new(Service::project(&object).unwrap());
        let services = Services(BTreeMap::from([(object.key(), service)]));
        let text: Vec<String> =
            services.variables("other", false).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text,
            [
                "KUBERNETES_SERVICE_HOST=10.96.0.1",
                "KUBERNETES_SERVICE_PORT=443",
                "KUBERNETES_SERVICE_PORT_HTTPS=443",
                "KUBERNETES_PORT=tcp://10.96.0.1:443",
                "KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443",
                "KUBERNETES_PORT_443_TCP_PROTO=tcp",
                "KUBERNETES_PORT_443_TCP_PORT=443",
                "KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1",
            ]
        );
    }
}
