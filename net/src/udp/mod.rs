//! UDP: receiving through the common set, sending through lanes that a silent peer cannot block.

pub(crate) mod datagram;
pub(crate) mod entry;
pub(crate) mod socket;
