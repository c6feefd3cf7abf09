//! Queues of UDP sockets and of taps.

pub(crate) mod inbox;
pub(crate) mod lanes;
pub(crate) mod tap_queue;
