//! A DHCP server that says anything: options of any bytes, overload, other addresses and servers, at any time. No panic,
//! no storm of messages, no address, gateway, MTU or name that cannot be; and who is left without a lease takes an honest one.
//!
//! ```text
//!   probing   then for each message of the client:
//!   0 n: silence of n seconds      1 kind flags n options: a reply; flags falsify server, address, transaction, overload
//!   2 n bytes: any payload from the server's port      3: the address is another host's (ARP)
//! ```

#![no_main]

#[path = "../../../net/tests/world/mod.rs"]
#[allow(dead_code, unused_imports)]
mod world;

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use net::{Addressing, DhcpStatus, IpEndpoint, Ipv4Address, Net, Probing};
use smoltcp::wire::{ArpOperation, IpProtocol, UdpPacket};
use world::frames::{US, arp, parse_arp, parse_ipv4, udp};
use world::{Raw, SECOND, World};

const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
const OURS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
/// Messages of the client that one input answers.
const MOST: usize = 40;

struct Bench {
    world: World,
    net: Net,
    raw: Raw,
    messages: u64,
    taken: bool,
}

impl Bench {
    /// The transaction of the client's next message, within `span` ns.
    fn next(&mut self, span: u64) -> Option<([u8; 4], u8)> {
        let end = self.world.now.get() + span;
        let mut found = None;
        while found.is_none() && self.world.now.get() < end {
            self.world.run((end - self.world.now.get()).min(SECOND));
            for frame in self.raw.take() {
                if let Some((_, target)) = parse_arp(&frame) {
                    if self.taken {
                        self.raw.send(arp(ArpOperation::Reply, target, OURS));
                    }
                    continue;
                }
                let Some(packet) = parse_ipv4(&frame, IpProtocol::Udp) else { continue };
                let Ok(datagram) = UdpPacket::new_checked(packet.payload()) else { continue };
                let payload = datagram.payload();
                self.messages += 1;
                if let (Some(id), 67) = (payload.get(4..8), datagram.dst_port()) {
                    // Option 53 is the first one.
                    let kind = payload.get(242).copied().unwrap_or_default();
                    found = Some((id.try_into().unwrap(), kind));
                }
            }
            self.check();
        }
        found
    }

    fn check(&self) {
        let status = self.net.status();
        if let Some(address) = status.address {
            let ours = address.address();
            assert!(!ours.is_multicast() && !ours.is_broadcast() && !ours.is_unspecified(), "{address}");
            assert!(!ours.is_loopback(), "{address}");
        }
        if let Some(gateway) = status.gateway {
            assert!(
                !gateway.is_multicast() && !gateway.is_broadcast() && !gateway.is_unspecified(),
                "{gateway}"
            );
            assert_ne!(status.address.map(|address| address.address()), Some(gateway));
        }
        assert!((576..=1500).contains(&status.mtu), "mtu {}", status.mtu);
        assert!(status.hostname.len() <= 255 && status.hostname.chars().all(|c| !c.is_control()));
        assert!(status.dns.len() <= 16 && status.ntp.len() <= 16);
    }

    fn send(&self, payload: &[u8]) {
        self.raw.send(udp(IpEndpoint::new(SERVER.into(), 67), IpEndpoint::new(OURS.into(), 68), payload));
    }
}

/// A reply with these options, falsified as `flags` say.
fn reply(kind: u8, id: [u8; 4], flags: u8, options: &[u8], address: Ipv4Address) -> Vec<u8> {
    let mut bytes = vec![0; 236];
    bytes[..3].copy_from_slice(&[2, 1, 6]);
    bytes[4..8].copy_from_slice(&id);
    bytes[4] ^= flags & 1;
    bytes[16..20].copy_from_slice(&address.octets());
    bytes[28..34].copy_from_slice(&US.0);
    // Overload: half of the options lie in the fields for a file and a name.
    let (here, there) = options.split_at(if flags & 2 == 0 { options.len() } else { options.len() / 2 });
    let there = &there[..there.len().min(128)];
    bytes[108..108 + there.len()].copy_from_slice(there);
    bytes.extend([99, 130, 83, 99, 53, 1, kind]);
    if flags & 4 == 0 {
        bytes.extend([&[54, 4][..], &SERVER.octets()].concat());
    }
    if flags & 8 == 0 {
        bytes.extend([51, 4, 0, 0, 14, 16]);
    }
    if flags & 2 != 0 {
        bytes.extend([52, 1, 1 + (flags >> 4) % 3]);
    }
    bytes.extend(here);
    if flags & 16 == 0 {
        bytes.push(255);
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let probing = if input.byte() & 1 == 0 { Probing::Off } else { Probing::On };
    let (world, net, raw) = World::single(|config| {
        config.addressing = Addressing::Dhcp;
        config.hostname.clear();
        config.probing = probing;
    });
    let mut bench = Bench { world, net, raw, messages: 0, taken: false };
    let mut span = 130 * SECOND;
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        let asked = bench.next(span);
        span = 130 * SECOND;
        match input.byte() % 4 {
            0 => span = u64::from(input.byte()) * 16 * SECOND,
            1 => {
                let Some((id, asked)) = asked else { continue };
                let (kind, flags, len) = (input.byte(), input.byte(), usize::from(input.byte()));
                // Mostly what was asked for.
                let kind = if kind < 128 { if asked == 1 { 2 } else { 5 } } else { kind % 16 };
                let address =
                    if flags & 32 == 0 { OURS } else { Ipv4Address::from(input.word().to_be_bytes()) };
                bench.send(&reply(kind, id, flags, input.bytes(len), address));
            }
            2 => {
                let len = usize::from(input.short()) % 700;
                bench.send(input.bytes(len));
            }
            _ => bench.taken ^= true,
        }
        // A message each two seconds at most, in the mean, and what a lease of no length asks for at its start.
        let seconds = bench.world.now.get() / SECOND;
        assert!(bench.messages <= 40 + seconds / 2, "{} messages in {seconds} s", bench.messages);
    }
    bench.taken = false;
    if bench.net.status().dhcp != DhcpStatus::Discovering {
        return;
    }
    for _ in 0..20 {
        let Some((id, asked)) = bench.next(400 * SECOND) else { break };
        bench.send(&reply(if asked == 1 { 2 } else { 5 }, id, 0, &[1, 4, 255, 255, 255, 0], OURS));
        bench.world.run(SECOND);
    }
    bench.world.run(2 * SECOND);
    let status = bench.net.status();
    assert_eq!(status.address.map(|address| address.address()), Some(OURS), "{:?}", status.dhcp);
});
