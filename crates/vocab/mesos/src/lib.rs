//! vocab/mesos: see ../shared design.
