//! What a received frame is: for whom, which protocol, which connection. Reads only.

pub(crate) mod classify;
pub(crate) mod demux;
pub(crate) mod fragments;
pub(crate) mod local;
pub(crate) mod too_big;
