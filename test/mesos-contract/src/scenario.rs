//! The scenario: a framework's life from SUBSCRIBE to TEARDOWN, with most of what can go wrong in between.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use km_mesos::framework_info::{Capability, capability};
use km_mesos::resources::{Milli, Resources};
use km_mesos::scheduler::{Call, call};
use km_mesos::{
    AgentId, CommandInfo, ExecutorId, ExecutorInfo, Filters, FrameworkId, FrameworkInfo, Offer, OfferId, TaskId,
    TaskInfo, TaskState, executor_info, offer,
};
use km_mesos_client::{ClientError, Credential, MasterAddress, SchedulerClient};

use crate::observe::{Watcher, asked};

/// Which Mesos to talk to.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port` of a master.
    pub master: String,
    /// Who we are.
    pub credential: Option<Credential>,
    /// Path of the contract executor on the agents.
    pub executor: String,
    /// Makes this run's framework id differ from that of other runs.
    pub run_id: String,
}

/// Runs it all; returns the observations.
pub async fn run(target: &Target) -> Result<Vec<String>> {
    let framework_id = FrameworkId::new(format!("contract-{}", target.run_id));
    let client = SchedulerClient::new(MasterAddress::parse(&target.master)?, target.credential.clone());
    let mut lines = Vec::new();
    let mut step = |name: &str, observed: Vec<String>| {
        lines.push(format!("== {name}"));
        lines.extend(observed.into_iter().map(|line| line.replace(&target.run_id, "RUN")));
    };

    let (mut scheduler, first) = subscribe(&client, &framework_id).await?;
    step("SUBSCRIBE with an id of our own", vec![first]);
    let offer = next_offer(&mut scheduler).await?;
    let agent = offer.agent_id.clone();
    let run = Run { target, framework_id: framework_id.clone(), agent: agent.clone() };

    launch(&scheduler, &offer, vec![run.task("t1", 100)], 0.0).await?;
    scheduler.until("t1 running", |seen| seen.states.get("t1") == Some(&TaskState::Running)).await?;
    step("LAUNCH on a new executor", scheduler.observed());

    let offer = offer_of(&mut scheduler, &agent).await?;
    let executors: Vec<String> = offer.executor_ids.iter().map(ToString::to_string).collect();
    step("the next offer names the executor", executors);
    let mut alien = run.task("alien", 100);
    alien.executor.get_or_insert_default().name = Some("another".to_owned());
    let mut lost = run.task("lost", 100);
    lost.agent_id = AgentId::new("no-such-agent");
    let mut bare = run.task("bare", 100);
    bare.executor = None;
    let mut slash = run.task("sl/ash", 100);
    slash.name = "slash".to_owned();
    let tasks = vec![
        run.task("t2", 100),
        run.task("t1", 100),
        run.task("big", 9_999_000),
        alien,
        lost,
        bare,
        slash,
        TaskInfo { resources: Vec::new(), ..run.task("empty", 100) },
    ];
    launch(&scheduler, &offer, tasks, 0.0).await?;
    scheduler.until("t2 running", |seen| seen.states.get("t2") == Some(&TaskState::Running)).await?;
    let mut observed = scheduler.observed();
    // Errors are the master's and come at once; updates of t2 take the way over the agent.
    observed.sort_by_key(|line| !line.contains("TASK_ERROR"));
    step("one good task among bad ones", observed);

    launch(&scheduler, &offer, vec![run.task("stale", 100)], 0.0).await?;
    scheduler.until("stale dropped", |seen| seen.has_seen("stale")).await?;
    step("ACCEPT of a used offer", scheduler.observed());

    let questions = vec![
        asked("t1", None),
        asked("t2", Some(&agent)),
        asked("never", None),
        asked("never2", Some(&agent)),
        asked("never3", Some(&AgentId::new("bogus"))),
    ];
    let count = questions.len();
    let explicit = call::Reconcile { tasks: questions };
    scheduler.call(call::Type::Reconcile, |call| call.reconcile = Some(explicit)).await?;
    scheduler.until("all answers", |seen| seen.count_seen("RECONCILIATION") == count).await?;
    step("RECONCILE explicit", scheduler.observed());
    scheduler.call(call::Type::Reconcile, |call| call.reconcile = Some(call::Reconcile::default())).await?;
    let barrier = call::Reconcile { tasks: vec![asked("sentinel", Some(&AgentId::new("bogus")))] };
    scheduler.call(call::Type::Reconcile, |call| call.reconcile = Some(barrier)).await?;
    scheduler.until("the sentinel", |seen| seen.has_seen("sentinel")).await?;
    let mut observed = scheduler.observed();
    let last = observed.pop();
    observed.sort();
    observed.extend(last);
    step("RECONCILE implicit, then a sentinel", observed);

    message(&scheduler, &run, Bytes::from_static(b"ping")).await?;
    scheduler.until("the echo", |seen| seen.has_seen("MESSAGE")).await?;
    step("MESSAGE there and back", scheduler.observed());

    kill(&scheduler, "t1", Some(&agent)).await?;
    scheduler.until("t1 killed", |seen| seen.states.get("t1") == Some(&TaskState::Killed)).await?;
    kill(&scheduler, "never", None).await?;
    scheduler.until("never unknown", |seen| seen.has_seen("never")).await?;
    step("KILL of a task and of none", scheduler.observed());
    scheduler
        .call(call::Type::Reconcile, |call| call.reconcile = Some(call::Reconcile { tasks: vec![asked("t1", None)] }))
        .await?;
    scheduler.until("t1 forgotten", |seen| seen.has_seen("t1")).await?;
    step("RECONCILE of an ended task", scheduler.observed());

    failover(&client, &framework_id, &mut scheduler, &mut step).await?;

    message(&scheduler, &run, Bytes::from_static(b"exit")).await?;
    scheduler.until("t2 failed", |seen| seen.states.get("t2") == Some(&TaskState::Failed)).await?;
    scheduler.until("the failure", |seen| seen.has_seen("FAILURE")).await?;
    let mut observed = scheduler.observed();
    observed.retain(|line| !line.starts_with("MESSAGE"));
    observed.sort();
    step("an executor that exits", observed);

    revived_after_suppress(&mut scheduler, &agent).await?;
    step("SUPPRESS, then REVIVE", scheduler.observed());

    scheduler.call(call::Type::Teardown, |_| {}).await?;
    let (_, line) = subscribe(&client, &framework_id).await?;
    step("SUBSCRIBE after TEARDOWN", vec![line]);
    Ok(lines.into_iter().map(|line| line.replace(&agent.value, "AGENT")).collect())
}

/// What the tasks of a run have in common.
pub(crate) struct Run<'a> {
    pub(crate) target: &'a Target,
    pub(crate) framework_id: FrameworkId,
    pub(crate) agent: AgentId,
}

impl Run<'_> {
    pub(crate) fn task(&self, name: &str, cpus_milli: i64) -> TaskInfo {
        self.task_on("e1", name, cpus_milli)
    }

    pub(crate) fn task_on(&self, executor: &str, name: &str, cpus_milli: i64) -> TaskInfo {
        let resources = |cpus: i64| {
            let scalar = km_mesos::resources::scalar;
            Resources::from_messages(&[scalar("cpus", Milli(cpus)), scalar("mem", Milli(32_000))])
                .allocated_to("*")
                .to_messages()
        };
        TaskInfo {
            name: name.to_owned(),
            task_id: TaskId::new(name),
            agent_id: self.agent.clone(),
            resources: resources(cpus_milli),
            executor: Some(ExecutorInfo {
                r#type: Some(executor_info::Type::Custom as i32),
                executor_id: ExecutorId::new(executor),
                framework_id: Some(self.framework_id.clone()),
                command: Some(CommandInfo {
                    shell: Some(false),
                    value: Some(self.target.executor.clone()),
                    arguments: vec![self.target.executor.clone()],
                    ..CommandInfo::default()
                }),
                resources: resources(100),
                name: Some("contract".to_owned()),
                ..ExecutorInfo::default()
            }),
            ..TaskInfo::default()
        }
    }
}

pub(crate) async fn subscribe(client: &SchedulerClient, id: &FrameworkId) -> Result<(Watcher, String)> {
    let capability = |kind: capability::Type| Capability { r#type: Some(kind as i32) };
    let framework_info = FrameworkInfo {
        user: "root".to_owned(),
        name: "contract".to_owned(),
        id: Some(id.clone()),
        roles: vec!["*".to_owned()],
        failover_timeout: Some(60.0),
        checkpoint: Some(true),
        capabilities: vec![
            capability(capability::Type::MultiRole),
            capability(capability::Type::PartitionAware),
            capability(capability::Type::ReservationRefinement),
        ],
        ..FrameworkInfo::default()
    };
    let subscribe = call::Subscribe { framework_info, ..call::Subscribe::default() };
    let call = Call {
        r#type: Some(call::Type::Subscribe as i32),
        framework_id: Some(id.clone()),
        subscribe: Some(subscribe),
        ..Call::default()
    };
    Watcher::start(client.subscribe(&call).await?, id.clone()).await
}

/// A second scheduler takes the framework over; `scheduler` becomes it.
async fn failover(
    client: &SchedulerClient,
    id: &FrameworkId,
    scheduler: &mut Watcher,
    step: &mut impl FnMut(&str, Vec<String>),
) -> Result<()> {
    let (second, line) = subscribe(client, id).await?;
    let mut first = std::mem::replace(scheduler, second);
    let mut observed = vec![line];
    while let Ok(Some(line)) = first.next_line().await {
        if line.starts_with("ERROR") {
            observed.push(line);
            break;
        }
    }
    let refused = first.call(call::Type::Revive, |_| {}).await.err().context("the old stream must be refused")?;
    match refused.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { code, message, .. }) => {
            let start = message.split('\'').next().unwrap_or_default();
            observed.push(format!("{code} {start}"));
        }
        _ => bail!("unexpected refusal: {refused:#}"),
    }
    step("failover to a second scheduler", observed);
    Ok(())
}

async fn next_offer(scheduler: &mut Watcher) -> Result<Offer> {
    scheduler.until("an offer", |seen| !seen.offers.is_empty()).await?;
    scheduler.offers.pop_front().context("an offer was awaited")
}

/// Asks for offers until one is of this agent; others are given back for good.
async fn offer_of(scheduler: &mut Watcher, agent: &AgentId) -> Result<Offer> {
    scheduler.call(call::Type::Revive, |_| {}).await?;
    loop {
        let offer = next_offer(scheduler).await?;
        if offer.agent_id == *agent {
            return Ok(offer);
        }
        decline(scheduler, vec![offer.id], 1_000.0).await?;
    }
}

async fn decline(scheduler: &Watcher, offer_ids: Vec<OfferId>, seconds: f64) -> Result<()> {
    let decline = call::Decline { offer_ids, filters: Some(Filters { refuse_seconds: Some(seconds) }) };
    scheduler.call(call::Type::Decline, |call| call.decline = Some(decline)).await
}

pub(crate) async fn launch(scheduler: &Watcher, offer: &Offer, task_infos: Vec<TaskInfo>, seconds: f64) -> Result<()> {
    let operation = offer::Operation {
        r#type: Some(offer::operation::Type::Launch as i32),
        launch: Some(offer::operation::Launch { task_infos }),
        ..offer::Operation::default()
    };
    let accept = call::Accept {
        offer_ids: vec![offer.id.clone()],
        operations: vec![operation],
        filters: Some(Filters { refuse_seconds: Some(seconds) }),
    };
    scheduler.call(call::Type::Accept, |call| call.accept = Some(accept)).await
}

pub(crate) async fn kill(scheduler: &Watcher, task: &str, agent: Option<&AgentId>) -> Result<()> {
    let kill = call::Kill { task_id: TaskId::new(task), agent_id: agent.cloned(), kill_policy: None };
    scheduler.call(call::Type::Kill, |call| call.kill = Some(kill)).await
}

pub(crate) async fn message(scheduler: &Watcher, run: &Run<'_>, data: Bytes) -> Result<()> {
    let message = call::Message { agent_id: run.agent.clone(), executor_id: ExecutorId::new("e1"), data };
    scheduler.call(call::Type::Message, |call| call.message = Some(message)).await
}

/// Gives everything back, is left alone, and gets an offer again at once.
async fn revived_after_suppress(scheduler: &mut Watcher, agent: &AgentId) -> Result<()> {
    scheduler.call(call::Type::Suppress, |_| {}).await?;
    let held: VecDeque<Offer> = std::mem::take(&mut scheduler.offers);
    decline(scheduler, held.into_iter().map(|offer| offer.id).collect(), 1_000.0).await?;
    offer_of(scheduler, agent).await.map(drop)
}
