//! vocab/api: see ../shared design.
