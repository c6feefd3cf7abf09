//! dom0's end of datafront, as a library: blocks into a guest over stock vchan, acknowledged.
//!
//! ```text
//!   Source ─► Pusher: Ledger, window ─► Outgoing ─► Connection ─► Way: libxenvchan, or vchan-socket-proxy ══► guest
//!                ▲ ◄──── WELCOME, ACK ◄───────────────┘ ◄════════════════════════════════════════════════════════┘
//!                └── the connection died: dial again, unacknowledged blocks are sent again
//! ```
//!
//! | file | idea |
//! |---|---|
//! | [`source`] | what a block is made of: a file, bytes, a folder as an archive |
//! | [`pieces`](mod@pieces) | a stream without a known length, as parts |
//! | `secret` | certificates and keys of a folder in one block |
//! | [`tree`] | a folder as a ustar archive whose length is known before it is read |
//! | [`dial`] | how the guest is reached: libxenvchan (the crate `vchan`), or `vchan-socket-proxy` as a child process |
//! | [`domain`] | the guest's number, and whether it listens |
//! | [`duration`] | durations on a command line |
//! | [`connection`] | bytes out, frames in, and one place that waits |
//! | `sending` | the block that is being sent |
//! | `outgoing` | small blocks together, large ones by reference |
//! | [`pusher`] | everything until the last acknowledgement, over as many connections as it takes |
//! | [`console`] | the output for a person, a log or a program |
//! | [`error`] | errors and the exit codes |
//!
//! ```no_run
//! use push::{Options, Pusher, Source, domain::Domain};
//! # fn main() -> Result<(), push::Error> {
//! let options = Options::default();
//! let domain = Domain::find("web", &options)?;
//! let mut pusher = Pusher::new(domain.dialer(&options), options);
//! pusher.enqueue(Source::file("index.html", "index.html".as_ref())?);
//! pusher.run(&mut |_| {})?;
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

pub mod connection;
pub mod console;
pub mod dial;
pub mod domain;
pub mod duration;
pub mod error;
mod outgoing;
pub mod pieces;
pub mod pusher;
mod secret;
mod sending;
pub mod source;
pub mod tree;

pub use dial::Dial;
pub use error::Error;
pub use pusher::{Done, Options, Pusher, Report};
pub use source::Source;
