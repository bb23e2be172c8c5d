//! All cores in one thread under one virtual clock, from a seed: a cluster that crashes, and what must hold in it.
//!
//! Real, as they ship: core/mvcc and core/registry (the API), core/controllers with drive/manager's cache and queue,
//! core/scheduler and core/framework, core/mesos's master, allocator and agents, core/lifecycle. Modelled: connections
//! (delay, breaks; order only where one HTTP connection keeps it), the API server's disk, processes and machines that
//! die and come back, the container runtime, a user.
//!
//! Every batch of actions that may be performed in any order is performed in a chance one, and some processes die in
//! the middle of a batch: what must follow something else has to wait for that one's completion.
//!
//! ```text
//!   user ──▶ API ◀──── manager            faults: framework, manager, API, master, agent, executor, machine,
//!             ▲ ▲                                 session, link; some between two actions of one batch
//!   framework─┘ └──executor ──▶ runtime   run: chaos with a workload ─▶ calm ─▶ settled? ─▶ delete all ─▶ empty?
//!       └──▶ master ◀──▶ agent ──▶ executor
//! ```
//!
//! **Invariant:** the same seed gives the same trace: chance comes from one generator, nothing else decides.
//! **Invariant:** invariants look at what the parts did (`judge`) or hold once all is calm (`settle`), never inside.
//!
//! Deliberately absent: sockets, tokio and drivers (a smaller simulation of the real drivers is another test's);
//! authentication, RBAC, certificates; volumes' contents, probes, pod networks; Kubernetes Events; real time.

mod api;
mod dice;
mod executor;
mod faults;
mod framework;
mod host;
mod informer;
mod judge;
mod manager;
mod master;
mod runtime;
mod settle;
mod trace;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use world::{Input, World};

/// Until when the world has to have settled after its last fault: back-offs go up to five minutes.
const SETTLE_MAX: Duration = Duration::from_secs(2_400);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// More would be a loop that never ends.
const STEPS_MAX: u64 = 400_000;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Hash of the whole trace.
    pub hash: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// Inputs handled.
    pub steps: u64,
    /// Virtual time.
    pub lasted: Duration,
    /// How often what happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// The first invariant that did not hold, and the end of the trace.
    pub failure: Option<Failure>,
}

/// A broken invariant.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which, in words.
    pub what: String,
    /// The end of the trace.
    pub tail: String,
}

/// Runs the world of a seed; `loud` prints its trace.
#[must_use]
pub fn run(seed: u64, loud: bool) -> Outcome {
    let mut world = World::new(seed, loud);
    play(&mut world);
    let failure = world.failure.take().map(|what| Failure { what, tail: world.trace.tail() });
    Outcome {
        seed,
        hash: world.trace.hash(),
        lines: world.trace.lines(),
        steps: world.steps,
        lasted: world.now.saturating_since(world::START),
        counts: std::mem::take(&mut world.judge.counts),
        failure,
    }
}

fn play(world: &mut World) {
    world.user_begins();
    world.post(Duration::ZERO, Input::ManagerUp);
    world.post(Duration::ZERO, Input::FrameworkUp);
    world.post(Duration::ZERO, Input::MasterUp);
    for host in 0..world.hosts.len() {
        world.post(Duration::ZERO, Input::AgentUp { host });
    }
    if !until(world, Duration::from_secs(3)) {
        return;
    }
    let span = world.dice.millis(20_000, 120_000);
    world.plan_user(u64::try_from(span.as_millis()).unwrap_or(0));
    world.plan_faults(span);
    world.chaos = true;
    world.post(span, Input::CalmDown);
    if !until(world, span + Duration::from_secs(1)) || !settles(world, false) {
        return;
    }
    world.user_cleans_up();
    settles(world, true);
}

/// Runs for so long; false when an invariant broke.
fn until(world: &mut World, long: Duration) -> bool {
    let end = world.now + long;
    world.post_at(end, Input::Look);
    while world.failure.is_none() && world.now < end {
        if world.steps > STEPS_MAX {
            world.fail(format!("{STEPS_MAX} steps and no end"));
        } else if !world.step() {
            world.fail("nothing will ever happen again".to_owned());
        }
    }
    world.failure.is_none()
}

/// Runs until everything has settled and stays so for two looks.
fn settles(world: &mut World, empty: bool) -> bool {
    let end = world.now + SETTLE_MAX;
    let mut calm = 0;
    while calm < 2 {
        if !until(world, LOOK_EVERY) {
            return false;
        }
        let open = world.unsettled(empty);
        calm = if open.is_empty() { calm + 1 } else { 0 };
        if world.now > end {
            let when = if empty { "after everything was deleted" } else { "after faults stopped" };
            world.fail(format!("not settled {} s {when}: {}", SETTLE_MAX.as_secs(), open.join("; ")));
            return false;
        }
    }
    world.trace(|| format!("settled, {}", if empty { "empty" } else { "running" }));
    true
}
