//! The counters of the stack: events, and dropped frames by reason. Each is named once, here.

xen::counters! {
    /// Events since the start.
    #[non_exhaustive]
    pub struct Counters {
        /// Iterations of the loop.
        iterations,
        /// ARP messages.
        rx_arp,
        /// Messages of IPv6 neighbour discovery.
        rx_neighbour,
        /// TCP segments for us.
        rx_tcp,
        /// UDP datagrams for us.
        rx_udp,
        /// ICMP and ICMPv6 messages for us, of types that the stack uses.
        rx_icmp,
        /// Fragments for us.
        rx_fragment,
        /// Other packets for us.
        rx_other,
        /// Iterations that ended with the receive budget used up.
        rx_budget_hits,
        /// Iterations that ended with the transmit budget used up.
        tx_budget_hits,
        /// Iterations that had something to send and no slot, or no link.
        tx_exhausted,
        /// Connections and sockets that were asked for frames to send.
        socket_visits,
        /// Deadlines that were reached.
        timers_fired,
        /// Times that the guest was not scheduled for more than a second past a deadline.
        standstills,
        /// Connections handed to an application by a listener.
        accepted,
        /// Connections opened by this host that the peer accepted.
        connected,
        /// Segments to a port without a listener, answered with RST.
        refused,
        /// Connections reset by the peer.
        reset,
        /// Connections aborted because the peer did not answer in time.
        timed_out,
        /// SYN cookies sent: the table of half-open connections was full, or its share for the source.
        cookies_sent,
        /// Handshakes completed by a SYN cookie.
        cookies_accepted,
        /// Connections that were ended because the table or the ledger was full: idle, or silent for long.
        evicted,
        /// Sends that failed for want of memory, on connections with nothing in flight.
        sends_refused,
        /// Parked connections that were closed because no request came, or because the peer read too slowly.
        idle_closed,
        /// Connections in TIME-WAIT that ended early for a new connection with the same ports.
        time_wait_recycled,
        /// Times that a "packet too big" message lowered the path MTU of a connection.
        path_mtu_lowered,
        /// Leases taken, a change of address included.
        dhcp_bound,
        /// Leases renewed.
        dhcp_renewed,
        /// Leases lost.
        dhcp_lost,
        /// Messages of DHCP servers that do not match the request.
        dhcp_ignored,
        /// ICMP and ICMPv6 errors sent.
        icmp_errors,
        /// ICMP and ICMPv6 errors not sent because of the rate limit.
        icmp_limited,
        /// RST for segments without a connection that were not sent because of the rate limit.
        resets_limited,
        /// Packets reassembled from fragments.
        reassembled,
        /// Gratuitous ARP frames and unsolicited neighbour advertisements sent.
        announced,
        /// ARP requests and neighbour solicitations sent.
        asked,
        /// ARP requests and neighbour solicitations delayed by the rate limit.
        asks_limited,
        /// Neighbours that moved to another hardware address.
        neighbours_moved,
        /// Address conflicts: another host used, or probed for, an address of ours.
        conflicts,
        /// Times that other hosts were told that an address is ours.
        defended,
        /// Router solicitations sent.
        routers_asked,
        /// Router advertisements accepted.
        routers_heard,
        /// Router advertisements with a router or a prefix for which there is no room.
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
        /// An unsupported EtherType, or a VLAN other than 0.
        EtherType = "ether_type",
        /// IPv6, which is switched off.
        Ipv6 = "ipv6",
        /// Invalid or unsolicited IPv6 neighbour discovery.
        Neighbour = "neighbour",
        /// ARP or IPv6 neighbour discovery about hosts without an entry in the neighbour table.
        NeighbourForOthers = "neighbour_for_others",
        /// An invalid source address: broadcast, multicast, unspecified, loopback or our own.
        ForgedSource = "forged_source",
        /// TCP to another address, or to a broadcast.
        TcpNotForUs = "tcp_not_for_us",
        /// A fragment that overlaps others, is malformed, or exceeds the limit.
        Fragment = "fragment",
        /// An IPv6 extension header that must not be ignored, or is cut short.
        ExtensionHeader = "extension_header",
        /// An IPv4 packet with a source route or malformed options.
        SourceRouted = "source_routed",
        /// ICMP of an unsupported type.
        Icmp = "icmp",
        /// A datagram to a port without a socket.
        NoSocket = "no_socket",
        /// An unsupported IP protocol.
        Protocol = "protocol",
        /// A packet in too many nested headers.
        Nested = "nested",
        /// A wrong checksum of IPv4, ICMP, TCP or UDP.
        Checksum = "checksum",
        /// "Packet too big" about a packet that is not in flight, or with an MTU that is not below ours.
        TooBig = "too_big",
        /// A SYN beyond its listener's backlog.
        Backlog = "backlog",
        /// A handshake beyond [`crate::Limits::connections`], while no connection is idle.
        Connections = "connections",
        /// A handshake beyond [`crate::Limits::connections_per_source`].
        SourceLimit = "source_limit",
        /// A datagram for a socket whose receive queue is full.
        UnreadDatagrams = "unread_datagrams",
        /// A frame for an application that has reached its retention limit.
        RetentionLimit = "retention_limit",
        /// Payload, a handshake or a datagram for which the ledger has no memory.
        Memory = "memory",
        /// A datagram of ours whose next hop does not answer ARP or neighbour discovery.
        Unreachable = "unreachable",
    }
}

/// The kind of a received frame, for the counters.
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
