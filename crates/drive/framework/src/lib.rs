//! drive/framework: see ../shared design.
