//! Certificate signing requests: approves those of nodes, signs the approved ones, and tidies up.
//!
//! In the pod's journey: a new executor has a bootstrap token that the framework bound to its node's name; here
//! the token becomes the node's own certificate, once.
//!
//! ```text
//!   kubelet client, by bootstrap token    the token's Secret names the node (`node-name`) and is unused
//!   kubelet client, by the node itself    renewal: the same name
//!   kubelet serving, by the node itself   every address asked for is one of the Node's
//! ```
//!
//! An ordinary client of the API, in this process. Anything else waits for a person: `kubectl certificate approve`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use km_api::resource::{CERTIFICATE_SIGNING_REQUESTS as CSRS, NODES, SECRETS};
use km_api::{ContentType, Object, Options, Status};
use km_base::{ObjectKey, Timestamp, chain};
use km_client::{Change, Client, DeleteOptions, Informer, InformerConfig, informer};
use km_net::pki::{self, Ca, CertificateRequest, PkiError, Usage, Validity};
use km_net::{Shutdown, TaskSet};
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use crate::service::Service;
use crate::writer::Clock;

/// Signer of the certificates by which nodes call the API.
const NODE_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Signer of the certificates by which nodes are called.
const NODE_SERVING: &str = "kubernetes.io/kubelet-serving";
/// Signer of any other client certificate, approved by a person.
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Annotation of a bootstrap token's Secret: the one request that it was used for.
const USED_BY: &str = "k8s.mesosphere.io/used-by";
/// k8s 1.37 --cluster-signing-duration.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Requests that wait (for their Node, say) are looked at again this often.
const AGAIN_EVERY: Duration = Duration::from_millis(250);
/// Finished requests and expired tokens are removed this often.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// k8s 1.37 pkg/controller/certificates/cleaner: approved ones after an hour, others after a day.
const KEEP_DONE_SECS: i64 = 3_600;
const KEEP_PENDING_SECS: i64 = 24 * 3_600;

/// Runs until shutdown.
pub(crate) async fn run(service: Arc<Service>, client: Client, ca: Arc<Ca>, tasks: TaskSet) {
    let (follow, changes) = informer(client.clone(), InformerConfig::all(&CSRS), |object| Ok(object.clone()));
    tasks.spawn("csr informer", follow);
    let clock = Arc::clone(&service.clock);
    let signer = Signer { service, client, ca, clock, known: BTreeMap::new(), open: BTreeSet::new() };
    signer.run(changes, tasks.shutdown()).await;
}

struct Signer {
    service: Arc<Service>,
    client: Client,
    ca: Arc<Ca>,
    clock: Clock,
    known: BTreeMap<ObjectKey, Arc<Object>>,
    /// Those of `known` that are not decided and signed.
    open: BTreeSet<ObjectKey>,
}

/// What is to be done about a request now.
enum Verdict {
    /// Nothing, or not yet.
    Wait,
    /// Approve it; the text is for people.
    Approve(&'static str),
    /// Refuse it for good.
    Deny(String),
}

impl Signer {
    async fn run(mut self, mut changes: Informer<Object>, shutdown: Shutdown) {
        let mut again = tokio::time::interval(AGAIN_EVERY);
        let mut tidy = tokio::time::interval(TIDY_EVERY);
        loop {
            tokio::select! {
                () = shutdown.begun() => return,
                change = changes.recv() => match change {
                    None => return,
                    Some(Change::Upsert(cached)) => {
                        let key = cached.meta.key();
                        if state(&cached.object.to_value()) == State::Done {
                            self.open.remove(&key);
                        } else {
                            self.open.insert(key.clone());
                        }
                        self.known.insert(key.clone(), cached.object);
                        self.reconcile(&key).await;
                    }
                    Some(Change::Delete(key)) => {
                        self.known.remove(&key);
                        self.open.remove(&key);
                    }
                    Some(Change::Synced) => {}
                },
                _ = again.tick() => {
                    for key in &self.open {
                        self.reconcile(key).await;
                    }
                }
                _ = tidy.tick() => self.tidy().await,
            }
        }
    }

    async fn reconcile(&self, key: &ObjectKey) {
        let Some(object) = self.known.get(key) else { return };
        let csr = object.to_value();
        let outcome = match state(&csr) {
            State::Done => return,
            State::Approved => self.sign(&csr).await,
            State::Pending => self.consider(&csr).await,
        };
        if let Err(status) = outcome {
            // Conflicts and the like: the informer brings the newer state, or the next round tries again.
            debug!(csr = %key, error = %status, "could not move a signing request on");
        }
    }

    async fn consider(&self, csr: &Value) -> Result<(), Status> {
        let name = text(csr, "/metadata/name");
        match self.verdict(csr).await? {
            Verdict::Wait => Ok(()),
            Verdict::Approve(why) => {
                self.condition(csr, "Approved", "AutoApproved", why).await?;
                info!(csr = name, user = text(csr, "/spec/username"), why, "approved a signing request");
                Ok(())
            }
            Verdict::Deny(why) => {
                warn!(csr = name, user = text(csr, "/spec/username"), why, "denied a signing request");
                self.condition(csr, "Denied", "AutoDenied", &why).await
            }
        }
    }

    async fn verdict(&self, csr: &Value) -> Result<Verdict, Status> {
        let signer = text(csr, "/spec/signerName");
        if signer != NODE_CLIENT && signer != NODE_SERVING {
            return Ok(Verdict::Wait);
        }
        let request = match requested(csr) {
            Ok(request) => request,
            Err(error) => return Ok(Verdict::Deny(chain(&error).to_string())),
        };
        let Some(node) = node_of(&request) else { return Ok(Verdict::Wait) };
        let user = text(csr, "/spec/username");
        let groups = csr.pointer("/spec/groups").and_then(Value::as_array);
        let is_node = groups.into_iter().flatten().any(|group| group == km_api::identity::SYSTEM_NODES);
        let itself = is_node && user == request.subject.common_name;
        match signer {
            NODE_CLIENT if !plain_client(&request) => Ok(Verdict::Wait),
            NODE_CLIENT if itself => Ok(Verdict::Approve("renewal by the node itself")),
            NODE_CLIENT => self.claim_token(text(csr, "/metadata/uid"), user, node).await,
            _ if itself && self.addresses_are_the_nodes(&request, node).await? => {
                Ok(Verdict::Approve("every address is the node's own"))
            }
            _ => Ok(Verdict::Wait),
        }
    }

    /// Uses up the bootstrap token that the request (by its UID: a name can be used again) was made with.
    async fn claim_token(&self, csr: &str, user: &str, node: &str) -> Result<Verdict, Status> {
        let Some(secret) = crate::authn::token_of_user(&self.service.state(), user) else {
            return Ok(Verdict::Wait);
        };
        let bound = secret.data("node-name");
        if bound.is_empty() {
            // A person's token (kubeadm's kind) is bound to no node, so a person approves.
            return Ok(Verdict::Wait);
        }
        if bound != node {
            return Ok(Verdict::Deny(format!("the bootstrap token is bound to node {bound:?}")));
        }
        let used_by = secret.annotation(USED_BY);
        if used_by == csr {
            return Ok(Verdict::Approve("bootstrap token of this node"));
        }
        if !used_by.is_empty() {
            return Ok(Verdict::Deny("the bootstrap token was used before".to_owned()));
        }
        // With the version that was read, so that of two requests only one gets the token.
        let patch = json!({"metadata": {
            "resourceVersion": secret.resource_version(),
            "annotations": {USED_BY: csr},
        }});
        self.client
            .patch(&SECRETS, "kube-system", &secret.name, "", ContentType::MergePatch, patch.to_string())
            .await?;
        Ok(Verdict::Approve("bootstrap token of this node"))
    }

    async fn addresses_are_the_nodes(&self, request: &CertificateRequest, node: &str) -> Result<bool, Status> {
        if !request.email_addresses.is_empty() || !request.uris.is_empty() {
            return Ok(false);
        }
        let Some(object) = self.client.find(&NODES, "", node).await? else { return Ok(false) };
        let value = object.to_value();
        let mut own: Vec<&str> = value["status"]["addresses"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|address| address["address"].as_str())
            .collect();
        own.push(node);
        let asked = request.dns_names.iter().cloned().chain(request.ip_addresses.iter().map(ToString::to_string));
        // A node writes its own addresses: they do not make it the API server.
        let service_ip = self.service.config.service_cidr.address(1).to_string();
        let servers = |name: &str| name == service_ip || name == "kubernetes" || name.starts_with("kubernetes.default");
        let foreign: Vec<String> = asked.filter(|name| servers(name) || !own.contains(&name.as_str())).collect();
        if !foreign.is_empty() {
            debug!(node, ?foreign, "a serving certificate asks for addresses that are not the node's");
        }
        Ok(foreign.is_empty())
    }

    async fn condition(&self, csr: &Value, kind: &str, reason: &str, message: &str) -> Result<(), Status> {
        let now = (self.clock)().rfc3339();
        let status = json!({"conditions": [{
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastUpdateTime": now, "lastTransitionTime": now,
        }]});
        self.write(csr, "approval", status).await
    }

    /// Writes to exactly the request that was looked at: another may have taken its name since.
    async fn write(&self, csr: &Value, subresource: &str, status: Value) -> Result<(), Status> {
        let version = text(csr, "/metadata/resourceVersion");
        let patch = json!({"metadata": {"resourceVersion": version}, "status": status}).to_string();
        let name = text(csr, "/metadata/name");
        self.client.patch(&CSRS, "", name, subresource, ContentType::StrategicMergePatch, patch).await.map(|_| ())
    }

    async fn sign(&self, csr: &Value) -> Result<(), Status> {
        let name = text(csr, "/metadata/name");
        let signer = text(csr, "/spec/signerName");
        if ![NODE_CLIENT, NODE_SERVING, CLIENT].contains(&signer) {
            return Ok(());
        }
        let signed = requested(csr).and_then(|request| match unfit(signer, &request, csr) {
            Some(why) => Ok(Err(why)),
            None => self.certificate(csr).map(Ok),
        });
        let failed = |reason: &str, why: String| {
            warn!(csr = name, reason, why, "a signing request cannot be signed");
            json!({"conditions": [{
                "type": "Failed", "status": "True", "reason": reason,
                "message": why, "lastUpdateTime": (self.clock)().rfc3339(),
            }]})
        };
        let status = match signed {
            Ok(Ok(certificate)) => json!({"certificate": STANDARD.encode(certificate)}),
            Ok(Err(why)) => failed("SignerValidationFailure", why.to_owned()),
            Err(error) => failed("SigningError", chain(&error).to_string()),
        };
        self.write(csr, "status", status).await
    }

    fn certificate(&self, csr: &Value) -> Result<String, PkiError> {
        let asked = csr["spec"]["expirationSeconds"].as_u64().map_or(LIFETIME, Duration::from_secs);
        let usages: Vec<Usage> =
            csr["spec"]["usages"].as_array().into_iter().flatten().filter_map(|u| usage(u.as_str()?)).collect();
        let validity = Validity::starting((self.clock)(), asked.min(LIFETIME));
        self.ca.sign_request(&pem(csr), &usages, validity)
    }

    async fn tidy(&self) {
        let now = (self.clock)();
        for (key, object) in &self.known {
            let keep =
                if matches!(state(&object.to_value()), State::Pending) { KEEP_PENDING_SECS } else { KEEP_DONE_SECS };
            if age_secs(object, now) > keep {
                self.delete(&CSRS, "", &key.name, object).await;
            }
        }
        let options = Options { field_selector: "type=bootstrap.kubernetes.io/token".to_owned(), ..Options::default() };
        match self.client.list(&SECRETS, "kube-system", options).await {
            Ok(secrets) => {
                for secret in secrets.items.iter().filter(|s| token_is_over(s, now)) {
                    self.delete(&SECRETS, "kube-system", &secret.meta().name, secret).await;
                }
            }
            Err(status) => debug!(error = %status, "could not list bootstrap tokens"),
        }
    }

    async fn delete(&self, resource: &'static km_api::Resource, namespace: &str, name: &str, object: &Object) {
        let uid = Some(object.meta().uid.0.clone());
        let options = DeleteOptions { uid, ..DeleteOptions::default() };
        if let Err(status) = self.client.delete(resource, namespace, name, options).await {
            debug!(resource = resource.plural, name, error = %status, "could not remove what is over");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Approved,
    Done,
}

fn state(csr: &Value) -> State {
    let has = |kind: &str| csr["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == kind);
    let signed = csr["status"]["certificate"].as_str().is_some_and(|c| !c.is_empty());
    if signed || has("Denied") || has("Failed") {
        State::Done
    } else if has("Approved") {
        State::Approved
    } else {
        State::Pending
    }
}

/// Says why a signer does not sign this, whoever approved it: the right to approve for one signer is not the right to
/// make any certificate. k8s 1.37 pkg/controller/certificates/signer, and pkg/apis/certificates: IsKubelet{Client,Serving}CSR.
fn unfit(signer: &str, request: &CertificateRequest, csr: &Value) -> Option<&'static str> {
    let usages: Vec<&str> = csr["spec"]["usages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let wanted = if signer == NODE_SERVING { "server auth" } else { "client auth" };
    if !usages.contains(&wanted)
        || usages.iter().any(|usage| ![wanted, "digital signature", "key encipherment"].contains(usage))
    {
        return Some("usages do not match those of the signer");
    }
    if signer == CLIENT {
        let masters = request.subject.organizations.iter().any(|o| o == km_api::identity::SYSTEM_MASTERS);
        return masters.then_some("use of this signer with the group system:masters is not allowed");
    }
    if node_of(request).is_none() {
        return Some("subject is not that of a node");
    }
    let named = !request.dns_names.is_empty() || !request.ip_addresses.is_empty();
    let plain = request.email_addresses.is_empty() && request.uris.is_empty();
    if !plain || named != (signer == NODE_SERVING) {
        return Some("subject alternative names do not match those of the signer");
    }
    None
}

/// Returns the node that a certificate of this subject would stand for.
fn node_of(request: &CertificateRequest) -> Option<&str> {
    let nodes = [km_api::identity::SYSTEM_NODES];
    let name = request.subject.common_name.strip_prefix("system:node:")?;
    (request.subject.organizations == nodes && !name.is_empty()).then_some(name)
}

/// Whether the request is for a client certificate and nothing more.
fn plain_client(request: &CertificateRequest) -> bool {
    request.dns_names.is_empty()
        && request.ip_addresses.is_empty()
        && request.email_addresses.is_empty()
        && request.uris.is_empty()
}

fn requested(csr: &Value) -> Result<CertificateRequest, PkiError> {
    pki::parse_request(&pem(csr))
}

fn pem(csr: &Value) -> String {
    let decoded = STANDARD.decode(text(csr, "/spec/request")).unwrap_or_default();
    String::from_utf8(decoded).unwrap_or_default()
}

fn usage(text: &str) -> Option<Usage> {
    match text {
        "digital signature" => Some(Usage::DigitalSignature),
        "key encipherment" => Some(Usage::KeyEncipherment),
        "server auth" => Some(Usage::ServerAuth),
        "client auth" => Some(Usage::ClientAuth),
        _ => None,
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn age_secs(object: &Object, now: Timestamp) -> i64 {
    object.meta().creation_timestamp.map_or(0, |made| now.as_secs() - made.as_secs())
}

fn token_is_over(secret: &Object, now: Timestamp) -> bool {
    let value = secret.to_value();
    let end = STANDARD.decode(text(&value, "/data/expiration")).ok().and_then(|t| String::from_utf8(t).ok());
    end.and_then(|end| Timestamp::parse(&end).ok()).is_some_and(|end| end <= now)
}
