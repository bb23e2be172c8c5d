//! The invariants, one function each, and what they need to know. They look at what the parts did, never ask them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use km_api::Object;
use km_base::{Revision, Uid};
use km_core_mesos::agent::Allowance;
use km_mesos::resources::{Milli, Resources};
use km_mesos::{OfferId, master, scheduler};
use km_mvcc::Key;
use km_podwire::TASK_ID_ANNOTATION;
use km_registry::Selection;
use serde::Deserialize;

use crate::api::{Shown, seen_by};
use crate::runtime::State;
use crate::world::World;

#[derive(Default)]
pub(crate) struct Judge {
    /// Every published change, in order.
    history: Vec<Rc<Shown>>,
    watches: BTreeMap<u64, Expected>,
    /// What every published change together makes.
    model: BTreeMap<Key, Bytes>,
    acknowledged: Revision,
    /// UID, task and node of every Binding that was published.
    bindings: BTreeSet<(Uid, String, String)>,
    ended: BTreeMap<Uid, String>,
    used_offers: BTreeSet<OfferId>,
    starts: BTreeSet<(String, String, u32)>,
    /// How often what happened: so that a run shows what it has tried.
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl Judge {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_insert(0) += 1;
    }
}

struct Expected {
    prefix: String,
    selection: Selection,
    /// Place in the history up to which it was delivered.
    seen: usize,
}

/// As much of a pod as is judged.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodView {
    pub(crate) spec: SpecView,
    pub(crate) status: StatusView,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SpecView {
    pub(crate) node_name: String,
    pub(crate) restart_policy: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StatusView {
    pub(crate) phase: String,
    pub(crate) conditions: Vec<ConditionView>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ConditionView {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
}

impl PodView {
    pub(crate) fn of(object: &Object) -> Self {
        serde_json::from_slice(object.bytes()).unwrap_or_default()
    }

    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

const PODS_PREFIX: &str = "/registry/pods/";

impl World {
    /// Revisions are published in order; keeps the books for the others.
    pub(crate) fn judge_published(&mut self, shown: &Rc<Shown>) {
        let last = self.judge.history.last().map_or(Revision(0), |shown| shown.revision);
        if shown.revision < last {
            self.fail(format!("revision {} is published after {last}", shown.revision));
        }
        self.judge.history.push(Rc::clone(shown));
        match &shown.now {
            Some(object) => drop(self.judge.model.insert(Key::clone(&shown.key), object.bytes().clone())),
            None => drop(self.judge.model.remove(&shown.key)),
        }
        if shown.key.starts_with(PODS_PREFIX)
            && let Some(object) = &shown.now
        {
            self.judge_pod(object);
        }
    }

    /// A pod that has ended does not come alive again.
    fn judge_pod(&mut self, object: &Object) {
        let pod = PodView::of(object);
        let uid = object.meta().uid.clone();
        if let Some(ended) = self.judge.ended.get(&uid)
            && *ended != pod.status.phase
        {
            let what = format!("pod {} had ended as {ended} and is {} now", object.key(), pod.status.phase);
            return self.fail(what);
        }
        if pod.is_finished() && self.judge.ended.insert(uid.clone(), pod.status.phase.clone()).is_none() {
            self.judge.count("pods that ended");
        }
        if let Some(task_id) = object.meta().annotations.get(TASK_ID_ANNOTATION)
            && !pod.spec.node_name.is_empty()
        {
            let again = self.judge.bindings.iter().any(|(bound, _, _)| *bound == uid);
            if self.judge.bindings.insert((uid, task_id.clone(), pod.spec.node_name)) {
                self.judge.count(if again { "pods launched again" } else { "pods bound" });
            }
        }
    }

    pub(crate) fn judge_acknowledged(&mut self, revision: Revision) {
        self.judge.acknowledged = self.judge.acknowledged.max(revision);
    }

    /// After a crash of the API server everything is there that anyone was told of.
    pub(crate) fn judge_recovered(&mut self) {
        let state = self.api.published.clone();
        let acknowledged = self.judge.acknowledged;
        if state.revision() < acknowledged {
            return self.fail(format!("revision {acknowledged} was acknowledged, {} came back", state.revision()));
        }
        let lost = self.judge.model.iter().find(|(key, value)| {
            // What changed after the last published revision is another matter.
            let then = state.get_at(key, self.judge.history.last().map_or(Revision(1), |shown| shown.revision));
            !matches!(then, Ok(Some(entry)) if entry.value == **value)
        });
        if let Some((key, _)) = lost.filter(|_| !self.judge.history.is_empty()) {
            let key = key.to_string();
            self.fail(format!("{key} was acknowledged and is lost or changed after the crash"));
        }
    }

    pub(crate) fn judge_watch(&mut self, id: u64, prefix: &str, selection: Selection, from: Revision) {
        let seen = self.judge.history.partition_point(|shown| shown.revision <= from);
        self.judge.watches.insert(id, Expected { prefix: prefix.to_owned(), selection, seen });
    }

    /// A watch delivers every change that it is for, in order, without a gap.
    pub(crate) fn judge_delivery(&mut self, watch: u64, object: &Object) {
        let Some(expected) = self.judge.watches.get_mut(&watch) else { return };
        while let Some(shown) = self.judge.history.get(expected.seen) {
            expected.seen += 1;
            if !shown.key.starts_with(&expected.prefix) || seen_by(&expected.selection, shown).is_none() {
                continue;
            }
            let right = shown.revision == object.meta().revision() && shown.key.ends_with(&object.meta().name);
            if !right {
                let (key, revision) = (shown.key.to_string(), shown.revision);
                let told = object.meta().revision();
                self.fail(format!("watch {watch} delivered {} at {told} before {key} at {revision}", object.key()));
            }
            return;
        }
        self.fail(format!("watch {watch} delivered {}, which was never published", object.key()));
    }

    /// An offer is accepted or declined once.
    pub(crate) fn judge_offers_used(&mut self, call: &scheduler::Call) {
        let accepted = call.accept.iter().flat_map(|accept| &accept.offer_ids);
        let declined = call.decline.iter().flat_map(|decline| &decline.offer_ids);
        let ids: Vec<OfferId> = accepted.chain(declined).cloned().collect();
        for id in ids {
            if !self.judge.used_offers.insert(id.clone()) {
                self.fail(format!("offer {id} is used twice"));
            }
        }
    }

    /// A container starts once, on one machine, after its pod's Binding named this task, and not after the pod's end.
    pub(crate) fn judge_started(&mut self, host: usize, executor: u64, container: &str, task_id: &str) {
        let Some(found) = self.hosts[host].executors.get(&executor).and_then(|e| e.runtime.containers.get(container))
        else {
            return;
        };
        let (uid, name, attempt) = (found.uid.clone(), found.name.clone(), found.attempt);
        let node = self.hosts[host].name.clone();
        if !self.judge.bindings.contains(&(uid.clone(), task_id.to_owned(), node.clone())) {
            return self.fail(format!("container {name} of {uid} starts on {node} without a Binding to {task_id}"));
        }
        if self.judge.ended.contains_key(&uid) {
            return self.fail(format!("container {name} of {uid} starts although the pod has ended"));
        }
        if !self.judge.starts.insert((task_id.to_owned(), name.clone(), attempt)) {
            return self.fail(format!("container {name} of task {task_id} starts attempt {attempt} twice"));
        }
        self.judge.count("containers started");
        let mut twins = Vec::new();
        for (other, machine) in self.hosts.iter().enumerate() {
            for (id, process) in &machine.executors {
                for (other_id, c) in &process.runtime.containers {
                    let runs = c.uid == uid && matches!(c.state, State::Running(_));
                    let same = other == host && *id == executor;
                    if runs && other_id != container && (!same || c.name == name) {
                        twins.push(format!("{other_id} on {}", machine.name));
                    }
                }
            }
        }
        if let Some(twin) = twins.first() {
            self.fail(format!("container {name} of {uid} starts on {node} while {twin} runs"));
        }
    }

    /// The bootstrap token of an executor's first task is one that the API server knows.
    pub(crate) fn judge_token(&mut self, token: &str) {
        let id = token.split('.').next().unwrap_or_default();
        let key = km_registry::key(&km_api::resource::SECRETS, "kube-system", &format!("bootstrap-token-{id}"));
        if self.api.published.get(&key).is_none() {
            self.fail(format!("the bootstrap token {id} of a launch is not in the API"));
        }
    }

    /// What the tasks of an executor may use together never exceeds the agent.
    pub(crate) fn judge_allowance(&mut self, host: usize, container: &str, allowance: &Allowance) {
        let cpus = allowance.requests.scalar("cpus");
        let mem = allowance.requests.scalar("mem");
        if cpus > Milli(4_000) || mem > Milli(4_096_000) {
            self.fail(format!("container {container} on host {host} is allowed {cpus:?} cpus and {mem:?} MB"));
        }
    }

    /// The master's books: tasks and executors sum up to what is allocated, which with the offers fits the agent.
    pub(crate) fn judge_books(&mut self) {
        let call = master::Call { r#type: Some(master::call::Type::GetState as i32), ..master::Call::default() };
        let state = self.master.core.as_ref().and_then(|core| core.answer(&call)).and_then(|answer| answer.get_state);
        let Some(state) = state else { return };
        let tasks = state.get_tasks.unwrap_or_default().tasks;
        let executors = state.get_executors.unwrap_or_default().executors;
        for agent in state.get_agents.unwrap_or_default().agents {
            let id = agent.agent_info.id.clone().unwrap_or_default();
            let mut used = Resources::new();
            for task in tasks.iter().filter(|task| task.agent_id == id) {
                if task.known_state().is_some_and(|state| !state.is_terminal()) {
                    used.add(&Resources::from_messages(&task.resources).unallocated());
                }
            }
            for executor in executors.iter().filter(|executor| executor.agent_id == id) {
                used.add(&Resources::from_messages(&executor.executor_info.resources).unallocated());
            }
            let allocated = Resources::from_messages(&agent.allocated_resources).unallocated();
            if used != allocated {
                return self.fail(format!("agent {id}: tasks and executors use {used:?}, allocated is {allocated:?}"));
            }
            let mut taken = allocated;
            taken.add(&Resources::from_messages(&agent.offered_resources).unallocated());
            let total = Resources::from_messages(&agent.total_resources).unallocated();
            if !total.contains(&taken) {
                return self.fail(format!("agent {id}: {taken:?} is used or offered of {total:?}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
