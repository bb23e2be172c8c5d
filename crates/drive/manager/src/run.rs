//! The loop.

use std::time::Duration;

use km_api::Object;
use km_api::Resource;
use km_api::resource::EVENTS;
use km_base::Timestamp;
use km_client::{Change, Client, InformerConfig, informer};
use km_net::{Shutdown, TaskSet};
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::controllers::{Controllers, Key};
use crate::delta::Projection;
use crate::perform::{Attempt, collect, perform};

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
    deps: ManagerDeps,
    controllers: Controllers,
}

enum Event {
    Changed(&'static Resource, Change<Projection>),
    Performed(Key, Vec<Attempt>),
}

impl Manager {
    /// Makes a manager; nothing happens before [`Manager::run`].
    #[must_use]
    pub fn new(config: ManagerConfig, deps: ManagerDeps) -> Self {
        Self { deps, controllers: Controllers::new(config.root_ca) }
    }

    /// Runs the controllers until shutdown.
    pub async fn run(mut self, shutdown: Shutdown) {
        let tasks = TaskSet::new(shutdown.clone());
        let (sender, mut events) = mpsc::channel(CHANGES_MAX);
        for resource in Controllers::followed() {
            self.follow(&tasks, resource, sender.clone());
        }
        info!("controllers started");
        let mut running = 0;
        loop {
            let may_start = self.controllers.is_synced() && running < PLANS_MAX;
            let wait = self.controllers.next_due().map(|due| due.saturating_since((self.deps.now)()));
            tokio::select! {
                () = shutdown.begun() => break,
                Some(event) = events.recv() => self.take(&tasks, event, &mut running),
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() && may_start => {}
            }
            for _ in 0..GATHER_MAX {
                let Ok(event) = events.try_recv() else { break };
                self.take(&tasks, event, &mut running);
            }
            while running < PLANS_MAX {
                let Some((key, writes)) = self.controllers.next((self.deps.now)()) else { break };
                running += 1;
                let (client, sender) = (self.deps.client.clone(), sender.clone());
                tasks.spawn("plan", async move {
                    let attempts =
                        if key.is_garbage() { collect(&client, writes).await } else { perform(&client, writes).await };
                    // The loop is gone only when everything ends.
                    let _ = sender.send(Event::Performed(key, attempts)).await;
                });
            }
        }
        if let Err(error) = tasks.finish(END_GRACE).await {
            debug!(%error, "controllers ended");
        }
    }

    fn follow(&self, tasks: &TaskSet, resource: &'static Resource, sender: mpsc::Sender<Event>) {
        let project = move |object: &Object| Controllers::project(resource, object);
        let (run, mut changes) = informer(self.deps.client.clone(), InformerConfig::all(resource), project);
        tasks.spawn(format!("informer {}", resource.plural), run);
        let shutdown = tasks.shutdown();
        // The informer ends when its receiver is gone.
        tasks.spawn(format!("changes {}", resource.plural), async move {
            let passed_on = async {
                while let Some(change) = changes.recv().await {
                    if sender.send(Event::Changed(resource, change)).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = passed_on => {}
                () = shutdown.begun() => {}
            }
        });
    }

    fn take(&mut self, tasks: &TaskSet, event: Event, running: &mut usize) {
        match event {
            Event::Changed(resource, change) => self.controllers.take(resource, change),
            Event::Performed(key, attempts) => {
                *running -= 1;
                let told = self.controllers.finish((self.deps.now)(), key, attempts);
                self.tell(tasks, told);
            }
        }
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
