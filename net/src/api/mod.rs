//! The interface for the kernel and applications: the stack, and sockets of each kind.

pub(crate) mod net;
pub(crate) mod stack;
pub(crate) mod tap;
pub(crate) mod tcp_listener;
pub(crate) mod tcp_stream;
pub(crate) mod udp_socket;
