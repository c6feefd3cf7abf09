//! Frames by hand, each with one thing wrong.

#![allow(clippy::arithmetic_side_effects, reason = "small numbers")]

use alloc::vec::Vec;

use smoltcp::wire::{EthernetAddress, Ipv4Address, Ipv4Cidr};

use super::*;
use crate::frame::local::LocalV6;

const US: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];
const THEM: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 9];

fn me() -> Me {
    let address = Some(Ipv4Cidr::new(Ipv4Address::new(10, 0, 0, 1), 24));
    Me { mac: EthernetAddress(US), address, six: LocalV6::default() }
}

fn frame(to: [u8; 6], from: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from[..], &ethertype.to_be_bytes(), payload].concat()
}

/// The packet with the right checksum of its header.
fn mended(mut packet: Vec<u8>) -> Vec<u8> {
    Ipv4Packet::new_unchecked(&mut packet[..]).fill_checksum();
    packet
}

/// An IPv4 packet from 10.0.0.9 to 10.0.0.1; the checksums of TCP and UDP are not looked at.
fn ipv4_with(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let [high, low] = fragment.to_be_bytes();
    let header = [0x45, 0, len[0], len[1], 0, 7, high, low, 64, protocol, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1];
    mended([&header[..], payload].concat())
}

fn ip(packet: &[u8]) -> Class {
    classify(&frame(US, THEM, 0x0800, packet), &me(), false)
}

/// A TCP header from port 4000 to port 80, sequence number 1000.
fn tcp_with(flags: u8, data: &[u8]) -> Vec<u8> {
    let header = [0x0f, 0xa0, 0, 80, 0, 0, 0x03, 0xe8, 0, 0, 0, 0, 0x50, flags, 0x10, 0, 0, 0, 0, 0];
    [&header[..], data].concat()
}

fn segment_with(flags: u8, data: &[u8]) -> Segment {
    match ip(&ipv4_with(6, 0, &tcp_with(flags, data))) {
        Class::Tcp(segment) => segment,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_segment_is_told_by_its_ports_and_numbers() {
    let syn = segment_with(0x02, &[]);
    assert_eq!((syn.tuple.local_port, syn.tuple.remote_port), (80, 4000));
    assert_eq!((syn.header.seq.0, syn.header.end().0, syn.payload), (1000, 1001, 54..54));
    let fin = segment_with(0x11, &[1, 2, 3, 4]);
    assert_eq!((fin.header.end().0, fin.payload), (1005, 54..58), "payload and FIN");
}

#[test]
fn a_mark_of_congestion_goes_with_its_segment() {
    for (mark, marked) in [(0, false), (1, false), (2, false), (3, true)] {
        let mut packet = ipv4_with(6, 0, &tcp_with(0x10, &[]));
        packet[1] = mark;
        let Class::Tcp(segment) = ip(&mended(packet)) else { panic!("no segment") };
        assert_eq!(segment.header.congestion_experienced, marked, "{mark}");
    }
}

#[test]
fn protocols_go_their_ways() {
    let udp = [0x0f, 0xa0, 0, 7, 0, 12, 0, 0, 1, 2, 3, 4];
    let Class::Udp(datagram) = ip(&ipv4_with(17, 0, &udp)) else { panic!("no datagram") };
    assert_eq!((datagram.payload, datagram.to.port, datagram.unicast), (42..46, 7, true));
    assert!(matches!(ip(&ipv4_with(200, 0, &[0; 30])), Class::Unknown(_)));
    for protocol in [17, 1, 6, 200] {
        let Class::Fragment(fragment) = ip(&ipv4_with(protocol, 0x2003, &[0; 32])) else { panic!("whole") };
        assert_eq!((fragment.offset, fragment.more, fragment.payload), (24, true, 34..66));
    }
    for (ethertype, reason) in [(0x86dd, DropReason::Ipv6), (0x88cc, DropReason::EtherType)] {
        assert_eq!(classify(&frame(US, THEM, ethertype, &[0; 60]), &me(), false), Class::Drop(reason));
    }
}

#[test]
fn only_the_tag_of_vlan_0_is_taken_off() {
    let packet = ipv4_with(6, 0, &tcp_with(0x02, &[]));
    let tagged = |tag: [u8; 2]| [&tag, &[8, 0], &packet[..]].concat();
    let Class::Rebuilt(plain) = classify(&frame(US, THEM, 0x8100, &tagged([0xe0, 0])), &me(), false) else {
        panic!("priority 7")
    };
    assert_eq!(plain, frame(US, THEM, 0x0800, &packet));
    let other = Class::Drop(DropReason::EtherType);
    assert_eq!(classify(&frame(US, THEM, 0x8100, &tagged([0, 7])), &me(), false), other);
    let cut = classify(&frame(US, THEM, 0x8100, &[0, 0, 8]), &me(), false);
    assert_eq!(cut, Class::Drop(DropReason::Malformed));
}

#[test]
fn packets_whose_sender_chose_the_route_are_dropped() {
    let with = |options: [u8; 8]| {
        let mut packet = ipv4_with(6, 0, &[&options[..], &tcp_with(0x02, &[])].concat());
        packet[0] = 0x47;
        ip(&mended(packet))
    };
    assert!(matches!(with([1, 7, 3, 0, 1, 0, 131, 0]), Class::Tcp(_)), "no-op, record route, end");
    for bad in [
        [131, 7, 4, 1, 2, 3, 4, 0],
        [1, 137, 7, 4, 1, 2, 3, 4],
        [68, 0, 0, 0, 0, 0, 0, 0],
        [68, 9, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(with(bad), Class::Drop(DropReason::SourceRouted), "{bad:?}");
    }
}

#[test]
fn a_header_with_a_wrong_checksum_is_dropped() {
    let mut packet = ipv4_with(6, 0, &tcp_with(0x02, &[]));
    packet[10] ^= 1;
    assert_eq!(ip(&packet), Class::Drop(DropReason::Checksum));
}

#[test]
fn every_truncation_is_malformed_or_has_fewer_bytes_only() {
    let whole = frame(US, THEM, 0x0800, &ipv4_with(6, 0, &tcp_with(0x02, &[])));
    for len in 0..whole.len() {
        assert_eq!(classify(&whole[..len], &me(), false), Class::Drop(DropReason::Malformed), "{len} bytes");
    }
    let mut bad = whole.clone();
    bad[14] = 0x65;
    assert_eq!(
        classify(&bad, &me(), false),
        Class::Drop(DropReason::Malformed),
        "version 6 in an IPv4 frame"
    );
    let mut bad = whole;
    bad[46] = 0x40;
    assert_eq!(classify(&bad, &me(), false), Class::Drop(DropReason::Malformed), "TCP header of 16 bytes");
}

#[test]
fn sources_that_nobody_can_have_are_forged() {
    let forged = Class::Drop(DropReason::ForgedSource);
    for source in
        [[0, 0, 0, 0], [255, 255, 255, 255], [224, 0, 0, 1], [127, 0, 0, 1], [10, 0, 0, 1], [10, 0, 0, 255]]
    {
        let mut packet = ipv4_with(17, 0, &[0; 30]);
        packet[12..16].copy_from_slice(&source);
        assert_eq!(ip(&mended(packet)), forged, "{source:?}");
    }
    let multicast = [1, 0, 0, 0, 0, 0];
    assert_eq!(classify(&frame(US, multicast, 0x0800, &ipv4_with(17, 0, &[0; 30])), &me(), false), forged);
}

#[test]
fn tcp_is_for_our_address_alone() {
    let not_for_us = Class::Drop(DropReason::TcpNotForUs);
    let packet = ipv4_with(6, 0, &tcp_with(0x02, &[]));
    assert_eq!(
        classify(&frame([0xff; 6], THEM, 0x0800, &packet), &me(), false),
        not_for_us,
        "in a broadcast frame"
    );
    let mut other = packet.clone();
    other[19] = 255;
    assert_eq!(ip(&mended(other)), not_for_us, "to the network's broadcast address");
    let nobody = Me { address: None, ..me() };
    assert_eq!(
        classify(&frame(US, THEM, 0x0800, &packet), &nobody, false),
        not_for_us,
        "while we have no address"
    );
    let mut elsewhere = US;
    elsewhere[5] = 2;
    assert_eq!(
        classify(&frame(elsewhere, THEM, 0x0800, &packet), &me(), false),
        Class::Drop(DropReason::NotForUs)
    );
}

#[test]
fn a_datagram_without_a_checksum_is_one_of_ipv4_alone() {
    let datagram = [0x12, 0x34, 0, 7, 0, 9, 0, 0, 0x55];
    let udp = UdpPacket::new_checked(&datagram[..]).unwrap();
    let v4 = (IpAddress::v4(10, 0, 0, 9), IpAddress::v4(10, 0, 0, 1));
    let v6 = (IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 9), IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    assert!(datagram_is_whole(v4, &udp, &datagram));
    assert!(!datagram_is_whole(v6, &udp, &datagram));
    // With the right one, and then with one bit wrong.
    let mut datagram = datagram;
    UdpPacket::new_unchecked(&mut datagram[..]).fill_checksum(&v6.0, &v6.1);
    let udp = UdpPacket::new_checked(&datagram[..]).unwrap();
    assert!(datagram_is_whole(v6, &udp, &datagram));
    assert!(!datagram_is_whole(v4, &udp, &datagram));
}
