//! Xen's network frontend over a pool of pages that are granted once.
//!
//! ```text
//!   xenstore ◄──handshake── ConnectionTask (a task)    NetDevice (in the loop) ──tokens──► smoltcp
//!                              └──────── Mailbox ─────────►│
//!                                                        Queue ─┬─ RxQueue: ring, slots, Pool<ReadWrite>
//!                                                               └─ TxQueue: ring, slots, Pool<ReadOnly>
//! ```
//!
//! No packet costs an allocation, a grant or a hypercall: pages circulate between pool, ring and stack. Every number that
//! the backend writes is read once into a private copy, validated, and then used. Each rule that it can break has a name
//! and a consequence ([`misbehaviour`]); none is a panic.
//!
//! Four groups of files, each of which imports only those to its right:
//!
//! ```text
//!   connect ──► device ──► queue ──► wire          over the crates pool (pages) and nic (the stack's interface)
//!   xenstore    Nic,       rings     the protocol
//!               commands
//! ```
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

mod connect;
mod device;
mod queue;
mod wire;

pub use connect::store::{ConnectError, LIST, changes_list, list};
pub use connect::{ConnectionTask, open};
pub use device::NetDevice;
pub use device::config::{self, Clearing, Config, Trust};
pub use device::stats::{self, Stats};
pub use nic::{Checksum, HashKey, Nic, Packet, Received};
pub use queue::counters::{RxStats, TxStats};
pub use queue::token::{RxToken, TxToken};
pub use wire::feature::Feature;
pub use wire::misbehaviour::{self, Consequence, Misbehaviour};
pub use wire::rate::Rate;
pub use wire::{check_rx, check_tx, offload};
