//! What must be true once faults have stopped and some time has passed: all that is not, in words.

use std::collections::{BTreeMap, BTreeSet};

use km_api::Object;
use km_api::resource::{DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS};
use km_base::ObjectKey;
use km_mesos::{Task, master};
use km_podwire::TASK_ID_ANNOTATION;

use crate::informer::Informer;
use crate::judge::PodView;
use crate::runtime::State;
use crate::world::World;

impl World {
    /// Tells what has not settled; `empty` when everything was deleted.
    pub(crate) fn unsettled(&self, empty: bool) -> Vec<String> {
        let mut all = Vec::new();
        self.processes_are_up(&mut all);
        if !all.is_empty() {
            return all;
        }
        let pods = self.api.objects(&PODS);
        self.pods_are_where_they_should_be(&pods, &mut all);
        self.no_task_without_pod(&pods, &mut all);
        self.no_container_without_pod(&pods, &mut all);
        self.sets_have_their_replicas(&pods, &mut all);
        self.informers_know_all(&mut all);
        if empty {
            all.extend(pods.iter().map(|pod| format!("pod {} is still there", pod.key())));
            let namespaces = self.api.objects(&NAMESPACES);
            let left = namespaces.iter().filter(|n| n.meta().name.starts_with("team-"));
            all.extend(left.map(|n| format!("namespace {} is still there", n.meta().name)));
            all.extend(self.api.objects(&REPLICA_SETS).iter().map(|set| format!("set {} is still there", set.key())));
            for host in &self.hosts {
                for executor in host.executors.values() {
                    let (containers, sandboxes) = (&executor.runtime.containers, &executor.runtime.sandboxes);
                    if !containers.is_empty() || !sandboxes.is_empty() {
                        all.push(format!("left on {}: {containers:?} {sandboxes:?}", host.name));
                    }
                }
            }
        }
        all
    }

    fn processes_are_up(&self, all: &mut Vec<String>) {
        if !self.api.up || !self.framework.up || !self.manager.up || self.master.core.is_none() {
            all.push("a process is down".to_owned());
        }
        for host in &self.hosts {
            let linked = host.agent.link.is_some_and(|link| self.master.links.contains_key(&link));
            if host.agent.core.is_none() || !linked {
                all.push(format!("the agent of {} is not connected", host.name));
            }
        }
    }

    fn tasks(&self) -> Vec<Task> {
        let call = master::Call { r#type: Some(master::call::Type::GetTasks as i32), ..master::Call::default() };
        let answer = self.master.core.as_ref().and_then(|core| core.answer(&call)).and_then(|a| a.get_tasks);
        answer.map(|tasks| tasks.tasks).unwrap_or_default()
    }

    /// Every bound, unfinished pod has its task, on its node; those that can run do; nothing waits to be deleted.
    fn pods_are_where_they_should_be(&self, pods: &[Object], all: &mut Vec<String>) {
        let tasks: BTreeMap<String, Task> =
            self.tasks().into_iter().map(|task| (task.task_id.value.clone(), task)).collect();
        for object in pods {
            let pod = PodView::of(object);
            let key = object.key();
            let name = object.meta().name.as_str();
            if object.meta().is_terminating() {
                all.push(format!("pod {key} is still being deleted"));
            } else if pod.spec.node_name.is_empty() {
                let explained = pod.status.conditions.iter().any(|c| c.kind == "PodScheduled" && c.status == "False");
                if !name.starts_with("big") && !name.starts_with("port") {
                    all.push(format!("pod {key} is not bound"));
                } else if !explained {
                    all.push(format!("pod {key} does not say why it waits"));
                }
            } else if !pod.is_finished() {
                let task = object.meta().annotations.get(TASK_ID_ANNOTATION).and_then(|id| tasks.get(id));
                let lives = task.and_then(Task::known_state).is_some_and(|state| !state.is_terminal());
                if !lives {
                    all.push(format!(
                        "pod {key} is bound, not finished, and has no task: {:?}",
                        object.meta().annotations
                    ));
                }
                let ready = pod.status.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True");
                let runs = ["run-", "two-", "web-"].iter().any(|prefix| name.starts_with(prefix));
                if runs && (pod.status.phase != "Running" || !ready) {
                    all.push(format!("pod {key} is {} and {}ready", pod.status.phase, if ready { "" } else { "not " }));
                }
                if name.starts_with("job-") || name.starts_with("try-") {
                    all.push(format!("pod {key} has not finished"));
                }
            }
        }
    }

    /// Every live task is that of an unfinished pod: what ended has given its resources back.
    fn no_task_without_pod(&self, pods: &[Object], all: &mut Vec<String>) {
        let wanted: BTreeSet<&str> = pods
            .iter()
            .filter(|object| !PodView::of(object).is_finished())
            .filter_map(|object| object.meta().annotations.get(TASK_ID_ANNOTATION).map(String::as_str))
            .collect();
        for task in self.tasks() {
            let lives = task.known_state().is_some_and(|state| !state.is_terminal());
            if lives && !wanted.contains(task.task_id.as_str()) {
                all.push(format!("task {} ({:?}) is nobody's", task.task_id, task.known_state()));
            }
        }
    }

    fn no_container_without_pod(&self, pods: &[Object], all: &mut Vec<String>) {
        let wanted: BTreeSet<&str> = pods
            .iter()
            .filter(|object| !PodView::of(object).is_finished())
            .map(|object| object.meta().uid.as_str())
            .collect();
        for host in &self.hosts {
            for executor in host.executors.values() {
                for (id, container) in &executor.runtime.containers {
                    let runs = matches!(container.state, State::Running(_));
                    if runs && !wanted.contains(container.uid.as_str()) {
                        all.push(format!("{id} of {} runs on {} for nobody", container.uid, host.name));
                    }
                }
            }
        }
    }

    fn sets_have_their_replicas(&self, pods: &[Object], all: &mut Vec<String>) {
        for set in self.api.objects(&REPLICA_SETS) {
            let value = set.to_value();
            let wanted = value["spec"]["replicas"].as_u64().unwrap_or(1);
            let owned = pods.iter().filter(|pod| {
                let own = pod.meta().controller().is_some_and(|owner| owner.uid == set.meta().uid);
                own && !PodView::of(pod).is_finished() && !pod.meta().is_terminating()
            });
            let have = owned.count() as u64;
            if have != wanted {
                all.push(format!("set {} has {have} pods of {wanted}", set.key()));
            }
        }
        for deployment in self.api.objects(&DEPLOYMENTS) {
            let value = deployment.to_value();
            let wanted = value["spec"]["replicas"].as_u64().unwrap_or(1);
            let number = |name: &str| value["status"][name].as_u64().unwrap_or(0);
            let right = number("updatedReplicas") == wanted && number("replicas") == wanted;
            if !right || number("availableReplicas") != wanted {
                all.push(format!("deployment {} wants {wanted}: {}", deployment.key(), value["status"]));
            }
        }
    }

    /// Every informer holds what the API server holds.
    fn informers_know_all(&self, all: &mut Vec<String>) {
        let mut informers: Vec<(&str, &Informer)> = Vec::new();
        informers.extend(self.framework.informers.iter().map(|informer| ("framework", informer)));
        informers.extend(self.manager.informers.iter().map(|informer| ("manager", informer)));
        for (who, informer) in informers {
            let there: BTreeMap<ObjectKey, String> = self
                .api
                .objects(informer.resource)
                .into_iter()
                .map(|object| (object.key(), object.meta().resource_version.clone()))
                .collect();
            if there != informer.known {
                all.push(format!("the {who}'s informer of {} is behind", informer.resource.plural));
            }
        }
    }
}
