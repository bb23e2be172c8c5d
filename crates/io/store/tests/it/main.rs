//! The store through its public face: what is acknowledged is there after anything; what is not, is not.

mod crash;
mod faults;
mod fixture;
mod recovery;
