//! Path MTU below our link's: streams get through, and only a host that has seen a packet can make ours smaller.

mod world;

use embedded_io_async::{Read as _, Write as _};
use net::{DropReason, IpEndpoint, Net, TcpOptions, TcpStream};
use nic::Checksum;
use smoltcp::wire::{ArpOperation, IpProtocol, TcpControl};
use world::frames::{Tcp, arp, big, parse_arp, parse_ipv4, parse_tcp};
use world::{Dice, MS, Raw, SECOND, Wire, World, at, fixed, global};

const LEN: usize = 300_000;

/// The sender and the receiver.
type Ends = (TcpStream, TcpStream);

/// Two stacks with a connection, over which the first sends: its stream, and where the second's ends.
fn connected(address: IpEndpoint, wire: Wire) -> (World, Net, Net, Ends) {
    let (mut world, a, b) = World::pair(fixed, wire);
    for stack in world.stacks.iter().filter(|_| wire.tells_checksums) {
        stack.nic().switches.checksum.set(Checksum::Validated);
    }
    world.run(3 * SECOND);
    let ends = connect(&mut world, &a, &b, address);
    (world, a, b, ends)
}

/// A connection from the first to the second.
fn connect(world: &mut World, a: &Net, b: &Net, address: IpEndpoint) -> Ends {
    let listener = b.tcp_listen(7, TcpOptions::default()).unwrap();
    let server = world.spawn(async move { listener.accept().await });
    let net = a.clone();
    let stream = world.block_on(SECOND, async move { net.tcp_connect(address, TcpOptions::default()).await });
    (stream.unwrap(), world.wait(SECOND, &server))
}

/// Another backend, for the stack with this number.
fn new_backend(world: &mut World, number: usize) {
    let switches = world.stacks[number].nic().switches.clone();
    switches.generation.set(switches.generation.get() + 1);
    world.run(SECOND);
}

/// Sends `len` bytes from one end to the other.
fn pass(world: &mut World, (mut from, mut to): Ends) -> Ends {
    let data = Dice(5).bytes(LEN);
    let sent = data.clone();
    let sender = world.spawn(async move {
        from.write_all(&sent).await.unwrap();
        from
    });
    let receiver = world.spawn(async move {
        let mut got = vec![0; LEN];
        to.read_exact(&mut got).await.unwrap();
        assert!(got == data, "bytes differ");
        to
    });
    let to = world.wait(10 * SECOND, &receiver);
    (world.wait(10 * SECOND, &sender), to)
}

fn a_stream_gets_through(address: IpEndpoint, mtu: usize) {
    let (mut world, a, _, mut ends) = connected(address, Wire::default());
    ends = pass(&mut world, ends);
    assert_eq!(world.stacks[0].nic().largest(), 1500);
    // A path that becomes narrower while the connection lasts.
    world.stacks[0].nic().change_wire(|wire| wire.path = Some(mtu));
    ends = pass(&mut world, ends);
    assert!(a.status().counters.path_mtu_lowered.get() == 1, "{:?}", a.status().counters);
    world.stacks[0].nic().largest();
    ends = pass(&mut world, ends);
    assert_eq!(world.stacks[0].nic().largest(), mtu, "no more and no less");
    // A still smaller path MTU, and another backend in between.
    world.stacks[0].nic().change_wire(|wire| wire.path = Some(mtu - 20));
    ends = pass(&mut world, ends);
    new_backend(&mut world, 0);
    world.stacks[0].nic().largest();
    ends = pass(&mut world, ends);
    assert_eq!(world.stacks[0].nic().largest(), mtu - 20);
    // After eleven to twelve minutes one segment tries whether the path is wide again: it is.
    world.stacks[0].nic().change_wire(|wire| wire.path = None);
    world.run(740 * SECOND);
    pass(&mut world, ends);
    assert_eq!(world.stacks[0].nic().largest(), 1500);
}

#[test]
fn a_stream_gets_through_a_narrow_path() {
    a_stream_gets_through(at(2, 7), 1000);
}

#[test]
fn a_stream_gets_through_a_narrow_path_over_ipv6() {
    a_stream_gets_through(IpEndpoint::new(global(2).into(), 7), 1300);
}

#[test]
fn over_ipv6_long_packets_go_to_a_device_that_cuts_them() {
    let address = IpEndpoint::new(global(2).into(), 7);
    let (mut world, a, b, mut ends) =
        connected(address, Wire { cuts6: true, tells_checksums: true, ..Wire::default() });
    let there = |world: &World| {
        let nic = world.stacks[0].nic();
        (nic.largest(), nic.largest_segment())
    };
    ends = pass(&mut world, ends);
    let (largest, segment) = there(&world);
    assert!(largest > 10_000, "{largest}");
    // Less the option of timestamps.
    assert_eq!(segment, 1428);
    // In the other direction too; and after a minute, when neighbours are resolved again.
    let (near, far) = ends;
    let (far, near) = pass(&mut world, (far, near));
    assert_eq!(world.stacks[1].nic().largest_segment(), 1428);
    world.run(300 * SECOND);
    ends = pass(&mut world, (near, far));
    assert!(there(&world).0 > 10_000);
    // A path with a small MTU: smaller segments.
    world.stacks[0].nic().change_wire(|wire| wire.path = Some(1300));
    ends = pass(&mut world, ends);
    there(&world);
    ends = pass(&mut world, ends);
    assert_eq!(there(&world).1, 1300 - 60 - 12);
    // A peer whose link takes less says so when it opens a connection.
    world.stacks[1].nic().change_wire(|wire| wire.ip_mtu = 1400);
    new_backend(&mut world, 1);
    world.stacks[0].nic().change_wire(|wire| wire.path = None);
    let (near, far) = ends;
    drop((near, far));
    ends = connect(&mut world, &a, &b, address);
    ends = pass(&mut world, ends);
    let (largest, segment) = there(&world);
    assert!(largest > 10_000, "{largest}");
    assert_eq!(segment, 1400 - 60 - 12);
    // Another backend that cannot.
    world.stacks[0].nic().change_wire(|wire| (wire.cuts6, wire.path) = (false, None));
    new_backend(&mut world, 0);
    world.run(740 * SECOND);
    there(&world);
    pass(&mut world, ends);
    assert_eq!(there(&world).0, 1400);
}

const PEER: u8 = 9;

/// A connection with a peer that acknowledges nothing, to whom a segment is on its way: it.
fn waiting() -> (World, Net, Raw, Vec<Vec<u8>>, TcpStream) {
    let (mut world, net, raw) = World::single(|_| {});
    let (us, them) = (at(1, 7), at(PEER, 4000));
    let tcp = |control, seq, ack, data: &'static [u8]| Tcp { from: them, to: us, control, seq, ack, data };
    let listener = net.tcp_listen(7, TcpOptions::default()).unwrap();
    let server = world.spawn(async move {
        let mut stream = listener.accept().await;
        let sent = stream.write_all(&[7; 4000]).await;
        (stream, sent)
    });
    raw.send(tcp(TcpControl::Syn, 100, None, &[]).frame());
    world.run(10 * MS);
    raw.send(arp(ArpOperation::Reply, world::ip(PEER), world::ip(1)));
    world.run(1100 * MS);
    let isn = raw.take().iter().find_map(|frame| parse_tcp(frame)).unwrap().1;
    raw.send(tcp(TcpControl::None, 101, Some(isn.wrapping_add(1)), &[]).frame());
    let (stream, sent) = world.wait(SECOND, &server);
    sent.unwrap();
    world.run(10 * MS);
    let frames: Vec<_> = raw.take().into_iter().filter(|frame| frame.len() > 1000).collect();
    assert!(!frames.is_empty(), "nothing was sent");
    (world, net, raw, frames, stream)
}

/// Bytes of the largest IP packet that is sent again to a peer whose neighbour entry is known.
fn again(world: &mut World, raw: &Raw) -> usize {
    raw.take();
    let mut largest = 0;
    for _ in 0..30 {
        world.run(SECOND);
        for frame in raw.take() {
            if parse_arp(&frame).is_some() {
                raw.send(arp(ArpOperation::Reply, world::ip(PEER), world::ip(1)));
            }
            if parse_ipv4(&frame, IpProtocol::Tcp).is_some() {
                largest = largest.max(frame.len() - 14);
            }
        }
    }
    largest
}

#[test]
fn a_router_is_believed_about_what_it_can_have_seen() {
    for (mtu, largest) in [(1400, 1400), (576, 576), (0, 576), (68, 552), (551, 552)] {
        let (mut world, net, raw, frames, _open) = waiting();
        raw.send(big::v4(&frames[0][14..], mtu));
        assert_eq!(again(&mut world, &raw), largest, "{mtu}");
        assert_eq!(net.status().counters.path_mtu_lowered.get(), 1);
    }
}

#[test]
fn who_has_not_seen_a_packet_makes_ours_no_smaller() {
    let (mut world, net, raw, frames, _open) = waiting();
    let packet = &frames[0][14..];
    let changed = |at: usize, value: u8| {
        let mut packet = packet.to_vec();
        packet[at] ^= value;
        packet
    };
    let with_seq = |ahead: u32| {
        let mut packet = packet.to_vec();
        let seq = u32::from_be_bytes(packet[24..28].try_into().unwrap());
        packet[24..28].copy_from_slice(&seq.wrapping_add(ahead).to_be_bytes());
        packet
    };
    let forged = [
        // Ports, peer, protocol, a later piece.
        changed(20, 1),
        changed(23, 1),
        changed(16, 1),
        changed(9, 1),
        changed(7, 1),
        // A byte before those in flight, and one after everything that there is to send.
        with_seq(u32::MAX),
        with_seq(4000),
    ];
    for packet in &forged {
        raw.send(big::v4(packet, 600));
    }
    // A message with our own MTU, and damaged or truncated ones.
    raw.send(big::v4(packet, 1500));
    let mut broken = big::v4(packet, 600);
    broken[14 + 20 + 2] ^= 1;
    raw.send(broken);
    for len in 14 + 20..14 + 20 + 8 + 28 {
        raw.send(big::v4(packet, 600)[..len].to_vec());
    }
    assert!(again(&mut world, &raw) > 1400);
    let counters = net.status().counters;
    assert_eq!(counters.path_mtu_lowered.get(), 0);
    assert!(net.status().drops.get(DropReason::TooBig) >= 4, "{counters:?}");
}
