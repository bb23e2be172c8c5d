//! A framework in few words, for tests that look at what happens around it.

use anyhow::{Context, Result};
use bytes::Bytes;
use km_mesos::{AgentId, CommandInfo, FrameworkId, TaskState, command_info};
use km_mesos_client::{MasterAddress, SchedulerClient};

use crate::observe::Watcher;
use crate::scenario::{self, Run, Target};

/// A subscribed framework and the agent it works on.
pub struct Life {
    /// What it sees.
    pub watcher: Watcher,
    /// Where it launches; known after the first offer.
    pub agent: AgentId,
    target: Target,
}

impl Life {
    /// Subscribes under the id that belongs to the target's run.
    pub async fn subscribe(target: &Target) -> Result<Self> {
        let id = FrameworkId::new(format!("contract-{}", target.run_id));
        let client = SchedulerClient::new(MasterAddress::parse(&target.master)?, target.credential.clone());
        let (watcher, _) = scenario::subscribe(&client, &id).await?;
        Ok(Self { watcher, agent: AgentId::default(), target: target.clone() })
    }

    /// Waits for an offer and remembers its agent.
    pub async fn find_agent(&mut self) -> Result<()> {
        self.watcher.until("an offer", |seen| !seen.offers.is_empty()).await?;
        self.agent = self.watcher.offers.front().context("an offer was awaited")?.agent_id.clone();
        Ok(())
    }

    /// Launches a task on the next offer.
    pub async fn launch(&mut self, name: &str) -> Result<()> {
        self.launch_on("e1", name).await
    }

    /// Launches a task of an executor on the next offer.
    pub async fn launch_on(&mut self, executor: &str, name: &str) -> Result<()> {
        self.find_agent().await?;
        let offer = self.watcher.offers.pop_front().context("an offer was awaited")?;
        let task = self.run().task_on(executor, name, 50);
        scenario::launch(&self.watcher, &offer, vec![task], 0.0).await
    }

    /// Launches a task whose executor is fetched from `uri` and run by a shell.
    pub async fn launch_fetched(&mut self, executor: &str, name: &str, uri: &str) -> Result<()> {
        self.find_agent().await?;
        let offer = self.watcher.offers.pop_front().context("an offer was awaited")?;
        let mut task = self.run().task_on(executor, name, 50);
        let uri = command_info::Uri {
            value: uri.to_owned(),
            executable: Some(true),
            output_file: Some("bin/fetched".to_owned()),
            ..command_info::Uri::default()
        };
        task.executor.get_or_insert_default().command = Some(CommandInfo {
            shell: Some(true),
            value: Some("exec bin/fetched".to_owned()),
            uris: vec![uri],
            ..CommandInfo::default()
        });
        scenario::launch(&self.watcher, &offer, vec![task], 0.0).await
    }

    /// Waits for a state.
    pub async fn until_state(&mut self, task: &str, state: TaskState) -> Result<()> {
        let what = format!("{task} {state}");
        self.watcher.until(&what, |seen| seen.states.get(task) == Some(&state)).await
    }

    /// Kills a task.
    pub async fn kill(&self, task: &str) -> Result<()> {
        scenario::kill(&self.watcher, task, Some(&self.agent)).await
    }

    /// Sends the executor a message.
    pub async fn message(&self, data: &'static [u8]) -> Result<()> {
        scenario::message(&self.watcher, &self.run(), Bytes::from_static(data)).await
    }

    fn run(&self) -> Run<'_> {
        Run { target: &self.target, framework_id: self.watcher.framework_id.clone(), agent: self.agent.clone() }
    }
}
