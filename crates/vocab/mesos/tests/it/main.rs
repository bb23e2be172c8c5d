//! Holds the messages to recorded exchanges with Apache Mesos, and the pure parts to their properties.
//!
//! `tests/fixtures` holds raw connections: `*.c2s.bin` is what the client sent, `*.s2c.bin` what Mesos answered,
//! HTTP framing included. No socket is opened here.

mod fixtures;
mod properties;
mod round_trip;
