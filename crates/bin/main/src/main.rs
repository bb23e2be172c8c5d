//! km: Kubernetes on Apache Mesos.

fn main() {}
