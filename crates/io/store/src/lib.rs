//! io/store: see ../shared design.
