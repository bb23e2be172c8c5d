//! drive/executor: see ../shared design.
