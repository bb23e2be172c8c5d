//! core/controllers: see ../shared design.
