//! Blocks: named, numbered and checked sequences of bytes on any byte stream, exactly once and in order.
//!
//! ```text
//!   sender                                        receiver
//!   Ledger ── HELLO stream, first unacknowledged ──► Receiver: which stream is it, how far did it come?
//!          ◄─ WELCOME last completed, window ───────
//!          ── BLOCK name, length, seq; bytes; CRC ──► Application: begin, data …, finish
//!          ◄─ ACK seq, status ──────────────────────           (status: the application's word)
//!          ── BLOCK … (up to a window unacknowledged)
//! ```
//!
//! | file | idea |
//! |---|---|
//! | [`wire`] | frames from and to bytes; `docs/datafront.md` describes them |
//! | `check` | CRC-32C that grows with the bytes |
//! | `stats` | the receiver's counters |
//! | [`status`] | the status in an acknowledgement |
//! | `application` | the user of received blocks |
//! | `fault` | rules that a sender can break |
//! | `streams` | how far each stream has come |
//! | [`receiver`] | bytes to blocks, blocks to the application, acknowledgements |
//! | [`ledger`] | the sender's state: unacknowledged blocks |
//! | [`serve`](mod@serve) | a receiver on an async stream |
//! | [`outbox`] | the blocks that wait in a guest until dom0 has them, in bounded memory |
//! | [`send`](mod@send) | an outbox on an async stream |
//!
//! Neither side waits in here, nor depends on what carries the bytes: after the end of a connection, the next HELLO
//! says where to continue. A sender forgets a block when it is acknowledged; a receiver counts it when the
//! application has it.

mod application;
mod check;
mod fault;
pub mod ledger;
pub mod outbox;
pub mod receiver;
pub mod send;
pub mod serve;
mod stats;
pub mod status;
mod streams;
pub mod wire;

pub use application::{Application, BlockHead};
pub use fault::Fault;
pub use ledger::{Event, Ledger, LedgerFault};
pub use outbox::{Outbox, OutgoingBlock, WhenFull};
pub use receiver::Receiver;
pub use send::{SendError, send};
pub use serve::{ServeError, serve};
pub use stats::{BlockCounts, ReceiverStats};
pub use status::Status;
pub use streams::Streams;
pub use wire::{Form, Frame, Part};
