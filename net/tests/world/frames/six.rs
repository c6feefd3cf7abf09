//! IPv6 frames by hand.

use net::{EthernetAddress, IpEndpoint, Ipv6Address};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Message, Icmpv6Packet, Icmpv6Repr, IpAddress,
    IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr, TcpControl, TcpPacket, TcpRepr,
};

use super::{THEM, Tcp, US, udp_datagram};

pub(crate) const ALL_NODES: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const US_LOCAL: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0x216, 0x3eff, 0xfe00, 1);
pub(crate) const THEIR_LOCAL: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0x216, 0x3eff, 0xfe00, 9);

pub(crate) fn solicited_node(address: Ipv6Address) -> Ipv6Address {
    let [.., a, b, c] = address.octets();
    Ipv6Address::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]))
}

pub(crate) fn packet(
    from: Ipv6Address,
    to: Ipv6Address,
    next: IpProtocol,
    hop_limit: u8,
    payload: &[u8],
) -> Vec<u8> {
    let [.., a, b, c, d] = to.octets();
    let dst_addr = if to.is_multicast() { EthernetAddress([0x33, 0x33, a, b, c, d]) } else { US };
    let mut bytes = vec![0; 54 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    EthernetRepr { src_addr: THEM, dst_addr, ethertype: EthernetProtocol::Ipv6 }.emit(&mut frame);
    let header =
        Ipv6Repr { src_addr: from, dst_addr: to, next_header: next, payload_len: payload.len(), hop_limit };
    header.emit(&mut Ipv6Packet::new_unchecked(frame.payload_mut()));
    bytes[54..].copy_from_slice(payload);
    bytes
}

pub(crate) fn icmp(from: Ipv6Address, to: Ipv6Address, hop_limit: u8, message: &Icmpv6Repr<'_>) -> Vec<u8> {
    let mut payload = vec![0; message.buffer_len()];
    let mut view = Icmpv6Packet::new_unchecked(&mut payload[..]);
    message.emit(&from, &to, &mut view, &ChecksumCapabilities::default());
    packet(from, to, IpProtocol::Icmpv6, hop_limit, &payload)
}

pub(crate) fn ndisc(from: Ipv6Address, to: Ipv6Address, message: &NdiscRepr<'_>) -> Vec<u8> {
    icmp(from, to, 255, &Icmpv6Repr::Ndisc(*message))
}

/// A neighbour solicitation for `to`. It teaches the address of `from`.
pub(crate) fn ask(from: Ipv6Address, to: Ipv6Address) -> Vec<u8> {
    ndisc(
        from,
        solicited_node(to),
        &NdiscRepr::NeighborSolicit { target_addr: to, lladdr: Some(THEM.into()) },
    )
}

pub(crate) fn advert(
    target: Ipv6Address,
    mac: EthernetAddress,
    flags: NdiscNeighborFlags,
) -> NdiscRepr<'static> {
    NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr: Some(mac.into()) }
}

pub(crate) fn ping(from: Ipv6Address, to: Ipv6Address, seq_no: u16, data: &[u8]) -> Vec<u8> {
    icmp(from, to, 64, &Icmpv6Repr::EchoRequest { ident: 1, seq_no, data })
}

/// A router's advertisement: its lifetime, and prefixes with length, flags and lifetime.
pub(crate) fn advertisement(lifetime: u16, prefixes: &[(Ipv6Address, u8, u8, u32)]) -> Vec<u8> {
    advertisement_from(THEIR_LOCAL, lifetime, prefixes)
}

pub(crate) fn advertisement_from(
    from: Ipv6Address,
    lifetime: u16,
    prefixes: &[(Ipv6Address, u8, u8, u32)],
) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0];
    message.extend(lifetime.to_be_bytes());
    message.extend([0; 8]);
    for (prefix, len, flags, lifetime) in prefixes {
        message.extend([3, 4, *len, *flags]);
        message.extend(lifetime.to_be_bytes());
        message.extend(lifetime.to_be_bytes());
        message.extend([0; 4]);
        message.extend(prefix.octets());
    }
    Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&from, &ALL_NODES);
    packet(from, ALL_NODES, IpProtocol::Icmpv6, 255, &message)
}

pub(crate) fn udp(from: IpEndpoint, to: IpEndpoint, data: &[u8]) -> Vec<u8> {
    packet(v6(from.addr), v6(to.addr), IpProtocol::Udp, 64, &udp_datagram(from, to, data))
}

pub(crate) fn tcp(segment: &Tcp<'_>) -> Vec<u8> {
    packet(v6(segment.from.addr), v6(segment.to.addr), IpProtocol::Tcp, 64, &segment.segment())
}

/// An ICMPv6 message.
pub(crate) struct Found {
    pub(crate) from: Ipv6Address,
    pub(crate) to: Ipv6Address,
    pub(crate) hop_limit: u8,
    pub(crate) kind: Icmpv6Message,
    pub(crate) target: Option<Ipv6Address>,
    pub(crate) flags: NdiscNeighborFlags,
}

/// The ICMPv6 message in a frame, if it follows the header directly; its checksum is right.
pub(crate) fn parse(frame: &[u8]) -> Option<Found> {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    let packet = Ipv6Packet::new_checked(frame.payload()).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv6 || packet.next_header() != IpProtocol::Icmpv6 {
        return None;
    }
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    let message = Icmpv6Packet::new_checked(packet.payload()).unwrap();
    assert!(message.verify_checksum(&from, &to));
    let kind = message.msg_type();
    let named = matches!(kind, Icmpv6Message::NeighborSolicit | Icmpv6Message::NeighborAdvert);
    let target = named.then(|| message.target_addr());
    let flags = match kind {
        Icmpv6Message::NeighborAdvert => message.neighbor_flags(),
        _ => NdiscNeighborFlags::empty(),
    };
    Some(Found { from, to, hop_limit: packet.hop_limit(), kind, target, flags })
}

/// Number and data of an echo reply.
pub(crate) fn parse_ping(frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    let found = parse(frame)?;
    let message = Icmpv6Packet::new_checked(&frame[54..]).unwrap();
    match Icmpv6Repr::parse(&found.from, &found.to, &message, &ChecksumCapabilities::default()).unwrap() {
        Icmpv6Repr::EchoReply { seq_no, data, .. } => Some((seq_no, data.to_vec())),
        _ => None,
    }
}

/// Control, sequence and acknowledgement numbers and payload of a TCP frame.
pub(crate) fn tcp_of(frame: &[u8]) -> Option<(TcpControl, i32, Option<i32>, Vec<u8>)> {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    let packet = Ipv6Packet::new_checked(frame.payload()).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv6 || packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
    let tcp = TcpPacket::new_checked(packet.payload()).unwrap();
    let repr = TcpRepr::parse(&tcp, &from, &to, &ChecksumCapabilities::default()).unwrap();
    Some((repr.control, repr.seq_number.0, repr.ack_number.map(|ack| ack.0), repr.payload.to_vec()))
}

/// Source and destination.
pub(crate) fn addresses(frame: &[u8]) -> (Ipv6Address, Ipv6Address) {
    let packet = Ipv6Packet::new_checked(&frame[14..]).unwrap();
    (packet.src_addr(), packet.dst_addr())
}

/// Makes an ICMPv6 checksum right, if there is one.
pub(crate) fn mend(frame: &mut [u8]) {
    if frame.len() < 58 || frame[12..14] != [0x86, 0xdd] || frame[20] != 58 {
        return;
    }
    let (from, to) = (
        Ipv6Address::from(<[u8; 16]>::try_from(&frame[22..38]).unwrap()),
        Ipv6Address::from(<[u8; 16]>::try_from(&frame[38..54]).unwrap()),
    );
    Icmpv6Packet::new_unchecked(&mut frame[54..]).fill_checksum(&from, &to);
}

fn v6(address: IpAddress) -> Ipv6Address {
    match address {
        IpAddress::Ipv6(v6) => v6,
        IpAddress::Ipv4(_) => panic!("not IPv6"),
    }
}
