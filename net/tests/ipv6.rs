//! IPv6: addresses and their sources, neighbours, both ends of TCP and UDP, and attacks on them.

mod world;

use embedded_io_async::{Read as _, Write as _};
use net::{
    Config, DropReason, IpEndpoint, Ipv6Address, Ipv6Addressing, Ipv6State, Net, NetError, TcpOptions,
    UdpOptions,
};
use smoltcp::wire::{Icmpv6Message, IpProtocol, NdiscNeighborFlags, NdiscRepr, TcpControl};
use world::frames::six::{self, ALL_NODES, THEIR_LOCAL, US_LOCAL, ndisc};
use world::frames::{THEM, Tcp};
use world::{Dice, MS, Raw, SECOND, Wire, World, both, fixed, global};

fn parse(address: &str) -> Ipv6Address {
    address.parse().unwrap()
}

fn auto(config: &mut Config) {
    config.ipv6 = Ipv6Addressing::Auto;
}

fn at(last: u16, port: u16) -> IpEndpoint {
    IpEndpoint::new(global(last).into(), port)
}

/// A stack with an advertised prefix, and its frames until it had its address.
fn with_addresses() -> (World, Net, Raw, Vec<Vec<u8>>) {
    let (mut world, net, raw) = World::single(auto);
    world.run(1100 * MS);
    raw.send(six::advertisement(1800, &[(parse("2001:db8::"), 64, 0xc0, 86_400)]));
    world.run(1100 * MS);
    let sent = raw.take();
    assert!(net.status().ipv6.iter().all(|own| own.state == Ipv6State::Valid), "{:?}", net.status().ipv6);
    (world, net, raw, sent)
}

const OURS: &str = "2001:db8::216:3eff:fe00:1";

#[test]
fn an_address_is_probed_and_announced_and_routers_are_asked() {
    let (world, net, _, sent) = with_addresses();
    let status = net.status();
    let addresses: Vec<_> = status.ipv6.iter().map(|own| own.address.to_string()).collect();
    assert_eq!(addresses, ["fe80::216:3eff:fe00:1/64", "2001:db8::216:3eff:fe00:1/64"]);
    assert_eq!(status.ipv6_gateway, Some(THEIR_LOCAL));
    let ours = parse(OURS);
    let all: Vec<_> = sent.iter().filter_map(|frame| six::parse(frame)).collect();
    for address in [US_LOCAL, ours] {
        let group = six::solicited_node(address);
        let find =
            |kind| all.iter().find(|found| found.kind == kind && found.target == Some(address)).unwrap();
        let probe = find(Icmpv6Message::NeighborSolicit);
        assert_eq!((probe.from, probe.to, probe.hop_limit), (Ipv6Address::UNSPECIFIED, group, 255));
        let told = find(Icmpv6Message::NeighborAdvert);
        assert_eq!((told.from, told.to, told.hop_limit), (address, ALL_NODES, 255));
        assert!(told.flags.contains(NdiscNeighborFlags::OVERRIDE));
        assert!(!told.flags.contains(NdiscNeighborFlags::SOLICITED));
    }
    let asked = all.iter().find(|found| found.kind == Icmpv6Message::RouterSolicit).unwrap();
    assert_eq!((asked.from, asked.to), (US_LOCAL, parse("ff02::2")));
    // The device gets the groups of all hosts and all nodes, and, because both addresses end alike, one group twice.
    let groups = world.stacks[0].nic().switches.groups.borrow();
    let solicited = [0x33, 0x33, 0xff, 0, 0, 1];
    let wanted = [[1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1], solicited, solicited];
    assert_eq!(groups.iter().map(|group| group.0).collect::<Vec<_>>(), wanted);
    // Groups: joined before the probe, which its answer comes to.
    let report = |group: Ipv6Address| {
        let joined = |frame: &Vec<u8>| {
            frame[12..14] == [0x86, 0xdd]
                && frame[20..22] == [0, 1]
                && frame[54..62] == [58, 0, 5, 2, 0, 0, 1, 0]
                && frame[62] == 143
                && frame[70..].chunks(20).any(|record| record[0] == 4 && record[4..] == group.octets())
        };
        sent.iter().position(joined).unwrap()
    };
    let probe = |address| {
        let probe = |frame: &Vec<u8>| six::parse(frame).is_some_and(|found| found.target == Some(address));
        sent.iter().position(probe).unwrap()
    };
    assert!(report(six::solicited_node(ours)) < probe(ours));
    assert_eq!(&sent[report(six::solicited_node(ours))][..6], [0x33, 0x33, 0, 0, 0, 0x16]);
}

#[test]
fn routers_are_asked_for_with_back_off_and_again_when_gone() {
    let (mut world, net, raw) = World::single(auto);
    let asked = |net: &Net| net.status().counters.routers_asked.get();
    world.run(30 * SECOND);
    // 1, 5, 13 and 29 s after the start.
    assert_eq!(asked(&net), 4);
    world.run(24 * 3600 * SECOND);
    assert!((30..45).contains(&asked(&net)), "{}", asked(&net));
    raw.send(six::advertisement(100, &[(parse("2001:db8::"), 64, 0xc0, 8000)]));
    world.run(SECOND);
    let before = asked(&net);
    world.run(98 * SECOND);
    assert_eq!((asked(&net), net.status().ipv6_gateway), (before, Some(THEIR_LOCAL)));
    world.run(2 * SECOND);
    assert_eq!((asked(&net), net.status().ipv6_gateway), (before + 1, None));
    assert_eq!(net.status().ipv6.len(), 2);
    world.run(8000 * SECOND);
    assert_eq!(net.status().ipv6.len(), 1, "the address has outlived its time");
}

#[test]
fn an_address_that_somebody_has_is_not_used() {
    for claim in [
        ndisc(THEIR_LOCAL, ALL_NODES, &six::advert(US_LOCAL, THEM, NdiscNeighborFlags::OVERRIDE)),
        ndisc(
            Ipv6Address::UNSPECIFIED,
            six::solicited_node(US_LOCAL),
            &NdiscRepr::NeighborSolicit { target_addr: US_LOCAL, lladdr: None },
        ),
    ] {
        let (mut world, net, raw) = World::single(auto);
        world.run(500 * MS);
        raw.send(claim);
        raw.send(six::advertisement(1800, &[(parse("2001:db8::"), 64, 0xc0, 86_400)]));
        world.run(5 * SECOND);
        let status = net.status();
        assert_eq!(status.ipv6[0].state, Ipv6State::Duplicate);
        assert_eq!((status.ipv6.len(), status.counters.routers_asked.get()), (1, 0));
        raw.take();
        raw.send(six::ping(THEIR_LOCAL, US_LOCAL, 1, b"still there?"));
        world.run(5 * SECOND);
        assert!(raw.take().is_empty());
    }
}

#[test]
fn an_address_in_use_is_defended_and_kept() {
    let (mut world, net, raw, _) = with_addresses();
    let ours = parse(OURS);
    let probe = NdiscRepr::NeighborSolicit { target_addr: ours, lladdr: None };
    raw.send(ndisc(Ipv6Address::UNSPECIFIED, six::solicited_node(ours), &probe));
    raw.send(ndisc(THEIR_LOCAL, ALL_NODES, &six::advert(ours, THEM, NdiscNeighborFlags::OVERRIDE)));
    world.run(MS);
    let answers: Vec<_> = raw.take().iter().filter_map(|frame| six::parse(frame)).collect();
    assert_eq!((answers.len(), answers[0].kind), (1, Icmpv6Message::NeighborAdvert));
    assert_eq!((answers[0].to, answers[0].target), (ALL_NODES, Some(ours)));
    assert_eq!(net.status().counters.defended.get(), 1);
    assert_eq!(net.status().ipv6[1].state, Ipv6State::Valid);
}

#[test]
fn pings_of_every_size_are_answered_and_neighbours_resolved() {
    let (mut world, _, raw, _) = with_addresses();
    let ours = parse(OURS);
    for len in [0, 1, 56, 1000, 1452] {
        raw.send(six::ask(THEIR_LOCAL, ours));
        raw.send(six::ping(THEIR_LOCAL, ours, 7, &vec![3; len]));
        world.run(10 * MS);
        let answers = raw.take();
        let reply = answers.iter().find_map(|frame| six::parse_ping(frame)).unwrap();
        assert_eq!(reply, (7, vec![3; len]));
        let told = answers.iter().filter_map(|frame| six::parse(frame));
        assert!(told.into_iter().any(|found| found.to == THEIR_LOCAL && found.target == Some(ours)));
    }
}

#[test]
fn tcp_and_udp_work_between_two_of_us() {
    let (mut world, a, b) = World::pair(fixed, Wire { loss: 20, ..Wire::default() });
    world.run(1500 * MS);
    let listener = b.tcp_listen(80, TcpOptions::default()).unwrap();
    let server = async move {
        let mut stream = listener.accept().await;
        let mut heard = vec![0; 100_000];
        stream.read_exact(&mut heard).await.unwrap();
        stream.write_all(&heard).await.unwrap();
        stream.peer()
    };
    let data = Dice(7).bytes(100_000);
    let (c, sent) = (a.clone(), data.clone());
    let client = async move {
        let mut stream = c.tcp_connect(at(2, 80), TcpOptions::default()).await.unwrap();
        let mut heard = vec![0; sent.len()];
        let (mut reader, mut writer) = stream.split();
        let (wrote, read) = both(writer.write_all(&sent), reader.read_exact(&mut heard)).await;
        wrote.unwrap();
        read.unwrap();
        heard
    };
    let (_, heard) = world.block_on(120 * SECOND, both(server, client));
    assert!(heard == data);

    let there = b.udp_bind(7, UdpOptions::default()).unwrap();
    let here = a.udp_bind(0, UdpOptions::default()).unwrap();
    world.stacks.iter().for_each(|stack| stack.nic().change_wire(|wire| wire.loss = 0));
    let echo = async move {
        let mut buffer = [0; 1500];
        let (len, from) = there.recv_from(&mut buffer).await.unwrap();
        there.send_to(&buffer[..len], from).await.unwrap();
    };
    let ask = async move {
        assert_eq!(here.send_to(&[0; 1453], at(2, 7)).await, Err(NetError::TooLong));
        here.send_to(&[9; 1452], at(2, 7)).await.unwrap();
        let mut buffer = [0; 1500];
        here.recv_from(&mut buffer).await.unwrap()
    };
    let (_, (len, from)) = world.block_on(10 * SECOND, both(echo, ask));
    assert_eq!((len, from), (1452, at(2, 7)));
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let (mut world, net, raw, _) = with_addresses();
    for in_place in [false, true] {
        let port = 7 + u16::from(in_place);
        let socket = net.udp_bind(port, UdpOptions { in_place, ..UdpOptions::default() }).unwrap();
        let job = world.spawn(async move {
            for _ in 0..2 {
                let datagram = socket.recv_owned().await.unwrap();
                socket.send_to(datagram.payload(), datagram.from()).await.unwrap();
            }
        });
        for to in [US_LOCAL, parse(OURS)] {
            raw.send(six::ask(THEIR_LOCAL, to));
            raw.send(six::udp(
                IpEndpoint::new(THEIR_LOCAL.into(), 99),
                IpEndpoint::new(to.into(), port),
                b"x",
            ));
            world.run(10 * MS);
            let frames = raw.take();
            let from = frames.iter().find(|frame| frame[20] == 17).map(|frame| six::addresses(frame).0);
            assert_eq!(from, Some(to), "in place: {in_place}");
        }
        assert!(job.done());
    }
}

#[test]
fn without_an_address_or_a_way_it_says_so() {
    let (mut world, net, _) = World::single(|_| ());
    let connect = |net: &Net, to| {
        let net = net.clone();
        async move { net.tcp_connect(to, TcpOptions::default()).await.map(|_| ()) }
    };
    assert_eq!(world.block_on(SECOND, connect(&net, at(2, 80))), Err(NetError::NoAddress), "IPv6 is off");
    let (mut world, net, _) = World::single(fixed);
    world.run(1100 * MS);
    let far = IpEndpoint::new(parse("2001:db8:1::1").into(), 80);
    assert_eq!(world.block_on(SECOND, connect(&net, far)), Err(NetError::NoRoute));
    assert_eq!(world.block_on(SECOND, connect(&net, at(1, 80))), Err(NetError::Unaddressable), "ourselves");
}

#[test]
fn a_new_link_is_told_of_our_addresses_and_connections_live_on() {
    let (mut world, net, raw, _) = with_addresses();
    let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let (ack, seq) = open(&mut world, &raw);
    let switches = &world.stacks[0].nic().switches;
    switches.generation.set(switches.generation.get() + 1);
    raw.take();
    world.run(10 * MS);
    let told: Vec<_> =
        raw.take().iter().filter_map(|frame| six::parse(frame)).filter_map(|found| found.target).collect();
    assert_eq!(told, [US_LOCAL, parse(OURS)]);
    raw.send(six::ask(THEIR_LOCAL, parse(OURS)));
    raw.send(six::tcp(&segment(TcpControl::Psh, seq, Some(ack), b"GET")));
    world.run(50 * MS);
    assert!(
        raw.take().iter().filter_map(|frame| six::tcp_of(frame)).any(|(_, _, ack, _)| ack == Some(seq + 3))
    );
}

fn segment(control: TcpControl, seq: i32, ack: Option<i32>, data: &[u8]) -> Tcp<'_> {
    let (from, to) = (IpEndpoint::new(THEIR_LOCAL.into(), 5000), IpEndpoint::new(parse(OURS).into(), 80));
    Tcp { from, to, control, seq, ack, data }
}

/// Opens a connection to port 80; returns the number to acknowledge, and our next number.
fn open(world: &mut World, raw: &Raw) -> (i32, i32) {
    raw.send(six::ask(THEIR_LOCAL, parse(OURS)));
    raw.send(six::tcp(&segment(TcpControl::Syn, 1000, None, &[])));
    world.run(10 * MS);
    let answer = raw.take().iter().find_map(|frame| six::tcp_of(frame)).unwrap();
    assert_eq!((answer.0, answer.2), (TcpControl::Syn, Some(1001)));
    let ack = answer.1.wrapping_add(1);
    raw.send(six::tcp(&segment(TcpControl::None, 1001, Some(ack), &[])));
    world.run(10 * MS);
    (ack, 1001)
}

#[test]
fn a_flood_of_advertisements_is_capped() {
    let (mut world, net, raw, _) = with_addresses();
    let configured = net.status();
    for last in 0..10 {
        raw.send(six::advertisement_from(Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 7, last), 60, &[]));
    }
    world.run(MS);
    assert_eq!(net.status().counters.routers_refused.get(), 7, "one was there: four are kept");
    let mut dice = Dice(5);
    for round in 0..20_000_u32 {
        let prefix = Ipv6Address::from_bits(0x2001_0db8_u128 << 96 | u128::from(dice.roll()) << 64);
        // Prefix lengths that do not exist, too: smoltcp's own code panics on them.
        let len = if round % 3 == 0 { 64 } else { dice.roll() as u8 };
        let from = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, dice.roll() as u16, dice.roll() as u16);
        let options: Vec<_> = (0..round % 30).map(|_| (prefix, len, 0xc0, 60)).collect();
        raw.send(six::advertisement_from(from, 60, &options));
        if round % 100 == 0 {
            world.run(MS);
        }
    }
    world.run(SECOND);
    let status = net.status();
    assert!(status.ipv6.len() <= 3, "{:?}", status.ipv6);
    assert_eq!(status.ipv6_gateway, configured.ipv6_gateway, "who was first stays");
    assert_eq!(status.ipv6[1], configured.ipv6[1]);
    assert!(status.counters.routers_refused.get() > 10_000, "{}", status.counters.routers_refused.get());
    world.run(62 * SECOND);
    assert_eq!(net.status().ipv6.len(), 2, "{:?}", net.status().ipv6);
}

#[test]
fn an_advertisement_cannot_end_an_address_within_two_hours() {
    let (mut world, net, raw, _) = with_addresses();
    raw.send(six::advertisement(1800, &[(parse("2001:db8::"), 64, 0xc0, 0)]));
    raw.send(six::advertisement(0, &[(parse("2001:db8::"), 64, 0xc0, 10)]));
    // A message that has passed a router is from no host of this link.
    let mut far = six::advertisement(1800, &[(parse("2001:db8:7::"), 64, 0xc0, 86_400)]);
    far[21] = 254;
    raw.send(far);
    world.run(7100 * SECOND);
    assert_eq!((net.status().ipv6.len(), net.status().ipv6_gateway), (2, None));
    world.run(200 * SECOND);
    assert_eq!(net.status().ipv6.len(), 1);
}

#[test]
fn a_flood_of_false_neighbours_costs_no_connection() {
    let (mut world, net, raw, _) = with_addresses();
    let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let (ack, mut seq) = open(&mut world, &raw);
    let (ours, mut dice) = (parse(OURS), Dice(9));
    for round in 0..50 {
        for _ in 0..200 {
            let forger = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 1, dice.roll() as u16, dice.roll() as u16);
            let flags = NdiscNeighborFlags::OVERRIDE;
            // To all nodes, about itself and about our peer; and unsolicited answers in another's name.
            raw.send(ndisc(forger, ALL_NODES, &six::advert(forger, THEM, flags)));
            raw.send(ndisc(forger, ALL_NODES, &six::advert(THEIR_LOCAL, THEM, flags)));
            raw.send(ndisc(
                forger,
                ours,
                &six::advert(THEIR_LOCAL, THEM, flags | NdiscNeighborFlags::SOLICITED),
            ));
        }
        let data = [b'x'; 10];
        raw.send(six::tcp(&segment(TcpControl::Psh, seq, Some(ack), &data)));
        seq += 10;
        world.run(20 * MS);
        let acknowledged =
            raw.take().iter().filter_map(|frame| six::tcp_of(frame)).any(|(_, _, ack, _)| ack == Some(seq));
        assert!(acknowledged, "round {round}");
    }
    assert!(net.status().drops.get(DropReason::NeighbourForOthers) >= 10_000);
}

#[test]
fn chains_of_extension_headers_and_wrong_lengths_do_no_harm() {
    let (mut world, net, raw, _) = with_addresses();
    let ours = parse(OURS);
    let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let syn = segment(TcpControl::Syn, 1, None, &[]).segment();
    raw.send(six::ask(THEIR_LOCAL, ours));
    for next in [0_u8, 43, 44, 51, 60, 135] {
        for depth in [1, 2, 50] {
            // Each header is 8 bytes: the next one's number, and its length, 0 for 8.
            let mut payload: Vec<u8> = (0..depth).flat_map(|_| [next, 0, 1, 4, 0, 0, 0, 0]).collect();
            let last = payload.len() - 8;
            payload[last] = 6;
            payload.extend(&syn);
            raw.send(six::packet(THEIR_LOCAL, ours, IpProtocol::from(next), 64, &payload));
            for cut in [0, 1, 7, 8, 9, 20] {
                raw.send(six::packet(
                    THEIR_LOCAL,
                    ours,
                    IpProtocol::from(next),
                    64,
                    &payload[..cut.min(payload.len())],
                ));
            }
            payload[1] = 255;
            raw.send(six::packet(THEIR_LOCAL, ours, IpProtocol::from(next), 64, &payload));
        }
    }
    world.run(100 * MS);
    // Chains of options, routing without segments left, and atomic fragments lead to the same SYN.
    assert_eq!(net.status().half_open, 1);
    assert!(net.status().drops.get(DropReason::ExtensionHeader) >= 3);
}

#[test]
fn sixty_thousand_damaged_frames_do_no_harm() {
    let (mut world, _, raw, _) = with_addresses();
    let (ours, mut dice) = (parse(OURS), Dice(77));
    let honest = [
        six::ping(THEIR_LOCAL, ours, 1, b"0123456789"),
        six::ask(THEIR_LOCAL, ours),
        six::advertisement(1800, &[(parse("2001:db8:5::"), 64, 0xc0, 3600)]),
        ndisc(THEIR_LOCAL, ours, &six::advert(THEIR_LOCAL, THEM, NdiscNeighborFlags::SOLICITED)),
        six::tcp(&segment(TcpControl::Syn, 5, None, &[])),
        six::udp(IpEndpoint::new(THEIR_LOCAL.into(), 9), IpEndpoint::new(ours.into(), 9), b"data"),
        six::packet(THEIR_LOCAL, ours, IpProtocol::HopByHop, 1, &[58, 0, 5, 2, 0, 0, 1, 0, 130, 0, 0, 0]),
        six::packet(THEIR_LOCAL, ours, IpProtocol::Icmpv6, 64, &Dice(1).bytes(60)),
    ];
    for round in 0..60_000 {
        let mut frame = honest[dice.below(honest.len())].clone();
        for _ in 0..=dice.below(4) {
            let at = 12 + dice.below(frame.len() - 12);
            frame[at] = dice.roll() as u8;
        }
        if dice.below(4) == 0 {
            frame.truncate(dice.below(frame.len()) + 1);
        }
        if dice.below(2) == 0 {
            six::mend(&mut frame);
        }
        raw.send(frame);
        if round % 64 == 0 {
            world.run(MS);
            raw.take();
        }
    }
    world.run(2 * SECOND);
    raw.take();
    raw.send(six::ask(THEIR_LOCAL, ours));
    raw.send(six::ping(THEIR_LOCAL, ours, 2, b"alive?"));
    world.run(20 * MS);
    assert!(raw.take().iter().any(|frame| six::parse_ping(frame).is_some()));
}

#[test]
fn a_receiver_takes_merged_segments_of_sixty_four_kibibytes() {
    let (mut world, net, raw, _) = with_addresses();
    let listener = net.tcp_listen(80, TcpOptions { rx_buffer: 128 * 1024, ..TcpOptions::default() }).unwrap();
    let (ack, seq) = open(&mut world, &raw);
    let data = Dice(3).bytes(65_000);
    raw.send(six::tcp(&segment(TcpControl::Psh, seq, Some(ack), &data)));
    let heard = world.block_on(SECOND, async move {
        let mut stream = listener.accept().await;
        let mut heard = vec![0; 65_000];
        stream.read_exact(&mut heard).await.unwrap();
        heard
    });
    assert!(heard == data);
}

#[test]
fn nothing_is_answered_that_is_not_for_us_or_while_ipv6_is_off() {
    let (mut world, _, raw, _) = with_addresses();
    let ours = parse(OURS);
    raw.send(six::ask(THEIR_LOCAL, ours));
    world.run(10 * MS);
    raw.take();
    let solicit = |from, to, target| {
        ndisc(from, to, &NdiscRepr::NeighborSolicit { target_addr: target, lladdr: Some(THEM.into()) })
    };
    let mut far = six::ask(THEIR_LOCAL, ours);
    far[21] = 254;
    six::mend(&mut far);
    for frame in [
        six::ping(THEIR_LOCAL, parse("2001:db8::5"), 1, b"x"),
        six::ping(ours, ours, 1, b"x"),
        six::ping(parse("::1"), ours, 1, b"x"),
        six::ping(parse("ff02::1"), ours, 1, b"x"),
        six::ping(Ipv6Address::UNSPECIFIED, ours, 1, b"x"),
        solicit(THEIR_LOCAL, six::solicited_node(ours), parse("2001:db8::ff00:1")),
        far,
        six::udp(IpEndpoint::new(THEIR_LOCAL.into(), 9), IpEndpoint::new(ALL_NODES.into(), 9), b"x"),
        six::packet(THEIR_LOCAL, ALL_NODES, IpProtocol::from(60), 64, &[6, 0, 1, 4, 0, 0, 0, 0]),
    ] {
        raw.send(frame);
        world.run(20 * MS);
        let answers = raw.take();
        assert!(answers.is_empty(), "{answers:?}");
    }
    let (mut world, off, raw) = World::single(|_| ());
    raw.send(six::ask(THEIR_LOCAL, US_LOCAL));
    raw.send(six::ping(THEIR_LOCAL, ALL_NODES, 1, b"x"));
    world.run(5 * SECOND);
    assert!(raw.take().iter().all(|frame| frame[12..14] != [0x86, 0xdd]));
    assert_eq!((off.status().drops.get(DropReason::Ipv6), off.status().ipv6.len()), (2, 0));
}
