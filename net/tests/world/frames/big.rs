//! A router's word that a packet is too big for the next link.

use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet, IpProtocol, Ipv4Address,
    Ipv4Packet, Ipv6Address, Ipv6Packet, checksum,
};

use super::{ipv4_packet, six};

const ROUTER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xfe]);
const ROUTER_V4: Ipv4Address = Ipv4Address::new(10, 9, 9, 9);
const ROUTER_V6: Ipv6Address = Ipv6Address::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9);

/// What a router answers to a frame that does not fit.
pub(crate) fn answer(frame: &[u8], mtu: usize) -> Vec<u8> {
    let ethernet = EthernetFrame::new_checked(frame).unwrap();
    let mut bytes = match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => v4(ethernet.payload(), mtu as u16),
        _ => v6(ethernet.payload(), mtu as u32),
    };
    let mut answer = EthernetFrame::new_unchecked(&mut bytes[..]);
    answer.set_src_addr(ROUTER);
    answer.set_dst_addr(ethernet.src_addr());
    bytes
}

/// "Fragmentation needed", with the IP header and 8 bytes of the packet. RFC 1191, section 4.
pub(crate) fn v4(packet: &[u8], mtu: u16) -> Vec<u8> {
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend(&packet[..28]);
    let sum = !checksum::data(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let to = Ipv4Packet::new_unchecked(packet).src_addr();
    super::ethernet(
        super::US,
        EthernetProtocol::Ipv4,
        &ipv4_packet(ROUTER_V4, to, IpProtocol::Icmp, &message),
    )
}

/// "Packet too big", with as much of the packet as fits. RFC 4443, section 3.2.
pub(crate) fn v6(packet: &[u8], mtu: u32) -> Vec<u8> {
    let mut message = vec![2, 0, 0, 0];
    message.extend(mtu.to_be_bytes());
    message.extend(&packet[..packet.len().min(1232)]);
    let to = Ipv6Packet::new_unchecked(packet).src_addr();
    let mut view = Icmpv6Packet::new_unchecked(&mut message[..]);
    assert_eq!(view.msg_type(), Icmpv6Message::PktTooBig);
    view.fill_checksum(&ROUTER_V6, &to);
    six::packet(ROUTER_V6, to, IpProtocol::Icmpv6, 60, &message)
}
