//! The simulator's own tests: that it is Xen enough, and that it catches what it is there to catch.

#![allow(
    clippy::alloc_instead_of_core,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test stops where something is not as expected"
)]

mod common;
mod console;
mod events;
mod grants;
mod netback;
mod politeness;
mod store;
