//! drive/manager: see ../shared design.
