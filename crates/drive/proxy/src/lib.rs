//! drive/proxy: see ../shared design.
