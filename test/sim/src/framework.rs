//! The framework's process: both cores as drive/framework owns them, batches of events decided on together, and every
//! batch of actions performed in a chance order (calls to Mesos and words to the scheduler in theirs).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use km_api::resource::{NODES, PODS};
use km_base::{Backoff, Timestamp};
use km_core_framework::{Action, Config, Event, Framework, LaunchPlan, LaunchPod, ToScheduler};
use km_core_mesos::master::StreamId;
use km_kinds::api::core::v1::{Node, Pod};
use km_mesos::resources::Milli;
use km_podwire::HostPort;
use km_scheduler::{self as scheduler, PortMapping, Scheduler, Scoring};

use crate::api::{Caller, Client, Want};
use crate::informer::{Informer, Told};
use crate::world::{Input, Line, World};

pub(crate) const EXECUTOR_CPUS: Milli = Milli(250);
pub(crate) const EXECUTOR_MEM: Milli = Milli(128_000);

pub(crate) struct FrameworkProcess {
    pub(crate) life: u64,
    pub(crate) up: bool,
    pub(crate) core: Framework,
    scheduler: Scheduler,
    pub(crate) informers: Vec<Informer>,
    /// Number of the last subscription, and its stream once the master has answered.
    generation: u64,
    pub(crate) stream: Option<StreamId>,
    is_open: bool,
    wakes: BTreeSet<Timestamp>,
    solve: bool,
    /// How many more actions are performed before the process dies.
    pub(crate) fuse: Option<usize>,
}

impl FrameworkProcess {
    pub(crate) fn new() -> Self {
        Self {
            life: 0,
            up: false,
            core: Framework::new(config()),
            scheduler: Scheduler::new(scheduler_config()),
            informers: Vec::new(),
            generation: 0,
            stream: None,
            is_open: false,
            wakes: BTreeSet::new(),
            solve: false,
            fuse: None,
        }
    }
}

fn config() -> Config {
    Config {
        framework_name: "Kubernetes".into(),
        user: "root".into(),
        principal: Some("km".into()),
        roles: vec!["*".into()],
        new_framework_id: "km-sim".into(),
        failover_timeout: Duration::from_secs(604_800),
        scheduler_name: "default-scheduler".into(),
        executor_cpus: EXECUTOR_CPUS,
        executor_mem: EXECUTOR_MEM,
        executor_shutdown_grace: Duration::from_secs(30),
        artifact_server: "http://10.0.0.1:10251".into(),
        api_server: "https://10.0.0.1:6443".into(),
        api_server_ca: "ca".into(),
        cluster_cidr: "10.244.0.0/16".into(),
        service_cidr: "10.96.0.0/16".into(),
        cluster_dns: "10.96.0.10".into(),
        cluster_domain: "cluster.local".into(),
        container_runtime_endpoint: None,
        pods_max: 110,
        accept_refuse: Duration::from_millis(10),
        revive_interval: Duration::from_millis(100),
        revive_interval_max: Duration::from_secs(30),
        retry: Backoff { initial: Duration::from_millis(500), max: Duration::from_secs(30) },
        poll_interval: Duration::from_secs(5),
        // Leases are not what is looked at here.
        lease_interval: Duration::from_secs(120),
        ack_timeout: Duration::from_secs(5),
        release_after: Duration::from_secs(60),
    }
}

fn scheduler_config() -> scheduler::Config {
    scheduler::Config {
        roles: vec!["*".to_owned()],
        executor_cpus: EXECUTOR_CPUS,
        executor_mem: EXECUTOR_MEM,
        port_mapping: PortMapping::Fixed,
        scoring: Scoring::LeastAllocated,
        hold_max: Duration::from_secs(30),
        idle_after: Duration::from_secs(5),
        refuse_short: Duration::from_secs(5),
        refuse_long: Duration::from_secs(300),
        reason_grace: Duration::from_secs(1),
        backoff: Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(60) },
        batch_len_max: 100,
    }
}

impl World {
    pub(crate) fn framework_start(&mut self) {
        if self.framework.up {
            return;
        }
        let life = self.framework.life + 1;
        let informers = vec![Informer::new(&PODS, String::new()), Informer::new(&NODES, String::new())];
        self.framework = FrameworkProcess { life, up: true, informers, ..FrameworkProcess::new() };
        self.trace(|| format!("framework {life} starts"));
        for at in 0..2 {
            self.informer_list(Client::Framework(life), at);
        }
        self.framework_step(Event::Start);
    }

    pub(crate) fn framework_crash(&mut self) {
        let life = self.framework.life;
        self.trace(|| format!("framework {life} dies"));
        self.framework.up = false;
        self.framework.fuse = None;
        self.framework_close();
    }

    /// The subscription's connection is closed from this side.
    fn framework_close(&mut self) {
        self.framework.is_open = false;
        self.lines_end(Line::Calls(self.framework.generation));
        if let Some(stream) = self.framework.stream.take() {
            let (delay, life) = (self.delay(), self.master.life);
            self.post(
                delay,
                Input::MasterEvent { life, event: Box::new(km_core_mesos::master::Event::StreamClosed(stream)) },
            );
        }
    }

    fn is_framework(&self, life: u64) -> bool {
        self.framework.up && self.framework.life == life
    }

    pub(crate) fn framework_changed(&mut self, at: usize, told: Told) {
        let read = |error: km_kinds::DecodeError| format!("an object of the API cannot be read: {error}");
        let event = match (at, told) {
            (0, Told::Upsert(object)) => object.decode::<Pod>().map(|pod| Event::Pod(Arc::new(pod))).map_err(read),
            (0, Told::Delete(key)) => Ok(Event::PodGone(key)),
            (0, Told::Synced) => Ok(Event::PodsSynced),
            (_, Told::Upsert(object)) => object.decode::<Node>().map(|node| Event::Node(Arc::new(node))).map_err(read),
            (_, Told::Delete(key)) => Ok(Event::NodeGone(key.name)),
            (_, Told::Synced) => Ok(Event::NodesSynced),
        };
        match event {
            Ok(event) => self.framework_step(event),
            Err(what) => self.fail(what),
        }
    }

    pub(crate) fn framework_tick(&mut self, life: u64, at: Timestamp) {
        if self.is_framework(life) && self.framework.wakes.remove(&at) {
            self.framework_wants_solve();
            self.framework_step(Event::Tick);
        }
    }

    pub(crate) fn framework_subscribed(&mut self, life: u64, generation: u64, stream: StreamId) {
        let wanted = self.is_framework(life) && self.framework.generation == generation && self.framework.is_open;
        self.framework.stream = if wanted { Some(stream) } else { self.framework.stream.take() };
    }

    pub(crate) fn framework_event(&mut self, life: u64, generation: Option<u64>, event: Event) {
        let current =
            generation.is_none_or(|generation| generation == self.framework.generation && self.framework.is_open);
        if !self.is_framework(life) || !current {
            return;
        }
        if let Event::Mesos(event) = &event {
            let kind = event.r#type();
            let update = event.update.as_ref().map(|u| format!(" {} {:?}", u.status.task_id, u.status.known_state()));
            let offers: Vec<String> = event.offers.iter().flat_map(|o| &o.offers).map(|o| o.id.to_string()).collect();
            self.trace(|| format!("framework hears {kind:?}{} {}", update.unwrap_or_default(), offers.join(" ")));
        }
        self.framework_step(event);
    }

    pub(crate) fn framework_step(&mut self, event: Event) {
        let disconnected = matches!(event, Event::Disconnected { .. });
        let mut actions = Vec::new();
        self.framework.core.step(self.now, event, &mut actions);
        if disconnected {
            self.framework_close();
        }
        let actions = self.dice.shuffle(actions, |action| match action {
            Action::Subscribe(_) | Action::Call(_) => Some(0),
            Action::Scheduler(_) => Some(1),
            _ => None,
        });
        for action in actions {
            if let Some(fuse) = &mut self.framework.fuse {
                if *fuse == 0 {
                    return self.fault_framework_dies();
                }
                *fuse -= 1;
            }
            self.framework_perform(action);
        }
    }

    fn framework_wants_solve(&mut self) {
        if !std::mem::replace(&mut self.framework.solve, true) {
            let wait = self.dice.millis(0, 5);
            let life = self.framework.life;
            self.post(wait, Input::FrameworkSolve { life });
        }
    }

    pub(crate) fn framework_solve(&mut self, life: u64) {
        if !self.is_framework(life) || !std::mem::take(&mut self.framework.solve) {
            return;
        }
        let mut decided = Vec::new();
        self.framework.scheduler.step(self.now, scheduler::Event::Solve, &mut decided);
        let mut events: VecDeque<Event> = VecDeque::new();
        for action in self.dice.shuffle(decided, |_| None) {
            match action {
                scheduler::Action::Place(plan) => {
                    events.push_back(Event::Launch { plan: launch_plan(plan), entropy: self.dice.bytes() });
                }
                scheduler::Action::Decline { offers, refuse } => events.push_back(Event::Decline { offers, refuse }),
                scheduler::Action::Unschedulable { uid, key, reason } => {
                    events.push_back(Event::Unschedulable { uid, key, reason });
                }
                scheduler::Action::Demand { roles, news } => events.push_back(Event::Demand { roles, news }),
                scheduler::Action::WakeAt(at) => self.framework_wake(at),
            }
        }
        for event in events {
            if self.is_framework(life) {
                self.framework_step(event);
            }
        }
    }

    fn framework_wake(&mut self, at: Timestamp) {
        if self.framework.wakes.insert(at) {
            let life = self.framework.life;
            self.post_at(at, Input::FrameworkTick { life, at });
        }
    }

    fn framework_perform(&mut self, action: Action) {
        let life = self.framework.life;
        match action {
            Action::Api { purpose, request } => {
                // Events are told to people only; leaving them out makes runs shorter.
                if request.resource != &km_api::resource::EVENTS {
                    self.api_send(Caller { client: Client::Framework(life), want: Want::Framework(purpose) }, *request);
                }
            }
            Action::Subscribe(call) => {
                self.framework_close();
                let generation = self.number();
                self.framework.generation = generation;
                self.framework.is_open = true;
                let (delay, master) = (self.delay(), self.master.life);
                self.post(delay, Input::MasterSubscribe { life: master, framework: life, generation, call });
            }
            Action::Call(call) => self.framework_call(*call),
            Action::GetAgents => self.framework_query(false),
            Action::GetExecutors => self.framework_query(true),
            Action::GetIsolation { agent_id, .. } => {
                let isolation = "cgroups/cpu,cgroups/mem".to_owned();
                let event = Box::new(Event::Isolation { agent_id, isolation });
                let delay = self.delay();
                self.post(delay, Input::FrameworkEvent { life, generation: None, event });
            }
            Action::Scheduler(message) => {
                let mut none = Vec::new();
                self.framework.scheduler.step(self.now, to_scheduler(message), &mut none);
                if !none.is_empty() {
                    self.fail(format!("the scheduler acts without having been asked to decide: {none:?}"));
                }
                self.framework_wants_solve();
            }
            Action::Warn(what) => self.trace(|| format!("framework warns: {what}")),
            Action::Fatal(what) => self.fail(format!("the framework gives up: {what}")),
            Action::WakeAt(at) => self.framework_wake(at),
        }
    }

    fn framework_query(&mut self, executors: bool) {
        let (framework, generation) = (self.framework.life, self.framework.generation);
        let (delay, life) = (self.delay(), self.master.life);
        self.post(delay, Input::MasterQuery { life, framework, generation, executors });
    }

    fn framework_call(&mut self, call: km_mesos::scheduler::Call) {
        let Some(stream) = self.framework.stream.clone() else { return };
        self.trace(|| format!("framework calls {}", show_call(&call)));
        self.judge_offers_used(&call);
        let (framework, generation, life) = (self.framework.life, self.framework.generation, self.master.life);
        let call = Box::new(call);
        self.send(Line::Calls(generation), Input::MasterCall { life, framework, generation, stream, call });
    }
}

fn show_call(call: &km_mesos::scheduler::Call) -> String {
    let ids = |ids: &[km_mesos::OfferId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let kind = call.r#type();
    if let Some(accept) = &call.accept {
        let tasks = accept.operations.iter().flat_map(|o| &o.launch).flat_map(|l| &l.task_infos);
        let tasks: Vec<&str> = tasks.map(|task| task.task_id.as_str()).collect();
        return format!("{kind:?} {} tasks {}", ids(&accept.offer_ids), tasks.join(" "));
    }
    if let Some(decline) = &call.decline {
        return format!("{kind:?} {}", ids(&decline.offer_ids));
    }
    if let Some(kill) = &call.kill {
        return format!("{kind:?} {}", kill.task_id);
    }
    if let Some(acknowledge) = &call.acknowledge {
        return format!("{kind:?} {}", acknowledge.task_id);
    }
    format!("{kind:?}")
}

fn to_scheduler(message: ToScheduler) -> scheduler::Event {
    match message {
        ToScheduler::Wait(pod) => scheduler::Event::Wait(pod),
        ToScheduler::Forget(uid) => scheduler::Event::Forget(uid),
        ToScheduler::Retry(uid) => scheduler::Event::Retry(uid),
        ToScheduler::Bound(pod) => scheduler::Event::Bound(pod),
        ToScheduler::Unbound(uid) => scheduler::Event::Unbound(uid),
        ToScheduler::Node(node) => scheduler::Event::Node(node),
        ToScheduler::NodeGone(name) => scheduler::Event::NodeGone(name),
        ToScheduler::Offers(offers) => scheduler::Event::Offers(offers),
        ToScheduler::Rescind(offer) => scheduler::Event::Rescind(offer),
        ToScheduler::DropOffers(agent) => scheduler::Event::DropOffers(agent),
        ToScheduler::Executor { agent_id, present } => scheduler::Event::Executor { agent_id, present },
    }
}

fn launch_plan(plan: scheduler::Plan) -> LaunchPlan {
    let port = |port: scheduler::PlacedPort| HostPort {
        container: port.container,
        container_port: port.container_port,
        host_port: port.host_port,
        protocol: port.protocol,
    };
    let pods = plan.placements.into_iter().map(|placement| LaunchPod {
        uid: placement.uid,
        resources: placement.resources,
        ports: placement.ports.into_iter().map(port).collect(),
    });
    LaunchPlan {
        agent_id: plan.agent_id,
        node: plan.node,
        offers: plan.offers,
        pods: pods.collect(),
        executor: plan.executor.map(|share| (share.resources, share.kubelet_port)),
    }
}
