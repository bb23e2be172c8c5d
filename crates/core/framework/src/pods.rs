//! Pods as the informer shows them: which wait, which run, which are to be killed, launched again or deleted.
//!
//! [`Framework::reconsider`] takes a pod's UID and never the change that woke it.

use std::sync::Arc;

use km_api::pod;
use km_base::{ObjectKey, Timestamp, Uid};
use km_kinds::api::core::v1::Pod;

use crate::attempt::Stage;
use crate::step::Framework;
use crate::{Action, Purpose, ToScheduler, writes};

/// Annotation of the mirror of a static pod (k8s `kubernetes.io/config.mirror`): never scheduled.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

pub(crate) fn key_of(pod: &Pod) -> ObjectKey {
    ObjectKey::namespaced(
        pod.metadata.namespace.clone().unwrap_or_default(),
        pod.metadata.name.clone().unwrap_or_default(),
    )
}

impl Framework {
    pub(crate) fn pod_changed(&mut self, now: Timestamp, pod: Arc<Pod>, out: &mut Vec<Action>) {
        let uid = Uid(pod.metadata.uid.clone().unwrap_or_default());
        let key = key_of(&pod);
        if let Some(old) = self.uids.insert(key.clone(), uid.clone())
            && old != uid
        {
            // Deleted and made again between two looks.
            self.uid_gone(now, &old, out);
            self.uids.insert(key, uid.clone());
        }
        let takes_place = pod::node_name(&pod).is_some() && !pod::is_finished(&pod);
        out.push(Action::Scheduler(if takes_place {
            ToScheduler::Bound(Arc::clone(&pod))
        } else {
            ToScheduler::Unbound(uid.clone())
        }));
        self.pods.insert(uid.clone(), pod);
        self.reconsider(now, &uid, out);
    }

    pub(crate) fn pod_gone(&mut self, now: Timestamp, key: &ObjectKey, out: &mut Vec<Action>) {
        if let Some(uid) = self.uids.remove(key) {
            self.uid_gone(now, &uid, out);
        }
    }

    fn uid_gone(&mut self, now: Timestamp, uid: &Uid, out: &mut Vec<Action>) {
        self.pods.remove(uid);
        self.relaunch.remove(uid);
        out.push(Action::Scheduler(ToScheduler::Unbound(uid.clone())));
        self.reconsider(now, uid, out);
    }

    pub(crate) fn reconsider_all(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if !self.is_ready() {
            return;
        }
        self.end_unheard(now, out);
        self.kill_again(now, out);
        let all: Vec<Uid> = self.pods.keys().cloned().collect();
        for uid in all {
            self.reconsider(now, &uid, out);
        }
    }

    /// Does what is due for one pod.
    pub(crate) fn reconsider(&mut self, now: Timestamp, uid: &Uid, out: &mut Vec<Action>) {
        let Some(pod) = self.pods.get(uid).cloned() else { return self.without_pod(now, uid, out) };
        let terminating = pod.metadata.deletion_timestamp.is_some();
        if let Some(task_id) = self.by_pod.get(uid).cloned() {
            if terminating {
                self.kill_once(now, uid, &pod, out);
            }
            return self.acknowledge_if_seen(now, &task_id, out);
        }
        if terminating && !is_mirror(&pod) {
            // Also a finished one: its executor may have gone between the last status and the deletion.
            self.no_longer_waits(uid, out);
            return self.delete_if_orphaned(uid, &pod, out);
        }
        // One that ended and is being deleted has lost its executor between the two: nobody else deletes it.
        if is_mirror(&pod) || (pod::is_finished(&pod) && !terminating) {
            return self.no_longer_waits(uid, out);
        }
        if !self.is_ready() {
            if pod::node_name(&pod).is_none() && self.is_ours(&pod) {
                self.tell_outage(now, uid, &key_of(&pod), out);
            }
            return;
        }
        match pod::node_name(&pod) {
            None if self.is_ours(&pod) => self.wait(uid, pod, out),
            Some(node) if self.agent_of_node(node).is_some() => {
                if self.relaunch.get(uid).is_none_or(|(_, at)| *at <= now) {
                    self.wait(uid, pod, out);
                }
            }
            // Another scheduler's pod, or its agent is not here.
            _ => self.no_longer_waits(uid, out),
        }
    }

    /// A KILL may have been lost with the session that it was sent in.
    fn kill_again(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let mut unwanted = Vec::new();
        for (task_id, attempt) in &mut self.attempts {
            attempt.killed = None;
            if attempt.stage == Stage::Refused || !self.pods.contains_key(&attempt.uid) {
                unwanted.push((task_id.clone(), attempt.agent_id.clone()));
            }
        }
        for (task_id, agent_id) in unwanted {
            self.kill(now, &task_id, Some(&agent_id), 0, out);
        }
    }

    fn without_pod(&mut self, now: Timestamp, uid: &Uid, out: &mut Vec<Action>) {
        self.no_longer_waits(uid, out);
        let Some(task_id) = self.by_pod.get(uid).cloned() else { return };
        let Some(attempt) = self.attempts.get(&task_id) else { return };
        let (agent_id, stage, killed) = (attempt.agent_id.clone(), attempt.stage, attempt.killed);
        if stage == Stage::Ended {
            self.acknowledge(&task_id, out);
            self.remove_attempt(&task_id);
            return;
        }
        if killed.is_none() {
            self.kill(now, &task_id, Some(&agent_id), 0, out);
        }
        if self.agents.get(&agent_id).is_none_or(|agent| !agent.active) {
            // Nothing will be heard; should the agent come back, its task is an unknown one and is killed.
            self.remove_attempt(&task_id);
            return;
        }
        self.acknowledge_if_seen(now, &task_id, out);
    }

    /// The executor's own watch leads; the KILL repeats it for one that does not watch, or not yet.
    fn kill_once(&mut self, now: Timestamp, uid: &Uid, pod: &Pod, out: &mut Vec<Action>) {
        let Some(task_id) = self.by_pod.get(uid).cloned() else { return };
        let Some(attempt) = self.attempts.get(&task_id) else { return };
        if attempt.killed.is_none() && attempt.stage != Stage::Ended {
            let agent_id = attempt.agent_id.clone();
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            self.kill(now, &task_id, Some(&agent_id), grace, out);
        }
    }

    fn wait(&mut self, uid: &Uid, pod: Arc<Pod>, out: &mut Vec<Action>) {
        if pod.spec.as_ref().and_then(|s| s.scheduling_gates.as_ref()).is_some_and(|g| !g.is_empty()) {
            return self.no_longer_waits(uid, out);
        }
        self.waiting.insert(uid.clone());
        out.push(Action::Scheduler(ToScheduler::Wait(pod)));
    }

    fn no_longer_waits(&mut self, uid: &Uid, out: &mut Vec<Action>) {
        if self.waiting.remove(uid) {
            out.push(Action::Scheduler(ToScheduler::Forget(uid.clone())));
        }
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        let name = pod.spec.as_ref().and_then(|s| s.scheduler_name.as_deref()).unwrap_or("default-scheduler");
        name == self.config.scheduler_name
    }

    /// A pod that is being deleted and has no task: no executor will ever finish the deletion. Where the agent
    /// is missing its task may still run, and eviction decides.
    fn delete_if_orphaned(&mut self, uid: &Uid, pod: &Pod, out: &mut Vec<Action>) {
        let Some(node) = pod::node_name(pod) else { return };
        if self.is_ready() && self.agent_of_node(node).is_some() {
            let request = writes::delete(&key_of(pod), uid);
            self.api(Purpose::DeletePod(uid.clone()), request, out);
        }
    }
}

fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(MIRROR_ANNOTATION))
}
