//! An executor's process: lifecycles as drive/executor owns them, its ledger, its session with the agent, its watch,
//! and the runtime below it. Every batch of a lifecycle's actions is performed in a chance order.

mod session;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use km_api::resource::{NODES, PODS};
use km_api::{ContentType, Request, Response, Status, Verb};
use km_base::{ObjectKey, Timestamp, Uid};
use km_core_mesos::agent::{Launch, StreamId};
use km_kinds::api::core::v1::Pod;
use km_lifecycle::{Action, Config, Event, Lifecycle, ProbeKind, TaskUpdate, WriteOutcome};
use km_mesos::executor::Event as MesosEvent;
use km_mesos::{ExecutorId, FrameworkId, TaskInfo, TaskState, TaskStatus};
use km_podwire::{ExecutorData, LaunchData};
use serde_json::json;

use self::session::Ledger;
use crate::api::{Caller, Client, Want};
use crate::informer::{Informer, Told};
use crate::runtime::{Chance, Effect, Runtime, State};
use crate::world::{Input, Line, World};

/// How long an executor goes on without a bootstrap token; drive/executor's refusals and waits together.
const TOKEN_PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Executor {
    pub(crate) id: u64,
    pub(crate) container_id: String,
    framework_id: FrameworkId,
    executor_id: ExecutorId,
    data: ExecutorData,
    /// Its agent let it go past the gate.
    pub(crate) released: bool,
    pub(crate) runs: bool,
    /// When what it left behind is swept away.
    pub(crate) sweep_at: Option<Timestamp>,
    stream: Option<StreamId>,
    /// Made since SUBSCRIBE was sent, and not in it.
    unsent: Vec<TaskStatus>,
    ledger: Ledger,
    pub(crate) pods: BTreeMap<Uid, Entry>,
    /// Launches of a pod whose earlier task is still ending.
    next: BTreeMap<Uid, VecDeque<(String, LaunchData)>>,
    pub(crate) informer: Informer,
    known: BTreeMap<ObjectKey, Arc<Pod>>,
    pub(crate) runtime: Runtime,
    /// Whether runtime and identity are there.
    ready: bool,
    begun: bool,
    ending: Option<Timestamp>,
}

pub(crate) struct Entry {
    pub(crate) machine: Lifecycle,
    wake_at: Option<Timestamp>,
    backlog: Vec<Action>,
    /// Probes that run, with the container that they are for.
    probes: BTreeMap<(String, ProbeKind), String>,
}

/// An order on its way to the runtime: carried out also when its pod is forgotten meanwhile.
pub(crate) struct Order {
    uid: Uid,
    task_id: String,
    image: String,
    action: Action,
}

pub(crate) enum ExecutorInput {
    Subscribe,
    Subscribed(StreamId),
    Refused(String),
    /// The connection to the agent is gone.
    Disconnected,
    Closed(StreamId),
    Mesos(Box<MesosEvent>),
    Ready,
    Order(Box<Order>),
    Told {
        uid: Uid,
        event: Box<Event>,
    },
    Ends {
        container: String,
        code: i32,
    },
    Wake {
        uid: Uid,
        at: Timestamp,
    },
    Probe {
        uid: Uid,
        container: String,
        id: String,
        kind: ProbeKind,
    },
    ReportNode,
    /// Looks whether a shutdown is over.
    End,
    /// Ends if no task has brought a bootstrap token.
    GiveUp,
}

impl Executor {
    pub(crate) fn new(id: u64, launch: &Launch) -> Result<Self, String> {
        let info = &launch.executor;
        let data = ExecutorData::decode(info.data.as_deref().unwrap_or_default());
        let data = data.map_err(|error| format!("an executor cannot read its data: {error}"))?;
        Ok(Self {
            id,
            container_id: launch.container_id.clone(),
            framework_id: launch.framework.id.clone().unwrap_or_default(),
            executor_id: info.executor_id.clone(),
            released: false,
            runs: false,
            sweep_at: None,
            stream: None,
            unsent: Vec::new(),
            ledger: Ledger::default(),
            pods: BTreeMap::new(),
            next: BTreeMap::new(),
            informer: Informer::new(&PODS, format!("spec.nodeName={}", data.node_name)),
            known: BTreeMap::new(),
            runtime: Runtime::default(),
            ready: false,
            begun: false,
            ending: None,
            data,
        })
    }
}

impl World {
    /// Sends what the agent has to say, in order.
    pub(crate) fn tell_executor(&mut self, host: usize, executor: u64, input: ExecutorInput) {
        self.send(Line::ExecutorEvents(executor), Input::Executor { host, executor, input: Box::new(input) });
    }

    fn post_executor(&mut self, after: Duration, host: usize, executor: u64, input: ExecutorInput) {
        self.post(after, Input::Executor { host, executor, input: Box::new(input) });
    }

    fn executor(&mut self, host: usize, id: u64) -> Option<&mut Executor> {
        self.hosts[host].executors.get_mut(&id)
    }

    pub(crate) fn executor_input(&mut self, host: usize, id: u64, input: ExecutorInput) {
        // Containers end whether or not their executor lives, and whatever it calls itself by now.
        if let ExecutorInput::Ends { container, code } = input {
            let mut id = id;
            while let Some(now) = self.hosts[host].renamed.get(&id) {
                id = *now;
            }
            return self.container_ends(host, id, &container, code);
        }
        if !self.executor(host, id).is_some_and(|executor| executor.runs) {
            return;
        }
        match input {
            ExecutorInput::Subscribe => self.executor_subscribe(host, id),
            ExecutorInput::Subscribed(stream) => self.executor_subscribed(host, id, stream),
            ExecutorInput::Refused(text) => {
                self.trace(|| format!("executor {id} is refused: {text}"));
                self.executor_begins_end(host, id);
            }
            ExecutorInput::Disconnected => self.executor_reconnect(host, id),
            ExecutorInput::Closed(stream) => {
                if self.executor(host, id).is_some_and(|e| e.stream.as_ref() == Some(&stream)) {
                    self.executor_reconnect(host, id);
                }
            }
            ExecutorInput::Mesos(event) => self.executor_hears(host, id, *event),
            ExecutorInput::Ready => self.executor_ready(host, id),
            ExecutorInput::Order(order) => self.executor_order(host, id, &order),
            ExecutorInput::Told { uid, event } => self.pod_step(host, id, &uid, *event),
            ExecutorInput::Ends { .. } => {}
            ExecutorInput::Wake { uid, at } => {
                let due = self.executor(host, id).and_then(|e| e.pods.get_mut(&uid)).filter(|p| p.wake_at == Some(at));
                if let Some(entry) = due {
                    entry.wake_at = None;
                    self.pod_step(host, id, &uid, Event::Tick);
                }
            }
            ExecutorInput::Probe { uid, container, id: of, kind } => {
                self.executor_probes(host, id, &uid, container, of, kind);
            }
            ExecutorInput::ReportNode => self.executor_reports_node(host, id),
            ExecutorInput::End => self.executor_may_end(host, id),
            ExecutorInput::GiveUp => {
                if self.executor(host, id).is_some_and(|executor| !executor.begun) {
                    self.executor_begins_end(host, id);
                }
            }
        }
    }

    fn executor_launch(&mut self, host: usize, id: u64, task_id: String, launch: LaunchData) {
        let Some(executor) = self.executor(host, id) else { return };
        let begins = !executor.begun && launch.bootstrap_token.is_some();
        let lacks_token = !executor.begun && !begins && executor.pods.is_empty();
        executor.begun |= begins;
        let uid = launch.uid.clone();
        if let Some(token) = launch.bootstrap_token.as_deref().filter(|_| begins) {
            self.judge_token(token);
            let wait = self.dice.millis(50, 500);
            self.post_executor(wait, host, id, ExecutorInput::Ready);
        }
        if lacks_token {
            // A task that was on the way when its executor died has started another in its name.
            self.judge.count("executors started without a token");
            self.post_executor(TOKEN_PATIENCE, host, id, ExecutorInput::GiveUp);
        }
        let Some(executor) = self.executor(host, id) else { return };
        if let Some(entry) = executor.pods.get(&uid) {
            if entry.machine.task_id() != task_id {
                executor.next.entry(uid).or_default().push_back((task_id, launch));
            }
            return;
        }
        self.pod_enter(host, id, task_id, &launch);
        self.pod_step(host, id, &uid, Event::TaskLaunched);
        let known = self.executor(host, id).and_then(|executor| executor.known.get(&launch.key).cloned());
        if let Some(pod) = known {
            self.pod_step(host, id, &uid, Event::PodChanged(pod));
        }
    }

    fn pod_enter(&mut self, host: usize, id: u64, task_id: String, launch: &LaunchData) {
        let name = self.hosts[host].name.clone();
        let Some(executor) = self.executor(host, id) else { return };
        let config = Config { node_name: name, host_ip: executor.data.node_ip.clone() };
        let machine = Lifecycle::new(config, launch.key.clone(), launch.uid.clone(), task_id);
        executor
            .pods
            .insert(launch.uid.clone(), Entry { machine, wake_at: None, backlog: Vec::new(), probes: BTreeMap::new() });
    }

    fn executor_kill(&mut self, host: usize, id: u64, task_id: &str, grace: Option<Duration>) {
        let Some(executor) = self.executor(host, id) else { return };
        let found = executor.pods.iter().find(|(_, entry)| entry.machine.task_id() == task_id);
        if let Some(uid) = found.map(|(uid, _)| uid.clone()) {
            return self.pod_step(host, id, &uid, Event::TaskKilled { grace });
        }
        let mut queued = false;
        for waiting in executor.next.values_mut() {
            let before = waiting.len();
            waiting.retain(|(waiting, _)| waiting != task_id);
            queued |= waiting.len() < before;
        }
        if queued {
            let update = TaskUpdate {
                state: TaskState::Killed,
                reason: None,
                message: "killed before its first container".into(),
                healthy: None,
                phase: String::new(),
            };
            self.executor_updates(host, id, task_id, &update);
        }
    }

    fn executor_ready(&mut self, host: usize, id: u64) {
        // drive/executor's order: adopt, then follow, then what had to wait.
        self.executor_adopts(host, id);
        let Some(executor) = self.executor(host, id) else { return };
        executor.ready = true;
        let backlogs: Vec<(Uid, Vec<Action>)> =
            executor.pods.iter_mut().map(|(uid, entry)| (uid.clone(), std::mem::take(&mut entry.backlog))).collect();
        self.informer_list(Client::Executor { host, id }, 0);
        self.executor_reports_node(host, id);
        for (uid, actions) in backlogs {
            for action in actions {
                self.pod_perform(host, id, &uid, action);
            }
        }
    }

    fn executor_reports_node(&mut self, host: usize, id: u64) {
        let name = self.hosts[host].name.clone();
        let time = self.now.rfc3339();
        let body = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "km executor is posting ready status", "lastHeartbeatTime": time, "lastTransitionTime": time}]}});
        let request = Request::new(Verb::Patch, &NODES, "", &name)
            .subresource("status")
            .body(ContentType::StrategicMergePatch, body.to_string());
        self.api_send(Caller { client: Client::Executor { host, id }, want: Want::NodeStatus }, request);
    }

    pub(crate) fn executor_pod_changed(&mut self, host: usize, id: u64, told: Told) {
        let (key, event) = match told {
            Told::Upsert(object) => match object.decode::<Pod>() {
                Ok(pod) => (object.key(), Event::PodChanged(Arc::new(pod))),
                Err(error) => return self.fail(format!("an executor cannot read a pod: {error}")),
            },
            Told::Delete(key) => (key, Event::PodGone),
            Told::Synced => return,
        };
        let Some(executor) = self.executor(host, id) else { return };
        match &event {
            Event::PodChanged(pod) => drop(executor.known.insert(key.clone(), Arc::clone(pod))),
            _ => drop(executor.known.remove(&key)),
        }
        let uids: Vec<Uid> =
            executor.pods.iter().filter(|(_, e)| *e.machine.key() == key).map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            self.pod_step(host, id, &uid, event.clone());
        }
    }

    fn pod_step(&mut self, host: usize, id: u64, uid: &Uid, event: Event) {
        let now = self.now;
        let Some(executor) = self.executor(host, id) else { return };
        let ready = executor.ready;
        let Some(entry) = executor.pods.get_mut(uid) else { return };
        let mut actions = Vec::new();
        entry.machine.step(now, event, &mut actions);
        let actions = self.dice.shuffle(actions, |action| match action {
            Action::TaskUpdate(_) | Action::Forget => Some(0),
            _ => None,
        });
        for action in actions {
            let at_once =
                matches!(action, Action::TaskUpdate(_) | Action::WakeAt(_) | Action::Forget | Action::Record(_));
            if ready || at_once {
                self.pod_perform(host, id, uid, action);
            } else if let Some(entry) = self.executor(host, id).and_then(|executor| executor.pods.get_mut(uid)) {
                entry.backlog.push(action);
            }
        }
    }

    fn pod_perform(&mut self, host: usize, id: u64, uid: &Uid, action: Action) {
        let client = Client::Executor { host, id };
        let Some(executor) = self.executor(host, id) else { return };
        let Some(entry) = executor.pods.get_mut(uid) else { return };
        let (key, task_id) = (entry.machine.key().clone(), entry.machine.task_id().to_owned());
        match action {
            Action::WriteStatus(status) => {
                let body = json!({"metadata": {"uid": uid}, "status": status});
                let request = Request::new(Verb::Patch, &PODS, &key.namespace, &key.name)
                    .subresource("status")
                    .body(ContentType::StrategicMergePatch, body.to_string());
                self.api_send(Caller { client, want: Want::Status(uid.clone()) }, request);
            }
            Action::DeletePod => {
                let mut request = Request::new(Verb::Delete, &PODS, &key.namespace, &key.name);
                request.options.grace_period_seconds = Some(0);
                request.options.precondition_uid = Some(uid.0.clone());
                self.api_send(Caller { client, want: Want::Delete(uid.clone()) }, request);
            }
            Action::LookUpPod => {
                let request = Request::new(Verb::Get, &PODS, &key.namespace, &key.name);
                self.api_send(Caller { client, want: Want::LookUp(uid.clone()) }, request);
            }
            Action::TaskUpdate(update) => self.executor_updates(host, id, &task_id, &update),
            Action::WakeAt(at) => {
                entry.wake_at = Some(at);
                let uid = uid.clone();
                let input = Box::new(ExecutorInput::Wake { uid, at });
                self.post_at(at, Input::Executor { host, executor: id, input });
            }
            Action::Forget => {
                executor.pods.remove(uid);
                let next = executor.next.get_mut(uid).and_then(VecDeque::pop_front);
                if let Some((task_id, launch)) = next {
                    self.executor_launch(host, id, task_id, launch);
                }
            }
            Action::StartProbe { container, id: of, kind, .. } => {
                entry.probes.insert((container.clone(), kind), of.clone());
                let first = self.dice.millis(100, 2_000);
                let input = ExecutorInput::Probe { uid: uid.clone(), container, id: of, kind };
                self.post_executor(first, host, id, input);
            }
            Action::StopProbe { container, kind } => drop(entry.probes.remove(&(container, kind))),
            Action::Record(_) => {}
            action => {
                let image = match &action {
                    Action::EnsureImage { container, .. } => image_of(&entry.machine, container),
                    _ => String::new(),
                };
                let delay = self.runtime_delay(&action);
                let order = Order { uid: uid.clone(), task_id, image, action };
                self.post_executor(delay, host, id, ExecutorInput::Order(Box::new(order)));
            }
        }
    }

    fn runtime_delay(&mut self, action: &Action) -> Duration {
        match action {
            Action::EnsureImage { .. } => self.dice.millis(1, 300),
            Action::RunSandbox { .. } => self.dice.millis(20, 200),
            _ => self.dice.millis(1, 60),
        }
    }

    fn executor_order(&mut self, host: usize, id: u64, order: &Order) {
        let (now, number, lossy) = (self.now, self.number(), self.is_lossy());
        let Order { uid, task_id, image, action } = order;
        let Some(executor) = self.hosts[host].executors.get_mut(&id) else { return };
        let chance = Chance { number, lossy, dice: &mut self.dice };
        let (event, effects) = executor.runtime.order(now, uid, action, image, chance);
        self.trace(|| format!("runtime {host}/{id} {uid} {}", show_order(action)));
        for effect in effects {
            match effect {
                Effect::Started { container } => self.judge_started(host, id, &container, task_id),
                Effect::Ends { container, after, code } => {
                    self.post_executor(after, host, id, ExecutorInput::Ends { container, code });
                }
            }
        }
        if let Some(event) = event {
            let delay = self.dice.millis(1, 40);
            self.post_executor(delay, host, id, ExecutorInput::Told { uid: uid.clone(), event: Box::new(event) });
        }
    }

    fn container_ends(&mut self, host: usize, id: u64, container: &str, code: i32) {
        let now = self.now;
        let Some(executor) = self.executor(host, id) else { return };
        let Some((uid, event)) = executor.runtime.end(now, container, code) else { return };
        self.trace(|| format!("runtime {host}/{id} {uid} {container} ended with {code}"));
        // The runtime is looked at every 400 ms.
        let delay = self.dice.millis(1, 400);
        self.post_executor(delay, host, id, ExecutorInput::Told { uid, event: Box::new(event) });
    }

    pub(crate) fn executor_answered(&mut self, host: usize, id: u64, want: Want, result: Result<Response, Status>) {
        let outcome = |result: Result<Response, Status>| match result {
            Ok(_) => WriteOutcome::Done,
            Err(status) if status.code == 404 || status.code == 409 => WriteOutcome::Gone,
            Err(_) => WriteOutcome::Failed,
        };
        match want {
            Want::Status(uid) => self.pod_step(host, id, &uid, Event::StatusWritten(outcome(result))),
            Want::Delete(uid) => self.pod_step(host, id, &uid, Event::PodDeleted(outcome(result))),
            Want::LookUp(uid) => {
                let event = match result {
                    Ok(Response::Object(object)) => match object.decode::<Pod>() {
                        Ok(pod) => Event::PodChanged(Arc::new(pod)),
                        Err(_) => Event::LookUpFailed,
                    },
                    Err(status) if status.code == 404 => Event::PodGone,
                    _ => Event::LookUpFailed,
                };
                self.pod_step(host, id, &uid, event);
            }
            Want::NodeStatus if result.is_err() => {
                self.post_executor(Duration::from_secs(1), host, id, ExecutorInput::ReportNode);
            }
            _ => {}
        }
    }

    fn executor_begins_end(&mut self, host: usize, id: u64) {
        let now = self.now;
        let Some(executor) = self.executor(host, id) else { return };
        if executor.ending.is_some() {
            return;
        }
        executor.ending = Some(now + Duration::from_secs(28));
        let uids: Vec<Uid> = executor.pods.keys().cloned().collect();
        self.trace(|| format!("executor {host}/{id} ends all pods"));
        for uid in uids {
            self.pod_step(host, id, &uid, Event::TaskKilled { grace: Some(Duration::from_secs(14)) });
        }
        self.post_executor(Duration::from_millis(50), host, id, ExecutorInput::End);
    }

    fn executor_may_end(&mut self, host: usize, id: u64) {
        let now = self.now;
        let Some(executor) = self.executor(host, id) else { return };
        let quiet = executor.pods.values().all(|entry| entry.machine.is_kept_for_logs());
        if quiet || executor.ending.is_some_and(|deadline| deadline <= now) {
            self.executor_exits(host, id);
        } else {
            self.post_executor(Duration::from_millis(200), host, id, ExecutorInput::End);
        }
    }

    /// One probe's result; those of `…/sick` fail their liveness from a while after the start.
    fn executor_probes(&mut self, host: usize, id: u64, uid: &Uid, container: String, of: String, kind: ProbeKind) {
        let now = self.now;
        let Some(executor) = self.executor(host, id) else { return };
        let Some(entry) = executor.pods.get(uid) else { return };
        if entry.probes.get(&(container.clone(), kind)) != Some(&of) {
            return;
        }
        let Some(found) = executor.runtime.containers.get(&of) else { return };
        let age = match found.state {
            State::Running(since) => now.saturating_since(since),
            _ => return,
        };
        let sick = found.image.contains("/sick") && kind == ProbeKind::Liveness && age > Duration::from_secs(15);
        let result = if sick { Err("HTTP probe failed with statuscode: 500".to_owned()) } else { Ok(()) };
        let event = Event::ProbeResult { container: container.clone(), id: of.clone(), kind, result };
        self.pod_step(host, id, uid, event);
        let again = self.dice.millis(4_000, 6_000);
        // A probe that has succeeded tells nothing new, unless it is going to fail.
        let tells = kind == ProbeKind::Liveness && age < Duration::from_secs(200);
        if tells {
            self.post_executor(again, host, id, ExecutorInput::Probe { uid: uid.clone(), container, id: of, kind });
        }
    }

    /// The process starts again over its containers: of what it knew there is the ledger, and what the runtime holds.
    pub(crate) fn executor_again(&mut self, host: usize, id: u64) {
        let new = self.number();
        let Some(old) = self.hosts[host].executors.remove(&id).filter(|old| old.ending.is_none()) else { return };
        self.trace(|| format!("executor {host}/{id} starts again as {new}"));
        self.hosts[host].renamed.insert(id, new);
        self.hosts[host].agent_loses(id);
        let selector = old.informer.field_selector.clone();
        let mut ledger = old.ledger;
        // Listing a task that Mesos has acknowledged does no harm; leaving one out loses it.
        ledger.fresh = ledger.tasks.keys().cloned().collect();
        let tasks: Vec<TaskInfo> = ledger.tasks.values().cloned().collect();
        let executor = Executor {
            id: new,
            stream: None,
            ledger,
            pods: BTreeMap::new(),
            next: BTreeMap::new(),
            informer: Informer::new(&PODS, selector),
            known: BTreeMap::new(),
            ready: false,
            ..old
        };
        self.hosts[host].executors.insert(new, executor);
        for task in tasks {
            if let Ok(launch) = LaunchData::decode(task.data.as_deref().unwrap_or_default()) {
                self.pod_enter(host, new, task.task_id.value, &launch);
            }
        }
        let (soon, later) = (self.dice.millis(10, 200), self.dice.millis(50, 800));
        self.post_executor(soon, host, new, ExecutorInput::Subscribe);
        self.post_executor(later, host, new, ExecutorInput::Ready);
    }

    /// Hands every pod what the runtime holds of it; what is nobody's is removed.
    fn executor_adopts(&mut self, host: usize, id: u64) {
        let Some(executor) = self.executor(host, id) else { return };
        for (uid, adopted) in executor.runtime.adopt() {
            let Some(executor) = self.executor(host, id) else { return };
            if executor.pods.contains_key(&uid) {
                self.pod_step(host, id, &uid, Event::Adopted(adopted));
            } else {
                executor.runtime.containers.retain(|_, container| container.uid != uid);
                executor.runtime.sandboxes.retain(|_, sandbox| sandbox.uid != uid);
            }
        }
    }

    /// The process ends by itself or is killed; its agent, if it lives, sees it.
    pub(crate) fn executor_exits(&mut self, host: usize, id: u64) {
        let Some(executor) = self.executor(host, id) else { return };
        let container_id = executor.container_id.clone();
        self.executor_dies(host, id);
        let (delay, life) = (self.delay(), self.hosts[host].agent.life);
        let event = Box::new(km_core_mesos::agent::Event::Exited { container_id, status: 9 });
        self.post(delay, Input::AgentEvent { host, life, event });
    }

    /// The process is gone; its supervisor takes the runtime down within a second.
    pub(crate) fn executor_dies(&mut self, host: usize, id: u64) {
        let (sweep, now) = (self.dice.millis(1, 1_000), self.now);
        let Some(executor) = self.executor(host, id) else { return };
        if executor.sweep_at.is_some() {
            return;
        }
        executor.runs = false;
        executor.sweep_at = Some(now + sweep);
        self.trace(|| format!("executor {host}/{id} is dead"));
        self.post(sweep, Input::Sweep { host, executor: id });
    }

    pub(crate) fn executor_sweep(&mut self, host: usize, id: u64) {
        self.lines_end(Line::ExecutorCalls(id));
        self.lines_end(Line::ExecutorEvents(id));
        self.hosts[host].executors.remove(&id);
    }
}

fn image_of(machine: &Lifecycle, container: &str) -> String {
    let Some(spec) = machine.pod().and_then(|pod| pod.spec.as_ref()) else { return String::new() };
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    all.into_iter().find(|c| c.name == container).and_then(|c| c.image.clone()).unwrap_or_default()
}

fn show_order(action: &Action) -> String {
    match action {
        Action::CreateContainer { container, attempt, .. } => format!("create {container} {attempt}"),
        Action::StartContainer { id, .. } => format!("start {id}"),
        Action::StopContainer { id, grace, .. } => format!("stop {id} within {grace:?}"),
        Action::RunHook { container, .. } => format!("hook of {container}"),
        other => format!("{other:?}"),
    }
}
