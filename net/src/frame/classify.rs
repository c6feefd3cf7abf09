//! Looks at a received frame before smoltcp does and says whose it is.
//!
//! ```text
//!   frame ─┬─ not ours, malformed, forged ──────────────► Drop(why)
//!          ├─ ARP, UDP, ICMP, fragments of those ───────► Common     one set: UDP sockets, DHCP
//!          ├─ neighbour discovery beside smoltcp's ─────► Neighbour
//!          ├─ pieces of UDP ─────────────────────────────► UdpFragment
//!          ├─ "a segment was too big" ──────────────────► TooBig
//!          ├─ TCP ──────────────────────────────────────► Tcp        its connection's set, by 4-tuple
//!          └─ a piece of a TCP segment ─────────────────► TcpFragment
//! ```
//!
//! Reads only; every access goes through smoltcp's checked views. Checksums are smoltcp's, or, where an interface says of
//! each frame whether anybody has verified it, those of TCP and UDP are verified here. Nothing may be believed further
//! than "which set": a wrong answer costs a lookup, not correctness. Some frames must not reach
//! smoltcp at all: a DHCP offer from 0.0.0.0 would make it panic when it renews, a SYN to a broadcast address would
//! be answered.

use smoltcp::wire::{
    ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, IpAddress, IpEndpoint, IpProtocol, Ipv4Packet,
    TcpOption, TcpPacket, TcpSeqNumber, UdpPacket, checksum,
};

use crate::base::counters::{DropReason, FrameKind};
use crate::frame::demux::Tuple;
use crate::frame::fragments::FragmentKey;
use crate::frame::local::{Me, is_unicast};
use crate::frame::too_big::{self, TooBig};

/// What smoltcp 0.14 takes for the longest segment of a peer that names none, and for that of one that names less.
pub(crate) const UNNAMED_MSS: u16 = 536;
const LEAST_MSS: u16 = 48;

/// Whose a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nobody's.
    Drop(DropReason),
    /// Everybody's: not TCP.
    Common(FrameKind),
    /// Neighbour discovery that smoltcp does not know.
    Neighbour(v6::Neighbour),
    /// A connection's or a listener's.
    Tcp(Segment),
    /// A router's word that a segment of ours was too big.
    TooBig(TooBig),
    /// A piece of a UDP datagram.
    UdpFragment,
    /// A piece of a TCP segment; the first one tells whose.
    TcpFragment {
        /// What the pieces of one datagram have in common.
        key: FragmentKey,
        /// The ports, if this is the first piece.
        head: Option<Tuple>,
    },
}

/// What the demultiplexer must know of a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) tuple: Tuple,
    pub(crate) seq: TcpSeqNumber,
    /// What the peer has of ours.
    pub(crate) ack: TcpSeqNumber,
    /// Opens a connection: SYN, without ACK or RST or FIN.
    pub(crate) opens: bool,
    pub(crate) rst: bool,
    /// Payload of the longest segment that the peer takes, if this one opens its direction.
    pub(crate) mss: Option<u16>,
    /// What follows this segment in the sequence space.
    pub(crate) next: TcpSeqNumber,
}

/// Says whose `frame` is; with `verify`, only if the checksum of the TCP segment or UDP datagram in it is right.
pub(crate) fn classify(frame: &[u8], me: &Me, verify: bool) -> Class {
    let Ok(frame) = EthernetFrame::new_checked(frame) else { return Class::Drop(DropReason::Malformed) };
    let to = frame.dst_addr();
    if to != me.mac && !to.is_multicast() && !to.is_broadcast() {
        return Class::Drop(DropReason::NotForUs);
    }
    if !frame.src_addr().is_unicast() {
        return Class::Drop(DropReason::ForgedSource);
    }
    match frame.ethertype() {
        EthernetProtocol::Arp => arp(frame.payload(), me),
        EthernetProtocol::Ipv4 => ipv4(frame.payload(), me, to == me.mac, verify),
        EthernetProtocol::Ipv6 => v6::ipv6(frame.payload(), me, to == me.mac, verify),
        EthernetProtocol::Unknown(_) => Class::Drop(DropReason::EtherType),
    }
}

/// Only requests for our address and replies to us matter; on a wide network most ARP frames are others'.
fn arp(packet: &[u8], me: &Me) -> Class {
    match ArpPacket::new_checked(packet).and_then(|packet| ArpRepr::parse(&packet)) {
        Ok(ArpRepr::EthernetIpv4 { target_protocol_addr, .. }) if me.is(target_protocol_addr) => {
            Class::Common(FrameKind::Arp)
        }
        Ok(_) => Class::Drop(DropReason::ArpForOthers),
        Err(_) => Class::Drop(DropReason::Malformed),
    }
}

fn ipv4(packet: &[u8], me: &Me, unicast: bool, verify: bool) -> Class {
    let Ok(packet) = Ipv4Packet::new_checked(packet) else { return Class::Drop(DropReason::Malformed) };
    if packet.version() != 4 {
        return Class::Drop(DropReason::Malformed);
    }
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    if !is_unicast(from) || from.is_loopback() || me.is(from) {
        return Class::Drop(DropReason::ForgedSource);
    }
    let fragment = packet.more_frags() || packet.frag_offset() != 0;
    match packet.next_header() {
        // RFC 1122, 4.2.3.10: TCP to a broadcast or multicast address is discarded silently.
        IpProtocol::Tcp if !unicast || !me.is(to) => Class::Drop(DropReason::TcpNotForUs),
        IpProtocol::Tcp if fragment => tcp_fragment(&packet),
        IpProtocol::Tcp => tcp((from.into(), to.into()), packet.payload(), verify),
        IpProtocol::Udp if fragment => Class::UdpFragment,
        _ if fragment => Class::Common(FrameKind::Fragment),
        IpProtocol::Udp if verify && !udp_is_whole((from.into(), to.into()), packet.payload()) => {
            Class::Drop(DropReason::Checksum)
        }
        IpProtocol::Udp => Class::Common(FrameKind::Udp),
        IpProtocol::Icmp if me.is(to) => {
            too_big::v4(packet.payload(), me).map_or(Class::Common(FrameKind::Icmp), Class::TooBig)
        }
        IpProtocol::Icmp => Class::Common(FrameKind::Icmp),
        _ => Class::Common(FrameKind::Other),
    }
}

/// Whether the checksum is right; what is no datagram at all is left to smoltcp.
fn udp_is_whole(ends: (IpAddress, IpAddress), payload: &[u8]) -> bool {
    UdpPacket::new_checked(payload).map_or(true, |udp| datagram_is_whole(ends, &udp, payload))
}

/// Whether the checksum of a datagram is right, or there is none (RFC 768), which over IPv6 there must be (RFC 8200, 8.1).
pub(crate) fn datagram_is_whole(
    ends: (IpAddress, IpAddress),
    udp: &UdpPacket<&[u8]>,
    payload: &[u8],
) -> bool {
    let datagram = payload.get(..usize::from(udp.len())).unwrap_or(payload);
    let without = udp.checksum() == 0 && matches!(ends.0, IpAddress::Ipv4(_));
    without || sums_up(ends, IpProtocol::Udp, datagram)
}

/// Whether pseudo-header and segment have the sum of a whole one. Always, to a fuzzer: it could not guess the checksum.
fn sums_up((from, to): (IpAddress, IpAddress), protocol: IpProtocol, segment: &[u8]) -> bool {
    let len = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let pseudo = checksum::pseudo_header(&from, &to, protocol, len);
    cfg!(fuzzing) || checksum::combine(&[pseudo, nic::checksum::sum(segment)]) == !0
}

fn tcp((from, to): (IpAddress, IpAddress), payload: &[u8], verify: bool) -> Class {
    let Ok(tcp) = TcpPacket::new_checked(payload) else { return Class::Drop(DropReason::Malformed) };
    if verify && !sums_up((from, to), IpProtocol::Tcp, payload) {
        return Class::Drop(DropReason::Checksum);
    }
    let seq = tcp.seq_number();
    Class::Tcp(Segment {
        tuple: tuple((from, to), &tcp),
        seq,
        ack: tcp.ack_number(),
        opens: tcp.syn() && !tcp.ack() && !tcp.rst() && !tcp.fin(),
        rst: tcp.rst(),
        mss: tcp.syn().then(|| mss(&tcp)),
        next: TcpSeqNumber(seq.0.wrapping_add(i32::try_from(tcp.segment_len()).unwrap_or(0))),
    })
}

/// The longest segment that a SYN names, as smoltcp understands it.
fn mss(tcp: &TcpPacket<&[u8]>) -> u16 {
    let mut rest = tcp.options();
    while let Ok((next, option)) = TcpOption::parse(rest) {
        match option {
            TcpOption::MaxSegmentSize(mss) => return mss.max(LEAST_MSS),
            TcpOption::EndOfList => break,
            _ => rest = next,
        }
    }
    UNNAMED_MSS
}

fn tcp_fragment(packet: &Ipv4Packet<&[u8]>) -> Class {
    let key = FragmentKey { from: packet.src_addr(), to: packet.dst_addr(), ident: packet.ident() };
    if packet.frag_offset() != 0 {
        return Class::TcpFragment { key, head: None };
    }
    // RFC 3128: a first piece without the whole header has no use but to get past filters.
    let Ok(tcp) = TcpPacket::new_checked(packet.payload()) else {
        return Class::Drop(DropReason::TinyFragment);
    };
    Class::TcpFragment { key, head: Some(tuple((packet.src_addr().into(), packet.dst_addr().into()), &tcp)) }
}

fn tuple((from, to): (IpAddress, IpAddress), tcp: &TcpPacket<&[u8]>) -> Tuple {
    Tuple { local: IpEndpoint::new(to, tcp.dst_port()), remote: IpEndpoint::new(from, tcp.src_port()) }
}

pub(crate) mod v6;

#[cfg(test)]
mod tests;
