//! Blocks of data between an application in dom0 and an application in this guest, acknowledged, without a network.
//!
//! ```text
//!   dom0                                  |  this guest
//!   push ─ vchan-socket-proxy ─ libxenvchan ══ control page + two rings, granted once ══ vchan::Server
//!            stdin, stdout: bytes         |                                         Channel: Read + Write
//!   Ledger: unacknowledged blocks ──────── frames of docs/datafront.md ──────────► Receiver ─► Application
//!           ◄──────────────────────── acknowledgements with a status ◄────────────────┘
//!
//!   pull ─ Receiver ◄──────────────── frames, the other way round ─────────────────── send ◄─ Outbox ◄─ application
//!           acknowledgements ─────────────────────────────────────────────────────────► Outbox: memory comes back
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`vchan`] | two byte streams over shared pages, as Xen's libxenvchan has them |
//! | [`block`] | named, numbered, checked blocks on any byte stream; exactly once and in order |
//!
//! Groups, side by side; neither imports the other:
//!
//! ```text
//!   block, vchan
//! ```
//!
//! Blocks run over any stream, and the channel carries any bytes. Both check everything that the other side sends: a
//! broken rule ends the connection with the rule's name, and the next connection starts over.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

pub mod block;
pub mod vchan;
