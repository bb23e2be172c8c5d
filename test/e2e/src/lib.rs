//! km-e2e.
