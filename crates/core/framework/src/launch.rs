//! From the scheduler's plan to an ACCEPT.
//!
//! An agent without executor gets one in the same ACCEPT; its bootstrap token is written first, and until the
//! executor has been heard of every launch there carries that token: whichever task comes first starts it.

use bytes::Bytes;
use km_api::{Status, pod};
use km_base::{Timestamp, Uid};
use km_kinds::api::core::v1::Pod;
use km_mesos::offer::operation::{self, Launch};
use km_mesos::scheduler::call::{self, Accept};
use km_mesos::{AgentId, Filters, KillPolicy, TaskId, TaskInfo, offer, value};
use km_podwire::LaunchData;

use crate::attempt::{Attempt, Stage};
use crate::executors::{self, Executor, Parts};
use crate::step::Framework;
use crate::{Action, LaunchPlan, LaunchPod, Purpose, ToScheduler, writes};

/// Grace that a pod gets where it does not say (k8s `DefaultTerminationGracePeriodSeconds`).
const GRACE_SECS: i64 = 30;

impl Framework {
    pub(crate) fn launch(&mut self, now: Timestamp, plan: LaunchPlan, entropy: &[u8; 32], out: &mut Vec<Action>) {
        let present = self.agents.get(&plan.agent_id).is_some_and(|a| a.executor.is_some());
        if !present && !self.start_executor(&plan, out) {
            return self.give_up(plan, out);
        }
        self.ensure_token(now, &plan, entropy, out);
        let awaits = self.executor(&plan.agent_id).is_some_and(|e| e.awaits_token);
        if awaits {
            self.pending.entry(plan.agent_id.clone()).or_default().push(plan);
        } else {
            self.accept(now, plan, out);
        }
    }

    /// Prepares an executor; tells whether that could be done.
    fn start_executor(&mut self, plan: &LaunchPlan, out: &mut Vec<Action>) -> bool {
        // The answer to an earlier token, of a session that was lost since, must not pass for this one's.
        if self.in_flight.contains(&Purpose::Token(plan.agent_id.clone())) {
            return false;
        }
        let Some((resources, kubelet_port)) = plan.executor.clone() else { return false };
        let Some(identity) = self.identity.clone() else { return false };
        let pod_cidr = self.nodes.get(&plan.node).and_then(|n| n.spec.as_ref()?.pod_cidr.clone());
        let (Some(agent), Some(pod_cidr)) = (self.agents.get(&plan.agent_id), pod_cidr) else { return false };
        self.serial += 1;
        let parts = Parts {
            framework_id: &identity.framework_id,
            nonce: format!("{}-{}", identity.epoch, self.serial),
            node: &plan.node,
            node_ip: &agent.ip,
            pod_cidr: &pod_cidr,
            kubelet_port,
            resources,
        };
        let info = executors::info(&self.config, parts);
        let executor = Executor { info, running: false, echoed: false, token: None, awaits_token: false };
        self.set_executor(&plan.agent_id, Some(executor), out);
        true
    }

    /// Asks for the token of an executor that was not heard of in this run: it may have to start with this task.
    fn ensure_token(&mut self, now: Timestamp, plan: &LaunchPlan, entropy: &[u8; 32], out: &mut Vec<Action>) {
        let Some(executor) = self.agents.get_mut(&plan.agent_id).and_then(|a| a.executor.as_mut()) else { return };
        if !executor.running && executor.token.is_none() {
            let (request, token) = writes::token(now, &plan.agent_id, &plan.node, entropy);
            executor.token = Some(token);
            executor.awaits_token = true;
            self.api(Purpose::Token(plan.agent_id.clone()), request, out);
        }
    }

    pub(crate) fn token_written(
        &mut self,
        now: Timestamp,
        agent_id: &AgentId,
        result: Result<(), Status>,
        out: &mut Vec<Action>,
    ) {
        if let Err(status) = result {
            out.push(Action::Warn(format!("failed to make a bootstrap token for agent {agent_id}: {status}")));
            if self.executor(agent_id).is_some_and(|e| e.awaits_token) {
                return self.give_up_pending(agent_id, true, out);
            }
        }
        if let Some(executor) = self.agents.get_mut(agent_id).and_then(|a| a.executor.as_mut()) {
            executor.awaits_token = false;
        }
        for plan in self.pending.remove(agent_id).unwrap_or_default() {
            self.accept(now, plan, out);
        }
    }

    /// Lets the pods that wait for an agent's token wait for another offer.
    pub(crate) fn give_up_pending(&mut self, agent_id: &AgentId, offers_valid: bool, out: &mut Vec<Action>) {
        for plan in self.pending.remove(agent_id).unwrap_or_default() {
            if offers_valid {
                self.give_up(plan, out);
            } else {
                self.retry_all(plan.pods, out);
            }
        }
        match self.agents.get_mut(agent_id).and_then(|a| a.executor.as_mut()) {
            // It may well run: another one beside it must not be started.
            Some(executor) if executor.echoed || executor.running => {
                executor.token = None;
                executor.awaits_token = false;
                self.set_executor_flag(agent_id, out);
            }
            _ => self.set_executor(agent_id, None, out),
        }
    }

    fn give_up(&mut self, plan: LaunchPlan, out: &mut Vec<Action>) {
        self.decline(plan.offers, self.config.accept_refuse, out);
        self.set_executor_flag(&plan.agent_id, out);
        self.retry_all(plan.pods, out);
    }

    fn retry_all(&mut self, pods: Vec<LaunchPod>, out: &mut Vec<Action>) {
        for pod in pods {
            self.counters.retried += 1;
            out.push(Action::Scheduler(ToScheduler::Retry(pod.uid)));
        }
    }

    /// Sends the ACCEPT of a plan, for those of its pods that still want to run there.
    fn accept(&mut self, now: Timestamp, plan: LaunchPlan, out: &mut Vec<Action>) {
        if !self.session.is_subscribed() {
            return self.retry_all(plan.pods, out);
        }
        if self.executor(&plan.agent_id).is_none() {
            // It ended while its token was being made.
            return self.give_up(plan, out);
        }
        let mut tasks = Vec::new();
        for wanted in plan.pods {
            match self.pods.get(&wanted.uid).cloned().filter(|pod| self.may_launch(&wanted.uid, pod, &plan.node)) {
                Some(pod) => {
                    let task = self.task(now, &plan.agent_id, &plan.node, plan.offers.first(), wanted, &pod);
                    tasks.push(task);
                }
                None => out.push(Action::Scheduler(ToScheduler::Forget(wanted.uid))),
            }
        }
        if tasks.is_empty() {
            let starting_alone = !self.attempts.values().any(|a| a.agent_id == plan.agent_id);
            if starting_alone && self.executor(&plan.agent_id).is_some_and(|e| !e.running && !e.echoed) {
                self.set_executor(&plan.agent_id, None, out);
            }
            return self.decline(plan.offers, self.config.accept_refuse, out);
        }
        self.counters.launched += tasks.len() as u64;
        let filters = Filters { refuse_seconds: Some(self.config.accept_refuse.as_secs_f64()) };
        let operation = offer::Operation {
            r#type: Some(operation::Type::Launch as i32),
            launch: Some(Launch { task_infos: tasks }),
            ..offer::Operation::default()
        };
        let accept = Accept { offer_ids: plan.offers, operations: vec![operation], filters: Some(filters) };
        self.call(call::Type::Accept, out, |call| call.accept = Some(accept));
    }

    fn may_launch(&self, uid: &Uid, pod: &Pod, node: &str) -> bool {
        let elsewhere = pod::node_name(pod).is_some_and(|n| n != node);
        let over = pod.metadata.deletion_timestamp.is_some() || pod::is_finished(pod);
        !elsewhere && !over && !self.by_pod.contains_key(uid)
    }

    fn task(
        &mut self,
        now: Timestamp,
        agent_id: &AgentId,
        node: &str,
        offer_id: Option<&km_mesos::OfferId>,
        wanted: LaunchPod,
        pod: &Pod,
    ) -> TaskInfo {
        self.serial += 1;
        let epoch = self.identity.as_ref().map_or(0, |i| i.epoch);
        let task_id = TaskId::new(format!("{}.{epoch}.{}", wanted.uid, self.serial));
        let executor = self.executor(agent_id);
        let key = crate::pods::key_of(pod);
        let data = LaunchData {
            version: km_podwire::VERSION,
            uid: wanted.uid.clone(),
            key: key.clone(),
            ports: wanted.ports.clone(),
            bootstrap_token: executor.filter(|e| !e.running).and_then(|e| e.token.clone()),
        };
        let grace = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds).unwrap_or(GRACE_SECS);
        let info = TaskInfo {
            name: format!("{}.{}.pod", key.name, key.namespace),
            task_id: task_id.clone(),
            agent_id: agent_id.clone(),
            resources: wanted.resources,
            executor: executor.map(|e| e.info.clone()),
            kill_policy: Some(kill_policy(grace)),
            data: Some(Bytes::from(data.encode())),
            limits: self.limits(agent_id, pod),
            ..TaskInfo::default()
        };
        let attempt = Attempt {
            uid: wanted.uid.clone(),
            key,
            agent_id: agent_id.clone(),
            node: node.to_owned(),
            executor_id: executor.map(|e| e.info.executor_id.clone()),
            offer_id: offer_id.cloned(),
            ports: wanted.ports,
            stage: Stage::Launching,
            unacknowledged: None,
            launched: now,
            round: self.session.round,
            killed: None,
            bind_failures: 0,
            bind_at: now,
            first: false,
            asked: now,
        };
        self.waiting.remove(&wanted.uid);
        self.by_pod.insert(wanted.uid, task_id.clone());
        self.attempts.insert(task_id, attempt);
        info
    }

    /// Limits of a task: on every task where the agent enforces them with cgroups, else on none. An open limit
    /// is infinite; without, one pod over the executor's pool would end all (Mesos 1.11, seen on the real one).
    fn limits(&self, agent_id: &AgentId, pod: &Pod) -> std::collections::BTreeMap<String, value::Scalar> {
        let isolation = self.isolation.get(agent_id).map_or("", String::as_str);
        let has = |name: &str| isolation.split(',').any(|i| i.trim() == name);
        if !has("cgroups/cpu") || !has("cgroups/mem") {
            return std::collections::BTreeMap::new();
        }
        let (limits, requests) = (pod::limits(pod), pod::requests(pod));
        let of = |name: &str, unit: f64| {
            let whole = |milli: i64| {
                #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 thousandths")]
                let milli = milli as f64;
                milli / 1_000.0
            };
            // Never below the request: Mesos calls that an error.
            let limit = limits.get(name).map(|l| (*l).max(requests.get(name).copied().unwrap_or_default()));
            limit.map_or(f64::INFINITY, |l| (whole(l.milli_ceil()) / unit * 1_000.0).ceil() / 1_000.0)
        };
        let memory = of("memory", f64::from(1 << 20)).ceil();
        [("cpus", of("cpu", 1.0)), ("mem", memory)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value::Scalar { value }))
            .collect()
    }

    pub(crate) fn executor(&self, agent_id: &AgentId) -> Option<&Executor> {
        self.agents.get(agent_id)?.executor.as_ref()
    }
}

pub(crate) fn kill_policy(grace_secs: i64) -> KillPolicy {
    let nanoseconds = grace_secs.max(0).saturating_mul(1_000_000_000);
    KillPolicy { grace_period: Some(km_mesos::DurationInfo { nanoseconds }) }
}
