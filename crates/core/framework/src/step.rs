//! The framework's state and its one transition function.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use km_api::{Request, Response, Status};
use km_base::{ObjectKey, Timestamp, Uid};
use km_kinds::api::core::v1::{Node, Pod};
use km_mesos::{AgentId, FrameworkId, TaskId};
use serde::Serialize;

use crate::attempt::{Attempt, TaskView};
use crate::demand::Demand;
use crate::identity::Identity;
use crate::nodes::Agent;
use crate::session::Session;
use crate::{Action, Config, Event, LaunchPlan, Purpose, ToScheduler, writes};

/// The framework.
#[derive(Debug)]
pub struct Framework {
    pub(crate) config: Config,
    pub(crate) session: Session,
    pub(crate) identity: Option<Identity>,
    /// Tasks and executors named in this run.
    pub(crate) serial: u64,
    pub(crate) pods: BTreeMap<Uid, Arc<Pod>>,
    pub(crate) uids: BTreeMap<ObjectKey, Uid>,
    pub(crate) nodes: BTreeMap<String, Arc<Node>>,
    pub(crate) pods_synced: bool,
    pub(crate) nodes_synced: bool,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    /// Active agents by hostname, which is the name of their Node.
    pub(crate) hosts: BTreeMap<String, AgentId>,
    pub(crate) agents_known: bool,
    pub(crate) executors_known: bool,
    pub(crate) attempts: BTreeMap<TaskId, Attempt>,
    pub(crate) by_pod: BTreeMap<Uid, TaskId>,
    /// Pods that the scheduler was asked to place.
    pub(crate) waiting: BTreeSet<Uid>,
    /// Launches that wait for their agent's bootstrap token.
    pub(crate) pending: BTreeMap<AgentId, Vec<LaunchPlan>>,
    /// Pods to look at again: failures in a row (ends of a bound pod's tasks, deletions), and when to try again.
    pub(crate) relaunch: BTreeMap<Uid, (u32, Timestamp)>,
    /// Reasons why pods wait whose write is under way, or when it is tried again.
    pub(crate) reasons: BTreeMap<Uid, (String, Option<Timestamp>)>,
    pub(crate) demand: Demand,
    /// Requests under way, of those that must not overlap.
    pub(crate) in_flight: BTreeSet<Purpose>,
    /// Since when a Node's agent is missing.
    pub(crate) lost: BTreeMap<String, Timestamp>,
    pub(crate) leases: BTreeMap<String, Timestamp>,
    pub(crate) isolation: BTreeMap<AgentId, String>,
    pub(crate) poll_at: Timestamp,
    /// Counts the answers to GET_AGENTS.
    pub(crate) polls: usize,
    /// When the executors are asked for again after an unanswered question.
    pub(crate) executors_asked: Timestamp,
    /// Pod addresses given to Nodes in this run.
    pub(crate) cidrs: BTreeMap<String, String>,
    /// Whether the master has answered GET_AGENTS.
    pub(crate) operator_api: bool,
    pub(crate) counters: Counters,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Tasks launched.
    pub launched: u64,
    /// Pods bound.
    pub bound: u64,
    /// Launches that came to nothing before the Binding.
    pub retried: u64,
    /// Bound pods whose task ended before they did.
    pub relaunched: u64,
    /// Tasks asked to be killed.
    pub killed: u64,
    /// Offers received.
    pub offers: u64,
    /// Offers declined.
    pub declined: u64,
    /// REVIVEs sent.
    pub revived: u64,
}

impl Framework {
    /// Makes a framework that has not started.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            session: Session::default(),
            identity: None,
            serial: 0,
            pods: BTreeMap::new(),
            uids: BTreeMap::new(),
            nodes: BTreeMap::new(),
            pods_synced: false,
            nodes_synced: false,
            agents: BTreeMap::new(),
            hosts: BTreeMap::new(),
            agents_known: false,
            executors_known: false,
            attempts: BTreeMap::new(),
            by_pod: BTreeMap::new(),
            waiting: BTreeSet::new(),
            pending: BTreeMap::new(),
            relaunch: BTreeMap::new(),
            reasons: BTreeMap::new(),
            demand: Demand::default(),
            in_flight: BTreeSet::new(),
            lost: BTreeMap::new(),
            leases: BTreeMap::new(),
            isolation: BTreeMap::new(),
            poll_at: Timestamp::EPOCH,
            polls: 0,
            executors_asked: Timestamp::EPOCH,
            cidrs: BTreeMap::new(),
            operator_api: false,
            counters: Counters::default(),
        }
    }

    /// Takes one event in.
    pub fn step(&mut self, now: Timestamp, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Start => self.start(out),
            Event::Written { purpose, result } => self.written(now, purpose, result, out),
            Event::Pod(pod) => self.pod_changed(now, pod, out),
            Event::PodGone(key) => self.pod_gone(now, &key, out),
            Event::PodsSynced => {
                self.pods_synced = true;
                self.subscribe_when_ready(now, out);
            }
            Event::Node(node) => self.node_changed(now, node, out),
            Event::NodeGone(name) => {
                self.nodes.remove(&name);
                if !self.hosts.contains_key(&name) {
                    // Its addresses are free for another agent's Node.
                    self.cidrs.remove(&name);
                    self.leases.remove(&name);
                    self.lost.remove(&name);
                }
                out.push(Action::Scheduler(ToScheduler::NodeGone(name.clone())));
                self.sync_node_named(now, &name, out);
            }
            Event::NodesSynced => {
                self.nodes_synced = true;
                self.subscribe_when_ready(now, out);
            }
            Event::Mesos(event) => self.mesos(now, *event, out),
            Event::Disconnected { reason } => self.disconnected(now, &reason, out),
            Event::Agents(answer) => self.agents_answered(now, answer, out),
            Event::Executors(answer) => self.executors_answered(answer, out),
            Event::Isolation { agent_id, isolation } => {
                self.isolation.insert(agent_id, isolation);
            }
            Event::Launch { plan, entropy } => self.launch(now, plan, &entropy, out),
            Event::Decline { offers, refuse } => self.decline(offers, refuse, out),
            Event::Unschedulable { uid, key, reason } => self.explain(now, &uid, &key, &reason, out),
            Event::Demand { roles, news } => self.demanded(now, roles, news, out),
            Event::Tick => self.tick(now, out),
        }
    }

    /// Shows the tasks, by task ID.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskView> {
        self.attempts.iter().map(|(id, attempt)| attempt.view(id)).collect()
    }

    /// Returns what has happened so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Tells whether a subscription is up and what runs is known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.session.is_reconciled() && self.agents_known && self.executors_known
    }

    /// Returns the framework ID, once it is known.
    #[must_use]
    pub fn framework_id(&self) -> Option<FrameworkId> {
        self.identity.as_ref().map(|i| FrameworkId::new(i.framework_id.as_str()))
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.session_tick(now, out);
        self.demand_tick(now, out);
        self.attempts_tick(now, out);
        self.reasons_tick(now, out);
        let due: Vec<Uid> = self.relaunch.iter().filter(|(_, (_, at))| *at <= now).map(|(u, _)| u.clone()).collect();
        for uid in due {
            if !self.by_pod.contains_key(&uid) && !self.waiting.contains(&uid) {
                self.reconsider(now, &uid, out);
            }
        }
        if self.session.is_subscribed() && now >= self.poll_at {
            self.poll_at = now + self.config.poll_interval;
            out.push(Action::GetAgents);
            if !self.executors_known && now >= self.executors_asked {
                self.ask_executors(now, out);
            }
            out.push(Action::WakeAt(self.poll_at));
        }
    }

    fn written(&mut self, now: Timestamp, purpose: Purpose, result: Result<Response, Status>, out: &mut Vec<Action>) {
        self.in_flight.remove(&purpose);
        match purpose {
            Purpose::LoadIdentity => self.identity_loaded(now, result, out),
            Purpose::StoreIdentity => self.identity_stored(now, result, out),
            Purpose::Bind(task_id) => self.bound(now, &task_id, result.map(|_| ()), out),
            Purpose::Token(agent_id) => self.token_written(now, &agent_id, result.map(|_| ()), out),
            Purpose::Node(name) => {
                if let Err(status) = &result
                    && status.code != 409
                    && status.code != 404
                {
                    out.push(Action::Warn(format!("failed to write node {name}: {status}")));
                }
            }
            Purpose::NodeStatus(name) => {
                if let Err(status) = &result
                    && status.code != 404
                {
                    out.push(Action::Warn(format!("failed to write the status of node {name}: {status}")));
                }
            }
            Purpose::Lease(name) => self.lease_written(now, &name, result.map(|_| ()), out),
            Purpose::DeletePod(uid) => {
                if result.is_err_and(|status| status.retryable()) {
                    let failures = self.relaunch.get(&uid).map_or(1, |(failures, _)| failures + 1);
                    let at = now + self.config.retry.delay(failures);
                    self.relaunch.insert(uid, (failures, at));
                    out.push(Action::WakeAt(at));
                }
            }
            Purpose::Reason(uid) => self.reason_written(now, uid, &result.map(|_| ()), out),
            // Words for people that nothing depends on.
            Purpose::Record => {}
        }
    }

    /// Makes a request unless one for the same purpose is under way.
    pub(crate) fn api(&mut self, purpose: Purpose, request: Request, out: &mut Vec<Action>) {
        if self.in_flight.insert(purpose.clone()) {
            out.push(Action::Api { purpose, request: Box::new(request) });
        }
    }

    /// Records an Event about a pod.
    pub(crate) fn record(
        &mut self,
        now: Timestamp,
        key: &ObjectKey,
        uid: &Uid,
        what: &writes::Record<'_>,
        out: &mut Vec<Action>,
    ) {
        self.serial += 1;
        let request = writes::record(now, key, uid, &self.config.scheduler_name, self.serial, what);
        out.push(Action::Api { purpose: Purpose::Record, request: Box::new(request) });
    }

    pub(crate) fn explain(&mut self, now: Timestamp, uid: &Uid, key: &ObjectKey, reason: &str, out: &mut Vec<Action>) {
        let Some(pod) = self.pods.get(uid).cloned() else { return };
        if km_api::pod::node_name(&pod).is_none() {
            self.reasons.insert(uid.clone(), (reason.to_owned(), None));
            let request = writes::unschedulable(now, key, uid, &pod, reason);
            out.push(Action::Api { purpose: Purpose::Reason(uid.clone()), request: Box::new(request) });
        }
        let what = writes::Record { kind: "Warning", reason: "FailedScheduling", message: reason };
        self.record(now, key, uid, &what, out);
    }

    /// A reason whose write was lost is written again: the scheduler tells it only when it changes.
    fn reason_written(&mut self, now: Timestamp, uid: Uid, result: &Result<(), Status>, out: &mut Vec<Action>) {
        if result.as_ref().is_err_and(Status::retryable)
            && let Some((_, again_at)) = self.reasons.get_mut(&uid)
        {
            let at = now + self.config.retry.max;
            *again_at = Some(at);
            out.push(Action::WakeAt(at));
        } else {
            self.reasons.remove(&uid);
        }
    }

    fn reasons_tick(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let due: Vec<Uid> =
            self.reasons.iter().filter(|(_, (_, at))| at.is_some_and(|at| at <= now)).map(|(u, _)| u.clone()).collect();
        for uid in due {
            let Some((reason, _)) = self.reasons.remove(&uid) else { continue };
            let Some(pod) = self.pods.get(&uid).cloned().filter(|_| self.waiting.contains(&uid)) else { continue };
            let request = writes::unschedulable(now, &crate::pods::key_of(&pod), &uid, &pod, &reason);
            self.reasons.insert(uid.clone(), (reason, None));
            out.push(Action::Api { purpose: Purpose::Reason(uid), request: Box::new(request) });
        }
    }
}
