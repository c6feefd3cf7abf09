//! The bill of materials of an image, from `cargo tree` and `Cargo.lock`.
//!
//! ```text
//!   appliances/*/build.rs ──► write_note ──► note of the image: readelf -n, /status.json
//!   make dist ──► bill ──► cyclonedx ──► NAME.cdx.json
//! ```
//!
//! It does not depend on the machine or the time of the build: the same sources give the same bytes.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod components;
mod cyclonedx;
mod note;

pub use components::{Component, Image};
pub use cyclonedx::cyclonedx;
pub use note::{note, write_note};
