//! The world: one clock, one queue of what will happen, all parts. Every input is handled to its end before the next.

use std::collections::BTreeMap;
use std::time::Duration;

use km_api::{EventType, Object, Options, Request, Resource, Response, Status};
use km_base::{Revision, Timestamp};
use km_core_framework as framework;
use km_core_mesos::{agent, master};
use km_mesos::scheduler;

use crate::api::{Api, Caller, Client};
use crate::dice::Dice;
use crate::executor::ExecutorInput;
use crate::faults::Fault;
use crate::framework::FrameworkProcess;
use crate::host::Host;
use crate::judge::Judge;
use crate::manager::ManagerProcess;
use crate::master::MasterProcess;
use crate::trace::Trace;
use crate::workload::User;

/// When every run begins.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_795_300_000);

/// A connection whose messages keep their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    Watch(u64),
    /// Calls of one subscription of the framework, and its events.
    Calls(u64),
    Events(u64),
    /// A link of an agent, up and down.
    Up(u64),
    Down(u64),
    /// Calls of an executor, and its events.
    ExecutorCalls(u64),
    ExecutorEvents(u64),
}

/// Something that will happen. Those with a `life` are dropped when that life of the process is over.
pub(crate) enum Input {
    ApiArrive {
        life: u64,
        caller: Caller,
        request: Box<Request>,
    },
    ApiFsync {
        life: u64,
        revision: Revision,
    },
    ApiReply {
        caller: Caller,
        result: Result<Response, Status>,
    },
    ApiUp,
    WatchArrive {
        life: u64,
        watch: u64,
        client: Client,
        at: usize,
        resource: &'static Resource,
        options: Options,
        from: Revision,
    },
    WatchEvent {
        watch: u64,
        client: Client,
        at: usize,
        kind: EventType,
        object: Box<Object>,
    },
    WatchEnd {
        watch: u64,
        client: Client,
        at: usize,
        relist: bool,
    },
    InformerList {
        client: Client,
        at: usize,
    },
    FrameworkUp,
    FrameworkTick {
        life: u64,
        at: Timestamp,
    },
    FrameworkSolve {
        life: u64,
    },
    FrameworkSubscribed {
        life: u64,
        generation: u64,
        stream: master::StreamId,
    },
    FrameworkEvent {
        life: u64,
        generation: Option<u64>,
        event: Box<framework::Event>,
    },
    ManagerUp,
    ManagerTick {
        life: u64,
        at: Option<Timestamp>,
    },
    MasterUp,
    MasterTick {
        life: u64,
        at: Timestamp,
    },
    MasterSubscribe {
        life: u64,
        framework: u64,
        generation: u64,
        call: Box<scheduler::Call>,
    },
    MasterCall {
        life: u64,
        framework: u64,
        generation: u64,
        stream: master::StreamId,
        call: Box<scheduler::Call>,
    },
    MasterQuery {
        life: u64,
        framework: u64,
        generation: u64,
        executors: bool,
    },
    MasterEvent {
        life: u64,
        event: Box<master::Event>,
    },
    AgentUp {
        host: usize,
    },
    AgentConnect {
        host: usize,
        life: u64,
    },
    AgentTick {
        host: usize,
        life: u64,
        at: Timestamp,
    },
    AgentEvent {
        host: usize,
        life: u64,
        event: Box<agent::Event>,
    },
    AgentLinkDown {
        host: usize,
        link: u64,
    },
    AgentFork {
        host: usize,
        life: u64,
        launch: Box<agent::Launch>,
    },
    AgentCall {
        host: usize,
        life: u64,
        executor: u64,
        call: Box<km_mesos::executor::Call>,
    },
    Sweep {
        host: usize,
        executor: u64,
    },
    Executor {
        host: usize,
        executor: u64,
        input: Box<ExecutorInput>,
    },
    User,
    Fault(Fault),
    CalmDown,
    Look,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    queue: BTreeMap<(Timestamp, u64), Input>,
    numbers: u64,
    lines: BTreeMap<Line, Timestamp>,
    pub(crate) api: Api,
    pub(crate) framework: FrameworkProcess,
    pub(crate) manager: ManagerProcess,
    pub(crate) master: MasterProcess,
    pub(crate) hosts: Vec<Host>,
    pub(crate) judge: Judge,
    pub(crate) user: User,
    /// While it lasts, connections break, answers are slow and processes die.
    pub(crate) chaos: bool,
    pub(crate) failure: Option<String>,
    pub(crate) steps: u64,
}

impl World {
    pub(crate) fn new(seed: u64, loud: bool) -> Self {
        let mut dice = Dice::new(seed);
        let hosts = (0..2 + dice.below(2)).map(Host::new).collect();
        Self {
            now: START,
            dice,
            trace: Trace::new(loud),
            queue: BTreeMap::new(),
            numbers: 0,
            lines: BTreeMap::new(),
            api: Api::new(),
            framework: FrameworkProcess::new(),
            manager: ManagerProcess::new(),
            master: MasterProcess::new(),
            hosts,
            judge: Judge::default(),
            user: User::default(),
            chaos: false,
            failure: None,
            steps: 0,
        }
    }

    /// Returns a number that was not returned before.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn post(&mut self, after: Duration, input: Input) {
        self.post_at(self.now + after, input);
    }

    pub(crate) fn post_at(&mut self, at: Timestamp, input: Input) {
        let number = self.number();
        self.queue.insert((at.max(self.now), number), input);
    }

    /// Sends over a connection that keeps order.
    pub(crate) fn send(&mut self, line: Line, input: Input) {
        let soonest = self.now + self.delay();
        let after = self.lines.get(&line).map_or(soonest, |last| soonest.max(*last + Duration::from_micros(1)));
        self.lines.insert(line, after);
        self.post_at(after, input);
    }

    pub(crate) fn lines_end(&mut self, line: Line) {
        self.lines.remove(&line);
    }

    /// Returns how long one message takes.
    pub(crate) fn delay(&mut self) -> Duration {
        if self.chaos && self.dice.chance(15) { self.dice.millis(100, 4_000) } else { self.dice.millis(1, 12) }
    }

    pub(crate) fn is_lossy(&self) -> bool {
        self.chaos
    }

    pub(crate) fn trace(&mut self, text: impl FnOnce() -> String) {
        let text = text();
        self.trace.line(self.now, &text);
    }

    /// Notes the first thing that must not be.
    pub(crate) fn fail(&mut self, what: String) {
        if self.failure.is_none() {
            self.trace(|| format!("VIOLATION {what}"));
            self.failure = Some(what);
        }
    }

    /// Handles the next input; false when nothing will ever happen again.
    pub(crate) fn step(&mut self) -> bool {
        let Some(((at, _), input)) = self.queue.pop_first() else { return false };
        self.now = at;
        self.steps += 1;
        self.handle(input);
        true
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::ApiArrive { life, caller, request } => self.api_arrive(life, caller, &request),
            Input::ApiFsync { life, revision } => self.api_fsync(life, revision),
            Input::ApiReply { caller, result } => self.api_replied(caller, result),
            Input::ApiUp => self.api_restart(),
            Input::WatchArrive { life, watch, client, at, resource, options, from } => {
                self.watch_arrive(life, watch, client, at, resource, &options, from);
            }
            Input::WatchEvent { watch, client, at, kind, object } => {
                self.informer_event(watch, client, at, kind, *object);
            }
            Input::WatchEnd { watch, client, at, relist } => self.informer_ended(watch, client, at, relist),
            Input::InformerList { client, at } => self.informer_list(client, at),
            Input::FrameworkUp => self.framework_start(),
            Input::FrameworkTick { life, at } => self.framework_tick(life, at),
            Input::FrameworkSolve { life } => self.framework_solve(life),
            Input::FrameworkSubscribed { life, generation, stream } => {
                self.framework_subscribed(life, generation, stream);
            }
            Input::FrameworkEvent { life, generation, event } => self.framework_event(life, generation, *event),
            Input::ManagerUp => self.manager_start(),
            Input::ManagerTick { life, at } => self.manager_tick(life, at),
            Input::MasterUp => self.master_start(),
            Input::MasterTick { life, at } => self.master_tick(life, at),
            Input::MasterSubscribe { life, framework, generation, call } => {
                self.master_subscribe(life, framework, generation, call);
            }
            Input::MasterCall { life, framework, generation, stream, call } => {
                self.master_call(life, framework, generation, stream, call);
            }
            Input::MasterQuery { life, framework, generation, executors } => {
                self.master_query(life, framework, generation, executors);
            }
            Input::MasterEvent { life, event } => self.master_event(life, *event),
            Input::AgentUp { host } => self.agent_start(host),
            Input::AgentConnect { host, life } => self.agent_connect(host, life),
            Input::AgentTick { host, life, at } => self.agent_tick(host, life, at),
            Input::AgentEvent { host, life, event } => self.agent_event(host, life, *event),
            Input::AgentLinkDown { host, link } => self.agent_link_down(host, link),
            Input::AgentFork { host, life, launch } => self.agent_fork(host, life, &launch),
            Input::AgentCall { host, life, executor, call } => self.agent_call(host, life, executor, call),
            Input::Sweep { host, executor } => self.executor_sweep(host, executor),
            Input::Executor { host, executor, input } => self.executor_input(host, executor, *input),
            Input::User => self.user_acts(),
            Input::Fault(fault) => self.fault(fault),
            Input::CalmDown => {
                self.trace(|| "faults stop".to_owned());
                self.chaos = false;
                self.api.fuse = None;
                self.framework.fuse = None;
                self.master.fuse = None;
                for host in &mut self.hosts {
                    host.agent.fuse = None;
                }
            }
            Input::Look => {}
        }
    }

    fn api_replied(&mut self, caller: Caller, result: Result<Response, Status>) {
        use crate::api::Want;
        let Caller { client, want } = caller;
        if !self.is_alive(client) {
            return;
        }
        match (client, want) {
            (_, Want::List(at)) => self.informer_listed(client, at, result),
            (_, Want::Framework(purpose)) => self.framework_step(framework::Event::Written { purpose, result }),
            (_, Want::Plan { number, index }) => self.manager_written(number, index, result),
            (Client::Executor { host, id }, want) => self.executor_answered(host, id, want, result),
            (_, Want::User(what)) => self.user_answered(&what, result),
            (_, Want::Status(_) | Want::Delete(_) | Want::LookUp(_) | Want::NodeStatus) => {}
        }
    }
}
