//! What every namespace has from its start: the ServiceAccount `default` and the cluster's CA certificate.
//!
//! Source: k8s pkg/controller/serviceaccount and pkg/controller/certificates/rootcacertpublisher.

use km_api::resource::{CONFIG_MAPS, SERVICE_ACCOUNTS};
use km_base::ObjectKey;
use serde_json::json;

use crate::{Listers, Plan};

/// Name of the ConfigMap with the cluster's CA certificate, which pods mount beside their token.
pub const ROOT_CA_CONFIG_MAP: &str = "kube-root-ca.crt";

/// Plans for the namespace under `key`; `root_ca` is the PEM of the API server's CA.
#[must_use]
pub fn reconcile(listers: &Listers, key: &ObjectKey, root_ca: &str) -> Plan {
    let mut plan = Plan::done();
    let Some(namespace) = listers.namespaces.get(key).filter(|n| !n.meta.is_terminating()) else { return plan };
    let name = &namespace.meta.name;
    if listers.service_accounts.get(&ObjectKey::namespaced(name.as_str(), "default")).is_none() {
        let object = json!({"metadata": {"name": "default", "namespace": name}});
        plan.create(&SERVICE_ACCOUNTS, name, object);
    }
    let ca_key = ObjectKey::namespaced(name.as_str(), ROOT_CA_CONFIG_MAP);
    match listers.root_ca_config_maps.get(&ca_key) {
        None => {
            let description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
            let object = json!({
                "metadata": {"name": ROOT_CA_CONFIG_MAP, "namespace": name, "annotations": {"kubernetes.io/description": description}},
                "data": {"ca.crt": root_ca},
            });
            plan.create(&CONFIG_MAPS, name, object);
        }
        Some(have) => {
            let same = have.object.data.as_ref().and_then(|d| d.get("ca.crt")).is_some_and(|ca| ca == root_ca);
            if !same {
                plan.patch(&CONFIG_MAPS, ca_key, "", json!({"data": {"ca.crt": root_ca}}));
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fill, lines};

    #[test]
    fn a_namespace_gets_its_account_and_todays_ca() {
        let mut listers = Listers::default();
        fill(&mut listers.namespaces, &[json!({"metadata": {"name": "n"}})]);
        let key = ObjectKey::cluster("n");
        assert_eq!(
            lines(&reconcile(&listers, &key, "CA")),
            ["create serviceaccounts n/default", "create configmaps n/kube-root-ca.crt"]
        );
        fill(&mut listers.service_accounts, &[json!({"metadata": {"name": "default", "namespace": "n"}})]);
        fill(
            &mut listers.root_ca_config_maps,
            &[json!({"metadata": {"name": ROOT_CA_CONFIG_MAP, "namespace": "n"}, "data": {"ca.crt": "old"}})],
        );
        assert_eq!(
            lines(&reconcile(&listers, &key, "CA")),
            [r#"patch configmaps n/kube-root-ca.crt  {"data":{"ca.crt":"CA"}}"#]
        );
    }
}
