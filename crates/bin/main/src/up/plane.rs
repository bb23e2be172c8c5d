//! The parts of `km up`, wired.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use km_api::resource::CONFIG_MAPS;
use km_api::{Identity, identity::SYSTEM_MASTERS};
use km_apiserver::Service;
use km_base::chain;
use km_client::Client;
use km_framework::{Framework, FrameworkConfig, FrameworkDeps, Mesos, NetworkMesos};
use km_manager::{Manager, ManagerConfig, ManagerDeps};
use km_mesos_client::MasterAddress;
use km_net::{Shutdown, TaskSet};
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use crate::cli::UpOptions;
use crate::layout::Layout;
use crate::parts::{self, ApiEndpoint};
use crate::{now, ports};

/// Who the framework is to the API server.
const FRAMEWORK_USER: &str = "system:km:framework";
/// Who the controllers are.
const MANAGER_USER: &str = "system:kube-controller-manager";
/// What executors get to end their pods on `km down`: the longest usual grace (30 s), and time to sweep.
const DOWN_PATIENCE: Duration = Duration::from_secs(60);

/// Whether controllers and framework run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deciders {
    /// As usual.
    Running,
    /// Nothing decides: what runs is only to be stopped.
    Absent,
}

/// The running control plane.
pub(crate) struct Plane {
    service: Arc<Service>,
    mesos: Arc<dyn Mesos>,
    /// Ends framework and controllers, and them alone.
    deciders: Shutdown,
    deciding: TaskSet,
}

impl Plane {
    /// Starts everything; returns when the API answers.
    pub(crate) async fn start(
        options: &UpOptions,
        layout: &Layout,
        tasks: &TaskSet,
        wanted: Deciders,
    ) -> anyhow::Result<Self> {
        let flag = "--https-port";
        let api = ports::bind(options.listen.bind_address, options.api.https_port, "the API server", flag).await?;
        let flag = "--artifact-port";
        let artifacts =
            ports::bind(options.listen.bind_address, options.framework.artifact_port, "the artifact server", flag)
                .await?;
        let (masters, credential) = match &options.mesos_master {
            Some(address) => (MasterAddress::parse(address)?, parts::credential(&options.framework)?),
            None => {
                let (address, credential) = super::mesos::start(options, layout, tasks).await?;
                (MasterAddress::parse(&address)?, Some(credential))
            }
        };

        let server = parts::api_server(&options.listen, &options.api, &options.network, layout, api).await?;
        let (service, url, ca) = (server.service(), server.url(), server.ca());
        let shutdown = tasks.shutdown();
        tasks.spawn("api server", async move {
            if let Err(error) = server.run(shutdown.clone()).await {
                error!(error = %chain(&error), "the API server ended");
                shutdown.begin();
            }
        });

        let deciders = tasks.shutdown().child();
        let deciding = TaskSet::new(deciders.clone());
        let mesos: Arc<dyn Mesos> = Arc::new(NetworkMesos::new(masters, credential.clone()));
        let plane = Self { service, mesos, deciders, deciding };
        if wanted == Deciders::Running {
            let ca_pem = ca.certificate_pem().to_owned();
            let api = ApiEndpoint { url, ca_pem: ca_pem.clone() };
            let (images, principal) = (Some(layout.images()), credential.map(|c| c.principal));
            let UpOptions { listen, network, framework, .. } = options;
            let config = parts::framework(listen, network, framework, images, api, principal, &artifacts)?;
            plane.start_deciders(ca_pem, config, artifacts, tasks)?;
        }
        Ok(plane)
    }

    fn start_deciders(
        &self,
        root_ca: String,
        config: FrameworkConfig,
        artifacts: TcpListener,
        tasks: &TaskSet,
    ) -> anyhow::Result<()> {
        let client = |user: &str| Client::new(self.service.in_process(Identity::authenticated(user, &[])));
        let manager = Manager::new(ManagerConfig { root_ca }, ManagerDeps { client: client(MANAGER_USER), now });
        self.deciding.spawn("controllers", manager.run(self.deciders.clone()));
        let deps = FrameworkDeps { client: client(FRAMEWORK_USER), mesos: Arc::clone(&self.mesos), artifacts };
        let framework = Framework::new(config, deps)?;
        let (all, own) = (tasks.shutdown(), self.deciders.clone());
        self.deciding.spawn("framework", async move {
            if let Err(error) = framework.run(own).await {
                error!(error = %chain(&error), "the framework ended");
                all.begin();
            }
        });
        Ok(())
    }

    /// Stops every pod of the framework; objects stay.
    ///
    /// Fails where pods may be left running; the rest of km can be ended all the same.
    pub(crate) async fn stop_pods(&self) -> anyhow::Result<()> {
        // Nobody may launch again what is about to be stopped.
        self.deciders.begin();
        if let Err(error) = self.deciding.finish(Duration::from_secs(5)).await {
            warn!(%error, "the framework did not end by itself");
        }
        let client = Client::new(self.service.in_process(Identity::authenticated("system:km:down", &[SYSTEM_MASTERS])));
        let found = client.find(&CONFIG_MAPS, "kube-system", "km-framework").await;
        let Some(object) = found.context("failed to read the framework's ID; its pods are left running")? else {
            // Nothing was ever launched.
            return Ok(());
        };
        let id = object.to_value()["data"]["frameworkId"].as_str().unwrap_or_default().to_owned();
        let stopped = km_framework::stop_executors(Arc::clone(&self.mesos), &id, DOWN_PATIENCE).await;
        let count = stopped.context("km has ended, but pods may be left running; 'km down' can be tried again")?;
        info!(executors = count, "all pods are stopped");
        Ok(())
    }
}
