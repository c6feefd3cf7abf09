//! ARP and neighbour discovery, routers too, by anybody on the link: no panic, a bounded table and bounded answers, and
//! whoever says it honestly is reached afterwards.
//!
//! ```text
//!   probing   0 op a b c d: ARP between four addresses, by four hardware addresses     1 from kind n: ICMPv6 with n bytes
//!   2 len n: any ARP bytes     3 n: time     4 from to: a ping, over IPv4 or IPv6     5: a new link
//! ```

#![no_main]

#[path = "../../../net/tests/world/mod.rs"]
#[allow(dead_code, unused_imports)]
mod world;

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use net::{EthernetAddress, Ipv4Address, Ipv6Address, Ipv6Addressing, Net, Probing};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4Packet,
    Icmpv4Repr, Icmpv6Packet, IpProtocol,
};
use world::frames::six::{ALL_NODES, THEIR_LOCAL, US_LOCAL, packet, ping, solicited_node};
use world::frames::{THEM, US, arp, ipv4, parse_ipv4};
use world::{MS, Raw, SECOND, World, ip};

const MOST: usize = 100;

fn hardware(number: u8) -> EthernetAddress {
    [THEM, US, EthernetAddress::BROADCAST, EthernetAddress([0, 0x16, 0x3e, 0, 0, number])]
        [usize::from(number) % 4]
}

fn four(number: u8) -> Ipv4Address {
    [ip(9), ip(1), ip(254), Ipv4Address::UNSPECIFIED, Ipv4Address::BROADCAST, ip(number)]
        [usize::from(number) % 6]
}

fn six(number: u8) -> Ipv6Address {
    let any = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into());
    let all = [US_LOCAL, THEIR_LOCAL, ALL_NODES, solicited_node(US_LOCAL), Ipv6Address::UNSPECIFIED, any];
    all[usize::from(number) % 6]
}

fn any_arp(input: &mut Input<'_>) -> Vec<u8> {
    let operation = if input.byte() & 1 == 0 { ArpOperation::Request } else { ArpOperation::Reply };
    let from = hardware(input.byte());
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: hardware(input.byte()),
        source_protocol_addr: four(input.byte()),
        target_hardware_addr: hardware(input.byte()),
        target_protocol_addr: four(input.byte()),
    };
    let mut bytes = vec![0; 14 + repr.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    let dst_addr = if operation == ArpOperation::Request { EthernetAddress::BROADCAST } else { US };
    EthernetRepr { src_addr: from, dst_addr, ethertype: EthernetProtocol::Arp }.emit(&mut frame);
    repr.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    bytes
}

fn icmpv6(input: &mut Input<'_>) -> Vec<u8> {
    let (from, to) = (six(input.byte()), six(input.byte()));
    // Router and neighbour discovery, multicast listeners, errors.
    let kind = [133, 134, 135, 136, 137, 130, 131, 143, 1, 2][usize::from(input.byte()) % 10];
    let len = usize::from(input.byte());
    let mut message = vec![kind, 0, 0, 0];
    message.extend(input.bytes(len));
    message.resize(message.len().max(8), 0);
    Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&from, &to);
    packet(from, to, IpProtocol::Icmpv6, if len & 1 == 0 { 255 } else { 64 }, &message)
}

fn echo(to: Ipv4Address) -> Vec<u8> {
    let request = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 2, data: b"ping" };
    let mut bytes = vec![0; request.buffer_len()];
    request.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    ipv4(ip(9), to, IpProtocol::Icmp, &bytes)
}

fn check(net: &Net) {
    let status = net.status();
    assert!(status.neighbours <= 2048 && status.ipv6.len() <= 4, "{status:?}");
}

fn settle(world: &mut World, raw: &Raw, sent: u64) {
    world.run(10 * MS);
    let answers = raw.take().len() as u64;
    assert!(answers <= 20 + 8 * sent, "{answers} frames after {sent}");
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let probing = if input.byte() & 1 == 0 { Probing::Off } else { Probing::On };
    let (mut world, net, raw) = World::single(|config| {
        config.probing = probing;
        config.ipv6 = Ipv6Addressing::Auto;
        config.limits.neighbours = 64;
    });
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        match input.byte() % 6 {
            0 => raw.send(any_arp(&mut input)),
            1 => raw.send(icmpv6(&mut input)),
            2 => {
                let len = usize::from(input.byte()) % 64;
                let mut frame = vec![0xff; 6];
                frame.extend([0, 0x16, 0x3e, 0, 0, 9, 8, 6]);
                frame.extend(input.bytes(len));
                raw.send(frame);
            }
            3 => {
                world.run(u64::from(input.short()) * 10 * MS);
                raw.take();
            }
            4 => raw.send(match input.byte() {
                number if number & 1 == 0 => echo(four(number)),
                number => ping(THEIR_LOCAL, six(number), 3, b"ping"),
            }),
            _ => {
                let switches = &world.stacks[0].nic().switches;
                switches.generation.set(switches.generation.get().wrapping_add(1));
            }
        }
        settle(&mut world, &raw, 1);
        check(&net);
    }
    world.run(300 * SECOND);
    raw.take();
    if net.status().address.is_none() {
        // Another host insists on the address: it was given up.
        assert_eq!(probing, Probing::On);
        return;
    }
    raw.send(arp(ArpOperation::Request, ip(9), ip(1)));
    world.run(MS);
    raw.take();
    raw.send(echo(ip(1)));
    world.run(MS);
    let reached = raw.take().iter().any(|frame| parse_ipv4(frame, IpProtocol::Icmp).is_some());
    assert!(reached, "an honest host gets its answer");
});
