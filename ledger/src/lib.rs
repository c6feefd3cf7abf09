//! One ledger over the heap: each allocation whose size a peer or dom0 decides is reserved here first.
//!
//! ```text
//!   Ledger: bytes of the heap that may be reserved
//!     ├─ Account tcp        floor ▓▓▓░░░░░░░░ limit      reserve(n) ─► Reservation (given back when dropped)
//!     ├─ Account content    floor ▓▓▓▓▓░░░░░░ limit                 └► Refused, if limit or memory do not permit it
//!     └─ …                                                Buffer: bytes with their reservation, grown fallibly
//! ```
//!
//! Each consumer has a *floor*, which no other consumer can use up, and a *limit*, which it cannot exceed. Both are
//! fractions of the ledger's bytes ([`SHARES`]). A reservation of consumer *c* succeeds if *c* stays within its limit, and
//! if the sum of max(used, floor) over all open accounts stays within the ledger. So the limits may add up to more than
//! the memory, and still no client of one consumer can take what another one needs.
//!
//! A consumer keeps memory for others: TCP keeps buffers for peers, the web appliance content for dom0. Memory
//! of a fixed size and number (a task, a ring) needs no reservation.
//!
//! # Use
//!
//! ```
//! use ledger::{Buffer, Consumer, Ledger};
//!
//! let ledger = Ledger::new(1 << 20);
//! let tcp = ledger.open(Consumer::Tcp);
//! // Account for memory that is allocated elsewhere, fallibly:
//! let window = tcp.reserve(64 << 10)?;
//! // Bytes with their own reservation:
//! let mut buffer = Buffer::new(&tcp);
//! buffer.try_extend(b"from a client")?;
//! assert_eq!(tcp.used(), window.bytes() + buffer.capacity());
//! drop((window, buffer));
//! assert_eq!(tcp.used(), 0);
//! assert!(tcp.reserve(1 << 20).is_err());
//! # Ok::<(), ledger::Refused>(())
//! ```

#![no_std]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]
#![forbid(unsafe_code)]

extern crate alloc;

mod account;
mod buffer;
mod share;
#[cfg(test)]
mod tests;

pub use account::{Account, Ledger, Refused, Reservation, Usage};
pub use buffer::Buffer;
pub use share::{Consumer, SHARES, Share};
