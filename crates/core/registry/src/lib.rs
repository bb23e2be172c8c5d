//! core/registry: see ../shared design.
