//! TLS 1.3 for servers: rustls without `std` over RustCrypto, as sessions that take and give bytes.
//!
//! ```text
//!   bytes from the network ─► Session::receive ─► Session::read ─► the application
//!   the application ─► Session::write ─► a record ─► network
//!                      Session::take_output ─► handshake, tickets, alerts ─► network
//!
//!   Server ─ accept ─► Session           Identities ─ set_identities ─► Server: later sessions have them
//!     ├── provider    ChaCha20-Poly1305, X25519, ECDSA P-256, Ed25519, SHA-256
//!     ├── tickets     resumption without state
//!     └── generator   ChaCha20, seeded by the caller
//! ```
//!
//! A [`Server`] holds what sessions share. Time and entropy are arguments ([`Server::tick`], [`Server::reseed`]): the crate has
//! no clock and no source of random numbers.
//!
//! Only TLS 1.3 (RFC 8446), without early data, client certificates and renegotiation. Memory is bounded: a
//! [`Session`] holds at most one incoming record and its plaintext; its buffers exist only while bytes are in them.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

mod clock;
mod error;
mod generator;
mod identity;
mod provider;
mod server;
mod session;
mod tickets;

pub use error::Error;
pub use identity::{CHAIN_LIMIT, Identities, Identity, Refusal, RefusalReason, Secret};
pub use server::Server;
pub use session::{HANDSHAKE_LIMIT, RECORD_LIMIT, Session};
