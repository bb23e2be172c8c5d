//! vocab/base: see ../shared design.
