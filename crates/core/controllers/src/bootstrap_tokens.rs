//! Bootstrap tokens whose time is over are deleted.
//!
//! Source: k8s pkg/controller/bootstrap, token cleaner.

use km_api::resource::SECRETS;
use km_base::{ObjectKey, Timestamp};

use crate::{Listers, Plan};

/// Plans for the token under `key`.
#[must_use]
pub fn reconcile(listers: &Listers, key: &ObjectKey, now: Timestamp) -> Plan {
    let mut plan = Plan::done();
    let Some(secret) = listers.bootstrap_tokens.get(key) else { return plan };
    let expiration = secret.object.data.as_ref().and_then(|d| d.get("expiration"));
    let Some(expiration) = expiration.and_then(|e| Timestamp::parse(std::str::from_utf8(&e.0).ok()?).ok()) else {
        return plan;
    };
    if expiration <= now {
        plan.delete(&SECRETS, &secret.meta);
    } else {
        plan.again(expiration.saturating_since(now));
    }
    plan
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::testing::{fill, lines};

    #[test]
    fn a_token_goes_when_its_time_is_over() {
        let mut listers = Listers::default();
        let expiration = STANDARD.encode("1970-01-01T00:05:00Z");
        fill(
            &mut listers.bootstrap_tokens,
            &[json!({"metadata": {"name": "t", "namespace": "kube-system"}, "data": {"expiration": expiration}})],
        );
        let at = |secs| reconcile(&listers, &ObjectKey::namespaced("kube-system", "t"), Timestamp::from_secs(secs));
        assert_eq!(at(299).again_after, Some(std::time::Duration::from_secs(1)));
        assert_eq!(lines(&at(300)), ["delete secrets kube-system/t"]);
    }
}
