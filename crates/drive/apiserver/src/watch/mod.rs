//! Watches: one encoding of each change, shared by all who follow it.
//!
//! The [`publisher`](crate::publisher) hands each durable [`Change`] to the [`hub::Hub`], which knows who
//! follows what; a [`stream::Watch`] is one follower: first its initial events, then what the hub sends.
//! A follower costs its filter, a queue that allocates as it fills, and a timer: no task of its own.

pub(crate) mod change;
pub(crate) mod filter;
pub(crate) mod hub;
pub(crate) mod stream;

pub(crate) use change::Change;
pub(crate) use filter::Filter;
pub(crate) use stream::{Item, Watch};
