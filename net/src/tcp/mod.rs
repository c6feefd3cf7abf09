//! TCP: the engine's connections, who owns them, and listeners. The protocol itself is the crate `tcp`.
//!
//! ```text
//!   SYN ─► SYN cache or cookie ─ACK─► Conn{Ready} ─accept─► Conn{Held} ─drop─► Conn{Orphan} ─► TIME-WAIT ─► gone
//!          connect ──────────────────────────────────────►      │ ▲
//!                                                           park │ │ ready: there is something to read
//!                                                                ▼ │
//!                                                           Conn{Parked}
//! ```

pub(crate) mod conn;
mod deadlines;
mod idle;
pub(crate) mod listener;
pub(crate) mod open;
pub(crate) mod shard;
pub(crate) mod socket;
