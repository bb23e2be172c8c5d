//! core/scheduler: see ../shared design.
