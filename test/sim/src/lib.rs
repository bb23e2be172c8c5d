//! km-sim.
