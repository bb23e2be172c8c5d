//! The public face, over loopback sockets: certificates, TLS, serving, calling, bodies, tasks.

mod body;
mod pki;
mod serve;
mod task;
