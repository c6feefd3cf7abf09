//! Tests of the client against a small xenstored that does what a test orders, including faults.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a test that overflows fails"
)]

mod byte_ring;
mod hostile;
mod nodes;
mod reconnect;
pub(crate) mod stub;
mod transaction;
mod watch;
mod wire;
