//! Blocks of data from an application in dom0 to an application in this guest, acknowledged, without a network.
//!
//! ```text
//!   dom0                                  |  this guest
//!   push ─ vchan-socket-proxy ─ libxenvchan ══ control page + two rings, granted once ══ vchan::Server
//!            stdin, stdout: bytes         |                                         Channel: Read + Write
//!   Ledger: unacknowledged blocks ──────── frames of docs/datafront.md ──────────► Receiver ─► Application
//!           ◄──────────────────────── acknowledgements with a status ◄────────────────┘
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`vchan`] | two byte streams over shared pages, as Xen's libxenvchan has them |
//! | [`block`] | named, numbered, checked blocks on any byte stream; exactly once and in order |
//!
//! The two know nothing of each other: blocks run over any stream, and the channel carries any bytes. Both believe the
//! other side nothing: what breaks a rule ends the connection with the rule's name, and the next connection heals it.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod block;
pub mod vchan;
