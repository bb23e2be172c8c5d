//! drive/mesos-master: see ../shared design.
