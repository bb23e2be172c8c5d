//! An asynchronous client of the Mesos v1 HTTP APIs: scheduler, executor and operator.
//!
//! In the pod's journey it carries `framework`'s calls to the master and the executor's to its agent. It can
//! be used by itself: nothing here knows of Kubernetes.
//!
//! ```no_run
//! # async fn try_it() -> Result<(), km_mesos_client::ClientError> {
//! use km_mesos_client::{Credential, MasterAddress, SchedulerClient};
//! let masters = MasterAddress::parse("127.0.0.1:5050")?;
//! let client = SchedulerClient::new(masters, Some(Credential { principal: "me".into(), secret: "…".into() }));
//! let subscribe = km_mesos::scheduler::Call::default(); // type SUBSCRIBE, with a FrameworkInfo
//! let mut session = client.subscribe(&subscribe).await?;
//! while let Some(event) = session.next().await? {
//!     println!("{event:?}");
//! }
//! # Ok(()) }
//! ```
//!
//! **Invariant:** calls of one session reach Mesos in the order in which they were made.
//! **Invariant:** a session ends by an error or by the peer, never silently: a missing heartbeat is an error.
//! Deliberately absent: re-subscription and what to do about an error (the caller's state machine decides),
//! ZooKeeper detection and TLS (docs/status.md).

mod address;
mod error;
mod executor;
mod operator;
mod scheduler;
mod stream;
mod transport;

pub use address::{AddressError, MasterAddress};
pub use error::ClientError;
pub use executor::{ExecutorCaller, ExecutorClient, ExecutorSession};
pub use operator::OperatorClient;
pub use scheduler::{SchedulerCaller, SchedulerClient, SchedulerSession};
pub use transport::Credential;
