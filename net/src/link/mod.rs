//! The link: smoltcp's interface, and frames of ARP and neighbour discovery that this crate sends itself.

pub(crate) mod arp;
pub(crate) mod interface;
pub(crate) mod ndisc;
pub(crate) mod neighbours;
pub(crate) mod wire;
