//! The loop that owns every pod's lifecycle: takes events of Mesos, the API server, the runtime and the clock,
//! steps the pod's machine, has its actions performed.
//!
//! Nothing here awaits a remote answer: what is asked runs in a task of its own and comes back as a [`Message`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use km_api::resource::{PODS, SERVICES};
use km_base::{ObjectKey, Timestamp, Uid, chain};
use km_client::{Change, Informer, InformerConfig, informer};
use km_kinds::api::core::v1::Pod;
use km_lifecycle::{Action, Event, Lifecycle, ProbeKind, TaskUpdate};
use km_mesos::{TaskId, TaskInfo, TaskStatus, task_status};
use km_net::{Shutdown, TaskSet};
use km_podwire::{ExecutorData, LaunchData, StatusData};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

use crate::agent::AgentEvent;
use crate::context::{Context, PodContext, now};
use crate::events::{Recorder, Subject};
use crate::images::Fetches;
use crate::perform;
use crate::probes::Target;
use crate::services::{Service, Services};
use crate::{HostPortEntry, relist};

/// Messages that may wait for the loop. A step takes microseconds, so the queue is short but for bursts.
pub(crate) const MESSAGES_MAX: usize = 4_096;
/// How often volumes made of API objects are brought up to date. (k8s 1.33: syncFrequency 1 min.)
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// Left of the agent's grace for saying how the pods ended.
const LAST_WORDS: Duration = Duration::from_millis(1_500);
/// Ended pods whose logs are kept; the oldest goes first.
const KEPT_PODS_MAX: usize = 100;

/// What tasks tell the loop.
pub(crate) enum Message {
    /// Something happened to a pod.
    Pod { uid: Uid, event: Box<Event> },
    /// Runtime and identity are there, and this is what the runtime holds.
    Ready(Box<Ready>),
    /// The API server will never know this executor: there is no way to an identity.
    Unknown,
    /// The kubelet endpoints ask about a container.
    Find { key: ObjectKey, container: String, reply: oneshot::Sender<Option<Found>> },
    /// The kubelet endpoints ask for all pods.
    List { reply: oneshot::Sender<Vec<Arc<Pod>>> },
}

/// What the loop needs once everything is up.
pub(crate) struct Ready {
    pub(crate) ctx: Arc<Context>,
    pub(crate) adopted: BTreeMap<Uid, km_lifecycle::Adopted>,
    pub(crate) recorder: Recorder,
    pub(crate) services: watch::Sender<Services>,
}

/// A container as the kubelet endpoints need it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) uid: Uid,
    /// Id of the sandbox, if it stands.
    pub(crate) sandbox: Option<String>,
    /// Id of the newest run and whether it runs; `None` before the first.
    pub(crate) container: Option<(String, bool)>,
    /// Attempt of the newest run with a log.
    pub(crate) attempt: Option<u32>,
    /// Whether the pod has such a container.
    pub(crate) known: bool,
}

/// A pod that is here.
struct Entry {
    machine: Lifecycle,
    launch: LaunchData,
    probes: BTreeMap<(String, ProbeKind), Shutdown>,
    wake_at: Option<Timestamp>,
    /// Actions that wait for runtime and identity.
    backlog: Vec<Action>,
    volumes: bool,
    /// Order of ending, for the bound on kept pods.
    ended: Option<u64>,
}

pub(crate) struct Owner {
    pub(crate) data: ExecutorData,
    pub(crate) tasks: TaskSet,
    pub(crate) agent: mpsc::Receiver<AgentEvent>,
    pub(crate) updates: mpsc::Sender<TaskStatus>,
    pub(crate) messages: mpsc::Receiver<Message>,
    pub(crate) tokens: watch::Sender<Option<String>>,
    pub(crate) host_ports: watch::Sender<Vec<HostPortEntry>>,
    pub(crate) shutdown_grace: Duration,
    pods: BTreeMap<Uid, Entry>,
    /// Launches of a pod whose earlier task is still ending.
    next: BTreeMap<Uid, VecDeque<LaunchData>>,
    next_ids: BTreeMap<Uid, VecDeque<String>>,
    /// Pods that the API server shows on this node.
    known: BTreeMap<ObjectKey, Arc<Pod>>,
    ready: Option<Ready>,
    fetches: Fetches,
    ending: Option<Instant>,
    endings: u64,
}

impl Owner {
    #[expect(clippy::too_many_arguments, reason = "the ends of every channel that the loop waits on")]
    pub(crate) fn new(
        data: ExecutorData,
        tasks: TaskSet,
        agent: mpsc::Receiver<AgentEvent>,
        updates: mpsc::Sender<TaskStatus>,
        messages: mpsc::Receiver<Message>,
        tokens: watch::Sender<Option<String>>,
        host_ports: watch::Sender<Vec<HostPortEntry>>,
        shutdown_grace: Duration,
    ) -> Self {
        Self {
            data,
            tasks,
            agent,
            updates,
            messages,
            tokens,
            host_ports,
            shutdown_grace,
            pods: BTreeMap::new(),
            next: BTreeMap::new(),
            next_ids: BTreeMap::new(),
            known: BTreeMap::new(),
            ready: None,
            fetches: Fetches::default(),
            ending: None,
            endings: 0,
        }
    }

    /// Takes up a task of an earlier life of this executor.
    pub(crate) fn recover(&mut self, task: &TaskInfo) {
        if let Some(launch) = read_launch(task) {
            self.enter(task.task_id.value.clone(), launch);
        }
    }

    /// Runs until everything has ended after a shutdown; says why it ended.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> &'static str {
        let mut pods: Option<Informer<Pod>> = None;
        let mut services: Option<Informer<Service>> = None;
        let mut refresh = tokio::time::interval(REFRESH_EVERY);
        loop {
            if self.ending.is_some_and(|deadline| Instant::now() >= deadline || self.is_quiet()) {
                return "all pods have ended";
            }
            let wake = self.next_wake();
            tokio::select! {
                event = self.agent.recv() => match event {
                    Some(event) => self.handle_agent(event),
                    None if self.ending.is_none() => self.begin_end("the session with the agent is over"),
                    None => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(message) = self.messages.recv() => {
                    if let Some((new_pods, new_services)) = self.handle(message).await {
                        pods = Some(new_pods);
                        services = Some(new_services);
                    }
                }
                Some(change) = next(&mut pods) => self.pod_changed(change),
                Some(change) = next(&mut services) => self.service_changed(change),
                () = sleep_until(wake) => self.ring(),
                _ = refresh.tick() => self.refresh(),
                () = shutdown.begun(), if self.ending.is_none() => self.begin_end("asked to end"),
            }
        }
    }

    fn handle_agent(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Subscribed(_) => {}
            AgentEvent::Launch(task) => {
                let id = task.task_id.value.clone();
                match read_launch(&task) {
                    Some(launch) => self.launch(id, launch),
                    None => self.refuse(id),
                }
            }
            AgentEvent::Kill { task_id, grace } => {
                let found = self.pods.iter().find(|(_, entry)| entry.machine.task_id() == task_id);
                if let Some(uid) = found.map(|(uid, _)| uid.clone()) {
                    self.step(&uid, Event::TaskKilled { grace });
                } else {
                    self.kill_queued(&task_id);
                }
            }
            AgentEvent::Shutdown => self.begin_end("the agent shuts this executor down"),
            AgentEvent::Lost(why) => {
                error!(why, "the Mesos agent is lost");
                self.begin_end("the Mesos agent is lost");
            }
        }
    }

    fn launch(&mut self, task_id: String, launch: LaunchData) {
        if let Some(token) = &launch.bootstrap_token {
            self.tokens.send_replace(Some(token.clone()));
        }
        let uid = launch.uid.clone();
        if let Some(entry) = self.pods.get(&uid) {
            if entry.machine.task_id() != task_id {
                info!(task_id, pod = %launch.key, "launched while an earlier task of the pod ends");
                self.next.entry(uid.clone()).or_default().push_back(launch);
                self.next_ids.entry(uid).or_default().push_back(task_id);
            }
            return;
        }
        info!(task_id, pod = %launch.key, "launched");
        self.enter(task_id, launch);
        self.step(&uid, Event::TaskLaunched);
        self.feed_known(&uid);
    }

    fn enter(&mut self, task_id: String, launch: LaunchData) {
        let config =
            km_lifecycle::Config { node_name: self.data.node_name.clone(), host_ip: self.data.node_ip.clone() };
        let machine = Lifecycle::new(config, launch.key.clone(), launch.uid.clone(), task_id);
        let entry = Entry {
            machine,
            probes: BTreeMap::new(),
            wake_at: None,
            backlog: Vec::new(),
            volumes: false,
            ended: None,
            launch: launch.clone(),
        };
        self.pods.insert(launch.uid, entry);
    }

    /// Ends a task whose data cannot be read: nobody could run it.
    fn refuse(&mut self, task_id: String) {
        let status = TaskStatus {
            task_id: TaskId { value: task_id },
            state: km_mesos::TaskState::Failed.into(),
            message: Some("the task carries no LaunchData that this executor can read".into()),
            source: Some(task_status::Source::Executor.into()),
            uuid: Some(new_uuid()),
            ..TaskStatus::default()
        };
        self.send_update(status);
    }

    fn kill_queued(&mut self, task_id: &str) {
        let mut killed = false;
        for (uid, ids) in &mut self.next_ids {
            if let Some(at) = ids.iter().position(|id| id == task_id) {
                ids.remove(at);
                self.next.get_mut(uid).map(|launches| launches.remove(at));
                killed = true;
            }
        }
        if killed {
            let update = TaskUpdate {
                state: km_mesos::TaskState::Killed,
                reason: None,
                message: "killed before its first container".into(),
                healthy: None,
                phase: String::new(),
            };
            let status = self.status_of(task_id, &update, &[]);
            self.send_update(status);
        }
    }

    async fn handle(&mut self, message: Message) -> Option<(Informer<Pod>, Informer<Service>)> {
        match message {
            Message::Pod { uid, event } => self.step(&uid, *event),
            Message::Ready(ready) => return Some(self.begin(*ready)),
            Message::Unknown => self.begin_end("the API server does not take the bootstrap token"),
            Message::Find { key, container, reply } => {
                // An asker that went away needs no answer.
                let _ = reply.send(self.find(&key, &container));
            }
            Message::List { reply } => {
                let pods = self.pods.values().filter_map(|entry| entry.machine.pod().cloned()).collect();
                let _ = reply.send(pods);
            }
        }
        None
    }

    /// Everything is up: adopts what runs, follows the API server, does what had to wait.
    fn begin(&mut self, mut ready: Ready) -> (Informer<Pod>, Informer<Service>) {
        let ctx = Arc::clone(&ready.ctx);
        let mut seen = std::collections::BTreeSet::new();
        for (uid, adopted) in std::mem::take(&mut ready.adopted) {
            for container in &adopted.containers {
                if matches!(container.state, km_lifecycle::AdoptedState::Exited(_)) {
                    seen.insert(container.id.clone());
                }
            }
            if self.pods.contains_key(&uid) {
                info!(%uid, containers = adopted.containers.len(), "adopted a running pod");
                self.step(&uid, Event::Adopted(adopted));
            } else {
                let ctx = Arc::clone(&ctx);
                self.tasks.spawn_contained("remove an orphan", async move {
                    relist::remove_orphan(&ctx, &uid, &adopted).await;
                });
            }
        }
        self.tasks.spawn("follow the runtime", relist::follow(Arc::clone(&ctx), seen, self.tasks.shutdown()));
        let field_selector = format!("spec.nodeName={}", self.data.node_name);
        let config = InformerConfig { field_selector, ..InformerConfig::all(&PODS) };
        let (follow, pods) = informer(ctx.client.clone(), config, |object| object.decode::<Pod>());
        self.spawn_follower("follow pods", follow);
        let config = InformerConfig::all(&SERVICES);
        let (follow, services) = informer(ctx.client.clone(), config, Service::project);
        self.spawn_follower("follow services", follow);
        self.ready = Some(ready);
        let uids: Vec<Uid> = self.pods.keys().cloned().collect();
        for uid in uids {
            let backlog = self.pods.get_mut(&uid).map(|entry| std::mem::take(&mut entry.backlog));
            self.perform_all(&uid, backlog.unwrap_or_default());
        }
        (pods, services)
    }

    fn spawn_follower(&self, name: &'static str, follow: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.tasks.shutdown();
        self.tasks.spawn(name, async move {
            tokio::select! {
                () = follow => {}
                () = shutdown.begun() => {}
            }
        });
    }

    fn pod_changed(&mut self, change: Change<Pod>) {
        match change {
            Change::Upsert(cached) => {
                let key = cached.meta.key();
                self.known.insert(key.clone(), Arc::clone(&cached.object));
                let uids: Vec<Uid> = self.uids_of(&key);
                for uid in uids {
                    self.step(&uid, Event::PodChanged(Arc::clone(&cached.object)));
                }
            }
            Change::Delete(key) => {
                self.known.remove(&key);
                for uid in self.uids_of(&key) {
                    self.step(&uid, Event::PodGone);
                }
            }
            Change::Synced => debug!("all pods of the node are known"),
        }
    }

    fn uids_of(&self, key: &ObjectKey) -> Vec<Uid> {
        self.pods.iter().filter(|(_, entry)| entry.machine.key() == key).map(|(uid, _)| uid.clone()).collect()
    }

    fn feed_known(&mut self, uid: &Uid) {
        let Some(entry) = self.pods.get(uid) else { return };
        if let Some(pod) = self.known.get(entry.machine.key()).cloned() {
            self.step(uid, Event::PodChanged(pod));
        }
    }

    fn service_changed(&mut self, change: Change<Service>) {
        let Some(ready) = &self.ready else { return };
        ready.services.send_modify(|services| match change {
            Change::Upsert(cached) => drop(services.0.insert(cached.meta.key(), cached.object)),
            Change::Delete(key) => drop(services.0.remove(&key)),
            Change::Synced => {}
        });
    }

    fn step(&mut self, uid: &Uid, event: Event) {
        let Some(entry) = self.pods.get_mut(uid) else {
            return debug!(%uid, "something about a pod that is not here any more");
        };
        match &event {
            Event::VolumesPrepared(Ok(())) => entry.volumes = true,
            Event::VolumesCleaned(_) => entry.volumes = false,
            _ => {}
        }
        let mut actions = Vec::new();
        entry.machine.step(now(), event, &mut actions);
        if entry.machine.is_kept_for_logs() && entry.ended.is_none() {
            self.endings += 1;
            entry.ended = Some(self.endings);
        }
        self.perform_all(uid, actions);
        self.publish_host_ports();
    }

    fn perform_all(&mut self, uid: &Uid, actions: Vec<Action>) {
        for action in actions {
            self.perform(uid, action);
        }
    }

    fn perform(&mut self, uid: &Uid, action: Action) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        match action {
            Action::WakeAt(at) => entry.wake_at = Some(at),
            Action::TaskUpdate(update) => {
                let ips = entry.machine.sandbox().map(|facts| facts.ips.clone()).unwrap_or_default();
                let task_id = entry.machine.task_id().to_owned();
                info!(task_id, state = ?update.state, message = update.message, "task update");
                let status = self.status_of(&task_id, &update, &ips);
                self.send_update(status);
            }
            Action::Forget => self.forget(uid),
            action if self.ready.is_none() => entry.backlog.push(action),
            Action::Record(record) => {
                let subject = Subject {
                    kind: "Pod",
                    key: entry.machine.key().clone(),
                    uid: uid.clone(),
                    field_path: record.field_path,
                };
                if let Some(ready) = &self.ready {
                    ready.recorder.record(subject, record.warning, record.reason, &record.message);
                }
            }
            Action::StartProbe { container, id, kind, probe } => self.start_probe(uid, container, id, kind, probe),
            Action::StopProbe { container, kind } => {
                if let Some(stop) = entry.probes.remove(&(container, kind)) {
                    stop.begin();
                }
            }
            action => {
                let Some(ready) = &self.ready else { return };
                let (ctx, fetches, pod) = (Arc::clone(&ready.ctx), self.fetches.clone(), pod_context(entry));
                self.tasks.spawn_contained("perform an action", perform::perform(ctx, fetches, pod, action));
            }
        }
    }

    fn start_probe(
        &mut self,
        uid: &Uid,
        container: String,
        id: String,
        kind: ProbeKind,
        probe: km_kinds::api::core::v1::Probe,
    ) {
        let (Some(entry), Some(ready)) = (self.pods.get_mut(uid), &self.ready) else { return };
        let pod = pod_context(entry);
        let Some(spec) = perform::container_of(&pod, &container) else { return };
        let target = Target { container: spec, id, pod_ip: pod.pod_ips.first().cloned().unwrap_or_default() };
        let stop = self.tasks.shutdown().child();
        if let Some(old) = entry.probes.insert((container, kind), stop.clone()) {
            old.begin();
        }
        let run = perform::probe_loop(Arc::clone(&ready.ctx), pod, target, kind, probe, stop);
        self.tasks.spawn_contained("probe", run);
    }

    fn forget(&mut self, uid: &Uid) {
        let Some(entry) = self.pods.remove(uid) else { return };
        for stop in entry.probes.values() {
            stop.begin();
        }
        let next = self.next.get_mut(uid).and_then(VecDeque::pop_front);
        let next_id = self.next_ids.get_mut(uid).and_then(VecDeque::pop_front);
        match (next, next_id) {
            (Some(launch), Some(task_id)) => self.launch(task_id, launch),
            _ => {
                self.next.remove(uid);
                self.next_ids.remove(uid);
                if let Some(ready) = &self.ready {
                    let run = perform::forget(Arc::clone(&ready.ctx), pod_context(&entry));
                    self.tasks.spawn_contained("remove a pod's folders", run);
                }
            }
        }
    }

    fn status_of(&self, task_id: &str, update: &TaskUpdate, ips: &[String]) -> TaskStatus {
        let data = StatusData { version: km_podwire::VERSION, phase: update.phase.clone(), ..StatusData::default() };
        let addresses = ips.iter().map(|ip| km_mesos::network_info::IpAddress {
            protocol: Some(
                if ip.contains(':') {
                    km_mesos::network_info::Protocol::IPv6
                } else {
                    km_mesos::network_info::Protocol::IPv4
                }
                .into(),
            ),
            ip_address: Some(ip.clone()),
        });
        let network = km_mesos::NetworkInfo { ip_addresses: addresses.collect(), ..Default::default() };
        let container_status =
            (!ips.is_empty()).then(|| km_mesos::ContainerStatus { network_infos: vec![network], ..Default::default() });
        let micros = f64::from(i32::try_from(now().as_micros() % 1_000_000).unwrap_or(0));
        let seconds = i32::try_from(now().as_secs()).map_or(0.0, f64::from);
        TaskStatus {
            task_id: TaskId { value: task_id.to_owned() },
            state: update.state.into(),
            message: (!update.message.is_empty()).then(|| update.message.clone()),
            source: Some(task_status::Source::Executor.into()),
            reason: update.reason.map(i32::from),
            data: Some(Bytes::from(data.encode())),
            timestamp: Some(seconds + micros / 1e6),
            uuid: Some(new_uuid()),
            healthy: update.healthy,
            container_status,
            ..TaskStatus::default()
        }
    }

    fn send_update(&self, status: TaskStatus) {
        // The session task takes updates up at all times; a full queue means that it hangs.
        if let Err(error) = self.updates.try_send(status) {
            error!(%error, "a status update is lost");
        }
    }

    fn find(&self, key: &ObjectKey, container: &str) -> Option<Found> {
        let (uid, entry) = self.pods.iter().find(|(_, entry)| entry.machine.key() == key)?;
        let machine = &entry.machine;
        let pod = pod_context(entry);
        Some(Found {
            uid: uid.clone(),
            sandbox: machine.sandbox().map(|facts| facts.id.clone()),
            container: machine.container_id(container).map(|(id, runs)| (id.to_owned(), runs)),
            attempt: machine.log_attempt(container),
            known: perform::container_of(&pod, container).is_some(),
        })
    }

    /// Returns when the next machine wants to be woken, as the runtime's clock counts.
    fn next_wake(&self) -> Instant {
        let earliest = self.pods.values().filter_map(|entry| entry.wake_at).min();
        let wait = earliest.map_or(Duration::from_secs(3_600), |at| at.saturating_since(now()));
        let wake = Instant::now() + wait;
        self.ending.map_or(wake, |deadline| deadline.min(wake))
    }

    fn ring(&mut self) {
        let now = now();
        let due = |entry: &Entry| entry.wake_at.is_some_and(|at| at <= now);
        let uids: Vec<Uid> = self.pods.iter().filter(|(_, e)| due(e)).map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            if let Some(entry) = self.pods.get_mut(&uid) {
                entry.wake_at = None;
            }
            self.step(&uid, Event::Tick);
        }
    }

    /// Brings volumes up to date and lets go of the oldest ended pods.
    fn refresh(&mut self) {
        let Some(ready) = &self.ready else { return };
        for entry in self.pods.values().filter(|entry| entry.volumes) {
            let (ctx, pod) = (Arc::clone(&ready.ctx), pod_context(entry));
            self.tasks.spawn_contained("refresh volumes", async move {
                if let Err(failure) = crate::volumes::prepare(&ctx, &pod).await {
                    debug!(pod = %pod.key, volume = failure.volume, error = failure.message, "failed to refresh a volume");
                }
            });
        }
        let mut kept: Vec<(u64, Uid)> =
            self.pods.iter().filter_map(|(uid, entry)| Some((entry.ended?, uid.clone()))).collect();
        kept.sort();
        let surplus = kept.len().saturating_sub(KEPT_PODS_MAX);
        for (_, uid) in kept.into_iter().take(surplus) {
            self.step(&uid, Event::PodGone);
        }
    }

    fn publish_host_ports(&self) {
        let running = self.pods.iter().filter_map(|(uid, entry)| {
            let ip = entry.machine.sandbox()?.ips.first()?.clone();
            (ip != self.data.node_ip).then_some((uid, entry, ip))
        });
        let entries: Vec<HostPortEntry> = running
            .flat_map(|(uid, entry, ip)| {
                entry.launch.ports.iter().map(move |port| HostPortEntry {
                    uid: uid.clone(),
                    protocol: port.protocol.clone(),
                    host_port: port.host_port,
                    pod_ip: ip.clone(),
                    pod_port: port.container_port,
                })
            })
            .collect();
        self.host_ports.send_if_modified(|old| {
            let changed = *old != entries;
            *old = entries;
            changed
        });
    }

    fn begin_end(&mut self, why: &str) {
        if self.ending.is_some() {
            return;
        }
        let grace = self.shutdown_grace.saturating_sub(LAST_WORDS);
        info!(why, pods = self.pods.len(), ?grace, "ending all pods");
        self.ending = Some(Instant::now() + grace.max(Duration::from_millis(500)));
        let uids: Vec<Uid> = self.pods.keys().cloned().collect();
        // Half of the time is for the pods to stop by themselves, the rest for killing and saying so.
        for uid in uids {
            self.step(&uid, Event::TaskKilled { grace: Some(grace / 2) });
        }
    }

    /// Tells whether nothing but ended pods is left.
    fn is_quiet(&self) -> bool {
        self.pods.values().all(|entry| entry.machine.is_kept_for_logs())
    }
}

fn pod_context(entry: &Entry) -> PodContext {
    let pod = entry.machine.pod().cloned().unwrap_or_default();
    PodContext {
        pod,
        key: entry.machine.key().clone(),
        uid: entry.launch.uid.clone(),
        pod_ips: entry.machine.sandbox().map(|facts| facts.ips.clone()).unwrap_or_default(),
    }
}

fn read_launch(task: &TaskInfo) -> Option<LaunchData> {
    match LaunchData::decode(task.data.as_deref().unwrap_or_default()) {
        Ok(launch) => Some(launch),
        Err(error) => {
            warn!(task_id = task.task_id.value, error = %chain(&error), "cannot read what was launched");
            None
        }
    }
}

/// Mesos acknowledges an update by these 16 bytes.
fn new_uuid() -> Bytes {
    Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes())
}

/// Waits for a change; for ever while there is no informer.
async fn next<T>(informer: &mut Option<Informer<T>>) -> Option<Change<T>> {
    match informer {
        Some(informer) => informer.recv().await,
        None => std::future::pending().await,
    }
}
