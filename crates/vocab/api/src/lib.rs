//! The vocabulary of the Kubernetes API: objects as bytes, the table of resources, requests and answers,
//! selectors, quantities, `Status`, watch events.
//!
//! It stands between every part that speaks of API objects: the API server decides on these words, clients
//! and informers carry them, controllers, framework and executor reason about them.
//!
//! **Invariant:** an [`Object`] is immutable bytes plus parsed metadata; nothing here re-encodes it.
//! **Invariant:** [`Status`] is the only error that crosses the API.
//! Deliberately absent: transport (HTTP is `drive/apiserver` and `io/client`), storage, behaviour over time.

pub mod identity;
pub mod lister;
pub mod node;
pub mod object;
pub mod pod;
pub mod quantity;
pub mod request;
pub mod resource;
pub mod selector;
pub mod status;
pub mod watch;

pub use identity::Identity;
pub use object::{Meta, Object, OwnerReference};
pub use quantity::Quantity;
pub use request::{Body, ContentType, List, Options, Propagation, Request, Response, Verb};
pub use resource::{Resource, Scope};
pub use status::{Cause, Details, Reason, Status};
pub use watch::{Event, EventType};
