//! The Mesos master's process: core/mesos's master behind connections that break.

use std::collections::BTreeMap;
use std::time::Duration;

use km_core_framework as framework;
use km_core_mesos::link::LinkId;
use km_core_mesos::master::{Action, Answer, Event, Master, RequestId, Settings, StreamId};
use km_mesos::{AgentInfo, MasterInfo, master, scheduler};

use crate::world::{Input, Line, START, World};
use km_base::Timestamp;

/// How long an agent may be away before its tasks are unreachable.
pub(crate) const AGENT_TIMEOUT: Duration = Duration::from_secs(40);
/// Steps between two looks at the whole of the books.
const BOOKS_EVERY: u64 = 16;

pub(crate) struct MasterProcess {
    pub(crate) life: u64,
    pub(crate) core: Option<Master>,
    known: Vec<AgentInfo>,
    requests: BTreeMap<RequestId, Asked>,
    /// Which subscription of which framework's life a stream is.
    streams: BTreeMap<StreamId, (u64, u64)>,
    pub(crate) links: BTreeMap<LinkId, usize>,
    tick: Timestamp,
    steps: u64,
    pub(crate) fuse: Option<usize>,
}

#[derive(Clone, Copy)]
enum Asked {
    Subscribe { framework: u64, generation: u64 },
    Call { framework: u64, generation: u64 },
}

impl MasterProcess {
    pub(crate) fn new() -> Self {
        Self {
            life: 0,
            core: None,
            known: Vec::new(),
            requests: BTreeMap::new(),
            streams: BTreeMap::new(),
            links: BTreeMap::new(),
            tick: START,
            steps: 0,
            fuse: None,
        }
    }
}

impl World {
    pub(crate) fn master_start(&mut self) {
        if self.master.core.is_some() {
            return;
        }
        let life = self.master.life + 1;
        let settings = Settings {
            info: MasterInfo { id: format!("m{life}"), ..MasterInfo::default() },
            started: self.now,
            seed: u128::from(self.dice.next()) << 64 | u128::from(self.dice.next()),
            heartbeat_interval: Duration::from_secs(30),
            allocation_interval: Duration::from_secs(2),
            agent_timeout: AGENT_TIMEOUT,
            reregister_timeout: Duration::from_secs(120),
            weights: BTreeMap::new(),
            known_agents: self.master.known.clone(),
        };
        let known = std::mem::take(&mut self.master.known);
        self.master = MasterProcess { life, core: Some(Master::new(settings)), known, ..MasterProcess::new() };
        self.trace(|| format!("master {life} starts"));
        self.master_step(Event::Tick);
    }

    pub(crate) fn master_crash(&mut self) {
        let life = self.master.life;
        self.trace(|| format!("master {life} dies"));
        self.master.core = None;
        self.master.fuse = None;
        for (framework, generation) in std::mem::take(&mut self.master.streams).into_values() {
            self.master_closes(framework, generation, "the connection was lost");
        }
        for asked in std::mem::take(&mut self.master.requests).into_values() {
            if let Asked::Subscribe { framework, generation } = asked {
                self.master_closes(framework, generation, "the connection was lost");
            }
        }
        for (link, host) in std::mem::take(&mut self.master.links) {
            let delay = self.delay();
            self.post(delay, Input::AgentLinkDown { host, link: link.0 });
        }
    }

    fn master_closes(&mut self, framework: u64, generation: u64, reason: &str) {
        let event = Box::new(framework::Event::Disconnected { reason: reason.to_owned() });
        let input = Input::FrameworkEvent { life: framework, generation: Some(generation), event };
        self.send(Line::Events(generation), input);
        self.lines_end(Line::Events(generation));
    }

    fn is_master(&self, life: u64) -> bool {
        self.master.core.is_some() && self.master.life == life
    }

    pub(crate) fn master_tick(&mut self, life: u64, at: Timestamp) {
        if self.is_master(life) && self.master.tick == at {
            self.master_step(Event::Tick);
        }
    }

    pub(crate) fn master_event(&mut self, life: u64, event: Event) {
        if self.is_master(life) {
            if let Event::StreamClosed(stream) = &event {
                self.master.streams.remove(stream);
            }
            self.master_step(event);
        }
    }

    pub(crate) fn master_subscribe(&mut self, life: u64, framework: u64, generation: u64, call: Box<scheduler::Call>) {
        if !self.is_master(life) {
            return self.master_closes(framework, generation, "connection refused");
        }
        self.master_asked(Asked::Subscribe { framework, generation }, None, call);
    }

    pub(crate) fn master_call(
        &mut self,
        life: u64,
        framework: u64,
        generation: u64,
        stream: StreamId,
        call: Box<scheduler::Call>,
    ) {
        if self.is_master(life) {
            self.master_asked(Asked::Call { framework, generation }, Some(stream), call);
        }
    }

    fn master_asked(&mut self, asked: Asked, stream: Option<StreamId>, call: Box<scheduler::Call>) {
        let number = self.number();
        let request = RequestId(number);
        self.master.requests.insert(request, asked);
        self.master_step(Event::Call { request, stream, fresh: StreamId(format!("s{number}")), call });
    }

    pub(crate) fn master_query(&mut self, life: u64, framework: u64, generation: u64, executors: bool) {
        let kind = if executors { master::call::Type::GetExecutors } else { master::call::Type::GetAgents };
        let call = master::Call { r#type: Some(kind as i32), ..master::Call::default() };
        let answer = self.master.core.as_ref().filter(|_| self.master.life == life).and_then(|core| core.answer(&call));
        let event = if executors {
            framework::Event::Executors(answer.and_then(|answer| answer.get_executors))
        } else {
            framework::Event::Agents(answer.and_then(|answer| answer.get_agents))
        };
        let delay = self.delay();
        let input = Input::FrameworkEvent { life: framework, generation: Some(generation), event: Box::new(event) };
        self.post(delay, input);
    }

    fn master_step(&mut self, event: Event) {
        let mut actions = Vec::new();
        let Some(core) = &mut self.master.core else { return };
        core.step(self.now, event, &mut actions);
        for action in actions {
            if let Some(fuse) = &mut self.master.fuse {
                if *fuse == 0 {
                    return self.fault_master_dies();
                }
                *fuse -= 1;
            }
            self.master_perform(action);
        }
        let Some(core) = &self.master.core else { return };
        let next = core.next_wakeup().max(self.now + Duration::from_millis(1));
        if next != self.master.tick {
            self.master.tick = next;
            let life = self.master.life;
            self.post_at(next, Input::MasterTick { life, at: next });
        }
        self.master.steps += 1;
        if self.master.steps.is_multiple_of(BOOKS_EVERY) {
            self.judge_books();
        }
    }

    fn master_perform(&mut self, action: Action) {
        match action {
            Action::Answer { request, answer } => self.master_answers(request, answer),
            Action::ToScheduler { stream, event } => {
                let Some((life, generation)) = self.master.streams.get(&stream).copied() else { return };
                if self.is_lossy() && self.dice.chance(3) {
                    self.trace(|| format!("the connection {} breaks", stream.0));
                    self.master_closes(life, generation, "connection reset");
                    return;
                }
                let event = Box::new(framework::Event::Mesos(event));
                let input = Input::FrameworkEvent { life, generation: Some(generation), event };
                self.send(Line::Events(generation), input);
            }
            Action::CloseStream(stream) => {
                if let Some((life, generation)) = self.master.streams.remove(&stream) {
                    self.master_closes(life, generation, "closed by the master");
                }
            }
            Action::ToAgent { link, message } => {
                let Some(host) = self.master.links.get(&link).copied() else { return };
                let life = self.hosts[host].agent.life;
                let event = Box::new(km_core_mesos::agent::Event::FromMaster(message));
                if self.hosts[host].agent.link == Some(link) {
                    self.send(Line::Down(link.0), Input::AgentEvent { host, life, event });
                }
            }
            Action::SaveAgents(agents) => self.master.known = agents,
            Action::ToOperator { .. } | Action::ToOperators(_) => {}
        }
    }

    fn master_answers(&mut self, request: RequestId, answer: Answer) {
        let Some(asked) = self.master.requests.remove(&request) else { return };
        match (asked, answer) {
            (Asked::Subscribe { framework, generation }, Answer::Subscribed(stream)) => {
                self.master.streams.insert(stream.clone(), (framework, generation));
                let input = Input::FrameworkSubscribed { life: framework, generation, stream: stream.clone() };
                self.send(Line::Events(generation), input);
                let gone = !self.framework.up || self.framework.life != framework;
                if gone {
                    let (delay, life) = (self.delay(), self.master.life);
                    self.post(delay, Input::MasterEvent { life, event: Box::new(Event::StreamClosed(stream)) });
                }
            }
            (Asked::Subscribe { framework, generation }, answer) => {
                self.master_closes(framework, generation, &format!("{answer:?}"));
            }
            (Asked::Call { framework, generation }, Answer::Rejected(text) | Answer::NotImplemented(text)) => {
                self.trace(|| format!("master rejects a call: {text}"));
                self.master_closes(framework, generation, &text);
            }
            (Asked::Call { .. }, _) => {}
        }
    }
}
