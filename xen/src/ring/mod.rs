//! Rings in shared pages: slots for requests and responses (`io/ring.h`), and streams of bytes.
//!
//! | file | idea |
//! |------|------|
//! | `front` | [`FrontRing`]: the side that writes requests |
//! | `back` | [`BackRing`]: the side that writes responses |
//! | `arith` | index arithmetic of both, as pure functions |
//! | `byte_ring` | one direction of a stream of bytes: xenstore, console |

pub mod arith;
mod back;
pub(crate) mod byte_ring;
mod front;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;

pub use back::{BackRing, RequestOverrun};
pub use front::{FrontRing, RingOverrun};
