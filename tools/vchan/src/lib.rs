//! vchan for Linux programs: byte streams to another domain, as client and as server.
//!
//! ```text
//!   push, pull (dom0) ─► Way ─┬─► libxenvchan::connect: client ─► gntdev, evtchn ══► a guest's server
//!   receive (a guest) ─► Way ─┼─► libxenvchan::Offer: server ──► gntalloc, evtchn ══► dom0's client
//!                             └─► Streams: two file descriptors (vchan-socket-proxy, a socket in tests)
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `way` | a byte stream each way, of which no call waits but the one that says so |
//! | [`streams`] | a way over two file descriptors |
//! | `libxenvchan` | a way over Debian's library, in both roles, if it is built with that library |
//! | [`layout`] | that library's own structure |
//! | `linger`, `processor` | looks again for a moment before it sleeps, and lets the other domain run meanwhile |
//!
//! `libxenvchan` and `processor` are the only files of the host programs with `unsafe`: they call C.
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

pub mod layout;
#[cfg(feature = "libxenvchan")]
pub mod libxenvchan;
#[cfg(any(feature = "libxenvchan", test))]
mod linger;
#[cfg(feature = "libxenvchan")]
mod processor;
pub mod streams;
mod way;

pub use way::Way;
