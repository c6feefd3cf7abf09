//! TCP for servers: a sans-IO engine without clock, device or random numbers of its own.
//!
//! ```text
//!   segments in ─► engine ─► segments out        now, secrets and limits are arguments
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod cubic;
pub mod hystart;
pub mod isn;
pub mod limiter;
pub mod list;
pub mod ports;
pub mod prr;
pub mod rto;
pub mod slab;
pub mod sources;
pub mod table;
pub mod tuple;
pub mod wheel;
