//! Runs the controllers: keeps their listers up to date, queues the keys that a change may concern, and
//! performs the plans of `core/controllers`.
//!
//! **Invariant:** one task owns listers and queue; a key is never worked on twice at the same time.
//! **Invariant:** what a plan created, changed or deleted is in the listers before its key is looked at again,
//! so a slow informer cannot make a controller create the same thing twice.
//! Deliberately absent: decisions (`core/controllers`); a leader election (docs/status.md).

mod controllers;
mod delta;
mod events;
mod perform;
mod queue;
mod run;
mod wake;

pub use controllers::{Controllers, Key};
pub use delta::Projection;
pub use perform::{Attempt, Written, attempt, request};
pub use run::{Manager, ManagerConfig, ManagerDeps};
