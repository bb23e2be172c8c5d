//! io/net: see ../shared design.
