//! What goes wrong: processes that die (some in the middle of a batch of actions), machines, connections.
//!
//! Every fault brings its own end: what dies is started again after a chance time, so that after the last one the
//! world can settle.

use std::time::Duration;

use crate::executor::ExecutorInput;
use crate::world::{Input, World};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Framework,
    /// The framework dies after so many more actions.
    FrameworkFuse(usize),
    Manager,
    Api,
    /// The API server dies after so many more commits, before the last is durable.
    ApiFuse(usize),
    Master,
    MasterFuse(usize),
    Agent(usize),
    AgentFuse(usize, usize),
    /// The executor's process; its supervisor sweeps.
    Executor(usize),
    /// The executor loses its connection to the agent.
    Session(usize),
    /// The executor's process starts again over its containers, as for an upgrade.
    Again(usize),
    /// The whole machine, with everything on it, for so many seconds.
    Machine {
        host: usize,
        keeps_disk: bool,
        seconds: u64,
    },
    /// The agent cannot reach the master for a while.
    Cut(usize),
    /// Nothing on the machine can reach master or API server for so many seconds.
    Isolated {
        host: usize,
        seconds: u64,
    },
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Framework | Self::FrameworkFuse(_) => "framework dies",
            Self::Manager => "manager dies",
            Self::Api | Self::ApiFuse(_) => "API server dies",
            Self::Master | Self::MasterFuse(_) => "master dies",
            Self::Agent(_) | Self::AgentFuse(..) => "agent dies",
            Self::Executor(_) => "executor dies",
            Self::Session(_) => "executor's session breaks",
            Self::Again(_) => "executor starts again",
            Self::Machine { .. } => "machine dies",
            Self::Cut(_) => "agent is cut off",
            Self::Isolated { .. } => "machine is cut off",
        }
    }
}

impl World {
    /// Plans the faults of a run within `span` from now.
    pub(crate) fn plan_faults(&mut self, span: Duration) {
        let count = 2 + self.dice.below(9);
        for _ in 0..count {
            let host = self.dice.below(self.hosts.len());
            let fuse = self.dice.below(6);
            let seconds = match self.dice.below(4) {
                0 => 350 + self.dice.next() % 300,
                _ => 1 + self.dice.next() % 90,
            };
            let fault = match self.dice.below(28) {
                0..=1 => Fault::Framework,
                2..=4 => Fault::FrameworkFuse(fuse),
                5..=6 => Fault::Manager,
                7 => Fault::Api,
                8..=9 => Fault::ApiFuse(fuse),
                10..=11 => Fault::Master,
                12 => Fault::MasterFuse(fuse),
                13..=14 => Fault::Agent(host),
                15..=16 => Fault::AgentFuse(host, fuse),
                17..=18 => Fault::Executor(host),
                19 => Fault::Session(host),
                20..=21 => Fault::Machine { host, keeps_disk: self.dice.chance(500), seconds },
                22..=23 => Fault::Isolated { host, seconds },
                24..=25 => Fault::Again(host),
                _ => Fault::Cut(host),
            };
            let at = self.dice.millis(0, u64::try_from(span.as_millis()).unwrap_or(0));
            self.post(at, Input::Fault(fault));
        }
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.trace(|| format!("fault {fault:?}"));
        self.judge.count(fault.name());
        match fault {
            Fault::Framework => self.fault_framework_dies(),
            Fault::FrameworkFuse(fuse) => self.framework.fuse = Some(fuse),
            Fault::Manager => {
                self.manager_crash();
                let wait = self.dice.millis(10, 10_000);
                self.post(wait, Input::ManagerUp);
            }
            Fault::Api => self.fault_api_dies(),
            Fault::ApiFuse(fuse) => self.api.fuse = Some(fuse),
            Fault::Master => self.fault_master_dies(),
            Fault::MasterFuse(fuse) => self.master.fuse = Some(fuse),
            Fault::Agent(host) => self.fault_agent_dies(host),
            Fault::AgentFuse(host, fuse) => self.hosts[host].agent.fuse = Some(fuse),
            Fault::Executor(host) => {
                let running: Vec<u64> = self.hosts[host].executors.values().filter(|e| e.runs).map(|e| e.id).collect();
                if !running.is_empty() {
                    let id = running[self.dice.below(running.len())];
                    self.executor_exits(host, id);
                }
            }
            Fault::Session(host) => self.fault_session(host),
            Fault::Again(host) => {
                let running: Vec<u64> = self.hosts[host].executors.values().filter(|e| e.runs).map(|e| e.id).collect();
                for id in running {
                    self.executor_again(host, id);
                }
            }
            Fault::Machine { host, keeps_disk, seconds } => self.fault_machine(host, keeps_disk, seconds),
            Fault::Isolated { host, seconds } => {
                let until = self.now + Duration::from_secs(seconds);
                self.hosts[host].cut_until = until;
                self.hosts[host].isolated_until = until;
                self.agent_drop_link(host);
                self.watches_break(host);
            }
            Fault::Cut(host) => {
                let long = self.dice.millis(500, 70_000);
                self.hosts[host].cut_until = self.now + long;
                self.agent_drop_link(host);
            }
        }
    }

    pub(crate) fn fault_api_dies(&mut self) {
        if self.api.up {
            self.trace(|| "the API server dies".to_owned());
            self.api_crash();
            let wait = self.dice.millis(10, 10_000);
            self.post(wait, Input::ApiUp);
        }
    }

    pub(crate) fn fault_framework_dies(&mut self) {
        if self.framework.up {
            self.framework_crash();
            let wait = self.dice.millis(10, 15_000);
            self.post(wait, Input::FrameworkUp);
        }
    }

    pub(crate) fn fault_master_dies(&mut self) {
        if self.master.core.is_some() {
            self.master_crash();
            let wait = self.dice.millis(10, 20_000);
            self.post(wait, Input::MasterUp);
        }
    }

    pub(crate) fn fault_agent_dies(&mut self, host: usize) {
        if self.hosts[host].agent.core.is_some() {
            self.agent_crash(host);
            let wait = self.dice.millis(10, 20_000);
            self.post(wait, Input::AgentUp { host });
        }
    }

    fn fault_session(&mut self, host: usize) {
        let executors: Vec<u64> = self.hosts[host].executors.keys().copied().collect();
        for id in executors {
            self.hosts[host].agent_loses(id);
            self.tell_executor(host, id, ExecutorInput::Disconnected);
        }
    }

    fn fault_machine(&mut self, host: usize, keeps_disk: bool, seconds: u64) {
        if !self.hosts[host].up {
            return;
        }
        self.agent_crash(host);
        let this = &mut self.hosts[host];
        this.up = false;
        this.executors.clear();
        if !keeps_disk {
            this.agent.records.clear();
        }
        self.post(Duration::from_secs(seconds), Input::AgentUp { host });
    }
}
