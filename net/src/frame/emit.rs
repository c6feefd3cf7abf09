//! Packets that this host sends: IP headers, fragments of long packets, UDP, ICMP.

use alloc::vec::Vec;

use nic::{IpVersion, Nic, PartialTcp};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv6Packet, IpAddress, IpProtocol,
    Ipv4Address, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr, UdpPacket, UdpRepr, checksum,
};
use tcp::{Segment, Slices};

use crate::base::copy::copy;
use crate::base::observer::Show;
use crate::link::wire::{HEADER, Wire};

/// Hop limit of what we send. RFC 1700.
const HOP_LIMIT: u8 = 64;

/// Bytes of the IP headers, and of the header of an IPv6 fragment.
const V4: usize = 20;
const V6: usize = 40;
const FRAGMENT: usize = 8;

/// Bytes of an IP packet with an ICMP error in it at most. RFC 1812, section 4.3.2.3; RFC 4443, section 2.4 c.
const ERROR_V4: usize = 576;
const ERROR_V6: usize = 1280;

/// A packet's ends; both of one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) from: IpAddress,
    pub(crate) to: IpAddress,
    /// Where the frame goes.
    pub(crate) mac: EthernetAddress,
}

impl Ends {
    /// Bytes of the IP header.
    pub(crate) const fn header_len(&self) -> usize {
        match self.from {
            IpAddress::Ipv4(_) => V4,
            IpAddress::Ipv6(_) => V6,
        }
    }

    /// Where a TCP segment between them begins.
    const fn partial(&self) -> PartialTcp {
        match self.from {
            IpAddress::Ipv4(_) => PartialTcp { version: IpVersion::V4, start: 34 },
            IpAddress::Ipv6(_) => PartialTcp { version: IpVersion::V6, start: 54 },
        }
    }

    /// Writes the sum of the pseudo-header of a TCP segment of `len` bytes.
    fn write_pseudo_sum(&self, partial: PartialTcp, len: usize, frame: &mut [u8]) {
        match (self.from, self.to) {
            (IpAddress::Ipv4(from), IpAddress::Ipv4(to)) => {
                partial.write_pseudo_sum(frame, [from.octets(), to.octets()].as_flattened(), len);
            }
            (IpAddress::Ipv6(from), IpAddress::Ipv6(to)) => {
                partial.write_pseudo_sum(frame, [from.octets(), to.octets()].as_flattened(), len);
            }
            _ => {}
        }
    }

    const fn ethertype(&self) -> EthernetProtocol {
        match self.from {
            IpAddress::Ipv4(_) => EthernetProtocol::Ipv4,
            IpAddress::Ipv6(_) => EthernetProtocol::Ipv6,
        }
    }

    /// Writes the header of a packet with `payload_len` bytes of payload.
    fn emit(&self, next_header: IpProtocol, payload_len: usize, bytes: &mut [u8]) {
        match (self.from, self.to) {
            (IpAddress::Ipv4(src_addr), IpAddress::Ipv4(dst_addr)) => {
                Ipv4Repr { src_addr, dst_addr, next_header, payload_len, hop_limit: HOP_LIMIT }
                    .emit(&mut Ipv4Packet::new_unchecked(bytes), &ChecksumCapabilities::default());
            }
            (IpAddress::Ipv6(src_addr), IpAddress::Ipv6(dst_addr)) => {
                Ipv6Repr { src_addr, dst_addr, next_header, payload_len, hop_limit: HOP_LIMIT }
                    .emit(&mut Ipv6Packet::new_unchecked(bytes));
            }
            _ => {}
        }
    }
}

/// Sends a UDP datagram that fits into one frame. `None`: there is no slot.
pub(crate) fn udp<N: Nic>(wire: &mut Wire<'_, N>, ends: Ends, ports: (u16, u16), data: &[u8]) -> Option<()> {
    let checksums = wire.nic.capabilities().checksum;
    let repr = UdpRepr { src_port: ports.0, dst_port: ports.1 };
    let len = data.len().saturating_add(8);
    let header = ends.header_len();
    wire.frame(ends.mac, ends.ethertype(), header.saturating_add(len), |bytes| {
        ends.emit(IpProtocol::Udp, len, bytes);
        let Some(datagram) = bytes.get_mut(header..) else { return };
        let mut datagram = UdpPacket::new_unchecked(datagram);
        let copy = |space: &mut [u8]| space.copy_from_slice(data);
        repr.emit(&mut datagram, &ends.from, &ends.to, data.len(), copy, &checksums);
    })
}

/// Sends a packet, in fragments if it is longer than `mtu`. `None`: there is no slot for some of it.
pub(crate) fn packet<N: Nic>(
    wire: &mut Wire<'_, N>,
    ends: Ends,
    protocol: IpProtocol,
    payload: &[u8],
    (mtu, ident): (usize, u32),
) -> Option<()> {
    let header = ends.header_len();
    if header.saturating_add(payload.len()) <= mtu {
        return wire.frame(ends.mac, ends.ethertype(), header.saturating_add(payload.len()), |bytes| {
            ends.emit(protocol, payload.len(), bytes);
            bytes.get_mut(header..).into_iter().for_each(|space| space.copy_from_slice(payload));
        });
    }
    let extra = if header == V4 { 0 } else { FRAGMENT };
    let room = mtu.saturating_sub(header).saturating_sub(extra) & !7;
    if room == 0 {
        return Some(());
    }
    for (number, piece) in payload.chunks(room).enumerate() {
        let offset = number.saturating_mul(room);
        let more = offset.saturating_add(piece.len()) < payload.len();
        let place = (u16::try_from(offset).ok()?, more, ident);
        let len = header.saturating_add(extra).saturating_add(piece.len());
        wire.frame(ends.mac, ends.ethertype(), len, |bytes| match ends.from {
            IpAddress::Ipv4(_) => fragment_v4(ends, protocol, piece, place, bytes),
            IpAddress::Ipv6(_) => fragment_v6(ends, protocol, piece, place, bytes),
        })?;
    }
    Some(())
}

fn fragment_v4(
    ends: Ends,
    protocol: IpProtocol,
    piece: &[u8],
    (offset, more, ident): (u16, bool, u32),
    bytes: &mut [u8],
) {
    ends.emit(protocol, piece.len(), bytes);
    let mut packet = Ipv4Packet::new_unchecked(bytes);
    packet.set_ident(u16::try_from(ident & 0xffff).unwrap_or(0));
    packet.set_dont_frag(false);
    packet.set_more_frags(more);
    packet.set_frag_offset(offset);
    packet.fill_checksum();
    packet.payload_mut().copy_from_slice(piece);
}

fn fragment_v6(
    ends: Ends,
    protocol: IpProtocol,
    piece: &[u8],
    (offset, more, ident): (u16, bool, u32),
    bytes: &mut [u8],
) {
    ends.emit(IpProtocol::Ipv6Frag, piece.len().saturating_add(FRAGMENT), bytes);
    let Some(rest) = bytes.get_mut(V6..) else { return };
    let place = (offset | u16::from(more)).to_be_bytes();
    let head = [&[u8::from(protocol), 0][..], &place, &ident.to_be_bytes(), piece].concat();
    rest.copy_from_slice(&head);
}

/// The ECN field of a packet that routers may mark: ECT(0). RFC 3168, section 5.
const CAPABLE: u8 = 2;

/// Builds a TCP segment straight into the device's page. With `ecn_capable`, routers may mark it instead of dropping it
/// (RFC 3168, section 5).
pub(crate) fn tcp<N: Nic>(
    token: N::TxToken<'_>,
    mac: EthernetAddress,
    ends: Ends,
    header: &Segment,
    payload: Option<Slices<'_>>,
    ecn_capable: bool,
    show: Show<'_>,
) {
    let start = HEADER.saturating_add(ends.header_len());
    let segment_len = header.header_len().saturating_add(payload.as_ref().map_or(0, Slices::len));
    let partial = ends.partial();
    let ecn = if ecn_capable { CAPABLE } else { 0 };
    N::send_tcp(token, start.saturating_add(segment_len), partial, |frame| {
        match (ends.from, ends.to) {
            (IpAddress::Ipv4(from), IpAddress::Ipv4(to)) => {
                let Some(head) = frame.first_chunk_mut() else { return };
                head_v4(head, (mac, ends.mac), (from, to), segment_len, ecn);
            }
            _ => head_v6(frame, mac, ends, segment_len, ecn),
        }
        let Some(bytes) = frame.get_mut(start..) else { return };
        let Some(written) = header.emit(bytes) else { return };
        if let (Some(payload), Some(space)) = (payload, bytes.get_mut(written..)) {
            payload.copy_to(space);
        }
        ends.write_pseudo_sum(partial, segment_len, frame);
        show.frame(frame);
    });
}

/// Writes the Ethernet and the IPv4 header (RFC 791, section 3.1) of a TCP segment. It is not fragmented, so that its
/// identification does not matter (RFC 6864, section 4.1).
///
/// Every segment has these two: whole words are written here, in a third of the instructions that views of single fields take.
fn head_v4(
    head: &mut [u8; HEADER + V4],
    (mac, to_mac): (EthernetAddress, EthernetAddress),
    (from, to): (Ipv4Address, Ipv4Address),
    segment_len: usize,
    ecn: u8,
) {
    /// Version and header length, DF, and hop limit with protocol, each in its word.
    const VERSION: u32 = 0x4500_0000;
    const DONT_FRAGMENT: u32 = 0x4000;
    const TTL_PROTOCOL: u32 = u32::from_be_bytes([HOP_LIMIT, 6, 0, 0]);
    let len = u16::try_from(segment_len.saturating_add(V4)).unwrap_or(u16::MAX);
    let first = VERSION | u32::from(ecn).wrapping_shl(16) | u32::from(len);
    let (from, to) = (from.to_bits(), to.to_bits());
    let words = [first, DONT_FRAGMENT, TTL_PROTOCOL, from, to];
    let sum = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from(*word)));
    let check = !nic::checksum::fold(sum);
    let words = [first, DONT_FRAGMENT, TTL_PROTOCOL | u32::from(check), from, to];
    let (ethernet, ip) = head.split_at_mut(HEADER);
    let (macs, ethertype) = ethernet.split_at_mut(12);
    for (place, mac) in macs.as_chunks_mut().0.iter_mut().zip([to_mac.0, mac.0]) {
        *place = mac;
    }
    ethertype.copy_from_slice(&[0x08, 0x00]);
    for (place, word) in ip.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
}

/// Writes the Ethernet and the IPv6 header of a TCP segment.
fn head_v6(frame: &mut [u8], mac: EthernetAddress, ends: Ends, segment_len: usize, ecn: u8) {
    let mut ethernet = EthernetFrame::new_unchecked(frame);
    EthernetRepr { src_addr: mac, dst_addr: ends.mac, ethertype: ends.ethertype() }.emit(&mut ethernet);
    let packet = ethernet.payload_mut();
    ends.emit(IpProtocol::Tcp, segment_len, packet);
    Ipv6Packet::new_unchecked(packet).set_traffic_class(ecn);
}

/// The answer to an echo request: the same bytes with another type, and the checksum adjusted to it; `None`: there is
/// no memory for it.
pub(crate) fn echo_reply(request: &[u8], ends: Ends) -> Option<Vec<u8>> {
    /// Type of an echo reply. RFC 792; RFC 4443, section 4.2.
    const REPLY: [u8; 2] = [0, 129];
    let [v4, v6] = REPLY;
    let mut reply = copy(request)?;
    let v6_ends = match (ends.from, ends.to) {
        (IpAddress::Ipv6(from), IpAddress::Ipv6(to)) => Some((from, to)),
        _ => None,
    };
    if let Some(kind) = reply.first_mut() {
        *kind = if v6_ends.is_some() { v6 } else { v4 };
    }
    fill_checksum(&mut reply, ends);
    Some(reply)
}

/// An ICMP error of this type and code about a packet that is quoted as far as it fits.
pub(crate) fn error(kind: (u8, u8), pointer: u32, packet: &[u8], ends: Ends) -> Vec<u8> {
    let most = if ends.header_len() == V4 { ERROR_V4 } else { ERROR_V6 };
    let room = most.saturating_sub(ends.header_len()).saturating_sub(8);
    let quoted = packet.get(..room).unwrap_or(packet);
    let mut message = [&[kind.0, kind.1, 0, 0][..], &pointer.to_be_bytes(), quoted].concat();
    fill_checksum(&mut message, ends);
    message
}

fn fill_checksum(message: &mut [u8], ends: Ends) {
    if let (IpAddress::Ipv6(from), IpAddress::Ipv6(to)) = (ends.from, ends.to) {
        if message.len() >= 4 {
            Icmpv6Packet::new_unchecked(message).fill_checksum(&from, &to);
        }
        return;
    }
    message.get_mut(2..4).into_iter().for_each(|sum| sum.fill(0));
    let sum = !checksum::data(message);
    message.get_mut(2..4).into_iter().for_each(|field| field.copy_from_slice(&sum.to_be_bytes()));
}

/// The hardware address of a group or of everybody, if the address is one's.
pub(crate) fn group_mac(to: IpAddress, is_broadcast: bool) -> Option<EthernetAddress> {
    match to {
        IpAddress::Ipv4(_) if is_broadcast => Some(EthernetAddress::BROADCAST),
        IpAddress::Ipv4(v4) if v4.is_multicast() => {
            // RFC 1112, section 6.4: the low 23 bits.
            let [_, b, c, d] = v4.octets();
            Some(EthernetAddress([0x01, 0x00, 0x5e, b & 0x7f, c, d]))
        }
        IpAddress::Ipv6(v6) if v6.is_multicast() => Some(crate::link::ndisc::group_mac(v6)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_segment_is_what_smoltcp_writes() {
        let mac = |last| EthernetAddress([2, 0, 0, 0, 7, last]);
        let (from, to) = (Ipv4Address::new(192, 0, 2, 1), Ipv4Address::new(255, 254, 1, 200));
        for (segment_len, ecn) in [(20, 0), (1_460, CAPABLE), (65_515, 3), (usize::MAX, 0)] {
            let mut head = [9; HEADER + V4];
            head_v4(&mut head, (mac(1), mac(2)), (from, to), segment_len, ecn);
            let mut expected = [9; HEADER + V4];
            let mut ethernet = EthernetFrame::new_unchecked(&mut expected[..]);
            EthernetRepr { src_addr: mac(1), dst_addr: mac(2), ethertype: EthernetProtocol::Ipv4 }
                .emit(&mut ethernet);
            let ends = Ends { from: from.into(), to: to.into(), mac: mac(2) };
            ends.emit(IpProtocol::Tcp, segment_len.min(65_515), ethernet.payload_mut());
            let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
            packet.set_ecn(ecn);
            packet.fill_checksum();
            assert_eq!(head, expected, "{segment_len} {ecn}");
        }
    }
}
