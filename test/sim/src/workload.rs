//! The user: creates, changes and deletes things while all goes wrong, then deletes everything.

use std::collections::BTreeSet;

use km_api::resource::{DEPLOYMENTS, NAMESPACES, PODS, SERVICES};
use km_api::{ContentType, Request, Resource, Response, Status, Verb};
use serde_json::{Value, json};

use crate::api::{Caller, Client, Want};
use crate::world::{Input, World};

/// What the user has made, as far as the user knows.
#[derive(Default)]
pub(crate) struct User {
    acts: usize,
    serial: usize,
    pub(crate) deployments: BTreeSet<String>,
    pub(crate) pods: BTreeSet<String>,
}

const NAMESPACE: &str = "default";

impl World {
    pub(crate) fn user_begins(&mut self) {
        for name in ["default", "kube-system", "kube-node-lease"] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.user_asks(Verb::Create, &NAMESPACES, "", &body);
        }
    }

    /// Plans the user's acts within `millis` from now.
    pub(crate) fn plan_user(&mut self, millis: u64) {
        self.user.acts = 4 + self.dice.below(10);
        for _ in 0..self.user.acts {
            let at = self.dice.millis(0, millis);
            self.post(at, Input::User);
        }
    }

    fn user_asks(&mut self, verb: Verb, resource: &'static Resource, name: &str, body: &Value) {
        let namespace = if resource.is_namespaced() { NAMESPACE } else { "" };
        let kind = if verb == Verb::Patch { ContentType::MergePatch } else { ContentType::Json };
        let mut request = Request::new(verb, resource, namespace, name);
        if !body.is_null() {
            request = request.body(kind, body.to_string());
        }
        let what = format!("{} {} {name}", verb.as_str(), resource.plural);
        self.api_send(Caller { client: Client::User, want: Want::User(what) }, request);
    }

    pub(crate) fn user_answered(&mut self, what: &str, result: Result<Response, Status>) {
        if let Err(status) = result {
            self.trace(|| format!("user: {what} failed: {status}"));
            let bad = matches!(status.code, 400 | 422 | 500);
            if bad {
                self.fail(format!("the user's {what} is refused: {status}"));
            }
        }
    }

    pub(crate) fn user_acts(&mut self) {
        let chosen = |world: &mut Self, from: &BTreeSet<String>| {
            let at = world.dice.below(from.len());
            from.iter().nth(at).cloned()
        };
        let deployments = self.user.deployments.clone();
        let pods = self.user.pods.clone();
        match self.dice.below(12) {
            0..=4 => self.user_creates_pod(),
            5..=6 => self.user_creates_deployment(),
            7 => {
                if let Some(name) = chosen(self, &deployments) {
                    let replicas = self.dice.below(4);
                    self.user_asks(Verb::Patch, &DEPLOYMENTS, &name, &json!({"spec": {"replicas": replicas}}));
                }
            }
            8 => {
                if let Some(name) = chosen(self, &deployments) {
                    self.user.serial += 1;
                    let image = format!("localhost/run:v{}", self.user.serial);
                    let container = json!([{"name": "a", "image": image, "resources": small()}]);
                    let body = json!({"spec": {"template": {"spec": {"containers": container}}}});
                    self.user_asks(Verb::Patch, &DEPLOYMENTS, &name, &body);
                }
            }
            9 => {
                if let Some(name) = chosen(self, &deployments) {
                    self.user.deployments.remove(&name);
                    let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
                    self.user_asks(Verb::Delete, &DEPLOYMENTS, &name, &body);
                }
            }
            _ => {
                if let Some(name) = chosen(self, &pods) {
                    let body = if self.dice.chance(200) {
                        json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
                    } else {
                        Value::Null
                    };
                    self.user_asks(Verb::Delete, &PODS, &name, &body);
                }
            }
        }
    }

    fn user_creates_pod(&mut self) {
        self.user.serial += 1;
        let seconds = self.dice.below(20);
        let (name, policy, image, resources) = match self.dice.below(11) {
            0..=1 => ("run", "Always", "run".to_owned(), small()),
            2 => ("job", "Never", format!("exit-{seconds}"), small()),
            3 => ("job", "Never", format!("fail-{seconds}"), small()),
            4 => ("try", "OnFailure", format!("exit-{seconds}"), small()),
            5 => ("crash", "Always", format!("fail-{}", seconds % 3), small()),
            6 => ("missing", "Always", "missing".to_owned(), small()),
            7 => ("big", "Always", "run".to_owned(), json!({"requests": {"cpu": "64"}})),
            8 => ("port", "Always", "run".to_owned(), small()),
            9 => ("sick", "Always", "sick".to_owned(), small()),
            _ => ("two", "Always", "run".to_owned(), small()),
        };
        let full = format!("{name}-{}", self.user.serial);
        let mut containers = vec![json!({"name": "a", "image": format!("localhost/{image}"), "resources": resources})];
        let mut spec = json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 1 + self.dice.below(8)});
        if name == "two" {
            containers.push(json!({"name": "b", "image": "localhost/run", "resources": small()}));
            spec["initContainers"] = json!([{"name": "i", "image": "localhost/exit-1", "resources": small()}]);
        }
        let probe = json!({"tcpSocket": {"port": 80}, "periodSeconds": 5, "failureThreshold": 1});
        match name {
            "port" => containers[0]["ports"] = json!([{"containerPort": 80, "hostPort": 31_005}]),
            "sick" => {
                containers[0]["livenessProbe"] = probe.clone();
                containers[0]["readinessProbe"] = probe;
            }
            _ => {}
        }
        spec["containers"] = Value::Array(containers);
        let body = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": full}, "spec": spec});
        self.user_asks(Verb::Create, &PODS, "", &body);
        self.user.pods.insert(full);
    }

    fn user_creates_deployment(&mut self) {
        self.user.serial += 1;
        let name = format!("web-{}", self.user.serial);
        let labels = json!({"app": name});
        let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 1 + self.dice.below(3), "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 2,
                    "containers": [{"name": "a", "image": "localhost/run:v0", "resources": small()}]}}}});
        self.user_asks(Verb::Create, &DEPLOYMENTS, "", &body);
        if self.dice.chance(500) {
            let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"selector": labels, "ports": [{"port": 80}]}});
            self.user_asks(Verb::Create, &SERVICES, "", &service);
        }
        self.user.deployments.insert(name);
    }

    /// Deletes all that there is.
    pub(crate) fn user_cleans_up(&mut self) {
        self.trace(|| "the user deletes everything".to_owned());
        let names = |world: &Self, resource: &'static Resource| -> Vec<String> {
            world.api.objects(resource).iter().map(|object| object.meta().name.clone()).collect()
        };
        for name in names(self, &DEPLOYMENTS) {
            let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
            self.user_asks(Verb::Delete, &DEPLOYMENTS, &name, &body);
        }
        for name in names(self, &PODS) {
            self.user_asks(Verb::Delete, &PODS, &name, &Value::Null);
        }
    }
}

fn small() -> Value {
    json!({"requests": {"cpu": "100m", "memory": "32Mi"}})
}
