//! The whole guest on the host: xenstore client, netfront and stack as they are in the image, over the simulated Xen.
//!
//! The kernel's loop is `guest.rs`, in a small form. A guest sleeps as in Xen: without work it blocks, and only an
//! event or its timer wakes it, so a lost wake-up or notification ends a test with a dump.

mod frames;
mod guest;
mod handshake;
mod hostile;
mod peers;
mod restore;
mod retained;
mod slow;
mod twins;
mod upper;
mod waiting;
