//! A machine: the Mesos agent's process with its journal, and the executors that it started and that outlive it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use km_base::Timestamp;
use km_core_mesos::agent::{Action, Agent, Answer, Event, Launch, Process, Record, RequestId, Settings, StreamId};
use km_core_mesos::link::{LinkId, ToMaster};
use km_core_mesos::master;
use km_mesos::ranges::RangeSet;
use km_mesos::resources::{Milli, ranges, scalar};
use km_mesos::{AgentInfo, executor};

use crate::executor::{Executor, ExecutorInput};
use crate::world::{Input, Line, START, World};

pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) agent: AgentProcess,
    pub(crate) executors: BTreeMap<u64, Executor>,
    /// Until when the master cannot be reached.
    pub(crate) cut_until: Timestamp,
    /// Until when the API server cannot be reached.
    pub(crate) isolated_until: Timestamp,
    /// Executors that started again over their containers, by what they were before.
    pub(crate) renamed: BTreeMap<u64, u64>,
}

pub(crate) struct AgentProcess {
    pub(crate) life: u64,
    pub(crate) core: Option<Agent>,
    pub(crate) records: Vec<Record>,
    pub(crate) link: Option<LinkId>,
    tick: Option<Timestamp>,
    requests: BTreeMap<RequestId, u64>,
    streams: BTreeMap<StreamId, u64>,
    pub(crate) fuse: Option<usize>,
}

impl AgentProcess {
    fn new() -> Self {
        Self {
            life: 0,
            core: None,
            records: Vec::new(),
            link: None,
            tick: None,
            requests: BTreeMap::new(),
            streams: BTreeMap::new(),
            fuse: None,
        }
    }
}

impl Host {
    pub(crate) fn new(number: usize) -> Self {
        let name = format!("n{number}");
        Self {
            name,
            up: true,
            agent: AgentProcess::new(),
            executors: BTreeMap::new(),
            cut_until: START,
            isolated_until: START,
            renamed: BTreeMap::new(),
        }
    }

    fn settings(&self, seed: u128) -> Settings {
        let number = self.name.trim_start_matches('n');
        let info = AgentInfo {
            hostname: self.name.clone(),
            resources: vec![
                scalar("cpus", Milli(4_000)),
                scalar("mem", Milli(4_096_000)),
                ranges("ports", &RangeSet::from_range(31_000, 31_099)),
            ],
            ..AgentInfo::default()
        };
        Settings {
            info,
            pid: format!("slave(1)@10.0.1.{number}:5051"),
            ip: format!("10.0.1.{number}"),
            version: "1.11.0".into(),
            flags: Vec::new(),
            seed,
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(10),
            executor_shutdown_grace_period: Duration::from_secs(10),
            update_retry_min: Duration::from_secs(10),
            update_retry_max: Duration::from_secs(60),
        }
    }

    fn container(&mut self, container_id: &str) -> Option<&mut Executor> {
        self.executors.values_mut().find(|executor| executor.container_id == container_id)
    }
}

impl World {
    pub(crate) fn agent_start(&mut self, host: usize) {
        let seed = u128::from(self.dice.next()) << 64 | u128::from(self.dice.next());
        let this = &mut self.hosts[host];
        if this.agent.core.is_some() {
            return;
        }
        this.up = true;
        let records = std::mem::take(&mut this.agent.records);
        let core = Agent::new(this.settings(seed), records.clone());
        let found: Vec<String> = core.recovered_containers().into_iter().map(|c| c.container_id).collect();
        let alive: BTreeSet<String> =
            found.into_iter().filter(|id| this.container(id).is_some_and(|executor| executor.runs)).collect();
        let life = this.agent.life + 1;
        this.agent = AgentProcess { life, core: Some(core), records, ..AgentProcess::new() };
        let name = this.name.clone();
        self.trace(|| format!("agent of {name} starts, {alive:?} alive"));
        self.agent_step(host, Event::Started { alive });
        self.post(Duration::ZERO, Input::AgentConnect { host, life });
    }

    /// The agent's process dies; what it has forked but not released dies with it, executors go on.
    pub(crate) fn agent_crash(&mut self, host: usize) {
        let this = &mut self.hosts[host];
        if this.agent.core.take().is_none() {
            return;
        }
        this.agent.fuse = None;
        this.executors.retain(|_, executor| executor.released);
        let executors: Vec<u64> = this.executors.keys().copied().collect();
        let name = this.name.clone();
        self.trace(|| format!("agent of {name} dies"));
        self.agent_drop_link(host);
        for executor in executors {
            self.tell_executor(host, executor, ExecutorInput::Disconnected);
        }
    }

    /// The link to the master breaks; both ends notice in their own time.
    pub(crate) fn agent_drop_link(&mut self, host: usize) {
        let Some(link) = self.hosts[host].agent.link else { return };
        let (to_agent, to_master, life) = (self.delay(), self.delay(), self.master.life);
        self.post(to_agent, Input::AgentLinkDown { host, link: link.0 });
        let event = Box::new(master::Event::LinkDown(link));
        self.master.links.remove(&link);
        self.post(to_master, Input::MasterEvent { life, event });
    }

    pub(crate) fn agent_link_down(&mut self, host: usize, link: u64) {
        self.lines_end(Line::Up(link));
        self.lines_end(Line::Down(link));
        if self.hosts[host].agent.link != Some(LinkId(link)) {
            return;
        }
        self.hosts[host].agent.link = None;
        let life = self.hosts[host].agent.life;
        if self.hosts[host].agent.core.is_some() {
            self.agent_step(host, Event::LinkDown);
            let wait = self.dice.millis(100, 1_000);
            self.post(wait, Input::AgentConnect { host, life });
        }
    }

    pub(crate) fn agent_connect(&mut self, host: usize, life: u64) {
        let this = &self.hosts[host];
        if this.agent.core.is_none() || this.agent.life != life || this.agent.link.is_some() {
            return;
        }
        if self.master.core.is_none() || this.cut_until > self.now {
            let wait = self.dice.millis(200, 1_000);
            return self.post(wait, Input::AgentConnect { host, life });
        }
        let link = LinkId(self.number());
        self.hosts[host].agent.link = Some(link);
        self.master.links.insert(link, host);
        self.agent_step(host, Event::LinkUp);
    }

    fn is_agent(&self, host: usize, life: u64) -> bool {
        self.hosts[host].agent.core.is_some() && self.hosts[host].agent.life == life
    }

    pub(crate) fn agent_tick(&mut self, host: usize, life: u64, at: Timestamp) {
        if self.is_agent(host, life) && self.hosts[host].agent.tick == Some(at) {
            self.hosts[host].agent.tick = None;
            self.agent_step(host, Event::Tick);
        }
    }

    pub(crate) fn agent_event(&mut self, host: usize, life: u64, event: Event) {
        if !self.is_agent(host, life) {
            return;
        }
        if let Event::FromMaster(_) = &event
            && self.hosts[host].agent.link.is_none()
        {
            return;
        }
        self.agent_step(host, event);
    }

    pub(crate) fn agent_call(&mut self, host: usize, life: u64, executor: u64, call: Box<executor::Call>) {
        if !self.is_agent(host, life) {
            return self.tell_executor(host, executor, ExecutorInput::Disconnected);
        }
        let number = self.number();
        let request = RequestId(number);
        self.hosts[host].agent.requests.insert(request, executor);
        self.agent_step(host, Event::Call { request, fresh: StreamId(format!("e{number}")), call });
    }

    fn agent_step(&mut self, host: usize, event: Event) {
        let mut actions = Vec::new();
        let now = self.now;
        let Some(core) = &mut self.hosts[host].agent.core else { return };
        core.step(now, event, &mut actions);
        for action in actions {
            if let Some(fuse) = &mut self.hosts[host].agent.fuse {
                if *fuse == 0 {
                    return self.fault_agent_dies(host);
                }
                *fuse -= 1;
            }
            self.agent_perform(host, action);
        }
        let agent = &mut self.hosts[host].agent;
        let Some(core) = &agent.core else { return };
        let Some(next) = core.next_wakeup() else { return };
        let next = next.max(now + Duration::from_millis(1));
        if agent.tick != Some(next) {
            agent.tick = Some(next);
            let life = agent.life;
            self.post_at(next, Input::AgentTick { host, life, at: next });
        }
    }

    fn agent_perform(&mut self, host: usize, action: Action) {
        let life = self.hosts[host].agent.life;
        match action {
            Action::Checkpoint(record) => self.hosts[host].agent.records.push(record),
            Action::Answer { request, answer } => self.agent_answers(host, request, answer),
            Action::ToExecutor { stream, event } => {
                if let Some(executor) = self.hosts[host].agent.streams.get(&stream).copied() {
                    self.tell_executor(host, executor, ExecutorInput::Mesos(event));
                }
            }
            Action::CloseStream(stream) => {
                if let Some(executor) = self.hosts[host].agent.streams.remove(&stream) {
                    self.tell_executor(host, executor, ExecutorInput::Closed(stream));
                }
            }
            Action::ToMaster(message) => {
                self.trace(|| format!("agent {host} tells the master {}", show_message(&message)));
                let Some(link) = self.hosts[host].agent.link else { return };
                if self.is_lossy() && self.dice.chance(3) {
                    return self.agent_drop_link(host);
                }
                let master = self.master.life;
                let event = Box::new(master::Event::FromAgent { link, message });
                if self.master.links.contains_key(&link) {
                    self.send(Line::Up(link.0), Input::MasterEvent { life: master, event });
                }
            }
            Action::Launch(launch) => {
                let fetch = self.dice.millis(50, 800);
                self.post(fetch, Input::AgentFork { host, life, launch });
            }
            Action::Release { container_id } => self.agent_releases(host, &container_id),
            Action::Update { container_id, allowance } => self.judge_allowance(host, &container_id, &allowance),
            Action::Destroy { container_id } => self.agent_destroys(host, container_id),
        }
    }

    fn agent_answers(&mut self, host: usize, request: RequestId, answer: Answer) {
        let Some(executor) = self.hosts[host].agent.requests.remove(&request) else { return };
        match answer {
            Answer::Subscribed(stream) => {
                self.hosts[host].agent.streams.insert(stream.clone(), executor);
                self.tell_executor(host, executor, ExecutorInput::Subscribed(stream));
            }
            Answer::Rejected(text) | Answer::NotImplemented(text) => {
                self.tell_executor(host, executor, ExecutorInput::Refused(text));
            }
            Answer::Accepted | Answer::Done => {}
        }
    }

    /// The fetch is done: the first process exists and waits behind its gate.
    pub(crate) fn agent_fork(&mut self, host: usize, life: u64, launch: &Launch) {
        if !self.is_agent(host, life) {
            return;
        }
        let container_id = launch.container_id.clone();
        if self.is_lossy() && self.dice.chance(30) {
            let message = "failed to fetch".to_owned();
            return self.agent_step(host, Event::LaunchFailed { container_id, message });
        }
        let id = self.number();
        match Executor::new(id, launch) {
            Ok(executor) => drop(self.hosts[host].executors.insert(id, executor)),
            Err(what) => return self.fail(what),
        }
        let process = Process { pid: u32::try_from(id).unwrap_or(0), start_ticks: id };
        self.agent_step(host, Event::Forked { container_id, process });
    }

    fn agent_releases(&mut self, host: usize, container_id: &str) {
        let Some(executor) = self.hosts[host].container(container_id) else { return };
        executor.released = true;
        executor.runs = true;
        let id = executor.id;
        let start = self.dice.millis(5, 100);
        self.post(start, Input::Executor { host, executor: id, input: Box::new(ExecutorInput::Subscribe) });
    }

    fn agent_destroys(&mut self, host: usize, container_id: String) {
        let life = self.hosts[host].agent.life;
        let found = self.hosts[host].container(&container_id).map(|executor| executor.id);
        let mut at = self.now;
        if let Some(id) = found {
            self.executor_dies(host, id);
            at = self.hosts[host].executors.get(&id).and_then(|executor| executor.sweep_at).unwrap_or(at);
        }
        let after = self.dice.millis(1, 50);
        let event = Box::new(Event::Destroyed { container_id });
        self.post_at(at + after, Input::AgentEvent { host, life, event });
    }
}

impl Host {
    /// The agent's end of an executor's connection is found closed.
    pub(crate) fn agent_loses(&mut self, executor: u64) {
        let lost: Vec<StreamId> =
            self.agent.streams.iter().filter(|(_, id)| **id == executor).map(|(stream, _)| stream.clone()).collect();
        for stream in lost {
            self.agent.streams.remove(&stream);
        }
    }
}

fn show_message(message: &ToMaster) -> String {
    match message {
        ToMaster::Register(registration) => {
            let tasks = registration.tasks.iter().map(|t| format!("{} {:?}", t.task_id, t.known_state()));
            format!("REGISTER {:?} {}", registration.info.id, tasks.collect::<Vec<_>>().join(" "))
        }
        ToMaster::StatusUpdate { status, .. } => format!("UPDATE {} {:?}", status.task_id, status.known_state()),
        ToMaster::ExecutorExited { executor_id, .. } => format!("EXITED {executor_id}"),
        ToMaster::ExecutorMessage { .. } => "MESSAGE".to_owned(),
    }
}
