//! vocab/schema: see ../shared design.
