//! HTTP to a guest: a strict client, and access to `/status.json`.

mod client;
mod status;

pub use client::{Connection, Reply, request};
pub use status::number;
