//! The whole guest on the host: xenstore client, netfront and stack as they are in the image, over the simulated Xen.
//!
//! The kernel's loop is `guest.rs`, in small. A guest here truly sleeps: when it has nothing to do it blocks in Xen, and
//! only an event or its timer wakes it, so that a wake-up or a notification that gets lost ends a test with a dump.

mod frames;
mod guest;
mod handshake;
mod held;
mod hostile;
mod peers;
mod restore;
mod slow;
mod upper;
