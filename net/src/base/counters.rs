//! What the stack counts: events, and dropped frames by reason. Each is named once, here.

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
        /// ICMP and ICMPv6 messages for us that are used.
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
        /// Times that the guest did not run for more than a second although it was due.
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
        /// SYN cookies sent: the table of half-open connections was full, or its share for the source.
        cookies_sent,
        /// Handshakes that a SYN cookie of ours finished.
        cookies_accepted,
        /// Connections that were ended because the table or the ledger was full: idle, or silent for long.
        evicted,
        /// Parked connections that were ended because no request came, or because the peer did not take what was sent.
        idle_closed,
        /// Connections in TIME-WAIT that ended early for a new connection with the same ports.
        time_wait_recycled,
        /// Times that a "packet too big" message lowered the path MTU of a connection.
        path_mtu_lowered,
        /// Leases taken, a change of address included.
        dhcp_bound,
        /// Leases confirmed again.
        dhcp_renewed,
        /// Leases lost.
        dhcp_lost,
        /// Messages of DHCP servers that did not fit what was asked.
        dhcp_ignored,
        /// ICMP and ICMPv6 errors sent.
        icmp_errors,
        /// ICMP and ICMPv6 errors not sent, because there were too many.
        icmp_limited,
        /// RST not sent to segments without a connection, because there were too many.
        resets_limited,
        /// Packets put together from fragments.
        reassembled,
        /// Gratuitous ARP frames and unsolicited neighbour advertisements sent.
        announced,
        /// ARP requests and neighbour solicitations sent.
        asked,
        /// ARP requests and neighbour solicitations put off, because there were too many.
        asks_limited,
        /// Neighbours that moved to another hardware address.
        neighbours_moved,
        /// Times that another host used, or was about to take, an address of ours.
        conflicts,
        /// Times that other hosts were told that an address is ours.
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
        /// An EtherType that we do not speak; a VLAN other than 0.
        EtherType = "ether_type",
        /// IPv6, which is switched off.
        Ipv6 = "ipv6",
        /// IPv6 neighbour discovery that is invalid or of no use.
        Neighbour = "neighbour",
        /// ARP or IPv6 neighbour discovery about hosts that we do not talk to.
        NeighbourForOthers = "neighbour_for_others",
        /// A source address that nobody can have: broadcast, multicast, unspecified, loopback or our own.
        ForgedSource = "forged_source",
        /// TCP to another address, or to a broadcast.
        TcpNotForUs = "tcp_not_for_us",
        /// A fragment that overlaps others, is malformed, or finds no room.
        Fragment = "fragment",
        /// An IPv6 extension header that must not be ignored, or is cut short.
        ExtensionHeader = "extension_header",
        /// An IPv4 packet whose sender chose its route, or with options that cannot be read.
        SourceRouted = "source_routed",
        /// ICMP that we have no use for.
        Icmp = "icmp",
        /// A datagram to a port that no socket has.
        NoSocket = "no_socket",
        /// A protocol above IP that we do not speak.
        Protocol = "protocol",
        /// A packet in headers within headers.
        Nested = "nested",
        /// A wrong checksum of IPv4, ICMP, TCP or UDP.
        Checksum = "checksum",
        /// "Packet too big" about nothing that is on its way, or with an MTU that is not smaller than ours.
        TooBig = "too_big",
        /// A SYN beyond its listener's backlog.
        Backlog = "backlog",
        /// A handshake beyond [`crate::Limits::connections`], while no connection is idle.
        Connections = "connections",
        /// A handshake beyond [`crate::Limits::connections_per_source`].
        SourceLimit = "source_limit",
        /// A datagram for a socket whose receive queue is full.
        UnreadDatagrams = "unread_datagrams",
        /// A frame for an application that holds as many packets as it may.
        RetentionLimit = "retention_limit",
        /// Payload, a handshake or a datagram for which the ledger has no memory.
        Memory = "memory",
        /// A datagram of ours whose next hop does not answer.
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
