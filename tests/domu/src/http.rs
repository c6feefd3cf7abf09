//! HTTP to a guest: a client that believes little, and what `/status.json` tells.

mod client;
mod status;

pub use client::{Connection, Reply, request};
pub use status::number;
