//! A guest on other people's networks: neighbours that move, addresses that are taken, odd packets, and packets
//! without an answer.

mod world;

use std::rc::Rc;

use net::{
    Addressing, DropReason, EthernetAddress, IpEndpoint, Ipv4Address, Ipv4Cidr, Ipv6Addressing, Ipv6State,
    Net, Probing, TcpOptions, UdpOptions,
};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4Packet,
    Icmpv4Repr, Icmpv6Message, IpProtocol, Ipv4Packet, NdiscNeighborFlags, TcpControl,
};
use world::frames::six::{self, ALL_NODES, THEIR_LOCAL, US_LOCAL};
use world::frames::{
    THEM, Tcp, US, arp, ethernet, fragments, ipv4, ipv4_packet, parse_arp, parse_ipv4, parse_tcp, syn, udp,
    udp_datagram,
};
use world::{MS, Raw, SECOND, World, at, ip, replies, target};

const OLD: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xaa]);
const NEW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xbb]);
const FAR: Ipv4Address = Ipv4Address::new(8, 8, 8, 8);

/// An ARP message of any sender to any target.
fn arp_of(
    operation: ArpOperation,
    (mac, from): (EthernetAddress, Ipv4Address),
    to: Ipv4Address,
    frame_to: EthernetAddress,
) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: mac,
        source_protocol_addr: from,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: to,
    };
    let mut bytes = vec![0; 14 + repr.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    EthernetRepr { src_addr: mac, dst_addr: frame_to, ethertype: EthernetProtocol::Arp }.emit(&mut frame);
    repr.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    bytes
}

fn echo_request(data: &[u8]) -> Vec<u8> {
    let request = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 2, data };
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    bytes
}

fn destination(frame: &[u8]) -> EthernetAddress {
    EthernetFrame::new_checked(frame).unwrap().dst_addr()
}

/// Where a datagram to a host beyond the gateway goes now.
fn gateway(world: &mut World, net: &Net, raw: &Raw) -> Option<EthernetAddress> {
    let socket = net.udp_bind(0, UdpOptions::default()).unwrap();
    raw.take();
    world.block_on(
        SECOND,
        async move { socket.send_to(b"x", IpEndpoint::new(FAR.into(), 53)).await.unwrap() },
    );
    world.run(MS);
    let frames = raw.take();
    frames.iter().find(|frame| parse_ipv4(frame, IpProtocol::Udp).is_some()).map(|frame| destination(frame))
}

#[test]
fn a_gateway_that_fails_over_is_followed_at_once() {
    for operation in [ArpOperation::Request, ArpOperation::Reply] {
        let (mut world, net, raw) = World::single(|_| {});
        assert_eq!(gateway(&mut world, &net, &raw), None);
        raw.send(arp_of(ArpOperation::Reply, (OLD, ip(254)), ip(1), US));
        world.run(MS);
        assert_eq!(gateway(&mut world, &net, &raw), Some(OLD));
        world.run(5 * SECOND);
        // As keepalived does it: about itself, to all.
        raw.send(arp_of(operation, (NEW, ip(254)), ip(254), EthernetAddress::BROADCAST));
        world.run(MS);
        assert_eq!(gateway(&mut world, &net, &raw), Some(NEW), "{operation:?}");
        assert_eq!(net.status().counters.neighbours_moved.get(), 1);
    }
}

#[test]
fn a_prefix_of_32_bits_reaches_all_by_its_gateway() {
    let (mut world, net, raw) = World::single(|config| {
        config.addressing = Addressing::Static {
            address: Ipv4Cidr::new(ip(1), 32),
            gateway: Some(Ipv4Address::new(172, 31, 1, 1)),
            dns: vec![],
        };
    });
    assert_eq!(gateway(&mut world, &net, &raw), None);
    raw.send(arp_of(ArpOperation::Reply, (NEW, Ipv4Address::new(172, 31, 1, 1)), ip(1), US));
    world.run(MS);
    assert_eq!(gateway(&mut world, &net, &raw), Some(NEW));
}

#[test]
fn a_thousand_neighbours_with_connections_stay_known() {
    let (mut world, net, raw) = World::single(|config| {
        config.addressing =
            Addressing::Static { address: Ipv4Cidr::new(ip(1), 8), gateway: None, dns: vec![] };
        config.limits.neighbours = 1400;
    });
    let listener = net.tcp_listen(80, TcpOptions { backlog: 2000, ..TcpOptions::default() }).unwrap();
    let peer = |n: u16| Ipv4Address::new(10, 1, (n >> 8) as u8, n as u8);
    for n in 0..1000 {
        let (from, to) = (IpEndpoint::new(peer(n).into(), 4000), at(1, 80));
        raw.send(arp_of(ArpOperation::Request, (THEM, peer(n)), ip(1), US));
        raw.send(syn(from, to, 7));
        world.run(MS);
        let answer = raw.take();
        let (_, seq, ..) = answer.iter().find_map(|frame| parse_tcp(frame)).unwrap();
        let ack = Some(seq.wrapping_add(1));
        raw.send(Tcp { from, to, control: TcpControl::Psh, seq: 8, ack, data: b"hello" }.frame());
        world.run(50 * MS);
        raw.take();
    }
    assert_eq!(net.status().connections, 1000);
    // Many unknown hosts fill our table.
    for n in 0..5000_u16 {
        let stranger = Ipv4Address::new(10, 9, (n >> 8) as u8, n as u8);
        raw.send(arp_of(ArpOperation::Request, (NEW, stranger), ip(1), US));
        raw.send(udp(IpEndpoint::new(stranger.into(), 5), at(1, 9), b"x"));
        if n % 50 == 0 {
            world.run(MS);
        }
    }
    world.run(SECOND);
    raw.take();
    // Every connection sends at once, without asking for a neighbour.
    let listener = Rc::new(listener);
    for _ in 0..1000 {
        let listener = Rc::clone(&listener);
        world.spawn(async move {
            let mut stream = listener.accept().await;
            stream.send(&b"answer"[..]).await.unwrap();
            std::future::pending::<()>().await;
        });
    }
    world.run(100 * MS);
    let sent = raw.take();
    let answers =
        sent.iter().filter(|frame| parse_tcp(frame).is_some_and(|(_, _, _, data)| data == b"answer"));
    assert_eq!(answers.count(), 1000);
    assert!(net.status().neighbours <= 1400);
}

#[test]
fn icmp_errors_and_resets_are_limited() {
    let (mut world, net, raw) = target(|_| {});
    for _ in 0..10_000 {
        raw.send(udp(at(9, 4000), at(1, 9999), b"x"));
        let segment = Tcp {
            from: at(9, 4000),
            to: at(1, 9),
            control: TcpControl::None,
            seq: 1,
            ack: Some(5),
            data: &[],
        };
        raw.send(segment.frame());
    }
    world.run(100 * MS);
    let sent = raw.take();
    let errors = sent.iter().filter(|frame| parse_ipv4(frame, IpProtocol::Icmp).is_some()).count();
    let resets = sent.iter().filter(|frame| parse_tcp(frame).is_some()).count();
    assert!((50..=60).contains(&errors), "{errors} errors");
    assert!((200..=220).contains(&resets), "{resets} resets");
    let counters = net.status().counters;
    assert_eq!(
        (counters.icmp_errors.get(), counters.icmp_limited.get()),
        (errors as u64, 10_000 - errors as u64)
    );
    assert_eq!(
        (counters.refused.get(), counters.resets_limited.get()),
        (resets as u64, 10_000 - resets as u64)
    );
}

#[test]
fn nothing_sent_to_all_is_answered() {
    let (mut world, net, raw) = target(|_| {});
    let to_all = |payload: &[u8]| ethernet(EthernetAddress::BROADCAST, EthernetProtocol::Ipv4, payload);
    let packet = |to, protocol, payload: &[u8]| ipv4_packet(ip(9), to, protocol, payload);
    let datagram = |to: IpEndpoint| udp_datagram(at(9, 5), to, b"x");
    let broadcast = Ipv4Address::BROADCAST;
    let all = IpEndpoint::new(broadcast.into(), 9);
    let silent = [
        to_all(&packet(ip(255), IpProtocol::Icmp, &echo_request(b"x"))),
        to_all(&packet(broadcast, IpProtocol::Icmp, &echo_request(b"x"))),
        to_all(&packet(ip(1), IpProtocol::Icmp, &echo_request(b"x"))),
        to_all(&packet(ip(255), IpProtocol::Udp, &datagram(at(255, 9)))),
        to_all(&packet(broadcast, IpProtocol::Udp, &datagram(all))),
        to_all(&packet(ip(1), IpProtocol::Udp, &datagram(at(1, 9)))),
        to_all(&packet(ip(255), IpProtocol::Unknown(200), b"x")),
        ethernet(US, EthernetProtocol::Ipv4, &packet(ip(255), IpProtocol::Icmp, &echo_request(b"x"))),
    ];
    for (number, frame) in silent.into_iter().enumerate() {
        assert_eq!(replies(&mut world, &raw, frame).len(), 0, "case {number}");
    }
    // To us alone, each of them is.
    for (protocol, payload) in [
        (IpProtocol::Icmp, echo_request(b"x")),
        (IpProtocol::Udp, datagram(at(1, 9))),
        (IpProtocol::Unknown(200), vec![1; 20]),
    ] {
        assert_eq!(replies(&mut world, &raw, ipv4(ip(9), ip(1), protocol, &payload)).len(), 1, "{protocol}");
    }
    assert_eq!(net.status().drops.get(DropReason::Protocol), 1);
}

#[test]
fn source_routed_packets_are_dropped() {
    let (mut world, net, raw) = target(|_| {});
    for kind in [131, 137] {
        let plain = ipv4_packet(ip(9), ip(1), IpProtocol::Icmp, &echo_request(b"x"));
        let mut packet = [&plain[..20], &[kind, 7, 4, 10, 0, 0, 7, 0], &plain[20..]].concat();
        packet[0] = 0x47;
        let mut view = Ipv4Packet::new_unchecked(&mut packet[..]);
        view.set_total_len(plain.len() as u16 + 8);
        view.fill_checksum();
        assert_eq!(replies(&mut world, &raw, ethernet(US, EthernetProtocol::Ipv4, &packet)).len(), 0);
    }
    assert_eq!(net.status().drops.get(DropReason::SourceRouted), 2);
}

#[test]
fn a_priority_tag_is_taken_off() {
    let (mut world, _, raw) = target(|_| {});
    let plain = ipv4(ip(9), ip(1), IpProtocol::Icmp, &echo_request(b"x"));
    let tagged = |tag: [u8; 2]| [&plain[..12], &[0x81, 0], &tag, &plain[12..]].concat();
    assert_eq!(replies(&mut world, &raw, tagged([0xe0, 0])).len(), 1, "priority 7");
    assert_eq!(replies(&mut world, &raw, tagged([0, 7])).len(), 0, "VLAN 7");
}

/// The payload of a packet that came in fragments, and the bytes of the longest frame.
fn reassembled(frames: &[Vec<u8>]) -> (Vec<u8>, usize) {
    let mut whole = vec![];
    let mut longest = 0;
    for frame in frames {
        let packet = parse_ipv4(frame, IpProtocol::Icmp).unwrap();
        let offset = usize::from(packet.frag_offset());
        whole.resize(whole.len().max(offset + packet.payload().len()), 0);
        whole[offset..offset + packet.payload().len()].copy_from_slice(packet.payload());
        longest = longest.max(frame.len());
    }
    (whole, longest)
}

#[test]
fn a_ping_of_8000_bytes_is_answered() {
    let (mut world, net, raw) = target(|_| {});
    for size in [1473, 8000, 65_000] {
        let request = echo_request(&vec![7; size]);
        for frame in fragments(ip(9), ip(1), IpProtocol::Icmp, &request, 1480, size as u16) {
            raw.send(frame);
        }
        world.run(MS);
        let (reply, longest) = reassembled(&raw.take());
        assert_eq!((reply.len(), reply[0], longest <= 1514), (request.len(), 0, true), "{size}");
        assert_eq!(reply[8..], request[8..]);
        assert!(Icmpv4Packet::new_checked(&reply[..]).unwrap().verify_checksum());
    }
    assert_eq!(net.status().counters.reassembled.get(), 3);
}

/// A stack with IPv6 whose addresses are valid.
fn six() -> (World, Net, Raw) {
    let (mut world, net, raw) = World::single(|config| config.ipv6 = Ipv6Addressing::Auto);
    world.run(3 * SECOND);
    raw.send(six::ask(THEIR_LOCAL, US_LOCAL));
    world.run(MS);
    raw.take();
    (world, net, raw)
}

fn pinged(world: &mut World, raw: &Raw, next: IpProtocol, payload: &[u8]) -> bool {
    let sent = replies(world, raw, six::packet(THEIR_LOCAL, US_LOCAL, next, 64, payload));
    sent.iter().any(|frame| six::parse(frame).is_some_and(|found| found.kind == Icmpv6Message::EchoReply))
}

#[test]
fn ipv6_headers_that_say_nothing_are_skipped() {
    let (mut world, _, raw) = six();
    let ping = six::ping(THEIR_LOCAL, US_LOCAL, 1, b"ping")[54..].to_vec();
    let with = |header: [u8; 8]| [&header[..], &ping].concat();
    assert!(pinged(&mut world, &raw, IpProtocol::Ipv6Opts, &with([58, 0, 1, 4, 0, 0, 0, 0])));
    assert!(pinged(&mut world, &raw, IpProtocol::Ipv6Route, &with([58, 0, 0, 0, 0, 0, 0, 0])));
    assert!(pinged(&mut world, &raw, IpProtocol::Ipv6Frag, &with([58, 0, 0, 0, 0, 0, 0, 7])), "RFC 6946");
    assert!(!pinged(&mut world, &raw, IpProtocol::Ipv6Route, &with([58, 0, 0, 1, 0, 0, 0, 0])));
    assert!(!pinged(&mut world, &raw, IpProtocol::Ipv6Opts, &with([58, 0, 0x80, 4, 0, 0, 0, 0])));
}

#[test]
fn ipv6_fragments_are_put_together() {
    let (mut world, net, raw) = six();
    let ping = six::ping(THEIR_LOCAL, US_LOCAL, 1, &[7; 2000])[54..].to_vec();
    for (number, piece) in ping.chunks(800).enumerate().collect::<Vec<_>>().into_iter().rev() {
        let place = (number * 800) as u16 | u16::from((number + 1) * 800 < ping.len());
        let head = [&[58, 0][..], &place.to_be_bytes(), &[0, 0, 0, 9]].concat();
        raw.send(six::packet(THEIR_LOCAL, US_LOCAL, IpProtocol::Ipv6Frag, 64, &[&head, piece].concat()));
    }
    world.run(MS);
    let frames = raw.take();
    let bytes: usize = frames.iter().filter(|frame| frame[20] == 44).map(|frame| frame.len() - 62).sum();
    assert_eq!((frames.len(), bytes), (2, ping.len()), "the reply in two fragments");
    assert_eq!(net.status().counters.reassembled.get(), 1);
}

#[test]
fn a_forged_claim_does_not_end_ipv6_for_ever() {
    let claim = || {
        let advert = six::advert(US_LOCAL, THEM, NdiscNeighborFlags::OVERRIDE);
        six::ndisc(THEIR_LOCAL, ALL_NODES, &advert)
    };
    let state = |net: &Net| net.status().ipv6[0].state;
    let (mut world, net, raw) = World::single(|config| config.ipv6 = Ipv6Addressing::Auto);
    world.run(100 * MS);
    raw.send(claim());
    world.run(20 * SECOND);
    assert_eq!(state(&net), Ipv6State::Duplicate);
    world.run(12 * SECOND);
    assert_eq!(state(&net), Ipv6State::Valid, "probed again after 30 s");
    // And on a new link at once.
    let (mut world, net, raw) = World::single(|config| config.ipv6 = Ipv6Addressing::Auto);
    world.run(100 * MS);
    raw.send(claim());
    world.run(SECOND);
    world.stacks[0].nic().switches.generation.set(2);
    world.run(2 * SECOND);
    assert_eq!(state(&net), Ipv6State::Valid);
}

#[test]
fn a_query_by_mldv1_is_answered_by_mldv1() {
    let (mut world, _, raw) = six();
    let mut query = vec![130, 0, 0, 0, 0, 10, 0, 0];
    query.extend([0; 16]);
    smoltcp::wire::Icmpv6Packet::new_unchecked(&mut query[..]).fill_checksum(&THEIR_LOCAL, &ALL_NODES);
    let payload = [&[58, 0, 5, 2, 0, 0, 1, 0], &query[..]].concat();
    let sent =
        replies(&mut world, &raw, six::packet(THEIR_LOCAL, ALL_NODES, IpProtocol::HopByHop, 1, &payload));
    let reports: Vec<_> = sent.iter().filter(|frame| frame.len() == 86 && frame[62] == 131).collect();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0][70..86], six::solicited_node(US_LOCAL).octets());
}

fn probing() -> (World, Net, Raw) {
    World::single(|config| config.probing = Probing::On)
}

/// Probes for our address: requests without a sender.
fn probes(frames: &[Vec<u8>]) -> usize {
    frames.iter().filter(|frame| parse_arp(frame) == Some((Ipv4Address::UNSPECIFIED, ip(1)))).count()
}

#[test]
fn a_fixed_address_is_probed_before_it_is_used() {
    let (mut world, net, raw) = probing();
    world.run(150 * MS);
    assert_eq!(net.status().address, None);
    world.run(SECOND);
    let sent = raw.take();
    assert_eq!((probes(&sent), net.status().address.is_some()), (3, true));
    let announced = sent.iter().filter(|frame| parse_arp(frame) == Some((ip(1), ip(1)))).count();
    assert_eq!(announced, 1);
}

#[test]
fn an_address_that_is_taken_is_not_used() {
    let answers = [
        arp_of(ArpOperation::Reply, (NEW, ip(1)), ip(1), US),
        // Another host that probes it too.
        arp_of(ArpOperation::Request, (NEW, Ipv4Address::UNSPECIFIED), ip(1), EthernetAddress::BROADCAST),
    ];
    for answer in answers {
        let (mut world, net, raw) = probing();
        world.run(10 * MS);
        raw.send(answer);
        world.run(50 * SECOND);
        assert_eq!((net.status().address, net.status().counters.conflicts.get()), (None, 1));
        raw.take();
        world.run(12 * SECOND);
        assert_eq!((probes(&raw.take()), net.status().address.is_some()), (3, true), "tried again");
    }
}

#[test]
fn an_address_in_use_is_defended() {
    let (mut world, net, raw) = target(|_| {});
    world.run(5 * SECOND);
    raw.take();
    let probe =
        arp_of(ArpOperation::Request, (NEW, Ipv4Address::UNSPECIFIED), ip(1), EthernetAddress::BROADCAST);
    assert_eq!(replies(&mut world, &raw, probe).len(), 1, "a probe is answered");
    let claim = || arp_of(ArpOperation::Request, (NEW, ip(1)), ip(1), EthernetAddress::BROADCAST);
    let sent = replies(&mut world, &raw, claim());
    assert_eq!(sent.iter().filter_map(|frame| parse_arp(frame)).collect::<Vec<_>>(), [(ip(1), ip(1))]);
    assert_eq!(replies(&mut world, &raw, claim()).len(), 0, "once in ten seconds");
    assert!(net.status().address.is_some(), "a fixed address stays");
    assert_eq!((net.status().counters.conflicts.get(), net.status().counters.defended.get()), (2, 1));
}

/// The number of the first DHCP transaction.
fn transaction(seed: Option<u8>) -> u32 {
    let (mut world, _net, raw) = World::single(|config| config.addressing = Addressing::Dhcp);
    if let Some(seed) = seed {
        world.stacks[0].renew_secrets([seed; 32]);
    }
    world.run(20 * SECOND);
    let discover = raw.take().into_iter().find_map(|frame| {
        let message = parse_ipv4(&frame, IpProtocol::Udp)?.payload().get(8 + 4..8 + 8)?.to_vec();
        Some(u32::from_be_bytes(message.try_into().ok()?))
    });
    discover.expect("a DISCOVER")
}

#[test]
fn two_stacks_of_one_image_differ_after_renewal() {
    let numbers = |seed: Option<u8>| {
        let (mut world, net, raw) = target(|_| {});
        let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
        if let Some(seed) = seed {
            world.stacks[0].renew_secrets([seed; 32]);
        }
        let answer = replies(&mut world, &raw, syn(at(9, 4000), at(1, 80), 7));
        let number = parse_tcp(&answer[0]).unwrap().1;
        let client = net.clone();
        world.spawn(async move { client.tcp_connect(at(9, 99), TcpOptions::default()).await.map(drop) });
        world.run(MS);
        let opened = raw.take();
        let packet = parse_ipv4(&opened[0], IpProtocol::Tcp).unwrap();
        let tcp = smoltcp::wire::TcpPacket::new_checked(packet.payload()).unwrap();
        let port = net.udp_bind(0, UdpOptions::default()).unwrap().port();
        let numbers = [number, tcp.seq_number().0].map(i32::cast_unsigned);
        [numbers[0], numbers[1], u32::from(tcp.src_port()), u32::from(port), transaction(seed)]
    };
    assert_eq!(numbers(None), numbers(None), "the same image");
    let (first, second) = (numbers(Some(1)), numbers(Some(2)));
    assert!(first.iter().zip(second).all(|(first, second)| *first != second), "{first:?} {second:?}");
}

#[test]
fn a_parked_connection_comes_back_with_its_request() {
    let (mut world, net, raw) = target(|_| {});
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let (from, to) = (at(9, 4000), at(1, 80));
    let answer = replies(&mut world, &raw, syn(from, to, 1000));
    let ours = parse_tcp(&answer[0]).unwrap().1.wrapping_add(1);
    raw.send(Tcp { from, to, control: TcpControl::None, seq: 1001, ack: Some(ours), data: &[] }.frame());
    let served = world.spawn(async move {
        let stream = listener.ready().await;
        stream.park();
        let mut stream = listener.ready().await;
        let request = stream.recv().await.unwrap().unwrap();
        stream.send(request.to_vec()).await.unwrap();
        (stream, listener)
    });
    world.run(SECOND);
    assert!(!served.done(), "nothing to read yet");
    let segment = Tcp { from, to, control: TcpControl::Psh, seq: 1001, ack: Some(ours), data: b"GET /" };
    let sent = replies(&mut world, &raw, segment.frame());
    assert!(served.done());
    assert!(sent.iter().any(|frame| parse_tcp(frame).is_some_and(|(_, _, _, data)| data == b"GET /")));
}

/// Makes a frame of the peer, from its data and the bytes that it acknowledges.
type Frame = Box<dyn Fn(&[u8], i32) -> Vec<u8>>;

/// A connection that is open and parked; frames of the peer, and the number that it acknowledges.
fn parked(idle: u64, sent: usize) -> (World, Net, Raw, Frame, i32) {
    let (mut world, net, raw) = target(|_| {});
    let idle = Some(core::time::Duration::from_secs(idle));
    let listener = net.tcp_listen(80, TcpOptions { idle, ..TcpOptions::default() }).unwrap();
    let (from, to) = (at(9, 4000), at(1, 80));
    let answer = replies(&mut world, &raw, syn(from, to, 1000));
    let ours = parse_tcp(&answer[0]).unwrap().1.wrapping_add(1);
    let frame = move |data: &[u8], ack: i32| {
        Tcp { from, to, control: TcpControl::None, seq: 1001, ack: Some(ours.wrapping_add(ack)), data }
            .frame()
    };
    raw.send(frame(b"", 0));
    let served = world.spawn(async move {
        let mut stream = listener.ready().await;
        assert!(stream.is_new());
        stream.send(vec![b'x'; sent]).await.unwrap();
        stream.park();
        let again = listener.ready().await;
        assert!(!again.is_new(), "only one connection");
    });
    world.run(MS);
    assert!(!served.done());
    raw.take();
    (world, net, raw, Box::new(frame), ours)
}

/// FIN and RST among frames.
fn ends(raw: &Raw) -> (bool, bool) {
    let frames = raw.take();
    let flags = |wanted: TcpControl| {
        frames.iter().any(|frame| parse_tcp(frame).is_some_and(|(control, ..)| control == wanted))
    };
    (flags(TcpControl::Fin), flags(TcpControl::Rst))
}

#[test]
fn a_parked_connection_ends_after_its_idle_time() {
    let (mut world, net, raw, frame, _) = parked(60, 0);
    world.run(50 * SECOND);
    // A keep-alive segment of the peer is no request.
    raw.send(frame(b"", 0));
    world.run(9 * SECOND);
    assert_eq!(ends(&raw), (false, false));
    world.run(6 * SECOND);
    assert_eq!(ends(&raw), (true, false));
    assert_eq!(net.status().counters.idle_closed.get(), 1);
}

#[test]
fn a_parked_peer_that_takes_too_little_is_reset() {
    let (mut world, net, raw, frame, ours) = parked(1, 900_000);
    // It acknowledges up to 10 KB a second of what has come, and after 70 s no more.
    let (mut come, mut acked, mut reset) = (0, 0, 0);
    for tenth in 1..=1400 {
        world.run(100 * MS);
        let frames: Vec<_> = raw.take().iter().filter_map(|frame| parse_tcp(frame)).collect();
        let end = |(_, seq, _, data): &(_, i32, _, Vec<u8>)| {
            seq.wrapping_sub(ours).wrapping_add(i32::try_from(data.len()).unwrap())
        };
        come = frames.iter().map(end).fold(come, i32::max);
        if frames.iter().any(|(control, ..)| *control == TcpControl::Rst) {
            reset = tenth;
            break;
        }
        if tenth <= 700 {
            acked = come.min(acked + 1000);
        }
        if tenth % 100 == 0 {
            raw.send(arp(ArpOperation::Reply, ip(9), ip(1)));
        }
        raw.send(frame(b"", acked));
    }
    assert!(acked > 60 * 4096 && (701..=1400).contains(&reset), "{acked} bytes, reset after {reset}");
    assert_eq!(net.status().counters.idle_closed.get(), 1);
}

#[test]
fn requests_for_many_neighbours_leave_at_a_limited_rate() {
    let (mut world, net, raw) = World::single(|config| {
        config.addressing =
            Addressing::Static { address: Ipv4Cidr::new(ip(1), 8), gateway: None, dns: vec![] };
    });
    world.run(MS);
    raw.take();
    for n in 0..1600_u16 {
        let (net, to) = (net.clone(), Ipv4Address::new(10, 1, (n >> 8) as u8, n as u8));
        world.spawn(async move { net.tcp_connect((to, 80), TcpOptions::default()).await.map(drop) });
    }
    let mut asked = std::collections::BTreeMap::new();
    let mut at_once = 0;
    for second in 0..6 {
        world.run(if second == 0 { MS } else { SECOND });
        let requests = raw.take();
        let requests = requests.iter().filter_map(|frame| parse_arp(frame)).filter(|(_, to)| *to != ip(1));
        requests.for_each(|(_, target)| *asked.entry(target).or_insert(0) += 1);
        let last = asked.values().sum::<usize>();
        assert!(last <= 1000 + 500 * second + 10, "{last} in {second} s");
        at_once = if second == 0 { last } else { at_once };
    }
    assert_eq!(at_once, 1000, "a burst");
    assert_eq!(asked.len(), 1600, "the others a little later");
    assert!(asked.values().all(|count| *count <= 6), "one a second at most");
    assert!(net.status().counters.asks_limited.get() >= 600);
}
