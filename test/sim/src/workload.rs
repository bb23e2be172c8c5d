//! The user: creates, changes and deletes things while all goes wrong, then deletes everything.

use std::collections::BTreeSet;

use km_api::resource::{DEPLOYMENTS, NAMESPACES, PODS, SERVICES};
use km_api::{ContentType, Object, Request, Resource, Response, Status, Verb};
use km_base::ObjectKey;
use serde_json::{Value, json};

use crate::api::{Caller, Client, Want};
use crate::world::{Input, World};

/// What the user has made, as far as the user knows.
#[derive(Default)]
pub(crate) struct User {
    acts: usize,
    serial: usize,
    deployments: BTreeSet<(String, String)>,
    pods: BTreeSet<(String, String)>,
    namespaces: BTreeSet<String>,
}

impl World {
    pub(crate) fn user_begins(&mut self) {
        for name in ["default", "kube-system", "kube-node-lease"] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.user_asks(Verb::Create, &NAMESPACES, "", "", &body);
        }
        self.user.namespaces.insert("default".to_owned());
    }

    /// Plans the user's acts within `millis` from now.
    pub(crate) fn plan_user(&mut self, millis: u64) {
        self.user.acts = 5 + self.dice.below(14);
        for _ in 0..self.user.acts {
            let at = self.dice.millis(0, millis);
            self.post(at, Input::User);
        }
    }

    fn user_asks(&mut self, verb: Verb, resource: &'static Resource, namespace: &str, name: &str, body: &Value) {
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
        let chosen = |world: &mut Self, from: &BTreeSet<(String, String)>| {
            let at = world.dice.below(from.len());
            from.iter().nth(at).cloned()
        };
        let deployments = self.user.deployments.clone();
        let pods = self.user.pods.clone();
        match self.dice.below(14) {
            0..=4 => self.user_creates_pod(),
            5..=6 => self.user_creates_deployment(),
            7 => {
                if let Some((namespace, name)) = chosen(self, &deployments) {
                    let replicas = self.dice.below(4);
                    self.user_asks(
                        Verb::Patch,
                        &DEPLOYMENTS,
                        &namespace,
                        &name,
                        &json!({"spec": {"replicas": replicas}}),
                    );
                }
            }
            8 => {
                if let Some((namespace, name)) = chosen(self, &deployments) {
                    self.user.serial += 1;
                    let image = format!("localhost/run:v{}", self.user.serial);
                    let container = json!([{"name": "a", "image": image, "resources": small()}]);
                    let body = json!({"spec": {"template": {"spec": {"containers": container}}}});
                    self.user_asks(Verb::Patch, &DEPLOYMENTS, &namespace, &name, &body);
                }
            }
            9 => {
                if let Some((namespace, name)) = chosen(self, &deployments) {
                    self.user.deployments.remove(&(namespace.clone(), name.clone()));
                    let policy = ["Background", "Foreground"][self.dice.below(2)];
                    let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
                    self.user_asks(Verb::Delete, &DEPLOYMENTS, &namespace, &name, &body);
                }
            }
            10 => {
                self.user.serial += 1;
                let name = format!("team-{}", self.user.serial);
                let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                self.user_asks(Verb::Create, &NAMESPACES, "", "", &body);
                self.user.namespaces.insert(name);
            }
            11 => {
                let last = self.user.namespaces.last().filter(|name| name.starts_with("team-")).cloned();
                if let Some(name) = last {
                    self.user.namespaces.remove(&name);
                    self.user_asks(Verb::Delete, &NAMESPACES, "", &name, &Value::Null);
                }
            }
            _ => {
                if let Some((namespace, name)) = chosen(self, &pods) {
                    let body = if self.dice.chance(200) {
                        json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
                    } else {
                        Value::Null
                    };
                    self.user_asks(Verb::Delete, &PODS, &namespace, &name, &body);
                }
            }
        }
    }

    fn some_namespace(&mut self) -> String {
        let at = self.dice.below(self.user.namespaces.len());
        self.user.namespaces.iter().nth(at).cloned().unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn user_pods(&self) -> usize {
        self.user.pods.iter().filter(|(_, name)| name.starts_with("run")).count()
    }

    pub(crate) fn user_creates_pod(&mut self) {
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
        let namespace = self.some_namespace();
        self.user_asks(Verb::Create, &PODS, &namespace, "", &body);
        self.user.pods.insert((namespace, full));
    }

    fn user_creates_deployment(&mut self) {
        self.user.serial += 1;
        let name = format!("web-{}", self.user.serial);
        let labels = json!({"app": name});
        let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 1 + self.dice.below(3), "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 2,
                    "containers": [{"name": "a", "image": "localhost/run:v0", "resources": small()}]}}}});
        let namespace = self.some_namespace();
        self.user_asks(Verb::Create, &DEPLOYMENTS, &namespace, "", &body);
        if self.dice.chance(500) {
            let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"selector": labels, "ports": [{"port": 80}]}});
            self.user_asks(Verb::Create, &SERVICES, &namespace, "", &service);
        }
        self.user.deployments.insert((namespace, name));
    }

    /// Deletes all that there is.
    pub(crate) fn user_cleans_up(&mut self) {
        self.trace(|| "the user deletes everything".to_owned());
        let keys = |world: &Self, resource: &'static Resource| -> Vec<ObjectKey> {
            world.api.objects(resource).iter().map(Object::key).collect()
        };
        for key in keys(self, &NAMESPACES).into_iter().filter(|key| key.name.starts_with("team-")) {
            self.user_asks(Verb::Delete, &NAMESPACES, "", &key.name, &Value::Null);
        }
        for key in keys(self, &DEPLOYMENTS) {
            let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
            self.user_asks(Verb::Delete, &DEPLOYMENTS, &key.namespace, &key.name, &body);
        }
        for key in keys(self, &PODS) {
            self.user_asks(Verb::Delete, &PODS, &key.namespace, &key.name, &Value::Null);
        }
    }
}

fn small() -> Value {
    json!({"requests": {"cpu": "100m", "memory": "32Mi"}})
}
