//! What the stack tells of itself: plain data, taken at one moment.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use smoltcp::wire::{EthernetAddress, IpEndpoint, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr};

/// The state of the stack at one moment; see [`crate::Net::status`].
#[derive(Clone, Debug)]
pub struct NetStatus {
    /// The interface's hardware address.
    pub mac: EthernetAddress,
    /// The name given in [`crate::Config`].
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
    /// How the DHCP client stands.
    pub dhcp: DhcpStatus,
    /// TCP connections in all states, accepted or not.
    pub connections: usize,
    /// Those whose handshake is not finished.
    pub half_open: usize,
    /// Those in TIME-WAIT that no application holds.
    pub time_wait: usize,
    /// Ports that are listened on.
    pub listeners: usize,
    /// UDP sockets.
    pub udp_sockets: usize,
    /// Deadlines in the timer tree.
    pub timers: usize,
    /// Everything that is counted since the start.
    pub counters: Counters,
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

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Events since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
            drops: [u64; DropReason::ALL.len()],
        }

        impl Counters {
            /// Every counter but the drops, with its name.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Turns of the loop.
    turns,
    /// ARP frames handed to the stack.
    rx_arp,
    /// Messages of IPv6 neighbour discovery.
    rx_neighbour,
    /// TCP segments handed to the stack.
    rx_tcp,
    /// UDP datagrams handed to the stack.
    rx_udp,
    /// ICMP messages handed to the stack.
    rx_icmp,
    /// Pieces of fragmented datagrams handed to the stack.
    rx_fragment,
    /// Other IPv4 packets handed to the stack.
    rx_other,
    /// Turns that ended with the receive budget used up.
    rx_budget_hits,
    /// Turns that ended with the transmit budget used up.
    tx_budget_hits,
    /// Turns that had something to send and no slot, or no link.
    tx_exhausted,
    /// Sockets that smoltcp was made to look at, in ingress and egress together.
    socket_visits,
    /// Deadlines that were reached.
    timers_fired,
    /// Times that the guest stood still for longer than a second when it was due.
    standstills,
    /// Connections handed to an application by a listener.
    accepted,
    /// Connections that we opened and the peer accepted.
    connected,
    /// Segments to a port on which nobody listens, answered with RST.
    refused,
    /// Connections reset by the peer.
    reset,
    /// Connections given up because the peer was silent.
    timed_out,
    /// Handshakes that the peer did not finish in time.
    half_open_expired,
    /// Connections in TIME-WAIT that ended early to make room, or for a new connection with the same ports.
    time_wait_recycled,
    /// Times that a router's word made the packets of a connection smaller.
    paths_narrowed,
    /// Leases taken, a change of address included.
    dhcp_bound,
    /// Leases confirmed again.
    dhcp_renewed,
    /// Leases lost.
    dhcp_lost,
    /// Gratuitous ARP frames and unsolicited neighbour advertisements sent.
    announced,
    /// ARP requests and neighbour solicitations sent beside smoltcp's.
    asked,
    /// IPv6 addresses of ours that others were told not to take.
    defended,
    /// Router solicitations sent.
    routers_asked,
    /// Router advertisements heeded.
    routers_heard,
    /// Those that named a router or a prefix more than we keep.
    routers_refused,
}

impl Counters {
    /// How often frames were dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops
            .iter()
            .zip(DropReason::ALL)
            .find(|(_, known)| *known == reason)
            .map_or(0, |(count, _)| *count)
    }

    /// Every reason with its count.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + use<> {
        DropReason::ALL.into_iter().zip(self.drops)
    }

    pub(crate) fn drop(&mut self, reason: DropReason) {
        for (known, count) in DropReason::ALL.into_iter().zip(&mut self.drops) {
            if known == reason {
                bump(count);
            }
        }
    }
}

/// Counts one more.
pub(crate) fn bump(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}

/// What a frame is, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Arp,
    Neighbour,
    Tcp,
    Udp,
    Icmp,
    Fragment,
    Other,
}

impl Counters {
    pub(crate) fn received(&mut self, kind: FrameKind) {
        bump(match kind {
            FrameKind::Arp => &mut self.rx_arp,
            FrameKind::Neighbour => &mut self.rx_neighbour,
            FrameKind::Tcp => &mut self.rx_tcp,
            FrameKind::Udp => &mut self.rx_udp,
            FrameKind::Icmp => &mut self.rx_icmp,
            FrameKind::Fragment => &mut self.rx_fragment,
            FrameKind::Other => &mut self.rx_other,
        });
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a frame or a datagram was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// Every reason.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// A short name for logs and status pages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

reasons! {
    /// Sent to another hardware address, or to an IPv6 address that is not ours.
    NotForUs = "not_for_us",
    /// Shorter than its headers say, or inconsistent.
    Malformed = "malformed",
    /// A protocol that we do not speak, VLAN tags included.
    EtherType = "ether_type",
    /// IPv6, which is switched off.
    Ipv6 = "ipv6",
    /// A piece of an IPv6 packet: they are not put together.
    Ipv6Fragment = "ipv6_fragment",
    /// IPv6 neighbour discovery or ICMP that cannot be meant seriously, or that we have no use for.
    Neighbour = "neighbour",
    /// IPv6 neighbour discovery about other hosts, or that nobody asked for.
    NeighbourForOthers = "neighbour_for_others",
    /// A source address that nobody can have: broadcast, multicast, unspecified, loopback or our own.
    ForgedSource = "forged_source",
    /// ARP about other hosts.
    ArpForOthers = "arp_for_others",
    /// TCP to another address, or to a broadcast.
    TcpNotForUs = "tcp_not_for_us",
    /// A fragment too small to hold the TCP header.
    TinyFragment = "tiny_fragment",
    /// TCP or UDP with a wrong checksum; counted where smoltcp does not see to it.
    Checksum = "checksum",
    /// "Packet too big" about nothing that is on its way, or with an MTU that is not smaller than ours.
    TooBig = "too_big",
    /// A SYN beyond its listener's backlog.
    Backlog = "backlog",
    /// A SYN beyond [`crate::Limits::half_open`].
    HalfOpen = "half_open",
    /// A SYN beyond [`crate::Limits::connections`].
    Connections = "connections",
    /// A datagram for a socket that has as many unread ones as it may; of those that take them in place.
    UnreadDatagrams = "unread_datagrams",
    /// A frame for an application that keeps as many packets as it may.
    Hoarded = "hoarded",
    /// A datagram of ours whose peer has no known hardware address.
    Unreachable = "unreachable",
}
