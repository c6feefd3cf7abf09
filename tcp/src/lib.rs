//! TCP for servers: a sans-IO engine without clock, device or random numbers of its own.
//!
//! ```text
//!   frame ─► Segment::parse ─► Tcb::on_segment ─┐                   ┌─► Tcb::take_events ─► the application's tasks
//!            payload P (page or copy) ──────────┤        Tcb        ├─► Tcb::recv ─► P
//!   Tcb::next_timer ─► clock ─► Tcb::on_timer ──┤  Option<Box<..>>  │
//!   application ─► Tcb::send(Bytes), shutdown ──┘                   └─► Tcb::poll_transmit ─► Transmit
//!                                                                         header, slices of Bytes ─► frame
//! ```
//!
//! In each iteration of its loop the caller passes each segment to its connection, runs the tasks, calls [`Tcb::on_timer`]
//! of connections whose [`Tcb::next_timer`] has passed, and calls [`Tcb::poll_transmit`] of each touched connection until
//! `None`. Each call takes `now`, which is monotonic. The connections of a shard share an [`Env`]: configuration, counters,
//! limits, and spare boxes.
//!
//! A connection is opened by [`Tcb::connect`], [`Tcb::passive`], or [`Tcb::established`] after a SYN cache or cookie.
//! It is over when [`Events::CLOSED`] was reported; [`Events::TIME_WAIT`] lets a caller move it to a smaller table.
//!
//! The engine does not find the connection of a segment, verify checksums, generate secrets, answer segments without a
//! connection ([`Segment::reset_for`] builds the answer), or limit the connections of a source address.
//!
//! The public items of this crate are its interface.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

mod ack;
mod active;
mod challenge;
mod close;
mod config;
mod env;
mod input;
mod keepalive;
mod memory;
mod open;
mod output;
mod path_mtu;
mod payload;
mod rack;
mod reassembly;
mod recovery;
mod sack;
mod scoreboard;
mod segment;
mod send_rope;
mod seq;
mod tcb;
mod time;
mod timers;
mod window;
mod work;

#[cfg(test)]
mod tests;

pub mod connections;
pub mod cookie;
pub mod cubic;
pub mod handshake;
pub mod hystart;
pub mod isn;
pub mod limiter;
pub mod list;
pub mod ports;
pub mod prr;
pub mod rto;
pub mod slab;
pub mod sources;
pub mod syn_cache;
pub mod table;
pub mod time_wait;
pub mod tuple;
pub mod wheel;

pub use config::{Agreed, Config, Ecn, Open};
pub use env::{Counters, Env};
pub use input::Reply;
pub use output::{Limits, SendError, Transmit};
pub use payload::Payload;
pub use segment::{Flags, ParseError, SackBlocks, Segment, Timestamps};
pub use send_rope::Slices;
pub use seq::Seq;
pub use tcb::{CloseReason, Events, State, Tcb, TimeWait};
