//! The master: frameworks, agents, offers and tasks, and who may do what with them.
//!
//! One [`Master`] is owned by the loop of `drive/mesos-master`. HTTP, credentials and encodings are the driver's; agents
//! come over the typed link of [`crate::link`]. Queries ([`Master::answer`]) read a consistent state between two steps.
//!
//! ```text
//!   framework:  SUBSCRIBE ─▶ connected ─ stream closed ─▶ waiting ─ failover_timeout ─▶ removed (agents kill its tasks)
//!                               ▲                            │
//!                               └──── SUBSCRIBE same id ─────┘   (an older stream gets ERROR "Framework failed over")
//!   agent:      registered ─ link down ─▶ disconnected ─ agent_timeout ─▶ unreachable ─ re-registers ─▶ registered
//!   offer:      sent ─▶ accepted | declined | rescinded, each exactly once
//! ```

mod accept;
mod agents;
mod calls;
mod frameworks;
mod query;
mod reconcile;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use km_base::Timestamp;
use km_mesos::resources::Resources;
use km_mesos::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, MasterInfo, OfferId, Task, TaskId,
    master, scheduler,
};

use crate::allocator::Allocator;
use crate::ids::Uuids;
use crate::link::{LinkId, ToAgent, ToMaster};

pub(crate) use accept::seconds as status_seconds;

/// Ended tasks remembered per framework. Mesos 1.11 --max_completed_tasks_per_framework.
const COMPLETED_TASKS_MAX: usize = 1_000;
/// Removed frameworks remembered, so that they are told so. Mesos 1.11 --max_completed_frameworks.
const REMOVED_FRAMEWORKS_MAX: usize = 50;

/// A subscription, named by the driver; for schedulers it is the `Mesos-Stream-Id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub String);

/// A call that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the master must be told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As shown in SUBSCRIBED and GET_MASTER; `info.id` prefixes agent, framework and offer ids, so it is new at every start.
    pub info: MasterInfo,
    /// Seconds since the epoch.
    pub started: Timestamp,
    /// Seed for UUIDs, new at every start.
    pub seed: u128,
    /// How often streams hear a HEARTBEAT.
    pub heartbeat_interval: Duration,
    /// How often everything is allocated, even when nothing has changed.
    pub allocation_interval: Duration,
    /// How long an agent may be disconnected before its tasks are unreachable.
    pub agent_timeout: Duration,
    /// How long agents known from before a restart are waited for.
    pub reregister_timeout: Duration,
    /// Role weights; a role that is not named weighs 1.
    pub weights: BTreeMap<String, f64>,
    /// Agents known before a restart, from the last `SaveAgents`.
    pub known_agents: Vec<AgentInfo>,
}

/// What happens to the master.
#[derive(Debug)]
pub enum Event {
    /// A scheduler's call.
    Call {
        /// To answer.
        request: RequestId,
        /// The `Mesos-Stream-Id` header.
        stream: Option<StreamId>,
        /// A fresh stream id, used if the call is a SUBSCRIBE.
        fresh: StreamId,
        /// The call.
        call: Box<scheduler::Call>,
    },
    /// A scheduler's or operator's stream is gone.
    StreamClosed(StreamId),
    /// An operator subscribes to events; the stream is accepted already.
    OperatorSubscribed(StreamId),
    /// An operator's call that changes something.
    Operate {
        /// To answer.
        request: RequestId,
        /// The call.
        call: Box<master::Call>,
    },
    /// An agent says something.
    FromAgent {
        /// Over which connection.
        link: LinkId,
        /// What.
        message: ToMaster,
    },
    /// An agent's connection is gone.
    LinkDown(LinkId),
    /// Time has passed; due at [`Master::next_wakeup`].
    Tick,
}

/// How a call is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 202.
    Accepted,
    /// 200 without a body.
    Done,
    /// 200, and the stream stays open.
    Subscribed(StreamId),
    /// 400 with this text.
    Rejected(String),
    /// 501 with this text.
    NotImplemented(String),
}

/// What the driver does for the master, in this order.
#[derive(Debug)]
pub enum Action {
    /// Answers a call.
    Answer {
        /// Which.
        request: RequestId,
        /// How.
        answer: Answer,
    },
    /// Sends an event to a scheduler.
    ToScheduler {
        /// Over which stream.
        stream: StreamId,
        /// What.
        event: Box<scheduler::Event>,
    },
    /// Sends an event to one operator.
    ToOperator {
        /// Over which stream.
        stream: StreamId,
        /// What.
        event: Box<master::Event>,
    },
    /// Sends an event to every operator.
    ToOperators(Box<master::Event>),
    /// Ends a stream after what was sent on it.
    CloseStream(StreamId),
    /// Sends to an agent.
    ToAgent {
        /// Over which connection.
        link: LinkId,
        /// What.
        message: ToAgent,
    },
    /// Keeps the agents, so that a restarted master knows whom to wait for.
    SaveAgents(Vec<AgentInfo>),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Master {
    settings: Settings,
    allocator: Allocator,
    uuids: Uuids,
    frameworks: BTreeMap<FrameworkId, Framework>,
    removed_frameworks: VecDeque<(FrameworkInfo, Times)>,
    agents: BTreeMap<AgentId, Agent>,
    /// Agents from before a restart that have not come back yet.
    recovered_agents: BTreeMap<AgentId, AgentInfo>,
    gone_agents: BTreeSet<AgentId>,
    links: BTreeMap<LinkId, AgentId>,
    offers: BTreeMap<OfferId, SentOffer>,
    streams: BTreeMap<StreamId, Stream>,
    next_framework: u32,
    next_agent: u32,
    next_offer: u64,
    next_allocation: Timestamp,
    allocate_now: bool,
}

#[derive(Clone, Debug, Default)]
struct Times {
    registered: Option<Timestamp>,
    reregistered: Option<Timestamp>,
    unregistered: Option<Timestamp>,
}

#[derive(Debug)]
struct Framework {
    info: FrameworkInfo,
    suppressed: BTreeSet<String>,
    constraints: Option<scheduler::OfferConstraints>,
    stream: Option<StreamId>,
    times: Times,
    /// Since when nobody is subscribed.
    disconnected: Option<Timestamp>,
    /// Known only from an agent so far.
    recovered: bool,
    tasks: BTreeMap<TaskId, AgentId>,
    unreachable: BTreeMap<TaskId, Task>,
    completed: VecDeque<Task>,
}

#[derive(Debug)]
struct Agent {
    info: AgentInfo,
    pid: String,
    total: Resources,
    link: Option<LinkId>,
    /// Since when the link is down.
    disconnected: Option<Timestamp>,
    unreachable: bool,
    registered: Timestamp,
    reregistered: Option<Timestamp>,
    tasks: BTreeMap<(FrameworkId, TaskId), Task>,
    executors: BTreeMap<(FrameworkId, ExecutorId), ExecutorInfo>,
}

#[derive(Debug)]
struct SentOffer {
    framework_id: FrameworkId,
    agent_id: AgentId,
    role: String,
    resources: Resources,
}

#[derive(Debug)]
struct Stream {
    /// `None` for operators.
    framework_id: Option<FrameworkId>,
    next_heartbeat: Timestamp,
}

impl Master {
    /// Creates a master that knows no framework and waits for the agents it knew before.
    pub fn new(settings: Settings) -> Self {
        let known = settings.known_agents.iter().filter_map(|info| Some((info.id.clone()?, info.clone()))).collect();
        Self {
            allocator: Allocator::new(settings.allocation_interval, settings.weights.clone()),
            uuids: Uuids::new(settings.seed),
            next_allocation: settings.started + settings.allocation_interval,
            settings,
            frameworks: BTreeMap::new(),
            removed_frameworks: VecDeque::new(),
            agents: BTreeMap::new(),
            recovered_agents: known,
            gone_agents: BTreeSet::new(),
            links: BTreeMap::new(),
            offers: BTreeMap::new(),
            streams: BTreeMap::new(),
            next_framework: 0,
            next_agent: 0,
            next_offer: 0,
            allocate_now: false,
        }
    }

    /// Handles one event; what follows from it is appended to `out`.
    pub fn step(&mut self, now: Timestamp, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Call { request, stream, fresh, call } => {
                self.scheduler_call(now, request, stream, fresh, *call, out)
            }
            Event::StreamClosed(stream) => self.stream_closed(now, &stream),
            Event::OperatorSubscribed(stream) => self.operator_subscribed(now, stream, out),
            Event::Operate { request, call } => self.operate(now, request, &call, out),
            Event::FromAgent { link, message } => self.hear(now, link, message, out),
            Event::LinkDown(link) => self.link_down(now, link, out),
            Event::Tick => self.tick(now, out),
        }
        if self.allocate_now || now >= self.next_allocation {
            self.allocate_now = false;
            self.next_allocation = now + self.settings.allocation_interval;
            self.send_offers(now, out);
        }
    }

    /// Returns when a [`Event::Tick`] is due at the latest.
    pub fn next_wakeup(&self) -> Timestamp {
        let heartbeat = self.streams.values().map(|stream| stream.next_heartbeat).min();
        heartbeat.map_or(self.next_allocation, |beat| beat.min(self.next_allocation))
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let interval = self.settings.heartbeat_interval;
        for (id, stream) in &mut self.streams {
            if stream.next_heartbeat <= now {
                stream.next_heartbeat = now + interval;
                out.push(heartbeat(id, stream.framework_id.is_some()));
            }
        }
        self.expire_frameworks(now, out);
        self.expire_agents(now, out);
    }

    fn send_offers(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let mut by_framework: BTreeMap<FrameworkId, Vec<km_mesos::Offer>> = BTreeMap::new();
        for allocation in self.allocator.allocate(now) {
            let Some(agent) = self.agents.get(&allocation.agent_id) else { continue };
            let id = OfferId::new(format!("{}-O{}", self.settings.info.id, self.next_offer));
            self.next_offer += 1;
            let offer = agents::offer_message(id.clone(), &allocation, agent);
            by_framework.entry(allocation.framework_id.clone()).or_default().push(offer);
            let sent = SentOffer {
                framework_id: allocation.framework_id,
                agent_id: allocation.agent_id,
                role: allocation.role,
                resources: allocation.resources,
            };
            self.offers.insert(id, sent);
        }
        for (framework_id, offers) in by_framework {
            let event = scheduler::Event {
                r#type: Some(scheduler::event::Type::Offers as i32),
                offers: Some(scheduler::event::Offers { offers }),
                ..scheduler::Event::default()
            };
            self.to_scheduler(&framework_id, event, out);
        }
    }

    fn to_scheduler(&self, framework_id: &FrameworkId, event: scheduler::Event, out: &mut Vec<Action>) {
        if let Some(stream) = self.frameworks.get(framework_id).and_then(|framework| framework.stream.clone()) {
            out.push(Action::ToScheduler { stream, event: Box::new(event) });
        }
    }

    fn to_agent(&self, agent_id: &AgentId, message: ToAgent, out: &mut Vec<Action>) {
        if let Some(link) = self.agents.get(agent_id).and_then(|agent| agent.link) {
            out.push(Action::ToAgent { link, message });
        }
    }

    fn has_operators(&self) -> bool {
        self.streams.values().any(|stream| stream.framework_id.is_none())
    }
}

fn heartbeat(stream: &StreamId, is_scheduler: bool) -> Action {
    if is_scheduler {
        let event = scheduler::Event { r#type: Some(scheduler::event::Type::Heartbeat as i32), ..Default::default() };
        Action::ToScheduler { stream: stream.clone(), event: Box::new(event) }
    } else {
        let event = master::Event { r#type: Some(master::event::Type::Heartbeat as i32), ..Default::default() };
        Action::ToOperator { stream: stream.clone(), event: Box::new(event) }
    }
}

/// Tells whether a framework has a capability.
fn is_capable(info: &FrameworkInfo, capability: km_mesos::framework_info::capability::Type) -> bool {
    info.capabilities.iter().any(|has| has.r#type == Some(capability as i32))
}

/// The roles a framework is subscribed with. Without MULTI_ROLE it is the old single `role`.
fn roles_of(info: &FrameworkInfo) -> BTreeSet<String> {
    if is_capable(info, km_mesos::framework_info::capability::Type::MultiRole) {
        info.roles.iter().cloned().collect()
    } else {
        std::iter::once(info.role().to_owned()).collect()
    }
}
