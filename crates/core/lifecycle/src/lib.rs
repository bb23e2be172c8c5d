//! core/lifecycle: see ../shared design.
