//! io/cri: see ../shared design.
