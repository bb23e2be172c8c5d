//! core/netrules: see ../shared design.
