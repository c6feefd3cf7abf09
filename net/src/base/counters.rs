//! What the stack counts: events, and dropped frames by reason. Each is named once, here.

xen::counters! {
    /// Events since the start.
    #[non_exhaustive]
    pub struct Counters {
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
}

xen::counters! {
    /// Frames and datagrams that were dropped, by reason.
    pub struct Drops by
    /// Why a frame or a datagram was dropped.
    pub enum DropReason {
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
        /// A frame for an application that holds as many packets as it may.
        RetentionLimit = "retention_limit",
        /// A datagram of ours whose peer has no known hardware address.
        Unreachable = "unreachable",
    }
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
        let counter = match kind {
            FrameKind::Arp => &mut self.rx_arp,
            FrameKind::Neighbour => &mut self.rx_neighbour,
            FrameKind::Tcp => &mut self.rx_tcp,
            FrameKind::Udp => &mut self.rx_udp,
            FrameKind::Icmp => &mut self.rx_icmp,
            FrameKind::Fragment => &mut self.rx_fragment,
            FrameKind::Other => &mut self.rx_other,
        };
        counter.bump();
    }
}
