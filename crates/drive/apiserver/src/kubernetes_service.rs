//! Keeps the `kubernetes` Service's endpoints at this server's address, so that pods reach it by name.
//!
//! Upstream's reconciler (k8s 1.37 pkg/controlplane/controller/kubernetesendpoint) for one server. The Service
//! itself is one of the registry's bootstrap objects.

use std::net::IpAddr;
use std::time::Duration;

use km_api::resource::{ENDPOINT_SLICES, ENDPOINTS};
use km_api::{Resource, Status};
use km_client::Client;
use km_net::Shutdown;
use serde_json::{Value, json};
use tracing::{info, warn};

/// Someone may delete or change them; looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const NAMESPACE: &str = "default";
const NAME: &str = "kubernetes";

/// Where the server is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
}

/// Runs until shutdown.
pub(crate) async fn run(client: Client, address: Address, shutdown: Shutdown) {
    if address.ip.is_loopback() {
        // The API refuses loopback addresses in endpoints, and rightly: in a pod they are the pod's own. km's own
        // service proxy leads pods to such a server all the same, by the node's address on their bridge.
        info!(ip = %address.ip, "Service kubernetes gets no endpoints: the API server listens on loopback");
        return;
    }
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = shutdown.begun() => return,
            _ = tick.tick() => {}
        }
        for (resource, wanted) in [(&ENDPOINTS, endpoints(address)), (&ENDPOINT_SLICES, slice(address))] {
            if let Err(status) = keep(&client, resource, wanted).await {
                warn!(resource = resource.plural, error = %status, "could not keep the kubernetes Service's endpoints");
            }
        }
    }
}

async fn keep(client: &Client, resource: &'static Resource, wanted: Value) -> Result<(), Status> {
    let Some(object) = client.find(resource, NAMESPACE, NAME).await? else {
        client.create(resource, NAMESPACE, wanted.to_string()).await?;
        return Ok(());
    };
    let mut found = object.to_value();
    let fields = ["subsets", "addressType", "endpoints", "ports"];
    if fields.iter().all(|field| covers(&found[*field], &wanted[*field])) {
        return Ok(());
    }
    for field in fields {
        if !wanted[field].is_null() {
            found[field] = wanted[field].clone();
        }
    }
    client.update(resource, NAMESPACE, NAME, "", found.to_string()).await.map(|_| ())
}

/// Tells whether `found` is `wanted`, whatever defaults were added to it.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| found.get(key).is_some_and(|own| covers(own, value)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(own, value)| covers(own, value))
        }
        (_, Value::Null) => true,
        (found, wanted) => found == wanted,
    }
}

fn endpoints(address: Address) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": [{"ip": address.ip.to_string()}],
            "ports": [{"name": "https", "port": address.port, "protocol": "TCP"}],
        }],
    })
}

fn slice(address: Address) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": NAME},
        },
        "addressType": if address.ip.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [address.ip.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": address.port, "protocol": "TCP"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_that_were_added_are_no_difference() {
        let address = Address { ip: [10, 0, 0, 1].into(), port: 6443 };
        let mut found = slice(address);
        found["endpoints"][0]["conditions"]["serving"] = true.into();
        assert!(covers(&found["endpoints"], &slice(address)["endpoints"]));
        found["ports"][0]["port"] = 1.into();
        assert!(!covers(&found["ports"], &slice(address)["ports"]));
    }
}
