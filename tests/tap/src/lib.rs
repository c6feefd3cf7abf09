//! The TCP engine against Linux's TCP, over a TAP device in a network namespace that the test makes.
//!
//! ```text
//!   Linux: sockets of std, threads ─► tap0 ─► frames ─► Link ─► Host: one Tcb       10.77.0.1 and 10.77.0.2
//!                                                  ◄─ Link ◄─
//! ```
//!
//! The link between the device and the engine does what `tc netem` does (delay, loss, reordering, duplication,
//! corruption, rate, queue), by a clock of its own: not every kernel has `sch_netem`.

#![forbid(unsafe_code)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test runs on the host, may fail by panic, and its numbers are small"
)]

mod host;
mod link;
mod namespace;

pub use host::{Host, Opens, octets};
pub use link::{Link, Wire};
pub use namespace::{INSIDE, default_buffers, inside, ip};

/// Linux's address.
pub const LINUX: [u8; 4] = [10, 77, 0, 1];
/// The engine's.
pub const ENGINE: [u8; 4] = [10, 77, 0, 2];
/// The port of the listening side.
pub const PORT: u16 = 7000;
/// Hardware address of the engine.
pub const ENGINE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Name of the device.
pub const DEVICE: &str = "tap0";
