//! core/mesos: see ../shared design.
