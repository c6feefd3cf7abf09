//! The bill of materials of an image, from `cargo tree` and `Cargo.lock`.
//!
//! ```text
//!   appliances/*/build.rs ──► write_note ──► note of the image: readelf -n, /status.json
//!   make dist ──► bill ──► cyclonedx ──► NAME.cdx.json
//! ```
//!
//! It does not depend on the machine or the time of the build: the same sources give the same bytes.

#![forbid(unsafe_code)]
#![allow(
    clippy::std_instead_of_core,
    clippy::alloc_instead_of_core,
    reason = "a program of the host: the standard library"
)]

mod components;
mod cyclonedx;
mod note;

pub use components::{Component, Image};
pub use cyclonedx::cyclonedx;
pub use note::{note, write_note};
