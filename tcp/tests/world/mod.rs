//! Two engines and the links between them, in virtual time.
//!
//! ```text
//!   Host A ─► bytes ─► Link (rate, queue, delay, loss, reorder, duplicate, corrupt, ECN marks) ─► bytes ─► Host B
//!          ◄───────────────────────────── Link ◄───────────────────────────────────────────────
//! ```
//!
//! Segments travel as bytes with a checksum. A seed decides everything, so a failure is found again by its seed.

#![allow(
    dead_code,
    clippy::missing_docs_in_private_items,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "a test runs on the host, may fail by panic, and its numbers are small"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, TcpPacket};
use tcp::limiter::Limiter;
use tcp::{Config, Env, Events, Flags, Limits, Open, Reply, Segment, SendError, Seq, State, Tcb};

pub const MS: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;

/// xorshift64*: every test names its seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    /// True with a probability of `per_100k` / 100,000.
    pub fn chance(&mut self, per_100k: u32) -> bool {
        self.below(100_000) < u64::from(per_100k)
    }
}

/// A way with all that can happen on it; probabilities are in 1/100,000.
#[derive(Clone, Debug)]
pub struct Link {
    pub delay: u64,
    /// Up to this much is added to some packets' delay.
    pub jitter: u64,
    /// Packets that get jitter.
    pub reorder: u32,
    pub loss: u32,
    pub duplicate: u32,
    pub corrupt: u32,
    /// Bytes in a second; 0: no limit.
    pub rate: u64,
    /// Bytes that may wait.
    pub queue: u64,
    /// Bytes waiting from which on packets that allow it are marked instead of dropped; 0: never.
    pub mark_above: u64,
    /// Largest packet (TCP header and payload) that passes; others vanish.
    pub mtu: usize,
    pub busy_until: u64,
    pub dropped: u64,
    pub carried: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: 10 * MS,
            jitter: 0,
            reorder: 0,
            loss: 0,
            duplicate: 0,
            corrupt: 0,
            rate: 0,
            queue: u64::MAX,
            mark_above: 0,
            mtu: usize::MAX,
            busy_until: 0,
            dropped: 0,
            carried: 0,
        }
    }
}

/// IP and Ethernet headers that the link counts.
const OVERHEAD: u64 = 34;

impl Link {
    /// When packets of `len` bytes arrive that are sent now, and whether one is marked.
    pub fn carry(&mut self, len: usize, now: u64, markable: bool, dice: &mut Dice) -> (Vec<u64>, bool) {
        let mut out = Vec::new();
        if len > self.mtu || dice.chance(self.loss) {
            self.dropped += 1;
            return (out, false);
        }
        let mut at = now;
        let mut marked = false;
        if self.rate > 0 {
            let start = self.busy_until.max(now);
            let waiting = (start - now) * self.rate / SECOND;
            if waiting > self.queue {
                self.dropped += 1;
                return (out, false);
            }
            marked = markable && self.mark_above > 0 && waiting > self.mark_above;
            self.busy_until = start + (len as u64 + OVERHEAD) * SECOND / self.rate;
            at = self.busy_until;
        }
        self.carried += len as u64;
        at += self.delay;
        if dice.chance(self.reorder) {
            at += dice.below(self.jitter + 1);
        }
        out.push(at);
        if dice.chance(self.duplicate) {
            out.push(at + dice.below(self.jitter + 1));
        }
        (out, marked)
    }
}

/// What an application does with a connection.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Bytes that it sends, then it shuts down.
    pub to_send: usize,
    pub sent: usize,
    /// Bytes in one call.
    pub piece: usize,
    pub received: usize,
    /// Bytes that the other side sends.
    pub expected: usize,
    /// Reads at most this many bytes in a second; 0: at once.
    pub read_rate: u64,
    pub read_credit: u64,
    pub read_at: u64,
    /// When the last byte was read.
    pub finished_at: Option<u64>,
    pub stay_open: bool,
    pub shut: bool,
    /// What is sent, and what is to come.
    pub streams: [Bytes; 2],
}

pub struct Host {
    pub tcb: Tcb<Bytes>,
    pub env: Env<Bytes>,
    pub app: App,
    pub limits: Limits,
    pub events: Events,
    address: IpAddress,
    peer: IpAddress,
}

impl Host {
    pub fn new(config: Config, app: App, address: u8) -> Self {
        let limiter = Limiter::new(1000, 1000);
        let env = Env::new(config, limiter);
        let tcb = closed(&env);
        Self {
            tcb,
            env,
            app,
            limits: Limits { max_payload: 0 },
            events: Events::empty(),
            address: IpAddress::v4(10, 0, 0, address),
            peer: IpAddress::v4(10, 0, 0, 3 - address),
        }
    }

    pub fn done(&self) -> bool {
        matches!(self.tcb.state(), State::Closed | State::TimeWait) && self.tcb.receive_queued() == 0
    }
}

fn closed(env: &Env<Bytes>) -> Tcb<Bytes> {
    let mut env = Env::new(env.config.clone(), Limiter::new(1, 1));
    let mut tcb = Tcb::connect(&open(0), Instant::ZERO, &mut env);
    tcb.abort(&mut env);
    let _ = tcb.take_events();
    tcb
}

pub fn open(iss: u32) -> Open {
    Open { iss: Seq(iss), timestamp_offset: iss.rotate_left(7), announced_mss: 1460, path_mss: 1460 }
}

/// The byte of the stream at `offset`.
pub fn pattern(offset: usize) -> u8 {
    (offset.wrapping_mul(2_654_435_761) >> 13) as u8
}

fn stream(len: usize) -> Bytes {
    (0..len).map(pattern).collect::<Vec<u8>>().into()
}

type Event = Reverse<(u64, u64, usize, Vec<u8>, bool)>;

/// Everything.
pub struct World {
    pub now: u64,
    pub hosts: [Host; 2],
    /// Link 0 goes from host 0 to host 1.
    pub links: [Link; 2],
    pub dice: Dice,
    iss: [u32; 2],
    events: BinaryHeap<Event>,
    serial: u64,
    pub steps: u64,
    /// Do not open host 1 on a SYN.
    pub mute: bool,
    /// Print every segment.
    pub trace: bool,
    /// MSS that each host announces.
    pub announced: [u16; 2],
}

impl World {
    pub fn new(seed: u64, config: &Config, apps: [App; 2], links: [Link; 2]) -> Self {
        let [mut a, mut b] = apps;
        let all = stream(a.to_send.max(b.to_send).max(a.expected).max(b.expected));
        for app in [&mut a, &mut b] {
            app.streams = [all.slice(..app.to_send), all.slice(..app.expected)];
        }
        let mut dice = Dice::new(seed);
        // Numbers that wrap soon.
        let iss = [
            u32::MAX.wrapping_sub(dice.below(100_000) as u32),
            u32::MAX.wrapping_sub(dice.below(100_000) as u32),
        ];
        Self {
            now: SECOND,
            hosts: [Host::new(config.clone(), a, 1), Host::new(config.clone(), b, 2)],
            links,
            dice,
            iss,
            events: BinaryHeap::new(),
            serial: 0,
            steps: 0,
            mute: false,
            trace: false,
            announced: [1460; 2],
        }
    }

    pub fn instant(&self) -> Instant {
        Instant::from_micros(self.now as i64)
    }

    pub fn connect(&mut self) {
        let now = self.instant();
        let open = Open { announced_mss: self.announced[0], ..open(self.iss[0]) };
        let host = &mut self.hosts[0];
        host.tcb = Tcb::connect(&open, now, &mut host.env);
        self.iterate(0);
    }

    /// Runs until both are done, or until `limit`. Returns the time.
    pub fn run(&mut self, limit: u64) -> u64 {
        while self.now < limit && !(self.hosts[0].done() && self.hosts[1].done() && self.steps > 0) {
            if !self.step(limit) {
                break;
            }
        }
        self.now
    }

    /// The next event; `false` if there is none before `limit`.
    pub fn step(&mut self, limit: u64) -> bool {
        let timers = [0, 1].map(|index| {
            let host = &self.hosts[index];
            let timer = host.tcb.next_timer().map_or(u64::MAX, |at| at.total_micros().max(0) as u64);
            let paced = host.app.read_rate > 0 && host.tcb.receive_queued() > 0;
            if paced { timer.min(self.now + 10 * MS) } else { timer }
        });
        let arrival = self.events.peek().map_or(u64::MAX, |event| event.0.0);
        let next = arrival.min(timers[0]).min(timers[1]);
        if next > limit || next == u64::MAX {
            self.now = self.now.max(limit.min(next));
            return false;
        }
        self.steps += 1;
        self.now = self.now.max(next);
        if arrival <= self.now {
            // All that arrives now is one iteration.
            while self.events.peek().is_some_and(|event| event.0.0 <= self.now) {
                let Reverse((_, _, index, bytes, marked)) = self.events.pop().unwrap();
                self.deliver(index, &bytes, marked);
            }
        }
        for (index, timer) in timers.into_iter().enumerate() {
            if timer <= self.now {
                let now = self.instant();
                let host = &mut self.hosts[index];
                host.tcb.on_timer(now, &mut host.env);
            }
            self.iterate(index);
        }
        true
    }

    fn deliver(&mut self, index: usize, bytes: &[u8], marked: bool) {
        let now = self.instant();
        let host = &mut self.hosts[index];
        let Ok(packet) = TcpPacket::new_checked(bytes) else { return };
        if !packet.verify_checksum(&host.peer, &host.address) {
            return;
        }
        let Ok((mut segment, offset)) = Segment::parse(bytes) else { return };
        segment.congestion_experienced = marked;
        if self.trace {
            println!("{:>10} {} <- {}", self.now, index, show(&segment));
        }
        let listening = index == 1 && host.tcb.state() == State::Closed && !self.mute;
        let asks = segment.flags.difference(Flags::ECE | Flags::CWR) == Flags::SYN;
        if listening && asks {
            host.tcb = Tcb::passive(&open(self.iss[1]), &segment, now, &mut host.env);
            self.mute = true;
            return;
        }
        let payload = Bytes::copy_from_slice(&bytes[offset..]);
        let reply = host.tcb.on_segment(&segment, payload, now, &mut host.env);
        if reply == Reply::Reset
            && let Some(reset) = segment.reset_for()
        {
            let bytes = encode(&reset, &[], &host.address, &host.peer);
            self.send(index, bytes, false);
        }
    }

    /// The application and then the way out.
    pub fn iterate(&mut self, index: usize) {
        self.application(index);
        let now = self.instant();
        for round in 0.. {
            assert!(round < 10_000, "host {index} never stops sending: {:?}", self.hosts[index].tcb);
            let host = &mut self.hosts[index];
            let Some(transmit) = host.tcb.poll_transmit(now, &host.limits, &mut host.env) else { break };
            let header = transmit.header;
            let ecn = transmit.ecn_capable;
            let mut payload = vec![0; transmit.payload.len()];
            let size = transmit.segment_size.map_or(payload.len().max(1), usize::from);
            assert_eq!(transmit.payload.copy_to(&mut payload), header.payload_len as usize);
            let parts = if payload.is_empty() { vec![&payload[..]] } else { payload.chunks(size).collect() };
            let count = parts.len();
            let (mut seq, address, peer) = (header.seq, host.address, host.peer);
            let mut packets = Vec::new();
            for (number, part) in parts.into_iter().enumerate() {
                let mut segment = header;
                segment.seq = seq;
                segment.payload_len = part.len() as u32;
                if number + 1 < count {
                    segment.flags.remove(Flags::FIN | Flags::PSH);
                }
                if number > 0 {
                    segment.flags.remove(Flags::CWR);
                }
                seq = seq.add(part.len() as u32);
                if self.trace {
                    println!("{:>10} {} -> {}", self.now, index, show(&segment));
                }
                packets.push(encode(&segment, part, &address, &peer));
            }
            for packet in packets {
                self.send(index, packet, ecn);
            }
        }
        let host = &mut self.hosts[index];
        let events = host.tcb.take_events();
        host.events |= events;
    }

    fn send(&mut self, index: usize, mut bytes: Vec<u8>, markable: bool) {
        let (arrivals, marked) = self.links[index].carry(bytes.len(), self.now, markable, &mut self.dice);
        if self.dice.chance(self.links[index].corrupt) {
            let at = self.dice.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << self.dice.below(8);
        }
        for at in arrivals {
            self.serial += 1;
            self.events.push(Reverse((at, self.serial, 1 - index, bytes.clone(), marked)));
        }
    }

    fn application(&mut self, index: usize) {
        let now = self.instant();
        let host = &mut self.hosts[index];
        let app = &mut host.app;
        loop {
            if app.read_rate > 0 {
                let credit = (self.now - app.read_at) * app.read_rate / SECOND;
                if credit > 0 {
                    app.read_credit = (app.read_credit + credit).min(app.read_rate);
                    app.read_at = self.now;
                }
                if app.read_credit == 0 {
                    break;
                }
            }
            let Some(chunk) = host.tcb.recv(now, &mut host.env) else { break };
            app.read_credit = app.read_credit.saturating_sub(chunk.len() as u64);
            let end = app.received + chunk.len();
            assert!(end <= app.expected, "host {index}: more came than was sent");
            assert!(
                chunk == app.streams[1][app.received..end],
                "host {index}: differs from {}",
                app.received
            );
            app.received = end;
            if app.received == app.expected {
                app.finished_at = Some(self.now);
            }
        }
        if matches!(host.tcb.state(), State::Established | State::CloseWait) {
            while app.sent < app.to_send {
                let len = app.piece.max(1).min(app.to_send - app.sent);
                match host.tcb.send(app.streams[0].slice(app.sent..app.sent + len), &mut host.env) {
                    Ok(()) => app.sent += len,
                    Err(SendError::Full(_)) => break,
                    Err(SendError::Closed) => panic!("host {index} cannot send in {:?}", host.tcb.state()),
                }
            }
            if app.sent == app.to_send && !app.stay_open && !app.shut {
                app.shut = true;
                host.tcb.shutdown(&mut host.env);
            }
        }
    }

    /// Both streams came whole and both ends closed in order.
    pub fn assert_whole(&self) {
        for (index, host) in self.hosts.iter().enumerate() {
            assert_eq!(host.app.received, host.app.expected, "host {index} in {:?}", host.tcb.state());
            assert_eq!(host.tcb.close_reason(), Some(tcp::CloseReason::Finished), "host {index}");
        }
    }
}

pub fn encode(segment: &Segment, payload: &[u8], from: &IpAddress, to: &IpAddress) -> Vec<u8> {
    let mut header = *segment;
    (header.src_port, header.dst_port) = (1, 2);
    let mut bytes = vec![0; header.header_len() + payload.len()];
    let len = header.emit(&mut bytes).unwrap();
    bytes[len..].copy_from_slice(payload);
    TcpPacket::new_unchecked(&mut bytes).fill_checksum(from, to);
    bytes
}

fn show(segment: &Segment) -> String {
    format!(
        "{:?} seq {:?} len {} ack {:?} wnd {} sack {:?} ts {:?}",
        segment.flags,
        segment.seq,
        segment.payload_len,
        segment.ack,
        segment.window,
        segment.sack,
        segment.timestamps.map(|stamps| (stamps.value, stamps.echo))
    )
}
