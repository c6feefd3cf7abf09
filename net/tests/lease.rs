//! Replies of real DHCP servers: options of clouds, relays, refusals, and invalid ones.

mod world;

use net::{Addressing, DhcpStatus, Ipv4Address, Ipv4Cidr, Net, Probing};
use smoltcp::wire::{
    ArpOperation, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, IpEndpoint, IpProtocol, UdpPacket,
};
use world::frames::{US, arp, parse_arp, parse_ipv4, udp};
use world::{MS, Raw, SECOND, World};

const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
const OURS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);

const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// Options of an ordinary lease: an hour, a netmask, a router.
const LEASE: &[&[u8]] = &[&[51, 4, 0, 0, 14, 16]];
const MASK: &[u8] = &[1, 4, 255, 255, 255, 0];
const ROUTER: &[u8] = &[3, 4, 10, 0, 2, 2];

/// A message that the client sent.
struct Seen {
    at: u64,
    kind: DhcpMessageType,
    to: Ipv4Address,
    secs: u16,
    transaction: u32,
    hardware: EthernetAddress,
    wanted: Vec<u8>,
}

struct Bench {
    world: World,
    net: Net,
    raw: Raw,
    seen: Vec<Seen>,
    /// Where replies come from.
    source: Ipv4Address,
    /// Requests for our address are answered: another host has it.
    taken: bool,
}

/// A reply: its kind, the address, the server's identifier, other options, and bytes of the file field.
struct Reply {
    kind: u8,
    address: Ipv4Address,
    server: Option<Ipv4Address>,
    options: Vec<u8>,
    file: Vec<u8>,
}

fn reply(kind: u8, options: &[&[u8]]) -> Reply {
    Reply { kind, address: OURS, server: Some(SERVER), options: options.concat(), file: vec![] }
}

impl Reply {
    fn bytes(&self, transaction: u32) -> Vec<u8> {
        let mut bytes = vec![0; 236];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&transaction.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.address.octets());
        bytes[28..34].copy_from_slice(&US.0);
        bytes[108..108 + self.file.len()].copy_from_slice(&self.file);
        bytes.extend([99, 130, 83, 99, 53, 1, self.kind]);
        if let Some(server) = self.server {
            bytes.extend([&[54, 4][..], &server.octets()].concat());
        }
        bytes.extend(&self.options);
        bytes.push(255);
        bytes
    }
}

impl Bench {
    fn new(probing: Probing) -> Self {
        let (world, net, raw) = World::single(|config| {
            config.addressing = Addressing::Dhcp;
            config.hostname.clear();
            config.probing = probing;
        });
        Self { world, net, raw, seen: vec![], source: SERVER, taken: false }
    }

    /// Runs for `span` ns; `answer` makes the reply to each message.
    fn serve(&mut self, span: u64, answer: impl Fn(DhcpMessageType) -> Option<Reply>) {
        let end = self.world.now.get() + span;
        while self.world.now.get() < end {
            self.world.run((end - self.world.now.get()).min(50 * MS));
            for frame in self.raw.take() {
                if let Some((_, target)) = parse_arp(&frame) {
                    if target != OURS || self.taken {
                        self.raw.send(arp(ArpOperation::Reply, target, OURS));
                    }
                    continue;
                }
                let Some(packet) = parse_ipv4(&frame, IpProtocol::Udp) else { continue };
                let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
                let Ok(message) = DhcpPacket::new_checked(datagram.payload()) else { continue };
                let ask = DhcpRepr::parse(&message).unwrap();
                let wanted = message.options().find(|option| option.kind == 55);
                self.seen.push(Seen {
                    at: self.world.now.get() / SECOND,
                    kind: ask.message_type,
                    to: packet.dst_addr(),
                    secs: message.secs(),
                    transaction: ask.transaction_id,
                    hardware: ask.client_hardware_address,
                    wanted: wanted.map(|option| option.data.to_vec()).unwrap_or_default(),
                });
                if let Some(reply) = answer(ask.message_type) {
                    let bytes = reply.bytes(ask.transaction_id);
                    let (from, to) =
                        (IpEndpoint::new(self.source.into(), 67), IpEndpoint::new(OURS.into(), 68));
                    self.raw.send(udp(from, to, &bytes));
                }
            }
        }
    }

    fn kinds(&self) -> Vec<DhcpMessageType> {
        self.seen.iter().map(|seen| seen.kind).collect()
    }

    fn address(&self) -> Option<Ipv4Cidr> {
        self.net.status().address
    }

    fn gateway(&self) -> Option<Ipv4Address> {
        self.net.status().gateway
    }
}

/// OFFER and ACK with the same options.
fn with(options: Vec<&'static [u8]>) -> impl Fn(DhcpMessageType) -> Option<Reply> {
    move |kind| {
        let kind = if kind == DhcpMessageType::Discover { OFFER } else { ACK };
        Some(reply(kind, &[&LEASE.concat(), &options.concat()]))
    }
}

fn cidr(prefix: u8) -> Option<Ipv4Cidr> {
    Some(Ipv4Cidr::new(OURS, prefix))
}

#[test]
fn a_silent_network_is_asked_with_back_off_and_seconds_counted() {
    let mut bench = Bench::new(Probing::Off);
    bench.serve(400 * SECOND, |_| None);
    let gaps: Vec<_> = bench.seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    for (gap, expected) in gaps.iter().zip([4_u64, 8, 16, 32, 64, 64, 64]) {
        assert!(gap.abs_diff(expected) <= 2, "{gaps:?}");
    }
    assert!(bench.seen.iter().all(|seen| seen.secs.abs_diff((seen.at - 1) as u16) <= 1));
    assert!(bench.seen.iter().all(|seen| seen.transaction == bench.seen[0].transaction));
    let wanted = &bench.seen[0].wanted;
    assert!([1, 3, 6, 12, 26, 42, 121, 249].iter().all(|option| wanted.contains(option)), "{wanted:?}");
}

/// Field: systemd/systemd#2429: a server refuses every request → longer and longer pauses between requests
#[test]
fn refusals_are_answered_by_longer_and_longer_pauses() {
    let mut bench = Bench::new(Probing::Off);
    bench.serve(600 * SECOND, |kind| match kind {
        DhcpMessageType::Discover => Some(reply(OFFER, LEASE)),
        _ => Some(reply(NAK, &[&[56, 3, b'n', b'o', b'!']])),
    });
    assert!((16..30).contains(&bench.seen.len()), "{} messages", bench.seen.len());
    assert_eq!(bench.address(), None);
}

#[test]
fn classless_routes_replace_the_router() {
    // As a cloud sends it: the gateway on link, the default by it, and a mask of 32 bits.
    let routes = &[121, 14, 32, 10, 0, 2, 1, 0, 0, 0, 0, 0, 10, 0, 2, 1];
    let host = &[1, 4, 255, 255, 255, 255];
    for options in [vec![&host[..], ROUTER, routes], vec![&host[..], &[3, 4, 10, 0, 2, 1]]] {
        let mut bench = Bench::new(Probing::Off);
        bench.serve(SECOND, with(options));
        assert_eq!((bench.address(), bench.gateway()), (cidr(32), Some(Ipv4Address::new(10, 0, 2, 1))));
    }
    let mut bench = Bench::new(Probing::Off);
    bench.serve(SECOND, with(vec![MASK, &[249, 5, 0, 10, 0, 2, 9]]));
    assert_eq!(bench.gateway(), Some(Ipv4Address::new(10, 0, 2, 9)), "by its old number");
}

#[test]
fn name_mtu_and_time_servers_are_taken_over() {
    let mut bench = Bench::new(Probing::Off);
    let options: Vec<&[u8]> =
        vec![MASK, ROUTER, &[26, 2, 5, 120], &[12, 4, b'm', b'i', b'l', b'l'], &[42, 4, 10, 0, 2, 7]];
    bench.serve(SECOND, with(options));
    let status = bench.net.status();
    assert_eq!(
        (status.mtu, status.hostname.as_str(), status.ntp),
        (1400, "mill", vec![Ipv4Address::new(10, 0, 2, 7)])
    );
    let mut bench = Bench::new(Probing::Off);
    bench.serve(SECOND, with(vec![MASK, &[26, 2, 0, 68]]));
    assert_eq!(bench.net.status().mtu, 1500, "too small to be meant");
}

/// Field: RFC 2132: the first ACK has no mask → the mask of the address class
#[test]
fn a_lease_without_a_mask_has_the_mask_of_its_class() {
    let mut bench = Bench::new(Probing::Off);
    bench.serve(SECOND, with(vec![]));
    assert_eq!((bench.address(), bench.gateway()), (cidr(8), None));
}

/// Field: smoltcp-rs/smoltcp#445: a renewal is acknowledged without mask and router → both stay as they were
#[test]
fn a_renewal_without_mask_and_router_keeps_both() {
    let mut bench = Bench::new(Probing::Off);
    bench.serve(SECOND, with(vec![MASK, ROUTER]));
    bench.serve(2000 * SECOND, with(vec![]));
    assert_eq!(bench.net.status().counters.dhcp_renewed.get(), 1);
    assert_eq!((bench.address(), bench.gateway()), (cidr(24), Some(SERVER)));
}

#[test]
fn a_renewal_goes_to_the_server_and_not_to_its_relay() {
    let far = Ipv4Address::new(10, 9, 9, 9);
    let mut bench = Bench::new(Probing::Off);
    bench.source = Ipv4Address::new(10, 0, 2, 1);
    bench.serve(2000 * SECOND, |kind| {
        let kind = if kind == DhcpMessageType::Discover { OFFER } else { ACK };
        Some(Reply { server: Some(far), ..reply(kind, &[&LEASE.concat(), MASK, ROUTER]) })
    });
    let renewal = bench.seen.iter().find(|seen| seen.at > 1000).unwrap();
    assert_eq!((renewal.kind, renewal.to), (DhcpMessageType::Request, far));
}

/// Reasons for which the client must ignore a reply.
type Change = fn(Reply) -> Reply;

#[test]
fn what_was_not_asked_for_is_ignored() {
    let other = Ipv4Address::new(10, 0, 2, 77);
    let wrong: [(&str, Change); 4] = [
        ("another server", |reply| Reply { server: Some(Ipv4Address::new(10, 0, 2, 3)), ..reply }),
        ("another address", |reply| Reply { address: Ipv4Address::new(10, 0, 2, 77), ..reply }),
        ("no server", |reply| Reply { server: None, ..reply }),
        ("a lease of 0 s", |reply| Reply {
            options: vec![51, 4, 0, 0, 0, 0, 1, 4, 255, 255, 255, 0],
            ..reply
        }),
    ];
    for (what, change) in wrong {
        let mut bench = Bench::new(Probing::Off);
        bench.serve(100 * SECOND, |kind| match kind {
            DhcpMessageType::Discover => Some(reply(OFFER, &[&LEASE.concat(), MASK])),
            _ => Some(change(reply(ACK, &[&LEASE.concat(), MASK]))),
        });
        assert_eq!(bench.address(), None, "{what}");
        assert!(bench.net.status().counters.dhcp_ignored.get() > 0, "{what}");
        assert!(bench.seen.len() < 20, "{what}: {} messages", bench.seen.len());
    }
    // While it is renewed as well: the lease stays as it was.
    let mut bench = Bench::new(Probing::Off);
    bench.serve(SECOND, with(vec![MASK, ROUTER]));
    bench.serve(2000 * SECOND, |_| Some(Reply { address: other, ..reply(ACK, &[&LEASE.concat(), MASK]) }));
    assert_eq!((bench.address(), bench.net.status().counters.dhcp_renewed.get()), (cidr(24), 0));
}

#[test]
fn offers_that_cannot_be_are_passed_over() {
    for address in [[10, 0, 2, 255], [10, 0, 2, 0], [224, 0, 0, 1], [0, 0, 0, 0], [127, 0, 0, 1]] {
        let mut bench = Bench::new(Probing::Off);
        bench.serve(20 * SECOND, |kind| {
            let offer = reply(OFFER, &[&LEASE.concat(), MASK]);
            (kind == DhcpMessageType::Discover).then(|| Reply { address: address.into(), ..offer })
        });
        assert!(bench.kinds().iter().all(|kind| *kind == DhcpMessageType::Discover), "{address:?}");
    }
}

#[test]
fn options_that_overflow_into_the_file_are_read() {
    let mut bench = Bench::new(Probing::Off);
    bench.serve(SECOND, |kind| {
        let kind = if kind == DhcpMessageType::Discover { OFFER } else { ACK };
        let file = [&LEASE.concat()[..], MASK, ROUTER, &[255]].concat();
        Some(Reply { file, ..reply(kind, &[&[52, 1, 1]]) })
    });
    assert_eq!((bench.address(), bench.gateway()), (cidr(24), Some(SERVER)));
    let DhcpStatus::Bound { lease, .. } = bench.net.status().dhcp else { panic!("not bound") };
    assert_eq!(lease.as_secs(), 3600);
}

/// Field: systemd/systemd#13923: the offered address is in use → it is declined, and asked for again after a pause
#[test]
fn an_address_that_is_in_use_is_declined() {
    let mut bench = Bench::new(Probing::On);
    bench.taken = true;
    bench.serve(5 * SECOND, with(vec![MASK, ROUTER]));
    let expected = [DhcpMessageType::Discover, DhcpMessageType::Request, DhcpMessageType::Decline];
    assert_eq!((bench.kinds(), bench.address()), (expected.to_vec(), None));
    bench.taken = false;
    bench.serve(10 * SECOND, with(vec![MASK, ROUTER]));
    assert_eq!((bench.kinds()[3], bench.address()), (DhcpMessageType::Discover, cidr(24)), "after 10 s");
}

#[test]
fn a_lease_is_given_up_to_a_host_that_insists() {
    let mut bench = Bench::new(Probing::On);
    bench.serve(5 * SECOND, with(vec![MASK, ROUTER]));
    assert_eq!(bench.address(), cidr(24));
    bench.raw.send(arp(ArpOperation::Request, OURS, OURS));
    bench.world.run(MS);
    assert_eq!(bench.address(), cidr(24), "defended once");
    bench.raw.send(arp(ArpOperation::Request, OURS, OURS));
    bench.world.run(MS);
    assert_eq!(bench.address(), None);
    bench.serve(SECOND, |_| None);
    assert_eq!(bench.kinds().last(), Some(&DhcpMessageType::Decline));
}

#[test]
fn a_vif_with_another_mac_asks_by_that_one() {
    let mut bench = Bench::new(Probing::Off);
    bench.serve(SECOND, with(vec![MASK, ROUTER]));
    assert_eq!((bench.address(), bench.seen[0].hardware), (cidr(24), US));
    let other = EthernetAddress([0, 0x16, 0x3e, 0, 0, 0x99]);
    let switches = bench.world.stacks[0].nic().switches.clone();
    switches.mac.set(other);
    switches.generation.set(2);
    bench.seen.clear();
    bench.serve(SECOND, |_| None);
    assert_eq!((bench.kinds(), bench.seen[0].hardware), (vec![DhcpMessageType::Discover], other));
}
