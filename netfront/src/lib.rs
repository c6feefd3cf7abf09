//! Xen's network frontend over a pool of pages that are granted once.
//!
//! ```text
//!   xenstore ◄──handshake── Life (a task)              NetDevice (in the loop) ──tokens──► smoltcp
//!                              └──────── Mailbox ─────────►│
//!                                                        Queue ─┬─ RxQueue: ring, slots, Pool<ReadWrite>
//!                                                               └─ TxQueue: ring, slots, Pool<ReadOnly>
//! ```
//!
//! No allocation, no grant and no hypercall per packet: pages go round between pool, ring and stack. Every number that
//! the backend writes is read once into a private copy, checked, and then used; it never indexes. What it does wrong has
//! a name ([`misbehaviour`]) and a consequence, and none of them is a panic.
//!
//! Begin with [`open`]. `rx` is backend → us and `tx` is us → backend, everywhere.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod attach;
mod books;
mod carrier;
mod chain;
pub mod config;
mod ctrl;
pub mod device;
pub mod feature;
mod handshake;
mod hash;
mod held;
pub mod judge;
mod large;
pub mod life;
mod lost;
mod mailbox;
mod mapping;
pub mod misbehaviour;
mod multicast;
pub mod nic;
pub mod offload;
mod parting;
mod patience;
pub mod polite;
pub mod pool;
mod queue;
mod refill;
mod report;
pub mod rx;
pub mod sent;
mod settle;
pub mod slots;
mod statics;
pub mod stats;
mod steering;
mod storm;
mod strip;
mod sum;
pub mod toeplitz;
mod token;
pub mod tx;
mod upkeep;
pub mod vif;
mod wiring;

pub use config::{Clearing, Config};
pub use device::NetDevice;
pub use feature::Feature;
pub use held::Packet;
pub use life::{Life, open};
pub use misbehaviour::{Consequence, Misbehaviour};
pub use nic::{Checksum, Nic, Received};
pub use patience::earlier;
pub use stats::Stats;
pub use sum::sum;
pub use toeplitz::HashKey;
pub use token::{RxToken, TxToken};
pub use vif::{ConnectError, LIST, Rate, changes_list, list};
