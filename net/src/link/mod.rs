//! The link: the neighbour table, and frames of ARP and neighbour discovery.

pub(crate) mod arp;
pub(crate) mod ndisc;
pub(crate) mod neighbours;
pub(crate) mod wire;
