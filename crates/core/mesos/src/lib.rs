//! The embedded Mesos as pure state machines: a master with its allocator, and an agent.
//!
//! `drive/mesos-master` and `drive/mesos-agent` own one of these each, feed it events and perform its actions. What a
//! pod's journey passes here: offers go out ([`allocator`]), ACCEPT is validated and becomes a task ([`master`]), the
//! agent starts or reuses an executor and hands it the task ([`agent`]), status updates travel back until acknowledged.
//!
//! **Invariant:** nothing here reads a clock, a random source, a file or a socket. Time and ids come in.
//! **Invariant:** actions are performed in the order given; a `Checkpoint` is durable before the next action begins.
//! **Invariant:** a task's resources are counted on its agent from ACCEPT to its terminal update, an executor's from its
//! first task until it is gone; offered plus used never exceeds an agent's total.
//! **Invariant:** the truth about tasks is the agent's: a restarted master learns all of it from re-registrations and
//! answers no reconciliation about an agent that it expects back.
//!
//! Where this and Apache Mesos 1.11 differ, the real one is right. Known and deliberate differences: freed resources are
//! offered at once instead of at the next batch; command tasks, task groups, quota, revocable resources, maintenance,
//! operations other than RESERVE, UNRESERVE, CREATE and DESTROY are refused with the error a real master gives invalid ones.

pub mod agent;
pub mod allocator;
pub mod ids;
pub mod link;
pub mod master;
pub mod wire;
