//! The state of the stack as plain data, taken at one moment.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::base::counters::{Counters, Drops};
use smoltcp::wire::{EthernetAddress, IpEndpoint, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr};

/// The state of the stack at one moment; see [`crate::Net::status`].
#[derive(Clone, Debug)]
pub struct NetStatus {
    /// The interface's hardware address.
    pub mac: EthernetAddress,
    /// The name given in [`crate::Config`], else the one that DHCP gave.
    pub hostname: String,
    /// Whether frames can flow.
    pub link_up: bool,
    /// The largest IP packet that one frame carries, bytes.
    pub mtu: usize,
    /// Our address, if we have one.
    pub address: Option<Ipv4Cidr>,
    /// The way to everybody outside our network.
    pub gateway: Option<Ipv4Address>,
    /// Our IPv6 addresses, the link-local one first; empty: IPv6 is off.
    pub ipv6: Vec<Ipv6Status>,
    /// The router that takes IPv6 packets to everybody outside our networks.
    pub ipv6_gateway: Option<Ipv6Address>,
    /// Name servers that DHCP or the configuration named.
    pub dns: Vec<Ipv4Address>,
    /// Time servers that DHCP named.
    pub ntp: Vec<Ipv4Address>,
    /// Neighbours in the table.
    pub neighbours: usize,
    /// How the DHCP client stands.
    pub dhcp: DhcpStatus,
    /// TCP connections whose handshake is finished, accepted or not, or that we open.
    pub connections: usize,
    /// Handshakes that are not finished, but for those that a cookie answered.
    pub half_open: usize,
    /// Connections in TIME-WAIT that no application holds.
    pub time_wait: usize,
    /// Ports that are listened on.
    pub listeners: usize,
    /// UDP sockets.
    pub udp_sockets: usize,
    /// Events since the start.
    pub counters: Counters,
    /// What the TCP engine has counted, all connections together.
    pub tcp: tcp::Counters,
    /// Frames and datagrams dropped since the start, by reason.
    pub drops: Drops,
}

/// An IPv6 address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Status {
    /// The address and the length of its network's prefix.
    pub address: Ipv6Cidr,
    /// How it stands.
    pub state: Ipv6State,
}

/// How an IPv6 address of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6State {
    /// Not used yet: its owner, should there be one, has time to object.
    Tentative,
    /// In use.
    Valid,
    /// Another host has it: it is not used.
    Duplicate,
}

impl Ipv6State {
    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tentative => "tentative",
            Self::Valid => "valid",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A TCP connection at one moment; see [`crate::Net::tcp_connections`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpStatus {
    /// Our end.
    pub local: IpEndpoint,
    /// The peer's end.
    pub remote: IpEndpoint,
    /// The state, in the words of RFC 9293.
    pub state: &'static str,
    /// Bytes received that no application has read.
    pub unread: usize,
    /// Bytes written that the peer has not acknowledged.
    pub unacknowledged: usize,
    /// Time since the peer last sent anything.
    pub silent_for: Duration,
}

/// How the DHCP client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpStatus {
    /// The address is fixed; there is no client.
    Off,
    /// Looking for a server.
    Discovering,
    /// A lease is held.
    Bound {
        /// The server it is from.
        server: Ipv4Address,
        /// Its whole length, as last confirmed.
        lease: Duration,
        /// What is left of it.
        expires_in: Duration,
    },
}

impl fmt::Display for DhcpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("no dhcp"),
            Self::Discovering => f.write_str("dhcp looks for a server"),
            Self::Bound { server, lease, expires_in } => {
                let (lease, left) = (lease.as_secs(), expires_in.as_secs());
                write!(f, "dhcp by {server} for {lease} s, {left} s left")
            }
        }
    }
}
