//! The kind of a received frame, and whether it is for us.
//!
//! ```text
//!   frame ─┬─ not for us, malformed, forged ──────► Drop(why)
//!          ├─ ARP ────────────────────────────────► Arp
//!          ├─ IPv4, IPv6 ─┬─ UDP ─────────────────► Udp          its socket, by port
//!          │              ├─ TCP ─────────────────► Tcp          its connection, by 4-tuple
//!          │              ├─ echo request ────────► Echo
//!          │              ├─ "packet too big" ────► TooBig
//!          │              ├─ fragment ────────────► Fragment     reassembled, then classified again
//!          │              ├─ neighbour discovery ─► Neighbour
//!          │              └─ other protocol ──────► Unknown
//!          └─ priority tag, extension headers ────► Rebuilt      without them, then classified again
//! ```
//!
//! It reads only, through smoltcp's checked views. Checksums are verified here: of IPv4 headers and ICMP always, of
//! TCP and UDP if `verify` says that nobody has verified them yet.

use core::ops::Range;

use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, IpAddress, IpEndpoint,
    IpProtocol, Ipv4Address, Ipv4Packet, UdpPacket, checksum,
};
use tcp::tuple::FourTuple;

use crate::base::counters::DropReason;
use crate::frame::local::{Me, is_unicast};
use crate::frame::reassembly::{Fragment, FragmentKey};
use crate::frame::rebuild;
use crate::frame::too_big::{self, TooBig};
use crate::link::arp::Arp;
use crate::link::wire::HEADER;

/// The port of a DHCP client. A server sends to the address that it offers, before it is ours. RFC 2131, section 4.1.
pub(crate) const DHCP_CLIENT: u16 = 68;

/// "Congestion experienced" in the ECN field. RFC 3168, section 5.
const MARKED: u8 = 3;

/// EtherType of an 802.1Q tag, and the bits of the VLAN's number in it.
const VLAN_TAG: u16 = 0x8100;
const VLAN_ID: u16 = 0x0fff;

/// Options of IPv4 by which the sender chooses the route: loose and strict. RFC 791, section 3.1.
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The frame is not for us.
    Drop(DropReason),
    /// An ARP message.
    Arp(Arp),
    /// A UDP datagram.
    Udp(Datagram),
    /// An ICMP or ICMPv6 echo request to us.
    Echo(Message),
    /// IPv6 neighbour discovery.
    Neighbour(v6::Neighbour),
    /// A TCP segment to us.
    Tcp(Segment),
    /// A router reports that a segment of ours was too big.
    TooBig(TooBig),
    /// A part of a packet to us.
    Fragment(Fragment),
    /// The frame without headers that carry nothing for us.
    Rebuilt(alloc::vec::Vec<u8>),
    /// A packet to us in an unknown protocol.
    Unknown(Message),
}

/// A packet's ends and the place of its payload in the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) from: IpAddress,
    pub(crate) to: IpAddress,
    pub(crate) payload: Range<usize>,
}

/// A UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) from: IpEndpoint,
    pub(crate) to: IpEndpoint,
    pub(crate) payload: Range<usize>,
    /// Whether it was sent to us alone: only then is it answered with an error.
    pub(crate) unicast: bool,
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) tuple: FourTuple,
    /// The hardware address that sent the frame.
    pub(crate) sender: Option<EthernetAddress>,
    pub(crate) header: tcp::Segment,
    /// Where its payload is in the frame.
    pub(crate) payload: Range<usize>,
}

/// Information about a frame besides its bytes.
#[derive(Clone, Copy)]
struct Context<'a> {
    me: &'a Me,
    /// Sent to our hardware address, not to a group.
    unicast: bool,
    verify: bool,
}

/// Says what `frame` is. With `verify` the checksums of TCP and UDP are verified.
pub(crate) fn classify(frame: &[u8], me: &Me, verify: bool) -> Class {
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return Class::Drop(DropReason::Malformed) };
    let to = ethernet.dst_addr();
    if to != me.mac && !to.is_multicast() && !to.is_broadcast() {
        return Class::Drop(DropReason::NotForUs);
    }
    if !ethernet.src_addr().is_unicast() {
        return Class::Drop(DropReason::ForgedSource);
    }
    let context = Context { me, unicast: to == me.mac, verify };
    match ethernet.ethertype() {
        EthernetProtocol::Arp => {
            Arp::parse(ethernet.payload()).map_or(Class::Drop(DropReason::Malformed), Class::Arp)
        }
        EthernetProtocol::Ipv4 => ipv4(frame, ethernet.payload(), context),
        EthernetProtocol::Ipv6 => v6::ipv6(frame, ethernet.payload(), context),
        EthernetProtocol::Unknown(VLAN_TAG) => untagged(frame, ethernet.payload()),
        EthernetProtocol::Unknown(_) => Class::Drop(DropReason::EtherType),
    }
}

/// The sender of a frame.
pub(crate) fn sender(frame: &[u8]) -> Option<EthernetAddress> {
    EthernetFrame::new_checked(frame).ok().map(|frame| frame.src_addr())
}

/// A tag of VLAN 0 has only a priority (IEEE 802.1Q, 9.6). A second tag is not for us.
fn untagged(frame: &[u8], payload: &[u8]) -> Class {
    let Some(([tag, inner], _)) = payload.split_first_chunk::<4>().map(|(head, rest)| {
        let [a, b, c, d] = *head;
        ([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])], rest)
    }) else {
        return Class::Drop(DropReason::Malformed);
    };
    if tag & VLAN_ID != 0 || inner == VLAN_TAG {
        return Class::Drop(DropReason::EtherType);
    }
    rebuild::untagged(frame).map_or(Class::Drop(DropReason::Memory), Class::Rebuilt)
}

fn ipv4(frame: &[u8], bytes: &[u8], context: Context<'_>) -> Class {
    let Ok(packet) = Ipv4Packet::new_checked(bytes) else { return Class::Drop(DropReason::Malformed) };
    if packet.version() != 4 {
        return Class::Drop(DropReason::Malformed);
    }
    if !(packet.verify_checksum() || cfg!(fuzzing)) {
        return Class::Drop(DropReason::Checksum);
    }
    let me = context.me;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    if !is_unicast(from) || from.is_loopback() || me.is(from) || me.is_broadcast(from) {
        return Class::Drop(DropReason::ForgedSource);
    }
    if has_source_route(&packet) {
        return Class::Drop(DropReason::SourceRouted);
    }
    let ours = context.unicast && me.is(to);
    let start = HEADER.saturating_add(usize::from(packet.header_len()));
    let range = start..start.saturating_add(packet.payload().len());
    let message = || Message { from: from.into(), to: to.into(), payload: range.clone() };
    match packet.next_header() {
        // RFC 1122, 4.2.3.10: TCP to a broadcast or multicast address is discarded silently.
        IpProtocol::Tcp if !ours => Class::Drop(DropReason::TcpNotForUs),
        _ if packet.more_frags() || packet.frag_offset() != 0 => {
            if ours {
                fragment(&packet, range)
            } else {
                Class::Drop(DropReason::NotForUs)
            }
        }
        IpProtocol::Tcp => {
            segment(frame, range, (from.into(), to.into()), packet.ecn() == MARKED, context.verify)
        }
        IpProtocol::Udp => {
            // RFC 1122, 3.3.6: a frame to all with a packet to one is not answered; a frame to us may be for all.
            let wanted = ours || me.is_broadcast(to) || to == ALL_HOSTS;
            udp(frame, range, ((from.into(), to.into()), wanted), context)
        }
        _ if !ours => Class::Drop(DropReason::NotForUs),
        IpProtocol::Icmp => icmp(packet.payload(), message(), me),
        _ => Class::Unknown(message()),
    }
}

/// All hosts on this link. RFC 1112, section 4.
const ALL_HOSTS: Ipv4Address = Ipv4Address::new(224, 0, 0, 1);

/// Whether an option chooses the packet's route. Options that cannot be read count as such.
fn has_source_route(packet: &Ipv4Packet<&[u8]>) -> bool {
    let header = packet.clone().into_inner().get(20..usize::from(packet.header_len()));
    let mut rest = header.unwrap_or_default();
    loop {
        match rest {
            [] | [0, ..] => return false,
            [1, after @ ..] => rest = after,
            [kind, len, ..] => {
                let after = rest.get(usize::from(*len)..).filter(|_| *len >= 2);
                match after {
                    Some(after) if !SOURCE_ROUTES.contains(kind) => rest = after,
                    _ => return true,
                }
            }
            [_] => return true,
        }
    }
}

fn fragment(packet: &Ipv4Packet<&[u8]>, payload: Range<usize>) -> Class {
    let key = FragmentKey {
        from: packet.src_addr().into(),
        to: packet.dst_addr().into(),
        protocol: packet.next_header(),
        ident: packet.ident().into(),
    };
    Class::Fragment(Fragment { key, offset: packet.frag_offset().into(), more: packet.more_frags(), payload })
}

fn icmp(bytes: &[u8], message: Message, me: &Me) -> Class {
    let Ok(icmp) = Icmpv4Packet::new_checked(bytes) else { return Class::Drop(DropReason::Malformed) };
    if !(icmp.verify_checksum() || cfg!(fuzzing)) {
        return Class::Drop(DropReason::Checksum);
    }
    match icmp.msg_type() {
        Icmpv4Message::EchoRequest => Class::Echo(message),
        Icmpv4Message::DstUnreachable => {
            too_big::v4(bytes, me).map_or(Class::Drop(DropReason::Icmp), Class::TooBig)
        }
        _ => Class::Drop(DropReason::Icmp),
    }
}

/// A datagram that is `wanted`, or may be a DHCP server's.
fn udp(
    frame: &[u8],
    range: Range<usize>,
    (ends, wanted): ((IpAddress, IpAddress), bool),
    context: Context<'_>,
) -> Class {
    let bytes = frame.get(range.clone()).unwrap_or_default();
    let Ok(udp) = UdpPacket::new_checked(bytes) else { return Class::Drop(DropReason::Malformed) };
    if !wanted && udp.dst_port() != DHCP_CLIENT {
        return Class::Drop(DropReason::NotForUs);
    }
    if udp.dst_port() == 0 || (context.verify && !datagram_is_whole(ends, &udp, bytes)) {
        return Class::Drop(DropReason::Checksum);
    }
    let (from, to) = ends;
    let start = range.start.saturating_add(8);
    Class::Udp(Datagram {
        from: IpEndpoint::new(from, udp.src_port()),
        to: IpEndpoint::new(to, udp.dst_port()),
        payload: start..start.saturating_add(udp.payload().len()),
        unicast: context.unicast && context.me.has(to),
    })
}

/// Whether the checksum of a datagram is right. IPv4 may have none (RFC 768), IPv6 may not (RFC 8200, 8.1).
fn datagram_is_whole(ends: (IpAddress, IpAddress), udp: &UdpPacket<&[u8]>, payload: &[u8]) -> bool {
    let datagram = payload.get(..usize::from(udp.len())).unwrap_or(payload);
    let without = udp.checksum() == 0 && matches!(ends.0, IpAddress::Ipv4(_));
    without || sums_up(ends, IpProtocol::Udp, datagram)
}

/// Whether pseudo-header and segment have the sum of a whole one. A fuzzer cannot guess the checksum and is not asked
/// to.
fn sums_up((from, to): (IpAddress, IpAddress), protocol: IpProtocol, segment: &[u8]) -> bool {
    let len = u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let pseudo = checksum::pseudo_header(&from, &to, protocol, len);
    cfg!(fuzzing) || checksum::combine(&[pseudo, nic::checksum::sum(segment)]) == !0
}

/// A segment at `range`; `marked`: a router on the path has marked congestion (RFC 3168, section 5).
fn segment(
    frame: &[u8],
    range: Range<usize>,
    (from, to): (IpAddress, IpAddress),
    marked: bool,
    verify: bool,
) -> Class {
    let bytes = frame.get(range.clone()).unwrap_or_default();
    let Ok((mut header, offset)) = tcp::Segment::parse(bytes) else {
        return Class::Drop(DropReason::Malformed);
    };
    if verify && !sums_up((from, to), IpProtocol::Tcp, bytes) {
        return Class::Drop(DropReason::Checksum);
    }
    header.congestion_experienced = marked;
    let tuple =
        FourTuple { local: to, local_port: header.dst_port, remote: from, remote_port: header.src_port };
    let payload = range.start.saturating_add(offset)..range.end;
    Class::Tcp(Segment { tuple, sender: sender(frame), header, payload })
}

pub(crate) mod v6;

#[cfg(test)]
mod tests;
