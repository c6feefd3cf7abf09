//! The configuration of a stack: addresses, name, limits. It is read once, by [`crate::Stack::new`].

use alloc::string::String;
use alloc::vec::Vec;

use ledger::Ledger;
use smoltcp::wire::{Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr};

/// The configuration of a [`crate::Stack`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The source of the IPv4 address.
    pub addressing: Addressing,
    /// The source of the IPv6 addresses.
    pub ipv6: Ipv6Addressing,
    /// The host name for the DHCP server. Empty: none is sent.
    pub hostname: String,
    /// The seed of ports, identifiers, the demultiplexer's hash and smoltcp's generator. It differs at each boot.
    pub seed: [u8; 32],
    /// Whether an IPv4 address is probed before it is used.
    pub probing: Probing,
    /// Limits on what peers can make the guest spend.
    pub limits: Limits,
    /// The ledger for memory whose size peers decide: the accounts of TCP, UDP, fragments and neighbours. Several
    /// stacks may share it.
    pub ledger: Ledger,
}

/// Whether an IPv4 address is probed before it is used. RFC 5227.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probing {
    /// The address is probed for about half a second. It is not used if another host has it.
    #[default]
    On,
    /// The address is used at once. A conflict is detected later.
    Off,
}

/// The source of the interface's IPv4 address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Addressing {
    /// A DHCPv4 server, which is asked until it answers.
    Dhcp,
    /// A fixed IPv4 address.
    Static {
        /// The address and its prefix length.
        address: Ipv4Cidr,
        /// The gateway. `None`: only the local network is reachable.
        gateway: Option<Ipv4Address>,
        /// Name servers. The status shows them; the stack does not use them.
        dns: Vec<Ipv4Address>,
    },
}

/// The source of the interface's IPv6 addresses. Unless IPv6 is off, there is a link-local address: `fe80::` and the
/// modified EUI-64 of the hardware address. Each address passes duplicate address detection for a second before it is
/// used (RFC 4862, 5.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ipv6Addressing {
    /// No IPv6.
    Off,
    /// Router advertisements: the default router, and an address for each of up to two prefixes, with the same EUI-64.
    #[default]
    Auto,
    /// One fixed address beside the link-local one. Router advertisements are ignored.
    Static {
        /// The address and its prefix length.
        address: Ipv6Cidr,
        /// The gateway. `None`: only the local network is reachable.
        gateway: Option<Ipv6Address>,
    },
}

/// Limits on what the network can make the guest spend. Reaching one is counted in [`crate::Counters`] or
/// [`crate::Drops`].
///
/// Memory has a limit of its own: [`Config::ledger`]. An idle connection takes about 300 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP connections. At the limit the connection that is idle for the longest time ends.
    pub connections: usize,
    /// TCP connections of one source: an IPv4 address, or an IPv6 /64.
    pub connections_per_source: usize,
    /// Half-open connections, 64 bytes each. At the limit SYN cookies are sent.
    pub half_open: usize,
    /// Connections in TIME-WAIT, about 48 bytes each. At the limit the oldest one is removed.
    pub time_wait: usize,
    /// Entries of the neighbour table.
    pub neighbours: usize,
    /// Received frames handled in one iteration.
    pub rx_budget: usize,
    /// Frames sent in one iteration.
    pub tx_budget: usize,
}

impl Limits {
    /// Limits that fit a ledger of `bytes` bytes: each is a fraction of it.
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
