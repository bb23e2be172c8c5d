//! io/mesos-client: see ../shared design.
