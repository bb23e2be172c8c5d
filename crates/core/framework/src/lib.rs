//! core/framework: see ../shared design.
