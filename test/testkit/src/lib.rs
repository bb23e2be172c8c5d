//! km-testkit.
