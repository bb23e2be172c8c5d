//! A small world for tests: a view, a clock that stands still, and requests as data.

mod access;
mod admission;
mod lifecycle;
mod node_identity;
mod start;
mod validation;

use km_api::resource::{self, NAMESPACES, SERVICE_ACCOUNTS};
use km_api::{ContentType, Identity, Object, Request, Resource, Response, Status, Verb};
use km_base::{Revision, Timestamp};
use serde_json::{Value, json};

use crate::{Call, Config, Decision, Entropy, MapView, PortRange, Reply, ServiceCidr, decide, key};

/// The state, and who asks.
pub(crate) struct World {
    pub(crate) view: MapView,
    pub(crate) identity: Identity,
    pub(crate) now: Timestamp,
    entropy: Entropy,
    config: Config,
}

impl World {
    /// An administrator's world with the namespace `default` and its service account.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            view: MapView { revision: Revision(10), ..MapView::default() },
            identity: Identity::authenticated("admin", &["system:masters"]),
            now: Timestamp::from_secs(1_795_300_000),
            entropy: Entropy([7; 32]),
            config: Self::config(),
        };
        world.put(&NAMESPACES, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "uid": "ns", "resourceVersion": "1"}}));
        world.put(&SERVICE_ACCOUNTS, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default", "uid": "sa", "resourceVersion": "1"}}));
        world
    }

    /// Usual settings.
    pub(crate) fn config() -> Config {
        Config {
            service_cidr: ServiceCidr { network: [10, 96, 0, 0].into(), prefix_len: 16 },
            node_ports: PortRange { first: 30000, last: 32767 },
            api_server_port: 6443,
            default_resources: true,
            api_audiences: vec!["https://kubernetes.default.svc.cluster.local".into()],
        }
    }

    /// Puts an object into the state as it is.
    pub(crate) fn put(&mut self, resource: &Resource, object: Value) {
        let object = Object::parse(object.to_string()).unwrap();
        let key = key(resource, &object.meta().namespace, &object.meta().name);
        self.view.objects.insert(key, object);
    }

    /// Makes a request of a JSON body.
    pub(crate) fn request(verb: Verb, resource: &'static Resource, name: &str, body: &Value) -> Request {
        let namespace = if resource.is_namespaced() { "default" } else { "" };
        let request = Request::new(verb, resource, namespace, name);
        if body.is_null() { request } else { request.body(ContentType::Json, body.to_string()) }
    }

    /// Decides without committing.
    pub(crate) fn decide(&self, request: &Request) -> Result<Decision, Status> {
        let call = Call {
            request,
            identity: &self.identity,
            now: self.now,
            revision: Revision(self.view.revision.0 + 1),
            entropy: &self.entropy,
            config: &self.config,
        };
        decide(&self.view, &call)
    }

    /// Decides, commits, and returns the answer as JSON.
    pub(crate) fn run(&mut self, request: &Request) -> Result<Value, Status> {
        let response = match self.decide(request)? {
            Decision::Answer { response, .. } => response,
            Decision::Commit(commit) => {
                self.view.revision = Revision(self.view.revision.0 + 1);
                for write in commit.writes {
                    match write.value {
                        Some(bytes) => {
                            let object = Object::parse(bytes).unwrap();
                            self.view.objects.insert(write.key, object);
                        }
                        None => {
                            self.view.objects.remove(&write.key).unwrap();
                        }
                    }
                }
                commit.response
            }
            Decision::Ask(question) => {
                let call = Call {
                    request,
                    identity: &self.identity,
                    now: self.now,
                    revision: self.view.revision,
                    entropy: &self.entropy,
                    config: &self.config,
                };
                match crate::resume(&call, question, Reply::Token("signed".into()))? {
                    Decision::Answer { response, .. } => response,
                    other => panic!("a resumed question answers: {other:?}"),
                }
            }
        };
        Ok(match response {
            Response::Object(object) | Response::Created(object) => object.to_value(),
            Response::List(list) => list.items.iter().map(Object::to_value).collect(),
            Response::Status(status) => serde_json::from_slice(&status.to_json()).unwrap(),
        })
    }

    /// Creates an object in `default`.
    pub(crate) fn create(&mut self, object: &Value) -> Result<Value, Status> {
        let resource =
            resource::find_kind(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap()).unwrap();
        self.run(&Self::request(Verb::Create, resource, "", object))
    }

    /// Returns what is stored.
    pub(crate) fn stored(&self, resource: &Resource, name: &str) -> Option<Value> {
        let namespace = if resource.is_namespaced() { "default" } else { "" };
        self.view.objects.get(&key(resource, namespace, name)).map(Object::to_value)
    }
}

/// The smallest pod.
pub(crate) fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

/// Writes a value as people read it.
pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
