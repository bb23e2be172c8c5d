//! What the network of a node must do for Services, as data: which address leads to which endpoints, the
//! nftables text that makes the kernel do it, and the answers of the cluster's DNS.
//!
//! In the pod's journey this is the last part: a running pod's EndpointSlice becomes a rule on every node,
//! and its Service's name an answer. `drive/proxy` performs it.
//!
//! **Invariant:** a rule set is a function of Services, EndpointSlices, host ports and configuration alone;
//! the change from one rule set to the next is one nftables transaction.
//! **Invariant:** every rule is in one table of this executor's own, so removing the table removes all.
//! Deliberately absent: IPv6, session affinity, load balancer addresses (docs/status.md); sockets, `nft`
//! itself, forwarding of foreign DNS names (`drive/proxy`).

pub mod dns;
mod nft;
mod ruleset;

pub use nft::{remove_script, script};
pub use ruleset::{Backend, Frontend, LocalService, NetConfig, Protocol, RuleSet, compute};
