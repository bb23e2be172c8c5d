//! The loop.

use std::time::Duration;

use km_api::resource::{ALL, EVENTS, EVENTS_V1, Persistence};
use km_api::{Object, Resource};
use km_base::Timestamp;
use km_client::{Change, Client, InformerConfig, informer};
use km_controllers::{
    Plan, bootstrap_tokens, deployment, endpoints, garbage, namespace, nodes, pods, replicas, service_accounts,
};
use km_net::{Shutdown, TaskSet};
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::delta::{Cache, Typed};
use crate::perform::{Attempt, Written, perform};
use crate::queue::{Outcome, Queue, Work};
use crate::{events, wake};

/// Changes that may wait for the loop; a full queue slows the informers down.
const CHANGES_MAX: usize = 4_096;
/// Plans performed at a time: enough to fill the API server's group commit, few enough to leave it to others.
const PLANS_MAX: usize = 64;
/// Changes taken before the queue is looked at: a burst is gathered, so that a set is planned for once.
const GATHER_MAX: usize = 512;
/// What tasks get to end after shutdown; they hold nothing that must be finished.
const END_GRACE: Duration = Duration::from_secs(1);

/// A manager's configuration.
#[derive(Clone, Debug)]
pub struct ManagerConfig {
    /// PEM of the API server's CA, published to every namespace.
    pub root_ca: String,
}

/// What a manager needs besides its configuration.
pub struct ManagerDeps {
    /// The API, as `system:kube-controller-manager`.
    pub client: Client,
    /// The clock.
    pub now: fn() -> Timestamp,
}

/// Runs the controllers.
pub struct Manager {
    config: ManagerConfig,
    deps: ManagerDeps,
    cache: Cache,
    queue: Queue,
}

enum Event {
    Changed(&'static Resource, Change<Typed>),
    Performed(Work, Vec<Attempt>),
}

impl Manager {
    /// Makes a manager; nothing happens before [`Manager::run`].
    #[must_use]
    pub fn new(config: ManagerConfig, deps: ManagerDeps) -> Self {
        Self { config, deps, cache: Cache::new(&followed()), queue: Queue::default() }
    }

    /// Runs the controllers until shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let tasks = TaskSet::new(shutdown.clone());
        let (sender, mut events) = mpsc::channel(CHANGES_MAX);
        let mut unsynced = 0;
        for resource in followed() {
            unsynced += 1;
            self.follow(&tasks, resource, sender.clone());
        }
        info!(resources = unsynced, "controllers started");
        let mut running = 0;
        loop {
            let wait = self.queue.next_due().map(|due| due.saturating_since((self.deps.now)()));
            tokio::select! {
                () = shutdown.begun() => break,
                Some(event) = events.recv() => self.take(&tasks, event, &mut unsynced, &mut running),
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() && unsynced == 0 && running < PLANS_MAX => {}
            }
            for _ in 0..GATHER_MAX {
                let Ok(event) = events.try_recv() else { break };
                self.take(&tasks, event, &mut unsynced, &mut running);
            }
            // Until every list is complete, what is missing may only be unknown.
            if unsynced > 0 {
                continue;
            }
            while running < PLANS_MAX {
                let Some(work) = self.queue.take((self.deps.now)()) else { break };
                if self.start(&tasks, work, &sender) {
                    running += 1;
                }
            }
        }
        if let Err(error) = tasks.finish(END_GRACE).await {
            debug!(%error, "controllers ended");
        }
    }

    fn follow(&self, tasks: &TaskSet, resource: &'static Resource, sender: mpsc::Sender<Event>) {
        let project = move |object: &Object| Typed::of(resource, object);
        let (run, mut changes) = informer(self.deps.client.clone(), InformerConfig::all(resource), project);
        tasks.spawn(format!("informer {}", resource.plural), run);
        tasks.spawn(format!("changes {}", resource.plural), async move {
            while let Some(change) = changes.recv().await {
                if sender.send(Event::Changed(resource, change)).await.is_err() {
                    return;
                }
            }
        });
    }

    fn take(&mut self, tasks: &TaskSet, event: Event, unsynced: &mut usize, running: &mut usize) {
        match event {
            Event::Changed(_, Change::Synced) => *unsynced -= 1,
            Event::Changed(resource, change) => {
                if let Some(effect) = self.cache.take(resource, change) {
                    wake::wake(&mut self.queue, &self.cache, resource, &effect);
                }
            }
            Event::Performed(work, attempts) => {
                *running -= 1;
                self.finish(tasks, work, attempts);
            }
        }
    }

    /// Plans for a key and starts to perform it; `false` when there is nothing to perform.
    fn start(&mut self, tasks: &TaskSet, work: Work, sender: &mpsc::Sender<Event>) -> bool {
        let now = (self.deps.now)();
        let plan = self.plan(&work, now);
        if let Some(wait) = plan.again_after {
            self.queue.add_at(work.clone(), now + wait);
        }
        if plan.writes.is_empty() {
            self.queue.done(work, now, Outcome::Done);
            return false;
        }
        let client = self.deps.client.clone();
        let sender = sender.clone();
        tasks.spawn("plan", async move {
            let attempts = perform(&client, plan).await;
            // The loop is gone only when everything ends.
            let _ = sender.send(Event::Performed(work, attempts)).await;
        });
        true
    }

    fn plan(&self, work: &Work, now: Timestamp) -> Plan {
        let listers = &self.cache.listers;
        match work {
            Work::BootstrapToken(key) => bootstrap_tokens::reconcile(listers, key, now),
            Work::Deployment(key) => deployment::reconcile(listers, key, now),
            Work::Endpoints(key) => endpoints::reconcile(listers, key),
            Work::Eviction(key) => nodes::reconcile_eviction(listers, key, now),
            Work::Garbage((plural, group), key) => {
                let resource = followed().into_iter().find(|r| r.plural == *plural && r.group == *group);
                resource.map_or_else(Plan::done, |resource| garbage::reconcile(listers, resource, key))
            }
            Work::Namespace(key) => namespace::reconcile(listers, key),
            Work::PodCollection(key) => pods::reconcile(listers, key, now),
            Work::ReplicaSet(key) => replicas::reconcile_replica_set(listers, key, now),
            Work::ReplicationController(key) => replicas::reconcile_replication_controller(listers, key, now),
            Work::ServiceAccounts(key) => service_accounts::reconcile(listers, key, &self.config.root_ca),
            Work::Taints(key) => nodes::reconcile_taints(listers, key, now),
        }
    }

    fn finish(&mut self, tasks: &TaskSet, work: Work, attempts: Vec<Attempt>) {
        let now = (self.deps.now)();
        let mut outcome = Outcome::Done;
        let mut told: Vec<(String, Value)> = Vec::new();
        for attempt in attempts {
            told.extend(events::of(&self.cache.listers, &work, &attempt, now));
            let effect = match attempt.result {
                Ok(Written::Object(resource, object)) => {
                    self.cache.written(resource, &object).map(|effect| (resource, effect))
                }
                Ok(Written::Gone(resource, key, uid)) => {
                    self.cache.deleted(resource, &key, &uid).map(|effect| (resource, effect))
                }
                Ok(Written::Nothing) => None,
                Err(status) => {
                    // A conflict is the ordinary answer to a plan made of what has changed since.
                    if status.code == 409 {
                        debug!(?work, error = %status, "plan was overtaken");
                    } else {
                        warn!(?work, error = %status, "write refused");
                    }
                    outcome = Outcome::Failed;
                    None
                }
            };
            if let Some((resource, effect)) = effect {
                wake::wake(&mut self.queue, &self.cache, resource, &effect);
            }
        }
        self.queue.done(work, now, outcome);
        self.tell(tasks, told);
    }

    /// Posts events; one that is lost is no harm.
    fn tell(&self, tasks: &TaskSet, told: Vec<(String, Value)>) {
        if told.is_empty() {
            return;
        }
        let client = self.deps.client.clone();
        tasks.spawn_contained("events", async move {
            for (namespace, event) in told {
                if let Err(error) = client.create(&EVENTS, &namespace, event.to_string().into_bytes()).await {
                    debug!(%error, "event was refused");
                }
            }
        });
    }
}

/// Returns the resources that are followed: all that are stored. The two groups of events are one set of objects.
fn followed() -> Vec<&'static Resource> {
    ALL.iter().copied().filter(|r| r.persistence == Persistence::Stored && **r != EVENTS_V1).collect()
}
