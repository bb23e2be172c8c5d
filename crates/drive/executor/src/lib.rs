//! drive/executor: see ../shared design.

pub mod runtime;
