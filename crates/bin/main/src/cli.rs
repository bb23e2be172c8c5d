//! The command line. Each flag is declared here once; `--help` is its documentation.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

/// Kubernetes on Apache Mesos.
#[derive(Debug, Parser)]
#[command(name = "km", version, about = "Kubernetes on Apache Mesos: control plane, executor and proxy in one binary")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How to log.
    #[command(flatten)]
    pub(crate) log: LogOptions,
}

/// Logging flags, the same for every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogOptions {
    /// What to log, e.g. `info`, or `info,km_framework=debug`.
    #[arg(long = "log", global = true, default_value = "info", env = "KM_LOG")]
    pub(crate) filter: String,
    /// How to write it.
    #[arg(long = "log-format", global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) format: LogFormat,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the control plane; with no --mesos-master also a Mesos master and this machine as its agent.
    Up(Box<UpOptions>),
    /// Stop `km up` and every pod it started here; objects stay for the next `km up`.
    Down(DataOptions),
    /// Deploy the demo and wait until it answers over its Service name.
    Demo(DataOptions),
    /// Pack and import container images without a registry.
    Image(ImageOptions),
    /// Print the administrator's kubeconfig.
    Kubeconfig(DataOptions),
    /// Show both halves at once: Mesos's agents and tasks, Kubernetes's nodes and pods.
    Status(StatusOptions),
    /// Say why a pod is not running.
    Why(WhyOptions),
    /// Run the API server alone.
    Apiserver(Box<ApiServerOptions>),
    /// Run the controllers alone, against any API server.
    ControllerManager(ClientOptions),
    /// Run the framework alone: a scheduler that places pods on the agents of a Mesos cluster.
    Scheduler(Box<SchedulerOptions>),
    /// Run the service proxy and DNS of one node alone.
    Proxy(ProxyOptions),
    /// Run pods on a Mesos agent (started by the agent, not by hand).
    #[command(hide = true)]
    Executor(ExecutorOptions),
}

/// Where a cluster's data is.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(crate) struct DataOptions {
    /// Folder of the cluster's data: store, certificates, Mesos work folders, kubeconfig.
    #[arg(long, default_value = "/var/lib/km", env = "KM_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
}

/// Flags of `km up`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(crate) struct UpOptions {
    /// Where the data is.
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Return when the cluster is ready and leave it running.
    #[arg(long)]
    pub(crate) detach: bool,
    /// Set by --detach on the process it starts: say on standard output when ready.
    #[arg(long, hide = true)]
    pub(crate) announce: bool,
    /// Where to listen.
    #[command(flatten)]
    pub(crate) listen: ListenOptions,
    /// The API server.
    #[command(flatten)]
    pub(crate) api: ApiOptions,
    /// The cluster's network.
    #[command(flatten)]
    pub(crate) network: NetworkOptions,
    /// The framework.
    #[command(flatten)]
    pub(crate) framework: FrameworkOptions,
    /// Register as a framework with this Mesos master (HOST:PORT, or several with commas) instead of an embedded one.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) mesos_master: Option<String>,
    /// The embedded Mesos.
    #[command(flatten)]
    pub(crate) embedded: EmbeddedMesosOptions,
}

/// Where this machine listens and is reached.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(crate) struct ListenOptions {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) bind_address: IpAddr,
    /// Address at which agents reach this machine; default: --bind-address.
    #[arg(long)]
    pub(crate) advertise_address: Option<IpAddr>,
}

/// Flags of the API server.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(crate) struct ApiOptions {
    /// Port of the API server.
    #[arg(long, default_value_t = 6443)]
    pub(crate) https_port: u16,
    /// Ports for Services of type NodePort; must lie outside the agents' `ports`.
    #[arg(long, default_value = "30000-30999")]
    pub(crate) service_node_port_range: String,
    /// Leave containers that ask for nothing without 0.25 cpu and 64Mi.
    #[arg(long)]
    pub(crate) no_default_resources: bool,
}

/// Addresses and names of the cluster's network; the same for every part.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(crate) struct NetworkOptions {
    /// Range of cluster IPs.
    #[arg(long, default_value = "10.96.0.0/16")]
    pub(crate) service_cidr: String,
    /// Range of pod IPs; each node gets a /24 of it.
    #[arg(long, default_value = "10.244.0.0/16")]
    pub(crate) cluster_cidr: String,
    /// DNS domain of the cluster.
    #[arg(long, default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
}

/// Flags of the framework.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(crate) struct FrameworkOptions {
    /// Principal for the Mesos master.
    #[arg(long, requires = "mesos_authentication_secret_file")]
    pub(crate) mesos_authentication_principal: Option<String>,
    /// File with the secret of --mesos-authentication-principal.
    #[arg(long, requires = "mesos_authentication_principal")]
    pub(crate) mesos_authentication_secret_file: Option<PathBuf>,
    /// Name of the framework in Mesos.
    #[arg(long, default_value = "Kubernetes")]
    pub(crate) framework_name: String,
    /// Mesos roles to register with.
    #[arg(long, value_delimiter = ',', default_value = "*")]
    pub(crate) mesos_roles: Vec<String>,
    /// Mesos user that executors run as.
    #[arg(long, default_value = "root")]
    pub(crate) mesos_user: String,
    /// Cpus charged for an executor, beside its pods.
    #[arg(long, default_value_t = 0.25)]
    pub(crate) mesos_executor_cpus: f64,
    /// Memory charged for an executor, beside its pods, in MB.
    #[arg(long, default_value_t = 128.0)]
    pub(crate) mesos_executor_mem: f64,
    /// Port of the framework's artifact server, metrics and debug endpoints.
    #[arg(long, default_value_t = 10251)]
    pub(crate) artifact_port: u16,
    /// An existing CRI runtime for executors (unix:///path); default: a containerd of their own.
    #[arg(long)]
    pub(crate) container_runtime_endpoint: Option<String>,
}

/// Flags of the embedded Mesos.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub(crate) struct EmbeddedMesosOptions {
    /// Port of the embedded Mesos master.
    #[arg(long, default_value_t = 5050)]
    pub(crate) mesos_master_port: u16,
    /// Port of the embedded Mesos agent.
    #[arg(long, default_value_t = 5051)]
    pub(crate) mesos_agent_port: u16,
    /// Name of this machine as an agent and node; default: its host name.
    #[arg(long)]
    pub(crate) hostname_override: Option<String>,
    /// What the embedded agent offers, in Mesos's form, e.g. `cpus:2;mem:2048;disk:4096;ports:[31000-32000]`;
    /// default: what this machine has.
    #[arg(long)]
    pub(crate) resources: Option<String>,
    /// Attributes of the embedded agent, in Mesos's form, e.g. `rack:r1;zone:a`.
    #[arg(long)]
    pub(crate) attributes: Option<String>,
}

/// Flags of `km apiserver`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ApiServerOptions {
    /// Where the data is.
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Where to listen.
    #[command(flatten)]
    pub(crate) listen: ListenOptions,
    /// The API server.
    #[command(flatten)]
    pub(crate) api: ApiOptions,
    /// The cluster's network.
    #[command(flatten)]
    pub(crate) network: NetworkOptions,
}

/// How a part finds its API server.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientOptions {
    /// The part's kubeconfig.
    #[arg(long, env = "KUBECONFIG")]
    pub(crate) kubeconfig: PathBuf,
}

/// Flags of `km scheduler`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SchedulerOptions {
    /// The API server.
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    /// Where to listen.
    #[command(flatten)]
    pub(crate) listen: ListenOptions,
    /// The cluster's network.
    #[command(flatten)]
    pub(crate) network: NetworkOptions,
    /// The framework.
    #[command(flatten)]
    pub(crate) framework: FrameworkOptions,
    /// The Mesos master (HOST:PORT, or several with commas).
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) mesos_master: String,
    /// Folder of images for executors.
    #[arg(long)]
    pub(crate) images: Option<PathBuf>,
}

/// Flags of `km proxy`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProxyOptions {
    /// The API server.
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    /// The cluster's network.
    #[command(flatten)]
    pub(crate) network: NetworkOptions,
    /// The node to serve; its `spec.podCIDR` is the range of its pods.
    #[arg(long)]
    pub(crate) node_name: String,
}

/// Flags of `km image`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ImageOptions {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

/// Commands of `km image`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make an image known to the cluster: a tar of an OCI layout, or of `docker save`.
    Import {
        /// Where the data is.
        #[command(flatten)]
        data: DataOptions,
        /// The image.
        file: PathBuf,
    },
    /// Write an image of single files, without base image or image tool.
    Pack(PackOptions),
    /// List the images that were imported.
    List(DataOptions),
}

/// Flags of `km image pack`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PackOptions {
    /// Full name, e.g. `localhost/demo:latest`.
    #[arg(long)]
    pub(crate) reference: String,
    /// A file to put in: PATH-IN-IMAGE=FILE. May be repeated.
    #[arg(long = "file", value_name = "PATH=FILE", required = true)]
    pub(crate) files: Vec<String>,
    /// Program that the image runs. May be repeated for its arguments.
    #[arg(long, required = true)]
    pub(crate) entrypoint: Vec<String>,
    /// A variable: NAME=value. May be repeated.
    #[arg(long)]
    pub(crate) env: Vec<String>,
    /// A port, e.g. 8080/tcp. May be repeated.
    #[arg(long)]
    pub(crate) expose: Vec<String>,
    /// Where to write the image.
    #[arg(long)]
    pub(crate) output: PathBuf,
}

/// Forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Flags of `km status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatusOptions {
    /// Where the data is.
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Form of the answer.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// Flags of `km why`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WhyOptions {
    /// Where the data is.
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Namespace of the pod.
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,
    /// Name of the pod.
    pub(crate) pod: String,
}

/// Flags of `km executor`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExecutorOptions {}
