//! Nodes from agents: created, kept ready while no executor reports, Unknown when the agent is missing.
//! Taints and evictions follow from that condition and are the controllers'.
//!
//! A Node is named by its agent's hostname and outlives the agent's ID. Capacity is the agent's total without
//! foreign reservations, allocatable the same without the executor's share: never what is offered just now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use km_api::node::ready_condition;
use km_api::resource::{LEASES, NODES};
use km_api::{ContentType, Quantity, Request, Status, Verb, pod};
use km_base::Timestamp;
use km_kinds::api::core::v1::Node;
use km_mesos::master::response::{GetAgents, GetExecutors, get_agents};
use km_mesos::resources::{Milli, Resources};
use km_mesos::value::Type as ValueType;
use km_mesos::{AgentId, Attribute, ExecutorId, Offer};
use km_podwire::AGENT_ID_ANNOTATION;
use serde_json::{Map, Value, json};

use crate::executors::{Executor, address_of, named};
use crate::step::Framework;
use crate::{Action, Purpose, READY_REASON, ToScheduler, writes};

const LEASE_NAMESPACE: &str = "kube-node-lease";
const LEASE_SECS: u32 = 40;
/// Agents whose flags are asked for again at a poll.
const FLAGS_ASKED_MAX: usize = 16;
const ATTRIBUTE_PREFIX: &str = "k8s.mesosphere.io/attribute-";
/// Annotation: the port ranges of the agent; the scheduler tells by it a port that is taken from one never offered.
const PORTS_ANNOTATION: &str = "k8s.mesosphere.io/ports";

/// What is known of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub hostname: String,
    pub ip: String,
    /// Whether the master has it registered and active.
    pub active: bool,
    pub total: Resources,
    pub attributes: Vec<Attribute>,
    pub region: Option<(String, String)>,
    pub executor: Option<Executor>,
}

impl Framework {
    pub(crate) fn agents_answered(&mut self, now: Timestamp, answer: Option<GetAgents>, out: &mut Vec<Action>) {
        let Some(answer) = answer else {
            // Without the operator API agents are known by their offers alone.
            // A master that answered before will answer again: the next poll asks.
            if !self.agents_known && !self.operator_api {
                self.agents_known = true;
                out.push(Action::Warn("Mesos does not answer GET_AGENTS: nodes come from offers only".to_owned()));
                self.reconcile(out);
            }
            return;
        };
        self.operator_api = true;
        let active: BTreeMap<AgentId, get_agents::Agent> = answer
            .agents
            .into_iter()
            .filter(|agent| agent.active)
            .filter_map(|agent| Some((agent.agent_info.id.clone()?, agent)))
            .collect();
        let missing: Vec<AgentId> = self.agents.keys().filter(|id| !active.contains_key(*id)).cloned().collect();
        for id in missing {
            self.agent_missing(&id, out);
        }
        let mut new = false;
        // Whose flags are not known is asked again, a few at a poll: they may be forbidden, and on a large cluster many.
        let stride = active.len().div_ceil(FLAGS_ASKED_MAX).max(1);
        self.polls = self.polls.wrapping_add(1);
        for (n, (id, agent)) in active.into_iter().enumerate() {
            let turn = n % stride == self.polls % stride;
            new |= self.agent_seen(now, id, &agent, turn, out);
        }
        let first = !self.agents_known;
        self.agents_known = true;
        let names: BTreeSet<String> =
            self.nodes.keys().cloned().chain(self.agents.values().map(|a| a.hostname.clone())).collect();
        for name in names {
            self.sync_node_named(now, &name, out);
        }
        if first || new {
            self.reconcile(out);
        }
        self.release_lost(now, out);
    }

    /// Takes in a registered agent; tells whether it was not here before.
    fn agent_seen(
        &mut self,
        now: Timestamp,
        id: AgentId,
        seen: &get_agents::Agent,
        turn: bool,
        out: &mut Vec<Action>,
    ) -> bool {
        let info = &seen.agent_info;
        if self.hosts.get(&info.hostname).is_some_and(|other| *other != id) {
            let name = named(&id, &info.hostname);
            out.push(Action::Warn(format!("{name} is not used: another active agent has its hostname")));
            return false;
        }
        let (ip, port) = seen.pid.as_deref().and_then(address_of).unwrap_or((&info.hostname, "5051"));
        let total = if seen.total_resources.is_empty() { &info.resources } else { &seen.total_resources };
        let is_new = self.agents.get(&id).is_none_or(|a| !a.active);
        let executor = self.agents.get(&id).and_then(|a| a.executor.clone());
        let address = format!("{ip}:{port}");
        let agent = Agent {
            hostname: info.hostname.clone(),
            ip: ip.to_owned(),
            active: true,
            total: Resources::from_messages(total).unallocated(),
            attributes: info.attributes.clone(),
            region: info
                .domain
                .as_ref()
                .and_then(|d| d.fault_domain.as_ref())
                .map(|f| (f.region.name.clone(), f.zone.name.clone())),
            executor,
        };
        self.agents.insert(id.clone(), agent);
        self.hosts.insert(info.hostname.clone(), id.clone());
        self.set_executor_flag(&id, out);
        if is_new {
            // A host that is back under a new agent ID will never report the old one's tasks.
            self.agents.retain(|other, a| *other == id || a.hostname != info.hostname);
            self.end_others_on(now, &info.hostname, &id, out);
        }
        if is_new || (turn && !self.isolation.contains_key(&id)) {
            out.push(Action::GetIsolation { agent_id: id, address });
        }
        is_new
    }

    /// An agent known only by an offer, where the operator API is not to be had; tells whether it was not here before.
    pub(crate) fn agent_offered(&mut self, now: Timestamp, offer: &Offer, out: &mut Vec<Action>) -> bool {
        if let Some(agent) = self.agents.get(&offer.agent_id)
            && agent.active
        {
            return false;
        }
        if !self.agents_known {
            return false;
        }
        if self.operator_api {
            out.push(Action::GetAgents);
            return false;
        }
        let executor = self.agents.get(&offer.agent_id).and_then(|a| a.executor.clone());
        let ip = offer.url.as_ref().and_then(|u| u.address.ip.clone()).unwrap_or_else(|| offer.hostname.clone());
        let agent = Agent {
            hostname: offer.hostname.clone(),
            ip,
            active: true,
            total: Resources::from_messages(&offer.resources).unallocated(),
            attributes: offer.attributes.clone(),
            region: None,
            executor,
        };
        self.agents.insert(offer.agent_id.clone(), agent);
        self.hosts.insert(offer.hostname.clone(), offer.agent_id.clone());
        self.sync_node_named(now, &offer.hostname, out);
        true
    }

    fn agent_missing(&mut self, id: &AgentId, out: &mut Vec<Action>) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        if agent.active {
            agent.active = false;
            let hostname = agent.hostname.clone();
            if self.hosts.get(&hostname) == Some(id) {
                self.hosts.remove(&hostname);
            }
            out.push(Action::Scheduler(ToScheduler::DropOffers(Some(id.clone()))));
        }
    }

    /// FAILURE: an executor has ended, or the master has removed an agent.
    pub(crate) fn failed(
        &mut self,
        now: Timestamp,
        id: &AgentId,
        executor: Option<&ExecutorId>,
        out: &mut Vec<Action>,
    ) {
        match executor {
            Some(executor_id) => {
                if self.executor(id).is_some_and(|e| e.info.executor_id == *executor_id) {
                    self.set_executor(id, None, out);
                }
                if let Some(name) = self.agents.get(id).map(|a| a.hostname.clone()) {
                    self.sync_node_named(now, &name, out);
                }
            }
            None => {
                self.agent_missing(id, out);
                out.push(Action::GetAgents);
            }
        }
    }

    pub(crate) fn executors_answered(&mut self, answer: Option<GetExecutors>, out: &mut Vec<Action>) {
        let first = !self.executors_known;
        if let Some(answer) = answer {
            let ours = self.framework_id();
            let mut there: BTreeMap<AgentId, km_mesos::ExecutorInfo> = BTreeMap::new();
            for executor in answer.executors {
                if executor.executor_info.framework_id == ours {
                    there.insert(executor.agent_id, executor.executor_info);
                }
            }
            let known: Vec<AgentId> = self.agents.keys().cloned().collect();
            for id in known {
                let started_by_us = self.executor(&id).is_some_and(|e| !e.running && !e.echoed);
                match there.remove(&id) {
                    Some(info) => self.echo(&id, info, out),
                    // The answer may be older than the executor: while it has tasks, their updates tell of its end.
                    None if !started_by_us && (first || !self.attempts.values().any(|a| a.agent_id == id)) => {
                        self.set_executor(&id, None, out);
                    }
                    None => {}
                }
            }
            // Of agents that GET_AGENTS has not told yet.
            for (id, info) in there {
                self.agents.insert(
                    id.clone(),
                    Agent {
                        hostname: String::new(),
                        ip: String::new(),
                        active: false,
                        total: Resources::new(),
                        attributes: Vec::new(),
                        region: None,
                        executor: None,
                    },
                );
                self.echo(&id, info, out);
            }
        } else if !self.executors_known {
            out.push(Action::Warn("Mesos does not answer GET_EXECUTORS: running executors are not known".to_owned()));
        }
        self.executors_known = true;
        if first {
            self.reconcile(out);
        }
    }

    fn echo(&mut self, id: &AgentId, info: km_mesos::ExecutorInfo, out: &mut Vec<Action>) {
        if self.executor(id).is_some_and(|e| e.info.executor_id == info.executor_id) {
            return;
        }
        // The master lists an executor from the ACCEPT on: that it lives is known when a task of it says so.
        let executor = Executor { info, running: false, echoed: true, token: None, awaits_token: false };
        self.set_executor(id, Some(executor), out);
    }

    pub(crate) fn set_executor(&mut self, id: &AgentId, executor: Option<Executor>, out: &mut Vec<Action>) {
        if let Some(agent) = self.agents.get_mut(id) {
            agent.executor = executor;
        }
        self.set_executor_flag(id, out);
    }

    pub(crate) fn set_executor_flag(&self, id: &AgentId, out: &mut Vec<Action>) {
        let present = self.executor(id).is_some();
        out.push(Action::Scheduler(ToScheduler::Executor { agent_id: id.clone(), present }));
    }

    pub(crate) fn agent_of_node(&self, node: &str) -> Option<&AgentId> {
        self.hosts.get(node)
    }

    pub(crate) fn node_changed(&mut self, now: Timestamp, node: Arc<Node>, out: &mut Vec<Action>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        self.nodes.insert(name.clone(), Arc::clone(&node));
        out.push(Action::Scheduler(ToScheduler::Node(node)));
        self.sync_node_named(now, &name, out);
    }

    /// Brings one Node in line with its agent: one write at a time, the rest when its result shows.
    pub(crate) fn sync_node_named(&mut self, now: Timestamp, name: &str, out: &mut Vec<Action>) {
        if !self.agents_known || !self.nodes_synced {
            return;
        }
        let Some((id, agent)) =
            self.agent_of_node(name).and_then(|id| Some((id.clone(), self.agents.get(id)?.clone())))
        else {
            return self.sync_lost(now, name, out);
        };
        self.lost.remove(name);
        let Some(node) = self.nodes.get(name).cloned() else {
            if let Some(request) = self.create_node(now, &id, &agent) {
                self.api(Purpose::Node(name.to_owned()), request, out);
            } else {
                out.push(Action::Warn(format!(
                    "no pod addresses are left in {} for node {name}",
                    self.config.cluster_cidr
                )));
            }
            return;
        };
        let patch = metadata_patch(&node, &id, &agent);
        if let Some(metadata) = patch {
            let body = json!({ "metadata": metadata }).to_string();
            let request = Request::new(Verb::Patch, &NODES, "", name).body(ContentType::MergePatch, body);
            self.api(Purpose::Node(name.to_owned()), request, out);
        }
        self.sync_status(now, name, &node, &agent, out);
    }

    fn sync_status(&mut self, now: Timestamp, name: &str, node: &Node, agent: &Agent, out: &mut Vec<Action>) {
        let ready = ready_condition(node);
        let reason = ready.and_then(|c| c.reason.as_deref()).unwrap_or_default();
        let executor_reports = agent.executor.is_some() && !reason.is_empty() && !ours(reason);
        if !executor_reports {
            let up = ready.is_some_and(|c| c.status == "True") && ours(reason);
            let (capacity, allocatable) = self.amounts(agent);
            let raw = node.status.as_ref().and_then(|s| s.allocatable.as_ref());
            let same = raw.is_some_and(|raw| {
                allocatable
                    .iter()
                    .all(|(n, v)| raw.get(n).and_then(|q| Quantity::parse(&q.0).ok()) == Quantity::parse(v).ok())
            });
            if !up || !same {
                let status = status(
                    now,
                    agent,
                    &capacity,
                    &allocatable,
                    Some((READY_REASON, "True", "Mesos has the agent registered")),
                );
                self.write_status(name, &status, out);
            }
            self.renew_lease(now, name, out);
        }
    }

    fn write_status(&mut self, name: &str, status: &Value, out: &mut Vec<Action>) {
        let body = json!({ "status": status }).to_string();
        let request = Request::new(Verb::Patch, &NODES, "", name)
            .subresource("status")
            .body(ContentType::StrategicMergePatch, body);
        self.api(Purpose::NodeStatus(name.to_owned()), request, out);
    }

    fn renew_lease(&mut self, now: Timestamp, name: &str, out: &mut Vec<Action>) {
        if self.leases.get(name).is_some_and(|last| now < *last + self.config.lease_interval) {
            return;
        }
        self.leases.insert(name.to_owned(), now);
        let body = json!({ "spec": { "holderIdentity": self.config.framework_name, "leaseDurationSeconds": LEASE_SECS,
            "renewTime": now.rfc3339_micros() } });
        let request =
            Request::new(Verb::Patch, &LEASES, LEASE_NAMESPACE, name).body(ContentType::MergePatch, body.to_string());
        self.api(Purpose::Lease(name.to_owned()), request, out);
    }

    pub(crate) fn lease_written(
        &mut self,
        now: Timestamp,
        name: &str,
        result: Result<(), Status>,
        out: &mut Vec<Action>,
    ) {
        if result.is_err_and(|status| status.code == 404) {
            let body = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": { "name": name, "namespace": LEASE_NAMESPACE },
                "spec": { "holderIdentity": self.config.framework_name, "leaseDurationSeconds": LEASE_SECS,
                    "renewTime": now.rfc3339_micros() } });
            let request =
                Request::new(Verb::Create, &LEASES, LEASE_NAMESPACE, "").body(ContentType::Json, body.to_string());
            // Nothing waits for it, and a failure shows at the next renewal.
            out.push(Action::Api { purpose: Purpose::Record, request: Box::new(request) });
        }
    }

    /// A Node whose agent is missing: Ready=Unknown, and in the end deletion.
    fn sync_lost(&mut self, now: Timestamp, name: &str, out: &mut Vec<Action>) {
        let Some(node) = self.nodes.get(name).cloned() else { return };
        let annotations = node.metadata.annotations.as_ref();
        if !annotations.is_some_and(|a| a.contains_key(AGENT_ID_ANNOTATION)) {
            // Not one of ours.
            return;
        }
        let since = *self.lost.entry(name.to_owned()).or_insert(now);
        if now < since + self.config.poll_interval {
            return;
        }
        if ready_condition(&node).is_none_or(|c| c.status != "Unknown") {
            let condition = json!({ "conditions": [condition(now, "MesosAgentMissing", "Unknown", "Mesos does not have the agent registered")] });
            self.write_status(name, &condition, out);
        }
        let empty = !self.pods.values().any(|p| pod::node_name(p) == Some(name));
        if empty && now >= since + self.config.release_after * 2 {
            self.api(Purpose::Node(name.to_owned()), Request::new(Verb::Delete, &NODES, "", name), out);
        }
    }

    /// Deletes for good what others asked to delete on an agent that has been missing for long: the controllers
    /// evict what does not tolerate that, and no executor is there to finish it.
    fn release_lost(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let mut due = Vec::new();
        for (uid, pod) in self.pods.iter().filter(|(_, p)| p.metadata.deletion_timestamp.is_some()) {
            let since = pod::node_name(pod).and_then(|node| self.lost.get(node));
            if since.is_some_and(|since| now >= *since + self.config.release_after) {
                due.push((uid.clone(), crate::pods::key_of(pod)));
            }
        }
        for (uid, key) in due {
            self.api(Purpose::DeletePod(uid.clone()), writes::delete(&key, &uid), out);
        }
    }

    fn create_node(&mut self, now: Timestamp, id: &AgentId, agent: &Agent) -> Option<Request> {
        let pod_cidr = self.free_cidr(&agent.hostname)?;
        self.cidrs.insert(agent.hostname.clone(), pod_cidr.clone());
        let (capacity, allocatable) = self.amounts(agent);
        let body = json!({ "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": agent.hostname, "labels": labels(agent), "annotations": annotations(id, agent) },
            "spec": { "podCIDR": pod_cidr, "podCIDRs": [pod_cidr], "providerID": format!("mesos://{id}") },
            "status": status(now, agent, &capacity, &allocatable, Some((READY_REASON, "True", "Mesos has the agent registered"))) });
        Some(Request::new(Verb::Create, &NODES, "", "").body(ContentType::Json, body.to_string()))
    }

    /// The lowest /24 of the cluster's range that no Node has and none was created with.
    fn free_cidr(&self, name: &str) -> Option<String> {
        if let Some(own) = self.cidrs.get(name) {
            return Some(own.clone());
        }
        let (base, bits) = self.config.cluster_cidr.split_once('/')?;
        let base = u32::from(base.parse::<std::net::Ipv4Addr>().ok()?);
        let bits: u32 = bits.parse().ok()?;
        let count = 1u32.checked_shl(24u32.checked_sub(bits)?)?;
        let mut used: BTreeSet<&str> =
            self.nodes.values().filter_map(|n| n.spec.as_ref()?.pod_cidr.as_deref()).collect();
        used.extend(self.cidrs.values().map(String::as_str));
        (0..count)
            .map(|n| format!("{}/24", std::net::Ipv4Addr::from(base + (n << 8))))
            .find(|cidr| !used.contains(cidr.as_str()))
    }

    fn amounts(&self, agent: &Agent) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let mut ours = Resources::new();
        let mut roles = self.config.roles.iter();
        if let Some(first) = roles.next() {
            ours = agent.total.allocatable_to(first);
        }
        for role in roles {
            // Only what this role adds: unreserved resources are in the first already.
            let mut more = agent.total.allocatable_to(role);
            more.subtract(&ours);
            ours.add(&more);
        }
        let of = |reserve_cpus: Milli, reserve_mem: Milli| {
            let left = |name: &str, reserve: Milli| (ours.scalar(name).0 - reserve.0).max(0);
            let megabytes = |milli: i64| format!("{}Mi", milli / 1_000);
            let mut all = BTreeMap::from([
                ("cpu".to_owned(), format!("{}m", left("cpus", reserve_cpus))),
                ("memory".to_owned(), megabytes(left("mem", reserve_mem))),
                ("pods".to_owned(), self.config.pods_max.to_string()),
            ]);
            for name in ours.scalar_names() {
                match name {
                    "cpus" | "mem" => {}
                    "disk" => drop(all.insert("ephemeral-storage".to_owned(), megabytes(ours.scalar(name).0))),
                    "gpus" => drop(all.insert("nvidia.com/gpu".to_owned(), (ours.scalar(name).0 / 1_000).to_string())),
                    other => drop(all.insert(other.to_owned(), format!("{}m", ours.scalar(other).0))),
                }
            }
            all
        };
        (of(Milli(0), Milli(0)), of(self.config.executor_cpus, self.config.executor_mem))
    }
}

fn ours(reason: &str) -> bool {
    matches!(reason, READY_REASON | "MesosAgentMissing")
}

fn condition(now: Timestamp, reason: &str, status: &str, message: &str) -> Value {
    let time = now.rfc3339();
    json!({ "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": time, "lastTransitionTime": time })
}

fn status(
    now: Timestamp,
    agent: &Agent,
    capacity: &BTreeMap<String, String>,
    allocatable: &BTreeMap<String, String>,
    ready: Option<(&str, &str, &str)>,
) -> Value {
    let conditions: Vec<Value> =
        ready.into_iter().map(|(reason, status, message)| condition(now, reason, status, message)).collect();
    json!({ "capacity": capacity, "allocatable": allocatable, "conditions": conditions,
        "addresses": [{ "type": "InternalIP", "address": agent.ip }, { "type": "Hostname", "address": agent.hostname }] })
}

fn labels(agent: &Agent) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("kubernetes.io/hostname".to_owned(), agent.hostname.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("kubernetes.io/arch".to_owned(), arch().to_owned()),
    ]);
    if let Some((region, zone)) = &agent.region {
        labels.insert("topology.kubernetes.io/region".to_owned(), region.clone());
        labels.insert("topology.kubernetes.io/zone".to_owned(), zone.clone());
    }
    for attribute in &agent.attributes {
        let value = match ValueType::try_from(attribute.r#type) {
            Ok(ValueType::Text) => attribute.text.as_ref().map(|t| t.value.clone()),
            Ok(ValueType::Scalar) => attribute.scalar.as_ref().map(|s| s.value.to_string()),
            _ => None,
        };
        if let Some(value) = value.filter(|v| is_label(v) && is_label(&attribute.name)) {
            labels.insert(format!("{ATTRIBUTE_PREFIX}{}", attribute.name), value);
        }
    }
    labels
}

fn annotations(id: &AgentId, agent: &Agent) -> BTreeMap<String, String> {
    let ranges: Vec<String> = agent.total.ranges("ports").ranges().map(|(b, e)| format!("{b}-{e}")).collect();
    BTreeMap::from([
        (AGENT_ID_ANNOTATION.to_owned(), id.value.clone()),
        (PORTS_ANNOTATION.to_owned(), ranges.join(",")),
    ])
}

/// The executor is this very binary, so its architecture is every agent's.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What differs in labels and annotations: ours are set, attributes that are gone are removed, others kept.
fn metadata_patch(node: &Node, id: &AgentId, agent: &Agent) -> Option<Map<String, Value>> {
    let difference = |old: Option<&BTreeMap<String, String>>, wanted: &BTreeMap<String, String>| {
        let empty = BTreeMap::new();
        let old = old.unwrap_or(&empty);
        let mut patch: Map<String, Value> = wanted
            .iter()
            .filter(|(key, value)| old.get(*key) != Some(*value))
            .map(|(key, value)| (key.clone(), Value::String(value.clone())))
            .collect();
        let stale = old.keys().filter(|k| k.starts_with(ATTRIBUTE_PREFIX) && !wanted.contains_key(*k));
        patch.extend(stale.map(|key| (key.clone(), Value::Null)));
        patch
    };
    let labels = difference(node.metadata.labels.as_ref(), &labels(agent));
    let annotations = difference(node.metadata.annotations.as_ref(), &annotations(id, agent));
    if labels.is_empty() && annotations.is_empty() {
        return None;
    }
    let mut patch = Map::new();
    patch.insert("labels".to_owned(), Value::Object(labels));
    patch.insert("annotations".to_owned(), Value::Object(annotations));
    Some(patch)
}

/// k8s label syntax: up to 63 letters, digits, `-_.`, alphanumeric at both ends.
fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63 && text.chars().all(inner) && ends(text.chars().next()) && ends(text.chars().last())
}
