//! Scripts of events against the actions they cause, and random orders against what must always hold.

mod bench;
mod random;
mod scripts;
