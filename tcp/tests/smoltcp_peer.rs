//! The engine against smoltcp's `tcp::Socket` as the peer, in virtual time: every direction, with and without harm, 10 MB
//! compared octet for octet.
//!
//! ```text
//!   Tcb ─► IPv4 packet ─► Link ─► smoltcp Interface ─► tcp::Socket
//!       ◄───────────────  Link ◄──────────────────────
//! ```

mod world;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;
use smoltcp::iface::{Config as InterfaceConfig, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{
    HardwareAddress, IpAddress, IpCidr, IpProtocol, IpRepr, Ipv4Address, Ipv4Packet, Ipv4Repr, TcpPacket,
};
use tcp::limiter::Limiter;
use tcp::{Config, Env, Flags, Limits, Reply, Segment, SendError, State, Tcb};
use world::{Dice, Link, MS, SECOND, encode, open, pattern};

const ENGINE: Ipv4Address = Ipv4Address::new(10, 0, 0, 1);
const PEER: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
/// Ports that `world::encode` writes.
const PORTS: (u16, u16) = (1, 2);

/// Packets in memory.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

struct Rx(Vec<u8>);
struct Tx<'a>(&'a mut Vec<Vec<u8>>);

impl smoltcp::phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl smoltcp::phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push(packet);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx<'_>)> {
        Some((Rx(self.incoming.pop_front()?), Tx(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }
}

/// Which side opens.
#[derive(Clone, Copy, PartialEq)]
enum Opens {
    Engine,
    Peer,
}

/// Time, serial number, host and bytes of packets under way.
type Arrivals = BinaryHeap<Reverse<(u64, u64, usize, Vec<u8>)>>;

struct Pair {
    now: u64,
    dice: Dice,
    /// To the peer, to the engine.
    links: [Link; 2],
    events: Arrivals,
    serial: u64,
    tcb: Option<Tcb<Bytes>>,
    env: Env<Bytes>,
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// Octets that the engine and the peer send, have sent and have received.
    to_send: [usize; 2],
    sent: [usize; 2],
    received: [usize; 2],
    shut: [bool; 2],
    stream: Bytes,
}

impl Pair {
    fn new(seed: u64, to_send: [usize; 2], link: &Link) -> Self {
        let mut wire = Wire::default();
        let mut config = InterfaceConfig::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::Ipv4(PEER), 24)).unwrap();
        });
        let mut sockets = SocketSet::new(vec![]);
        let buffer = || SocketBuffer::new(vec![0; 256 * 1024]);
        let handle = sockets.add(Socket::new(buffer(), buffer()));
        let stream: Vec<u8> = (0..to_send[0].max(to_send[1])).map(pattern).collect();
        Self {
            now: SECOND,
            dice: Dice::new(seed),
            links: [link.clone(), link.clone()],
            events: BinaryHeap::new(),
            serial: 0,
            tcb: None,
            env: Env::new(Config::default(), Limiter::new(1000, 1000)),
            wire,
            interface,
            sockets,
            handle,
            to_send,
            sent: [0; 2],
            received: [0; 2],
            shut: [false; 2],
            stream: stream.into(),
        }
    }

    fn instant(&self) -> Instant {
        Instant::from_micros(self.now as i64)
    }

    fn send(&mut self, to_engine: usize, mut packet: Vec<u8>) {
        let len = packet.len();
        let (arrivals, _) = self.links[to_engine].carry(len, self.now, false, &mut self.dice);
        if self.dice.chance(self.links[to_engine].corrupt) {
            // Behind the IP header, whose checksum would hide it from TCP.
            let at = 20 + self.dice.below(len as u64 - 20) as usize;
            packet[at] ^= 1 << self.dice.below(8);
        }
        for at in arrivals {
            self.serial += 1;
            self.events.push(Reverse((at, self.serial, to_engine, packet.clone())));
        }
    }

    fn send_segment(&mut self, segment: &Segment, payload: &[u8]) {
        let bytes = encode(segment, payload, &IpAddress::Ipv4(ENGINE), &IpAddress::Ipv4(PEER));
        let repr = IpRepr::Ipv4(Ipv4Repr {
            src_addr: ENGINE,
            dst_addr: PEER,
            next_header: IpProtocol::Tcp,
            payload_len: bytes.len(),
            hop_limit: 64,
        });
        let mut packet = vec![0; repr.buffer_len()];
        repr.emit(&mut packet[..20], &ChecksumCapabilities::default());
        packet[20..].copy_from_slice(&bytes);
        self.send(0, packet);
    }

    fn open(&mut self, opens: Opens) {
        let now = self.instant();
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        match opens {
            Opens::Engine => {
                socket.listen(PORTS.1).unwrap();
                self.tcb = Some(Tcb::connect(&open(u32::MAX - 5000), now, &mut self.env));
            }
            Opens::Peer => {
                socket
                    .connect(self.interface.context(), (IpAddress::Ipv4(ENGINE), PORTS.0), PORTS.1)
                    .unwrap();
            }
        }
    }

    fn deliver_to_engine(&mut self, packet: &[u8]) {
        let Ok(packet) = Ipv4Packet::new_checked(packet) else { return };
        let bytes = packet.payload();
        let Ok(tcp) = TcpPacket::new_checked(bytes) else { return };
        if !tcp.verify_checksum(&IpAddress::Ipv4(PEER), &IpAddress::Ipv4(ENGINE)) {
            return;
        }
        let Ok((segment, offset)) = Segment::parse(bytes) else { return };
        let now = self.instant();
        let syn = segment.flags.intersection(Flags::SYN | Flags::ACK) == Flags::SYN;
        match &mut self.tcb {
            None if syn => {
                self.tcb = Some(Tcb::passive(&open(u32::MAX - 7000), &segment, now, &mut self.env))
            }
            None => {}
            Some(tcb) => {
                let payload = Bytes::copy_from_slice(&bytes[offset..]);
                if tcb.on_segment(&segment, payload, now, &mut self.env) == Reply::Reset
                    && let Some(reset) = segment.reset_for()
                {
                    self.send_segment(&reset, &[]);
                }
            }
        }
    }

    fn engine_turn(&mut self) {
        let now = self.instant();
        let Some(tcb) = &mut self.tcb else { return };
        if tcb.next_timer().is_some_and(|at| at <= now) {
            tcb.on_timer(now, &mut self.env);
        }
        while let Some(chunk) = tcb.recv(now, &mut self.env) {
            let end = self.received[0] + chunk.len();
            assert!(chunk == self.stream[self.received[0]..end], "the engine got other octets from {}", end);
            self.received[0] = end;
        }
        if matches!(tcb.state(), State::Established | State::CloseWait) {
            while self.sent[0] < self.to_send[0] {
                let end = (self.sent[0] + 20_000).min(self.to_send[0]);
                match tcb.send(self.stream.slice(self.sent[0]..end), &mut self.env) {
                    Ok(()) => self.sent[0] = end,
                    Err(SendError::Full(_)) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            if self.sent[0] == self.to_send[0] && !self.shut[0] {
                self.shut[0] = true;
                tcb.shutdown(&mut self.env);
            }
        }
        let mut out = Vec::new();
        while let Some(transmit) = tcb.poll_transmit(now, &Limits { max_payload: 0 }, &mut self.env) {
            let mut payload = vec![0; transmit.payload.len()];
            transmit.payload.copy_to(&mut payload);
            out.push((transmit.header, payload));
        }
        for (segment, payload) in out {
            self.send_segment(&segment, &payload);
        }
    }

    fn peer_turn(&mut self) {
        let now = self.instant();
        let _ = self.interface.poll(now, &mut self.wire, &mut self.sockets);
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        while socket.can_recv() {
            let (stream, at) = (&self.stream, self.received[1]);
            let read =
                |octets: &mut [u8]| (octets.len(), (octets.len(), *octets == stream[at..at + octets.len()]));
            let (len, same) = socket.recv(read).unwrap();
            assert!(same, "the peer got other octets behind {at}");
            self.received[1] += len;
        }
        while socket.can_send() && self.sent[1] < self.to_send[1] {
            self.sent[1] += socket.send_slice(&self.stream[self.sent[1]..self.to_send[1]]).unwrap();
        }
        if socket.may_send() && self.sent[1] == self.to_send[1] && !self.shut[1] {
            self.shut[1] = true;
            socket.close();
        }
        let _ = self.interface.poll(now, &mut self.wire, &mut self.sockets);
        for packet in core::mem::take(&mut self.wire.outgoing) {
            self.send(1, packet);
        }
    }

    fn done(&self) -> bool {
        let all = self.received == [self.to_send[1], self.to_send[0]];
        all && self.tcb.as_ref().is_some_and(|tcb| matches!(tcb.state(), State::Closed | State::TimeWait))
    }

    fn run(&mut self, opens: Opens, limit: u64) {
        self.open(opens);
        while !self.done() && self.now < limit {
            self.engine_turn();
            self.peer_turn();
            let now = self.instant();
            let engine = self.tcb.as_ref().and_then(Tcb::next_timer);
            let peer = self.interface.poll_at(now, &self.sockets);
            let arrival = self.events.peek().map(|event| event.0.0);
            let timers = [engine, peer].into_iter().flatten().map(|at| at.total_micros() as u64);
            let Some(next) = timers.chain(arrival).min() else { break };
            // Both sides go by whole microseconds; what is due now has been done.
            self.now = next.max(self.now + 1);
            while self.events.peek().is_some_and(|event| event.0.0 <= self.now) {
                let Reverse((_, _, to_engine, packet)) = self.events.pop().unwrap();
                match to_engine {
                    0 => self.wire.incoming.push_back(packet),
                    _ => self.deliver_to_engine(&packet),
                }
            }
        }
        assert!(self.done(), "at {} ms: {:?} received, {:?}", self.now / MS, self.received, self.tcb);
    }
}

const MB: usize = 1 << 20;

fn clean() -> Link {
    Link { delay: 2 * MS, ..Link::default() }
}

fn lossy() -> Link {
    Link { delay: 2 * MS, loss: 1000, ..Link::default() }
}

fn hostile() -> Link {
    Link {
        delay: 2 * MS,
        jitter: 5 * MS,
        reorder: 2000,
        loss: 1000,
        duplicate: 1000,
        corrupt: 500,
        ..Link::default()
    }
}

fn run(seed: u64, to_send: [usize; 2], link: &Link, opens: Opens) -> Pair {
    let mut pair = Pair::new(seed, to_send, link);
    pair.run(opens, 3600 * SECOND);
    pair
}

#[test]
fn the_engine_sends_10_mb_to_smoltcp() {
    let pair = run(1, [10 * MB, 0], &clean(), Opens::Engine);
    assert_eq!(pair.env.counters.retransmissions, 0);
    run(2, [10 * MB, 0], &lossy(), Opens::Peer);
}

#[test]
fn smoltcp_sends_10_mb_to_the_engine() {
    let pair = run(3, [0, 10 * MB], &clean(), Opens::Peer);
    assert_eq!(pair.env.counters.duplicate_octets, 0);
    run(4, [0, 10 * MB], &lossy(), Opens::Engine);
}

#[test]
fn both_send_10_mb_at_once() {
    run(5, [10 * MB, 10 * MB], &clean(), Opens::Engine);
    run(6, [10 * MB, 10 * MB], &lossy(), Opens::Peer);
}

#[test]
fn a_hostile_link_harms_no_octet() {
    for seed in 10..16 {
        let opens = if seed % 2 == 0 { Opens::Engine } else { Opens::Peer };
        run(seed, [MB, MB], &hostile(), opens);
    }
}
