//! The contract on the embedded Mesos, its survival of `kill -9`, and that it leaves nothing behind.
//!
//! With `MESOS_CONTRACT_MASTER=host:port` the same scenario also runs on that master and must give the same lines;
//! `test/apache-mesos/contract.sh` sets it. The agents there must be able to run the contract executor's path.

mod embedded;
mod fetching;
mod recovery;
mod same_as_apache;
