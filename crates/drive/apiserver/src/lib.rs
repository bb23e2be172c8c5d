//! drive/apiserver: see ../shared design.
