//! drive/mesos-agent: see ../shared design.
