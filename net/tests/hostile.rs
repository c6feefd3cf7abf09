//! A hostile network: garbage, floods, fragments, half-finished handshakes.

mod world;

use embedded_io_async::{Read, Write};
use net::{Addressing, DropReason, IpEndpoint, TcpOptions, UdpOptions};
use nic::Nic;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, EthernetProtocol, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, TcpControl, TcpPacket,
};
use world::frames::{
    self, Tcp, arp, ethernet, fragments, ipv4, parse_arp, parse_ipv4, parse_tcp, syn, udp, udp_datagram,
};
use world::{Dice, MS, Raw, SECOND, Wire, World, at, ip, replies, target};

fn echo_request(data: &[u8]) -> Vec<u8> {
    let request = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 2, data };
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    bytes
}

fn echo_reply(frames: &[Vec<u8>]) -> Option<Vec<u8>> {
    let packet = parse_ipv4(frames.first()?, IpProtocol::Icmp)?;
    let icmp = Icmpv4Packet::new_checked(packet.payload()).unwrap();
    match Icmpv4Repr::parse(&icmp, &ChecksumCapabilities::default()).unwrap() {
        Icmpv4Repr::EchoReply { ident: 1, seq_no: 2, data } => Some(data.to_vec()),
        _ => None,
    }
}

/// Opens a connection by hand; returns the next numbers of both directions.
fn open(world: &mut World, raw: &Raw, from: IpEndpoint, to: IpEndpoint) -> (i32, i32) {
    let answer = replies(world, raw, syn(from, to, 1000));
    let (control, seq, ack, _) = parse_tcp(&answer[0]).unwrap();
    assert_eq!((control, ack), (TcpControl::Syn, Some(1001)));
    let ours = seq.wrapping_add(1);
    raw.send(Tcp { from, to, control: TcpControl::None, seq: 1001, ack: Some(ours), data: &[] }.frame());
    world.run(MS);
    (ours, 1001)
}

#[test]
fn pings_of_every_size_are_answered() {
    let (mut world, _, raw) = target(|_| {});
    for size in [0, 1, 56, 1000, 1400, 1472] {
        let data = Dice(9).bytes(size);
        let answer = replies(&mut world, &raw, ipv4(ip(9), ip(1), IpProtocol::Icmp, &echo_request(&data)));
        assert_eq!(echo_reply(&answer), Some(data), "{size} bytes");
    }
}

/// Every message that the stack understands, as a base for damaged ones.
fn honest_frames() -> Vec<Vec<u8>> {
    let (here, there) = (at(1, 80), at(9, 4000));
    let mut frames = vec![
        syn(there, here, 7),
        Tcp { from: there, to: here, control: TcpControl::Psh, seq: 8, ack: Some(9), data: b"data" }.frame(),
        Tcp { from: there, to: here, control: TcpControl::Fin, seq: 8, ack: Some(9), data: &[] }.frame(),
        Tcp { from: there, to: here, control: TcpControl::Rst, seq: 8, ack: None, data: &[] }.frame(),
        Tcp { from: there, to: at(1, 81), control: TcpControl::None, seq: 8, ack: Some(1), data: &[] }
            .frame(),
        udp(there, at(1, 7), b"echo"),
        udp(at(9, 67), at(1, 68), &[2; 300]),
        udp(there, at(1, 9999), b"nobody"),
        ipv4(ip(9), ip(1), IpProtocol::Icmp, &echo_request(b"ping")),
        ipv4(ip(9), ip(1), IpProtocol::Unknown(200), b"what"),
        arp(ArpOperation::Request, ip(9), ip(1)),
        arp(ArpOperation::Reply, ip(9), ip(1)),
        ethernet(frames::US, EthernetProtocol::Ipv6, &[0x60; 60]),
        ethernet(frames::US, EthernetProtocol::Unknown(0x8100), &[0; 60]),
    ];
    let long = udp_datagram(there, at(1, 7), &[5; 3000]);
    frames.extend(fragments(ip(9), ip(1), IpProtocol::Udp, &long, 1480, 77));
    let segment =
        Tcp { from: there, to: here, control: TcpControl::Psh, seq: 8, ack: Some(9), data: &[1; 200] };
    frames.extend(fragments(ip(9), ip(1), IpProtocol::Tcp, &segment.segment(), 64, 78));
    frames
}

/// Makes the checksums right again, so that the damage gets further.
fn mend(frame: &mut [u8]) {
    if frame.len() < 34 || frame[12..14] != [8, 0] {
        return;
    }
    let Ok(mut packet) = Ipv4Packet::new_checked(&mut frame[14..]) else { return };
    packet.fill_checksum();
    let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
    if packet.next_header() == IpProtocol::Tcp
        && let Ok(mut tcp) = TcpPacket::new_checked(packet.payload_mut())
    {
        tcp.fill_checksum(&from, &to);
    }
}

fn damage(dice: &mut Dice, frame: &mut Vec<u8>) {
    for _ in 0..dice.below(4) {
        let place = dice.below(frame.len().min(80));
        if let Some(byte) = frame.get_mut(place) {
            *byte = dice.roll() as u8;
        }
    }
    match dice.below(8) {
        0 => frame.truncate(dice.below(frame.len() + 1)),
        1 => frame.extend(dice.bytes(40)),
        _ => {}
    }
    if dice.below(4) > 0 {
        mend(frame);
    }
}

fn garbage(addressing: Option<Addressing>, seed: u64, count: usize) {
    let (mut world, net, raw) = target(|config| {
        config.limits.connections = 40;
        config.addressing = addressing.clone().unwrap_or_else(|| config.addressing.clone());
    });
    let server = net.clone();
    world.spawn(async move {
        let listener = server.tcp_listen(80, TcpOptions::default()).unwrap();
        loop {
            let mut stream = listener.accept().await;
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write(b"answer").await;
        }
    });
    let socket = net.udp_bind(7, UdpOptions::default()).unwrap();
    world.spawn(async move {
        let mut buffer = [0; 4000];
        loop {
            if let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                let _ = socket.send_to(&buffer[..len], from).await;
            }
        }
    });
    let (mut dice, honest) = (Dice(seed), honest_frames());
    for round in 0..count {
        let mut frame = match dice.below(5) {
            0 => {
                let len = dice.below(120);
                dice.bytes(len)
            }
            _ => honest[dice.below(honest.len())].clone(),
        };
        damage(&mut dice, &mut frame);
        raw.send(frame);
        if round % 50 == 0 {
            world.run(dice.roll() % (200 * MS));
            raw.take();
        }
    }
    world.run(200 * SECOND);
    let status = net.status();
    assert!(status.connections <= 1, "{status:?}");
    raw.take();
    if addressing.is_none() {
        raw.send(arp(ArpOperation::Request, ip(9), ip(1)));
        world.run(MS);
        raw.take();
        let answer = replies(&mut world, &raw, ipv4(ip(9), ip(1), IpProtocol::Icmp, &echo_request(b"well?")));
        assert_eq!(echo_reply(&answer).as_deref(), Some(&b"well?"[..]));
    }
}

#[test]
fn a_hundred_thousand_damaged_frames_do_no_harm() {
    (1..=4).for_each(|seed| garbage(None, seed * 0x1234_5677, 25_000));
}

#[test]
fn damaged_frames_do_no_harm_while_there_is_no_address() {
    garbage(Some(Addressing::Dhcp), 0x77, 10_000);
}

#[test]
fn a_flood_of_syns_costs_no_memory_and_locks_nobody_out() {
    let (mut world, net, raw) = target(|_| {});
    let listener = net.tcp_listen(80, TcpOptions { backlog: 1000, ..TcpOptions::default() }).unwrap();
    for port in 1..=10_000 {
        raw.send(syn(at(9, port), at(1, 80), 5));
    }
    world.run(SECOND);
    // A source has a quarter of the table; all others are answered by cookies.
    let status = net.status();
    assert_eq!((status.half_open, status.connections), (64, 0));
    assert_eq!(status.counters.cookies_sent.get(), 10_000 - 64);
    assert_eq!(status.counters.refused.get(), 0);
    raw.take();
    open(&mut world, &raw, at(9, 20_000), at(1, 80));
    let accepted = world.block_on(SECOND, async move { listener.accept().await });
    assert_eq!(accepted.peer(), at(9, 20_000));
    world.run(20 * SECOND);
    assert_eq!((net.status().connections, net.status().half_open), (1, 0));
}

#[test]
fn a_port_scan_leaves_nothing_behind() {
    let (mut world, net, raw) = target(|_| {});
    let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let answer = replies(&mut world, &raw, syn(at(9, 4000), at(1, 80), 5));
    assert_eq!(parse_tcp(&answer[0]).unwrap().0, TcpControl::Syn);
    let rst =
        Tcp { from: at(9, 4000), to: at(1, 80), control: TcpControl::Rst, seq: 6, ack: None, data: &[] };
    assert_eq!(replies(&mut world, &raw, rst.frame()).len(), 0);
    assert_eq!((net.status().connections, net.status().half_open), (0, 0));
    let answer = replies(&mut world, &raw, syn(at(9, 4000), at(1, 81), 5));
    assert_eq!(parse_tcp(&answer[0]).unwrap(), (TcpControl::Rst, 0, Some(6), vec![]));
}

#[test]
fn a_flood_does_not_keep_a_deadline_waiting() {
    let (mut world, net, raw) = target(|_| {});
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let from = at(9, 4000);
    open(&mut world, &raw, from, at(1, 80));
    let mut stream = world.block_on(SECOND, async move { listener.accept().await });
    let stream = world.block_on(SECOND, async move {
        stream.write_all(b"not acknowledged").await.unwrap();
        stream
    });
    world.run(MS);
    assert_eq!(parse_tcp(&raw.take()[0]).unwrap().3, b"not acknowledged");
    world.now.set(world.now.get() + 900 * MS);
    for _ in 0..10_000 {
        raw.send(udp(from, at(1, 9), b"flood"));
    }
    let now = world.time();
    let iteration = world.stacks[0].iterate(now);
    assert!(iteration.more);
    let counters = net.status().counters;
    assert_eq!((counters.rx_udp.get(), counters.rx_budget_hits.get()), (64, 1));
    let again = raw.take().iter().filter(|frame| parse_tcp(frame).is_some()).count();
    assert_eq!(again, 1, "sent again in the first turn");
    drop(stream);
}

#[test]
fn one_bulk_sender_does_not_starve_others_when_slots_are_few() {
    let (mut world, net, raw) = World::single(|_| {});
    world.stacks[0].nic().change_wire(|wire| wire.slots = 5);
    raw.send(arp(ArpOperation::Request, ip(9), ip(1)));
    world.run(MS);
    let listener = net.tcp_listen(80, TcpOptions { tx_buffer: 60_000, ..TcpOptions::default() }).unwrap();
    let ports = [4001, 4002, 4003];
    for port in ports {
        raw.take();
        open(&mut world, &raw, at(9, port), at(1, 80));
    }
    let streams = world.block_on(SECOND, async move {
        let mut streams = vec![];
        while streams.len() < 3 {
            streams.push(listener.accept().await);
        }
        (listener, streams)
    });
    raw.take();
    for mut stream in streams.1 {
        world.spawn(async move {
            stream.write_all(&[1; 60_000]).await.unwrap();
            stream
        });
    }
    world.run(0);
    let mut sent = [0; 3];
    // Acknowledges at once, so that the windows stop nobody.
    for _ in 0..12 {
        let now = world.time();
        world.stacks[0].iterate(now);
        for frame in raw.take() {
            let Some((_, seq, _, data)) = parse_tcp(&frame) else { continue };
            let packet = parse_ipv4(&frame, IpProtocol::Tcp).unwrap();
            let port = TcpPacket::new_checked(packet.payload()).unwrap().dst_port();
            sent[usize::from(port - 4001)] += data.len();
            let ack = Some(seq.wrapping_add(data.len() as i32));
            let ack = Tcp {
                from: at(9, port),
                to: at(1, 80),
                control: TcpControl::None,
                seq: 1001,
                ack,
                data: &[],
            };
            raw.send(ack.frame());
        }
    }
    let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
    assert!(*least * 2 > *most, "{sent:?}");
}

#[test]
fn a_fragmented_datagram_arrives_whole_in_any_order() {
    let (mut world, net, raw) = target(|_| {});
    let socket = net.udp_bind(7, UdpOptions::default()).unwrap();
    let data = Dice(8).bytes(3000);
    let datagram = udp_datagram(at(9, 5), at(1, 7), &data);
    for (ident, order) in [[0, 1, 2], [2, 1, 0], [1, 2, 0]].into_iter().enumerate() {
        let pieces = fragments(ip(9), ip(1), IpProtocol::Udp, &datagram, 1480, ident as u16);
        order.into_iter().for_each(|piece| raw.send(pieces[piece].clone()));
    }
    let got = world.block_on(SECOND, async move {
        let mut all = vec![];
        for _ in 0..3 {
            let mut buffer = [0; 4000];
            let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
            all.push((buffer[..len].to_vec(), from));
        }
        all
    });
    assert!(got.iter().all(|(bytes, from)| *bytes == data && *from == at(9, 5)));
}

#[test]
fn a_fragmented_segment_reaches_its_connection() {
    let (mut world, net, raw) = target(|_| {});
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let (from, to) = (at(9, 4000), at(1, 80));
    let (ours, theirs) = open(&mut world, &raw, from, to);
    let data = Dice(6).bytes(400);
    let ack = Some(ours);
    let segment = Tcp { from, to, control: TcpControl::Psh, seq: theirs, ack, data: &data }.segment();
    for frame in fragments(ip(9), ip(1), IpProtocol::Tcp, &segment, 64, 9) {
        raw.send(frame);
    }
    let got = world.block_on(SECOND, async move {
        let mut stream = listener.accept().await;
        let mut buffer = [0; 400];
        stream.read_exact(&mut buffer).await.map(|()| buffer.to_vec())
    });
    assert_eq!(got, Ok(data));
    assert!(raw.take().iter().all(|frame| parse_tcp(frame).unwrap().0 != TcpControl::Rst));
}

#[test]
fn a_new_connection_replaces_one_in_time_wait() {
    let (mut world, net, raw) = target(|_| {});
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let (from, to) = (at(9, 4000), at(1, 80));
    let (ours, theirs) = open(&mut world, &raw, from, to);
    // Dropped at once: our side closes first.
    let listener = world.block_on(SECOND, async move {
        drop(listener.accept().await);
        listener
    });
    world.run(MS);
    let fin =
        Tcp { from, to, control: TcpControl::Fin, seq: theirs, ack: Some(ours.wrapping_add(1)), data: &[] };
    raw.send(fin.frame());
    world.run(100 * MS);
    raw.take();
    assert_eq!((net.status().time_wait, net.status().connections), (1, 0));
    let old = replies(&mut world, &raw, syn(from, to, 900));
    assert_eq!(parse_tcp(&old[0]).unwrap().0, TcpControl::None, "a SYN from before is not a new connection");
    let new = replies(&mut world, &raw, syn(from, to, 50_000));
    assert_eq!(new.iter().filter_map(|frame| parse_tcp(frame)).next_back().unwrap().2, Some(50_001));
    assert_eq!((net.status().time_wait, net.status().counters.time_wait_recycled.get()), (0, 1));
    drop(listener);
}

#[test]
fn a_peer_that_never_closes_cannot_keep_an_orphan() {
    let (mut world, net, raw) = target(|_| {});
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let (from, to) = (at(9, 4000), at(1, 80));
    let (ours, theirs) = open(&mut world, &raw, from, to);
    let _listener = world.block_on(SECOND, async move {
        drop(listener.accept().await);
        listener
    });
    // Acknowledges our FIN, and goes on sending for ever.
    let mut seq = theirs;
    for _ in 0..100 {
        let ack = Some(ours.wrapping_add(1));
        raw.send(Tcp { from, to, control: TcpControl::Psh, seq, ack, data: &[1; 1000] }.frame());
        seq = seq.wrapping_add(1000);
        world.run(SECOND);
    }
    assert_eq!(net.status().connections, 0);
    assert!(
        raw.take().iter().filter_map(|frame| parse_tcp(frame)).any(|segment| segment.0 == TcpControl::Rst)
    );
}

#[test]
fn an_answer_leaves_as_soon_as_its_neighbour_is_known() {
    let (mut world, _net, raw) = World::single(|_| {});
    world.run(MS);
    raw.take();
    let socket = _net.udp_bind(7, UdpOptions::default()).unwrap();
    let client = _net.clone();
    world.block_on(SECOND, async move { socket.send_to(b"hello", at(9, 7)).await.unwrap() });
    world.spawn(async move { client.tcp_connect(at(9, 80), TcpOptions::default()).await.map(drop) });
    world.run(MS);
    let mut asked: Vec<_> = raw.take().iter().filter_map(|frame| parse_arp(frame)).collect();
    asked.dedup();
    assert_eq!(asked, [(ip(1), ip(9))]);
    let sent = replies(&mut world, &raw, arp(ArpOperation::Reply, ip(9), ip(1)));
    assert_eq!(sent.len(), 2, "the datagram and the SYN, within a millisecond");
}

#[test]
fn neighbours_that_do_not_answer_keep_no_other_waiting() {
    let (mut world, net, raw) = World::single(|_| {});
    world.run(MS);
    raw.take();
    let socket = net.udp_bind(7, UdpOptions::default()).unwrap();
    for dead in 50..80 {
        let net = net.clone();
        world.spawn(async move { net.tcp_connect(at(dead, 80), TcpOptions::default()).await.map(drop) });
    }
    world.run(MS);
    let asked = raw.take();
    assert!((30..=31).contains(&asked.len()), "each is asked for at once, and once: {}", asked.len());
    world.spawn(async move { socket.send_to(b"hello", at(9, 7)).await.unwrap() });
    world.run(MS);
    assert_eq!(parse_arp(&raw.take()[0]), Some((ip(1), ip(9))));
    let sent = replies(&mut world, &raw, arp(ArpOperation::Reply, ip(9), ip(1)));
    assert!(parse_ipv4(&sent[0], IpProtocol::Udp).is_some());
    world.run(10 * SECOND);
    let requests = raw.take().len();
    assert!(requests <= 10 * 32, "{requests} requests in ten seconds");
}

#[test]
fn nothing_is_answered_that_is_not_for_us() {
    let (mut world, net, raw) = target(|_| {});
    let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let broadcast = at(255, 80);
    assert_eq!(replies(&mut world, &raw, syn(at(9, 4000), broadcast, 5)).len(), 0);
    assert_eq!(replies(&mut world, &raw, syn(at(1, 4000), at(1, 80), 5)).len(), 0, "from ourselves");
    let mut other = syn(at(9, 4000), at(1, 80), 5);
    other[5] = 77;
    assert_eq!(replies(&mut world, &raw, other).len(), 0, "to another hardware address");
    for reason in [DropReason::TcpNotForUs, DropReason::ForgedSource, DropReason::NotForUs] {
        assert_eq!(net.status().drops.get(reason), 1, "{}", reason.name());
    }
    assert!(world.stacks[0].nic_mut().peek().is_none());
}

#[test]
fn what_waits_in_all_connections_stays_within_the_limit() {
    let change = |config: &mut net::Config| config.ledger = ledger::Ledger::new(400_000);
    let (mut world, a, b) = World::pair(change, Wire::default());
    let listener = a.tcp_listen(80, TcpOptions::default()).unwrap();
    for _ in 0..10 {
        let net = b.clone();
        world.spawn(async move {
            let mut stream = net.tcp_connect(at(1, 80), TcpOptions::default()).await.unwrap();
            stream.write_all(&[7; 100_000]).await.unwrap();
            stream.close().await.unwrap();
        });
    }
    let streams = world.block_on(SECOND, async move {
        let mut streams = vec![];
        while streams.len() < 10 {
            streams.push(listener.accept().await);
        }
        (listener, streams)
    });
    world.run(20 * SECOND);
    // The limit, and what a connection may have in any case.
    let unread: usize = a.tcp_connections(20).iter().map(|connection| connection.unread).sum();
    assert!((20_000..100_000 + 10 * 4096).contains(&unread), "{unread}");
    let counts: Vec<_> = streams
        .1
        .into_iter()
        .map(|mut stream| {
            world.spawn(async move {
                let (mut buffer, mut count) = (vec![0; 10_000], 0);
                while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                    count += len;
                }
                count
            })
        })
        .collect();
    for count in counts {
        assert_eq!(world.wait(600 * SECOND, &count), 100_000);
    }
}

#[test]
fn the_longest_idle_connection_gives_way() {
    let (mut world, net, raw) = target(|config| config.limits.connections = 10);
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    for port in 4000..4010 {
        raw.take();
        open(&mut world, &raw, at(9, port), at(1, 80));
        world.run(SECOND);
    }
    raw.take();
    open(&mut world, &raw, at(9, 5000), at(1, 80));
    world.run(SECOND);
    let reset: Vec<_> = raw
        .take()
        .iter()
        .filter(|frame| parse_tcp(frame).is_some_and(|segment| segment.0 == TcpControl::Rst))
        .map(|frame| {
            let packet = parse_ipv4(frame, IpProtocol::Tcp).unwrap();
            TcpPacket::new_checked(packet.payload()).unwrap().dst_port()
        })
        .collect();
    assert_eq!((reset, net.status().connections), (vec![4000], 10));
    assert_eq!(net.status().counters.evicted.get(), 1);
    drop(listener);
}
