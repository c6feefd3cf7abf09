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
    /// The host name: that of [`crate::Config`], or else that of DHCP.
    pub hostname: String,
    /// Whether frames can flow.
    pub link_up: bool,
    /// The largest IP packet that one frame carries, bytes.
    pub mtu: usize,
    /// The IPv4 address.
    pub address: Option<Ipv4Cidr>,
    /// The IPv4 gateway.
    pub gateway: Option<Ipv4Address>,
    /// The IPv6 addresses, the link-local one first. Empty: IPv6 is off.
    pub ipv6: Vec<Ipv6Status>,
    /// The IPv6 default router.
    pub ipv6_gateway: Option<Ipv6Address>,
    /// Name servers, of DHCP or the configuration.
    pub dns: Vec<Ipv4Address>,
    /// Time servers, of DHCP.
    pub ntp: Vec<Ipv4Address>,
    /// Entries of the neighbour table.
    pub neighbours: usize,
    /// The state of the DHCP client.
    pub dhcp: DhcpStatus,
    /// TCP connections with a finished handshake, accepted or not, and those that this host opens.
    pub connections: usize,
    /// Half-open connections, without those that got a SYN cookie.
    pub half_open: usize,
    /// Connections in TIME-WAIT.
    pub time_wait: usize,
    /// Ports with a listener.
    pub listeners: usize,
    /// UDP sockets.
    pub udp_sockets: usize,
    /// Events since the start.
    pub counters: Counters,
    /// The counters of the TCP engine, over all connections.
    pub tcp: tcp::Counters,
    /// Frames and datagrams dropped since the start, by reason.
    pub drops: Drops,
}

/// An IPv6 address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Status {
    /// The address and its prefix length.
    pub address: Ipv6Cidr,
    /// Its state.
    pub state: Ipv6State,
}

/// The state of an IPv6 address (RFC 4862).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6State {
    /// In duplicate address detection, and not used yet.
    Tentative,
    /// In use.
    Valid,
    /// In use by another host, and not used here.
    Duplicate,
}

impl Ipv6State {
    /// The state as a word.
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
    /// The local address and port.
    pub local: IpEndpoint,
    /// The peer's address and port.
    pub remote: IpEndpoint,
    /// The state, as RFC 9293 names it.
    pub state: &'static str,
    /// Received bytes that the application has not read.
    pub unread: usize,
    /// Written bytes that the peer has not acknowledged.
    pub unacknowledged: usize,
    /// The time since the last segment of the peer.
    pub silent_for: Duration,
}

/// The state of the DHCP client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpStatus {
    /// The address is fixed.
    Off,
    /// No server has answered yet.
    Discovering,
    /// There is a lease.
    Bound {
        /// The server that granted it.
        server: Ipv4Address,
        /// Its duration, as last confirmed.
        lease: Duration,
        /// The rest of it.
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
