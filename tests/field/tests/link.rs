//! Reports about other stacks as hosts on a link: ARP, IPv6 neighbours, fragments.

#[path = "../../../net/tests/world/mod.rs"]
#[allow(unused_imports, reason = "each program uses a part")]
mod world;

use net::{Addressing, EthernetAddress, Ipv4Address, Ipv6Addressing, Probing};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4Packet,
    Icmpv4Repr, Icmpv6Message, IpProtocol, Ipv4Packet, NdiscRepr,
};
use world::frames::six::{self, THEIR_LOCAL, US_LOCAL};
use world::frames::{THEM, US, fragments, ipv4, parse_ipv4};
use world::{MS, SECOND, World, ip, replies, target};

const OTHER: EthernetAddress = EthernetAddress([0, 0x16, 0x3e, 0, 0, 0x42]);

/// An ARP message in a frame from `source`.
fn arp(
    source: EthernetAddress,
    operation: ArpOperation,
    from: (EthernetAddress, Ipv4Address),
    to: Ipv4Address,
) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: from.0,
        source_protocol_addr: from.1,
        target_hardware_addr: EthernetAddress::default(),
        target_protocol_addr: to,
    };
    let mut bytes = vec![0; 14 + repr.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    let dst_addr = EthernetAddress::BROADCAST;
    EthernetRepr { src_addr: source, dst_addr, ethertype: EthernetProtocol::Arp }.emit(&mut frame);
    repr.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    bytes
}

fn echo(data: &[u8]) -> Vec<u8> {
    let request = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 2, data };
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    bytes
}

fn destination(frame: &[u8]) -> EthernetAddress {
    EthernetFrame::new_checked(frame).unwrap().dst_addr()
}

fn is_arp(frame: &[u8]) -> bool {
    EthernetFrame::new_checked(frame).unwrap().ethertype() == EthernetProtocol::Arp
}

/// Field: mirage/mirage-tcpip#227, apache/nuttx#17688: a neighbour announces its new hardware address, by request or by reply → what follows goes there
#[test]
fn announcements_teach_by_request_and_by_reply() {
    for operation in [ArpOperation::Request, ArpOperation::Reply] {
        let (mut world, net, raw) = target(|_| {});
        assert!(replies(&mut world, &raw, arp(OTHER, operation, (OTHER, ip(9)), ip(9))).is_empty());
        let answer = replies(&mut world, &raw, ipv4(ip(9), ip(1), IpProtocol::Icmp, &echo(b"moved")));
        assert_eq!(destination(&answer[0]), OTHER, "{operation:?}");
        assert_eq!(net.status().counters.neighbours_moved.get(), 1);
    }
}

/// Field: zephyrproject-rtos/zephyr#16110: an ARP request with our own hardware address as its sender → no reply, and nothing is learned
#[test]
fn a_request_from_our_own_hardware_is_dropped() {
    let (mut world, net, raw) = target(|_| {});
    let before = net.status().neighbours;
    let sent = replies(&mut world, &raw, arp(US, ArpOperation::Request, (US, ip(77)), ip(1)));
    assert!(sent.is_empty(), "{sent:?}");
    assert_eq!(net.status().neighbours, before);
}

/// Field: freifunk-gluon/gluon#311, LekKit/RVVM#223: somebody asks who has 0.0.0.0 → nobody has
#[test]
fn nobody_has_the_unspecified_address() {
    let request = || arp(THEM, ArpOperation::Request, (THEM, ip(9)), Ipv4Address::UNSPECIFIED);
    let (mut world, _net, raw) = target(|_| {});
    assert!(replies(&mut world, &raw, request()).is_empty());
    let (mut world, _net, raw) = World::single(|config| config.addressing = Addressing::Dhcp);
    world.run(MS);
    raw.take();
    assert!(replies(&mut world, &raw, request()).iter().all(|frame| !is_arp(frame)));
}

/// Field: LekKit/RVVM#223: a host probes another address than ours → no reply, so that it may take it; ours is answered
#[test]
fn a_probe_is_answered_for_our_address_alone() {
    let (mut world, _net, raw) = target(|_| {});
    let probe = |target| arp(THEM, ArpOperation::Request, (THEM, Ipv4Address::UNSPECIFIED), target);
    assert!(replies(&mut world, &raw, probe(ip(2))).is_empty());
    let answer = replies(&mut world, &raw, probe(ip(1)));
    assert_eq!((answer.len(), is_arp(&answer[0]), destination(&answer[0])), (1, true, THEM));
}

/// Field: NetworkConfiguration/dhcpcd#145: a burst of probes for our address whose frames come from other hardware than they say → the address is kept
#[test]
fn a_burst_of_false_probes_does_not_take_our_address() {
    let (mut world, net, raw) = World::single(|config| config.probing = Probing::On);
    world.run(5 * SECOND);
    raw.take();
    for _ in 0..10 {
        raw.send(arp(OTHER, ArpOperation::Request, (THEM, Ipv4Address::UNSPECIFIED), ip(1)));
        world.run(50 * MS);
    }
    world.run(20 * SECOND);
    assert_eq!(net.status().address.map(|address| address.address()), Some(ip(1)));
}

/// Field: smoltcp-rs/smoltcp#52, tass-belgium/picotcp#289: an echo request in fragments, of more than one frame → the answer has every octet
#[test]
fn pings_beyond_the_mtu_are_answered_whole() {
    for len in [1473, 3000, 8000] {
        let (mut world, _net, raw) = target(|_| {});
        let data: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        fragments(ip(9), ip(1), IpProtocol::Icmp, &echo(&data), 1480, 7)
            .into_iter()
            .for_each(|frame| raw.send(frame));
        world.run(10 * MS);
        let mut parts: Vec<(usize, Vec<u8>)> = raw
            .take()
            .iter()
            .filter_map(|frame| {
                let packet: Ipv4Packet<&[u8]> = parse_ipv4(frame, IpProtocol::Icmp)?;
                Some((usize::from(packet.frag_offset()), packet.payload().to_vec()))
            })
            .collect();
        parts.sort();
        let whole: Vec<u8> = parts.into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(whole.len(), 8 + len, "{len}");
        assert!(whole[8..] == data[..], "{len}: octets differ");
    }
}

/// Field: RIOT-OS/RIOT#18164, F-Stack/f-stack#781: a solicitation to our group, and no packet from us before → one advertisement, and no solicitation back
#[test]
fn a_solicitation_is_answered_by_one_advertisement() {
    let (mut world, _net, raw) = World::single(|config| config.ipv6 = Ipv6Addressing::Auto);
    world.run(10 * SECOND);
    raw.take();
    for _ in 0..3 {
        raw.send(six::ask(THEIR_LOCAL, US_LOCAL));
        world.run(100 * MS);
        let sent: Vec<_> = raw.take().iter().filter_map(|frame| six::parse(frame)).collect();
        let kinds: Vec<_> = sent.iter().map(|found| (found.kind, found.to)).collect();
        assert_eq!(kinds, [(Icmpv6Message::NeighborAdvert, THEIR_LOCAL)]);
    }
}

/// Field: inet-framework/inet#1157: a router is asked for → never from an address that is still probed, and never with a hardware address beside the unspecified one
#[test]
fn routers_are_asked_from_an_address_in_use() {
    let (mut world, _net, raw) = World::single(|config| config.ipv6 = Ipv6Addressing::Auto);
    world.run(20 * SECOND);
    let asked: Vec<_> = raw
        .take()
        .iter()
        .filter_map(|frame| six::parse(frame).map(|found| (found, frame.len())))
        .filter(|(found, _)| found.kind == Icmpv6Message::RouterSolicit)
        .map(|(found, len)| (found.from, found.hop_limit, len))
        .collect();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|(from, hops, len)| (*from, *hops, *len) == (US_LOCAL, 255, 70)), "{asked:?}");
}

/// Field: mdlayher/ndp#30: another host probes our IPv6 address → it hears that the address is taken
#[test]
fn a_probe_for_our_address_is_answered_to_all() {
    let (mut world, _net, raw) = World::single(|config| config.ipv6 = Ipv6Addressing::Auto);
    world.run(10 * SECOND);
    raw.take();
    let probe = NdiscRepr::NeighborSolicit { target_addr: US_LOCAL, lladdr: None };
    raw.send(six::ndisc(net::Ipv6Address::UNSPECIFIED, six::solicited_node(US_LOCAL), &probe));
    world.run(10 * MS);
    let sent: Vec<_> = raw.take().iter().filter_map(|frame| six::parse(frame)).collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].kind, sent[0].to, sent[0].target),
        (Icmpv6Message::NeighborAdvert, six::ALL_NODES, Some(US_LOCAL))
    );
}
