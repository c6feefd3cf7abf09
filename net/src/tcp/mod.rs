//! TCP: the engine's connections with their owners, and listeners. The protocol is the crate `tcp`.
//!
//! ```text
//!   SYN ─► SYN cache or cookie ─ACK─► Conn{Ready} ─accept─► Conn{Held} ─drop─► Conn{Orphan} ─► TIME-WAIT ─► gone
//!          connect ──────────────────────────────────────►      │ ▲
//!                                                           park │ │ ready: bytes were received
//!                                                                ▼ │
//!                                                           Conn{Parked}
//! ```

pub(crate) mod conn;
mod idle;
pub(crate) mod link;
pub(crate) mod listener;
mod memory;
pub(crate) mod open;
pub(crate) mod options;
mod refresh;
pub(crate) mod shard;
pub(crate) mod socket;
