//! libxenvchan's channel: two byte streams between two domains over a control page and two rings. Both roles.
//!
//! ```text
//!   client (dom0)                                             server (this guest: chooses the sizes, owns the pages)
//!   write ─► left ring ──── left.prod ──── event, if asked for ──► read
//!   read  ◄─ right ring ◄── right.prod ─── event, if asked for ◄── write
//!            cli_notify: events that the client is to send;  srv_notify: those that the server is to send
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `order` | the sizes and places of rings |
//! | `ring` | bytes into and out of a ring in several pages |
//! | `endpoint` | one side's view of control page and rings: indexes, liveness, requests for events |
//! | `link` | an endpoint with its event channel: async reads and writes |
//! | `server` | the side that owns the pages: one client after another |
//! | `client` | the side that maps the other's pages: one server after another |
//! | `path` | a xenstore path that fits libxenvchan |
//! | `stats` | what a server counts |
//! | `error` | errors |
//!
//! Indexes are 32 bits, run freely and wrap; a ring may be full. Our own index is kept in our memory and only written
//! to the page; the peer's is read once, checked and used. Orders are never read back, so a later change by the peer
//! has no effect here. Header `io/libxenvchan.h`, Xen 4.17.

mod client;
mod endpoint;
mod error;
mod link;
mod order;
mod path;
mod ring;
mod server;
mod stats;

pub use client::{Client, Connection};
pub use endpoint::Misbehaviour;
pub use error::{ChannelError, ClientError, ServerError};
pub use order::{Order, Sizes};
pub use path::{MAX_PATH_BYTES, Path, PathError};
pub use server::{Channel, Server, Settings};
pub use stats::Stats;
