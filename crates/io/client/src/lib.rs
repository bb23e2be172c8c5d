//! io/client: see ../shared design.
