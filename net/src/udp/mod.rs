//! Queues of UDP sockets and of taps.

pub(crate) mod datagram;
pub(crate) mod entry;
pub(crate) mod tap_queue;
