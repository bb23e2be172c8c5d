//! What tests share: the law of the tree, as functions that judge text.
//!
//! [`layers`] reads `layers.toml` and judges the crates' dependencies; [`tidy`] judges the files. `tests/it` applies both
//! to this repository. Everything here is a pure function from text to complaints, so that each rule is itself tested on
//! a small input that breaks it.
//!
//! **Invariant:** no function here reads a file or runs a program; `tests/it` does.
//!
//! Deliberately absent: formatting and lints (rustfmt and clippy hold those).

pub mod layers;
pub mod tidy;
