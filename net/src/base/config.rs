//! How the stack is set up: addresses, name, limits. Read once, when the [`crate::Stack`] is made.

use alloc::string::String;
use alloc::vec::Vec;

use ledger::Ledger;
use smoltcp::wire::{Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr};

/// What a [`crate::Stack`] is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the interface's address comes from.
    pub addressing: Addressing,
    /// Where its IPv6 addresses come from.
    pub ipv6: Ipv6Addressing,
    /// The name of this host, sent to the DHCP server; empty: none is sent.
    pub hostname: String,
    /// Seeds ports, identifiers, the demultiplexer's hash and smoltcp's generator. A different one at each boot.
    pub seed: [u8; 32],
    /// Whether an IPv4 address is probed before it is used.
    pub probing: Probing,
    /// What a peer may make us spend.
    pub limits: Limits,
    /// Memory for what peers send and make us keep: the accounts of TCP, UDP, fragments and neighbours. Several stacks
    /// may share one.
    pub ledger: Ledger,
}

/// Whether an IPv4 address is probed before it is used. RFC 5227.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probing {
    /// It is probed for about half a second, and not used if another host has it.
    #[default]
    On,
    /// It is used at once. Another host that has it is noticed later.
    Off,
}

/// Where the interface's address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Addressing {
    /// Ask a DHCPv4 server, and keep asking.
    Dhcp,
    /// A fixed IPv4 address.
    Static {
        /// Our address and the length of our network's prefix.
        address: Ipv4Cidr,
        /// The way to everybody else; without one, only our own network is reached.
        gateway: Option<Ipv4Address>,
        /// Name servers; shown in the status, not used by the stack.
        dns: Vec<Ipv4Address>,
    },
}

/// Where the interface's IPv6 addresses come from. Unless it is off there is a link-local one, `fe80::` and the modified
/// EUI-64 of the hardware address. No address is used before nobody objected to it for a second (RFC 4862, 5.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ipv6Addressing {
    /// IPv6 is not spoken.
    Off,
    /// From what routers advertise: the way out, and an address for each of up to two prefixes, with the same EUI-64.
    #[default]
    Auto,
    /// One more fixed address. Routers' advertisements are not heeded.
    Static {
        /// Our address and the length of our network's prefix.
        address: Ipv6Cidr,
        /// The way to everybody else; without one, only our own network is reached.
        gateway: Option<Ipv6Address>,
    },
}

/// Caps on what the network can make us spend; each one that is hit is counted in [`crate::Counters`] or
/// [`crate::Drops`].
///
/// Memory has a cap of its own: [`Config::ledger`]. An idle connection takes about 300 bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP connections. Beyond it the longest idle one gives way.
    pub connections: usize,
    /// Those of one source: an IPv4 address, or a /64 of IPv6.
    pub connections_per_source: usize,
    /// Handshakes that are not finished, 64 bytes each. Beyond it SYN cookies are sent.
    pub half_open: usize,
    /// Connections in TIME-WAIT, about 48 bytes each; the oldest makes room for the next.
    pub time_wait: usize,
    /// Neighbours whose hardware addresses are kept.
    pub neighbours: usize,
    /// Received frames handled in one turn.
    pub rx_budget: usize,
    /// Frames sent in one turn.
    pub tx_budget: usize,
}

impl Limits {
    /// Caps for a ledger of so many bytes: each is a fraction of it.
    #[must_use]
    pub fn for_memory(bytes: usize) -> Self {
        /// Bytes of the ledger for each connection, half-open one, connection in TIME-WAIT, and neighbour.
        const CONNECTION: usize = 256;
        const HALF_OPEN: usize = 16 * 1024;
        const TIME_WAIT: usize = 3 * 1024;
        const NEIGHBOUR: usize = 8 * 1024;
        let connections = (bytes / CONNECTION).max(256);
        Self {
            connections,
            connections_per_source: connections / 2,
            half_open: (bytes / HALF_OPEN).clamp(64, 16_384),
            time_wait: (bytes / TIME_WAIT).clamp(128, 262_144),
            neighbours: (bytes / NEIGHBOUR).clamp(1024, 65_536),
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_source: 5_000,
            half_open: 256,
            time_wait: 1024,
            neighbours: 2048,
            rx_budget: 64,
            tx_budget: 256,
        }
    }
}
