//! One image restored twice: what can be seen from outside differs, because the secrets are renewed.
//!
//! ```text
//!   the same guest, saved ─┬─► restored, other secrets ─► sequence numbers, port, identifier, key and hashes ─┐
//!                          └─► restored, other secrets ─► … of the other twin ────────────────────────────────┴─► compared
//! ```
//!
//! The simulator is deterministic, so two runs are one image. Twins that keep their secrets show that nothing else makes the
//! difference. Where the secrets come from, with and without RDRAND, is tested in `kernel::task::entropy`.

use crate::guest::{Os, run_for, run_until};
use crate::peers::at;
use crate::upper::{Network, network};
use net::{IpEndpoint, Rng, TcpOptions};
use netfront::{Config, HashKey, Nic as _};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    Icmpv4Packet, Icmpv4Repr, IpAddress, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, TcpControl,
    TcpPacket, TcpRepr, TcpSeqNumber,
};
use xen::DomId;
use xen_sim::{Netback, Sim, VifConfig};

const MS: u64 = 1_000_000;
const THEM: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);
const US: EthernetAddress = EthernetAddress([0, 0x16, 0x3e, 0, 0, 1]);
/// Connections that each twin accepts.
const CLIENTS: u16 = 8;
/// Bytes of an echo request that comes in two fragments.
const PING: usize = 1600;
const QUEUES: usize = 4;

/// What a host on the network and the backend see of a twin.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Initial sequence numbers of accepted connections.
    accepted: Vec<u32>,
    /// Port and initial sequence number of a connection of its own.
    port: u16,
    connected: u32,
    /// The identifier of a fragmented packet.
    identifier: u16,
    /// The key for hashes that the backend got.
    key: Vec<u8>,
    /// The queue of each flow.
    queues: Vec<u32>,
}

fn ethernet(ethertype: EthernetProtocol, len: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = vec![0; 14 + len];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    EthernetRepr { src_addr: THEM, dst_addr: US, ethertype }.emit(&mut frame);
    fill(frame.payload_mut());
    bytes
}

fn v4(endpoint: IpEndpoint) -> Ipv4Address {
    let IpAddress::Ipv4(address) = endpoint.addr else { unreachable!("no IPv6 here") };
    address
}

fn arp() -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: THEM,
        source_protocol_addr: v4(at(9, 0)),
        target_hardware_addr: US,
        target_protocol_addr: v4(at(1, 0)),
    };
    ethernet(EthernetProtocol::Arp, repr.buffer_len(), |into| repr.emit(&mut ArpPacket::new_unchecked(into)))
}

/// A packet from the tenth host, or a part of one: offset in bytes, and whether more follow.
fn packet(next: IpProtocol, payload: &[u8], (offset, more): (usize, bool)) -> Vec<u8> {
    let (src_addr, dst_addr) = (v4(at(9, 0)), v4(at(1, 0)));
    let repr = Ipv4Repr { src_addr, dst_addr, next_header: next, payload_len: payload.len(), hop_limit: 64 };
    ethernet(EthernetProtocol::Ipv4, 20 + payload.len(), |into| {
        let mut packet = Ipv4Packet::new_unchecked(into);
        repr.emit(&mut packet, &ChecksumCapabilities::default());
        packet.set_ident(77);
        packet.set_dont_frag(!more && offset == 0);
        packet.set_more_frags(more);
        packet.set_frag_offset(u16::try_from(offset).unwrap());
        packet.fill_checksum();
        packet.payload_mut().copy_from_slice(payload);
    })
}

fn syn(port: u16) -> Vec<u8> {
    let repr = TcpRepr {
        src_port: port,
        dst_port: 80,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(1000),
        ack_number: None,
        window_len: 60_000,
        window_scale: None,
        max_seg_size: Some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let mut bytes = vec![0; repr.buffer_len()];
    let (from, to) = (at(9, 0).addr, at(1, 0).addr);
    repr.emit(&mut TcpPacket::new_unchecked(&mut bytes[..]), &from, &to, &ChecksumCapabilities::default());
    packet(IpProtocol::Tcp, &bytes, (0, false))
}

/// An echo request in two fragments.
fn ping() -> [Vec<u8>; 2] {
    let data = vec![7; PING];
    let repr = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 1, data: &data };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[..]), &ChecksumCapabilities::default());
    let (first, second) = bytes.split_at(800);
    [packet(IpProtocol::Icmp, first, (0, true)), packet(IpProtocol::Icmp, second, (800, false))]
}

/// The IPv4 packets of a protocol that the guest has sent.
fn sent(netback: &Netback, next: IpProtocol) -> Vec<Vec<u8>> {
    let frames = std::iter::from_fn(|| netback.recv()).map(|packet| packet.data);
    let ip = frames.filter(|frame| frame[12..14] == [8, 0]).map(|frame| frame[14..].to_vec());
    ip.filter(|ip| Ipv4Packet::new_checked(&ip[..]).unwrap().next_header() == next).collect()
}

/// Ports and sequence number of a TCP segment.
fn tcp(ip: &[u8]) -> (u16, u16, u32) {
    let tcp = TcpPacket::new_checked(&ip[20..]).unwrap();
    (tcp.src_port(), tcp.dst_port(), u32::from_be_bytes(tcp.seq_number().0.to_be_bytes()))
}

/// Restores the image once. With a seed, the secrets are renewed by it, as the kernel does.
fn twin(seed: Option<u8>) -> Seen {
    let sim = Sim::builder().memory_pages(2048).build();
    let netback = sim.add_vif(VifConfig::default().feature("multi-queue-max-queues", "8"));
    let config = Config { queues: QUEUES, hash_key: Some(HashKey::new([9; 40])), ..Config::default() };
    let mut guests = [Os::boot(sim.guest(), config, network(1))];
    let is_up = |guests: &[Os<Network>]| guests[0].device().link_up();
    run_until(&sim, &mut guests, "the link is up", is_up);
    run_for(&sim, &mut guests[0], 1000 * MS);
    let generation = guests[0].device().stats().link_generation;
    let machine = guests[0].xen.machine.clone();
    let restored = sim.restore(&machine, DomId(10), &[(&netback, DomId(0))]);
    let [os] = &mut guests;
    os.resume(restored);
    if let Some(seed) = seed {
        let mut rng = Rng::new([seed; 32]);
        let (mut secrets, mut key) = ([0; 32], [0; 40]);
        rng.fill(&mut secrets);
        rng.fill(&mut key);
        os.upper.renew_secrets(secrets);
        os.upper.nic_mut().renew_hash_key(HashKey::new(key));
    }
    run_until(&sim, &mut guests, "the link is up again", |guests| {
        is_up(guests) && guests[0].device().stats().link_generation > generation
    });
    run_for(&sim, &mut guests[0], 1000 * MS);
    look(&sim, &netback, &mut guests[0])
}

fn look(sim: &Sim, netback: &Netback, os: &mut Os<Network>) -> Seen {
    let net = os.upper.net();
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    netback.send(arp());
    run_for(sim, os, 10 * MS);
    let mut accepted = vec![];
    for port in 4000..4000 + CLIENTS {
        let _before = sent(netback, IpProtocol::Tcp);
        netback.send(syn(port));
        run_for(sim, os, 10 * MS);
        let answers = sent(netback, IpProtocol::Tcp);
        accepted.extend(answers.iter().map(|ip| tcp(ip)).find(|(_, to, _)| *to == port).map(|(.., seq)| seq));
    }
    let connecting =
        os.spawn(async move { net.tcp_connect(at(9, 443), TcpOptions::default()).await.map(drop) });
    run_for(sim, os, 10 * MS);
    let segments = sent(netback, IpProtocol::Tcp);
    let own = segments.iter().map(|ip| tcp(ip)).find(|(_, to, _)| *to == 443);
    let (port, _, connected) = own.expect("a SYN to the tenth host");
    assert!(!connecting.is_done());
    ping().into_iter().for_each(|part| netback.send(part));
    run_for(sim, os, 10 * MS);
    let echo = sent(netback, IpProtocol::Icmp);
    assert_eq!(echo.len(), 2, "the echo reply has two fragments");
    let identifier = Ipv4Packet::new_checked(&echo[0][..]).unwrap().ident();
    let hash = os.device().flow_key().expect("a key");
    let queue = |port| hash.flow((at(9, 0).addr, port), (at(1, 0).addr, 80)) % QUEUES as u32;
    drop(listener);
    Seen {
        accepted,
        port,
        connected,
        identifier,
        key: netback.hashing().key,
        queues: (1000..1064).map(queue).collect(),
    }
}

#[test]
fn twins_with_the_same_secrets_cannot_be_told_apart() {
    let one = twin(None);
    assert_eq!(one.accepted.len(), usize::from(CLIENTS));
    assert_eq!(one.key.len(), 40);
    assert_eq!(one, twin(None));
}

#[test]
fn twins_of_one_image_share_nothing_that_is_seen_outside() {
    let all = [twin(None), twin(Some(1)), twin(Some(2))];
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let (a, b) = (&all[a], &all[b]);
        assert!(a.accepted.iter().zip(&b.accepted).all(|(a, b)| a != b), "{a:?}\n{b:?}");
        assert_ne!(a.port, b.port);
        assert_ne!(a.connected, b.connected);
        assert_ne!(a.identifier, b.identifier);
        assert_ne!(a.key, b.key);
        let same = a.queues.iter().zip(&b.queues).filter(|(a, b)| a == b).count();
        assert!(same < a.queues.len() / 2, "{same} flows of {} are in the same queue", a.queues.len());
    }
}
