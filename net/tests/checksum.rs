//! Checksums of TCP and UDP on an interface that reports for each frame whether they were verified.

mod world;

use net::{DropReason, Net, TcpOptions, UdpOptions};
use nic::Checksum;
use smoltcp::wire::{ArpOperation, IpProtocol};
use world::frames::{arp, fragments, syn, udp, udp_datagram};
use world::{Dice, MS, Raw, World, at, ip};

/// Where the checksum is in a frame without IP options.
const UDP_CHECKSUM: usize = 14 + 20 + 6;
const TCP_CHECKSUM: usize = 14 + 20 + 16;

fn target() -> (World, Net, Raw) {
    let (mut world, net, raw) = World::single(|_| {});
    let nic = world.stacks[0].nic_mut();
    nic.change_wire(|wire| wire.tells_checksums = true);
    // A new link: the stack reads the capabilities again.
    nic.switches.generation.set(2);
    raw.send(arp(ArpOperation::Request, ip(9), ip(1)));
    world.run(MS);
    raw.take();
    (world, net, raw)
}

fn knows(world: &mut World, checksum: Checksum) {
    world.stacks[0].nic_mut().switches.checksum.set(checksum);
    world.run(MS);
}

fn dropped(net: &Net) -> u64 {
    net.status().drops.get(DropReason::Checksum)
}

#[test]
fn a_wrong_checksum_is_noticed_unless_somebody_has_verified_it() {
    let (mut world, net, raw) = target();
    let socket = net.udp_bind(7, UdpOptions::default()).unwrap();
    let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let mut spoilt = udp(at(9, 5), at(1, 7), b"a datagram");
    spoilt[UDP_CHECKSUM] ^= 1;
    let mut opening = syn(at(9, 4000), at(1, 80), 100);
    opening[TCP_CHECKSUM] ^= 1;
    for (checksum, accepted) in
        [(Checksum::Unknown, false), (Checksum::Validated, true), (Checksum::Blank, true)]
    {
        knows(&mut world, checksum);
        raw.take();
        let before = dropped(&net);
        raw.send(spoilt.clone());
        raw.send(opening.clone());
        world.run(MS);
        assert_eq!(dropped(&net) - before, if accepted { 0 } else { 2 }, "{checksum:?}");
        // SYN and ACK; the checksum is left to the interface.
        let answered = raw.take().iter().any(|frame| frame.get(47) == Some(&0x12));
        assert_eq!(answered, accepted, "{checksum:?}");
        // Another port each time: the connection exists by now.
        opening[14 + 20 + 1] ^= 1 + accepted as u8;
    }
    let received = world.block_on(MS, async move {
        let mut buffer = [0; 100];
        socket.recv_from(&mut buffer).await.map(|(len, _)| buffer[..len].to_vec())
    });
    assert_eq!(received.unwrap(), b"a datagram");
}

#[test]
fn right_ones_pass_and_are_not_asked_for_twice() {
    let (mut world, net, raw) = target();
    let _socket = net.udp_bind(7, UdpOptions::default()).unwrap();
    let mut without = udp(at(9, 5), at(1, 7), b"no checksum");
    without[UDP_CHECKSUM..UDP_CHECKSUM + 2].fill(0);
    raw.send(udp(at(9, 5), at(1, 7), b"a datagram"));
    raw.send(without);
    raw.send(syn(at(9, 4000), at(1, 80), 100));
    world.run(MS);
    assert_eq!(dropped(&net), 0);
    assert_eq!((net.status().counters.rx_udp.get(), net.status().counters.rx_tcp.get()), (2, 1));
}

#[test]
fn a_datagram_in_pieces_is_verified_when_it_is_whole() {
    let (mut world, net, raw) = target();
    let socket = net.udp_bind(7, UdpOptions::default()).unwrap();
    let data = Dice(8).bytes(3000);
    let good = udp_datagram(at(9, 5), at(1, 7), &data);
    let mut bad = good.clone();
    bad[2000] ^= 1;
    for (ident, datagram) in [(1, bad), (2, good)] {
        fragments(ip(9), ip(1), IpProtocol::Udp, &datagram, 1480, ident)
            .into_iter()
            .for_each(|f| raw.send(f));
    }
    let received = world.block_on(MS, async move {
        let mut buffer = [0; 4000];
        socket.recv_from(&mut buffer).await.map(|(len, _)| buffer[..len].to_vec())
    });
    assert_eq!(received.unwrap(), data, "the spoilt one was not given up");
}
