//! Frames: what a received one is, and the packets that are sent.

pub(crate) mod classify;
pub(crate) mod emit;
pub(crate) mod extension;
pub(crate) mod local;
pub(crate) mod reassembly;
pub(crate) mod rebuild;
pub(crate) mod too_big;
