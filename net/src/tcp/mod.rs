//! TCP: one set of sockets for each connection.
//!
//! ```text
//!   SYN ─► open ─► Conn{HalfOpen} ─ACK─► Conn{Ready} ─accept─► Conn{Held} ─drop─► Conn{Orphan} ─► gone
//!          open_active ───────────────────────────────────────►
//! ```
//!
//! [`conn`] is a connection and the table of them, [`open`] makes them, [`life`] draws the consequences of what smoltcp
//! did to one, [`listener`], [`stream`] and [`half`] are what applications hold.

pub(crate) mod conn;
pub(crate) mod half;
pub(crate) mod isn;
pub(crate) mod life;
pub(crate) mod listener;
pub(crate) mod open;
pub(crate) mod stream;
