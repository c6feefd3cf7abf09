//! Any segments, in any order, at a TCP connection with state: nothing panics, no octet is sent that was not written,
//! none is read that was not sent, no acknowledgment and no window goes back, and the engine falls silent.
//!
//! ```text
//!   how it opens, its options, initial numbers
//!   0 seq ack flags window len options: a segment, its numbers relative to what the engine expects   1 n: time passes
//!   2 n: write   3: read   4: shutdown   5: abort   6: shut_read   7 seq mss: too big   8 seq: unreachable   9 n: grant
//!   10 n: keep-alive, user timeout, Nagle
//! ```

#![no_main]

use bytes::Bytes;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use smoltcp::time::{Duration, Instant};
use tcp::limiter::Limiter;
use tcp::{Config, Ecn, Env, Flags, Limits, Open, Segment, Seq, State, Tcb, Timestamps};

/// Operations that one input may have.
const MOST: usize = 300;
/// Segments that one operation may bring about: a window of the smallest ones.
const MOST_SENT: usize = 70_000;

/// The octet at a sequence number relative to the first.
fn octet(offset: u32) -> u8 {
    (offset.wrapping_mul(2_654_435_761) >> 13) as u8
}

fn octets(from: u32, len: u32) -> Bytes {
    (0..len).map(|n| octet(from.wrapping_add(n))).collect::<Vec<u8>>().into()
}

struct World {
    tcb: Tcb<Bytes>,
    env: Env<Bytes>,
    now: u64,
    limits: Limits,
    iss: Seq,
    irs: Option<Seq>,
    scale: u8,
    written: u32,
    read: u32,
    nxt: Seq,
    /// ACK and right edge that were shown last.
    shown: Option<(Seq, Seq)>,
    stamp: u32,
}

impl World {
    fn new(input: &mut Input<'_>) -> Self {
        let how = input.byte();
        let config = Config {
            ecn: [Ecn::Off, Ecn::Passive, Ecn::Active][usize::from(how >> 1) % 3],
            receive_window: 1 + u32::from(input.short()),
            receive_window_max: 65_536 << (how >> 5),
            send_buffer: 1 + u32::from(input.short()),
            quick_acks: how >> 4,
            max_pieces: 1 + u16::from(input.byte()),
            max_records: 2 + u16::from(input.byte()),
            ..Config::default()
        };
        let mut env = Env::new(config, Limiter::new(100, 100));
        let iss = Seq(input.word());
        let mss = 64 + input.short() % 9000;
        let open = Open { iss, timestamp_offset: input.word(), announced_mss: mss, path_mss: mss };
        let now = u64::from(input.word()) * 1000;
        let at = Instant::from_micros(now as i64);
        let mut irs = None;
        let tcb = if how & 1 == 0 {
            Tcb::connect(&open, at, &mut env)
        } else {
            let flags = if input.byte() & 1 == 0 { Flags::SYN } else { Flags::SYN | Flags::ECE | Flags::CWR };
            let syn = Segment { seq: Seq(input.word()), flags, window: input.short(), ..Segment::default() };
            irs = Some(syn.seq);
            Tcb::passive(&open, &with_options(syn, input, 0), at, &mut env)
        };
        let limits = Limits { max_payload: u32::from(input.short()) };
        let scale = env.config.window_scale();
        let (nxt, stamp) = (iss, 0);
        Self { tcb, env, now, limits, iss, irs, scale, written: 0, read: 0, nxt, shown: None, stamp }
    }

    fn instant(&self) -> Instant {
        Instant::from_micros(self.now as i64)
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let now = self.instant();
        match input.byte() % 11 {
            0 => self.segment(input),
            1 => self.pass(u64::from(input.short()) << (input.byte() % 24)),
            2 => {
                let len = u32::from(input.short());
                if self.tcb.send(octets(self.written, len), &mut self.env).is_ok() {
                    self.written = self.written.wrapping_add(len);
                }
            }
            3 => self.read(),
            4 => self.tcb.shutdown(&mut self.env),
            5 if input.byte() > 200 => self.tcb.abort(&mut self.env),
            6 if input.byte() > 128 => self.tcb.shut_read(now, &mut self.env),
            7 => {
                let seq = self.nxt.add(u32::from(input.short())).sub(30_000);
                self.tcb.on_packet_too_big(seq, input.short(), now, &mut self.env);
            }
            8 => self.tcb.on_unreachable(
                self.nxt.sub(u32::from(input.byte())),
                input.byte() & 1 == 0,
                &mut self.env,
            ),
            9 => self.env.receive_grant = u32::from(input.short()) << (input.byte() % 8),
            10 => {
                let time = Some(Duration::from_millis(u64::from(input.short())));
                self.tcb.set_keep_alive(time.filter(|_| input.byte() & 1 == 0));
                self.tcb.set_user_timeout(time.filter(|_| input.byte() & 1 == 0));
                self.tcb.set_nagle(input.byte() & 1 == 0);
            }
            _ => {}
        }
        self.transmit();
    }

    fn segment(&mut self, input: &mut Input<'_>) {
        let flags = Flags::from_bits_retain(input.byte());
        // Mostly the expected numbers; sometimes near ones, sometimes any.
        let near = |base: Seq, input: &mut Input<'_>| match input.byte() % 8 {
            0..4 => base,
            4 | 5 => base.add(u32::from(input.short())),
            6 => base.sub(u32::from(input.short())),
            _ => base.add(input.word()),
        };
        let expected = self.shown.map_or(Seq(0), |(ack, _)| ack);
        let first = self.irs.is_none() && flags.contains(Flags::SYN);
        let segment = Segment {
            seq: if first { Seq(input.word()) } else { near(expected, input) },
            ack: near(self.nxt, input),
            flags,
            window: input.short(),
            payload_len: u32::from(input.short() % 3000),
            congestion_experienced: input.byte() & 7 == 0,
            ..Segment::default()
        };
        let segment = with_options(segment, input, self.stamp);
        if self.tcb.state() == State::SynSent && flags.contains(Flags::SYN) {
            self.irs = Some(segment.seq);
        }
        let from = segment.seq.since(self.irs.unwrap_or(Seq(0)).add(1));
        let payload = octets(from, segment.payload_len);
        let now = self.instant();
        let _ = self.tcb.on_segment(&segment, payload, now, &mut self.env);
    }

    /// Time passes, with every timer on its way; a connection has at most one for each 10 µs.
    fn pass(&mut self, us: u64) {
        let end = self.now.saturating_add(us).min(1 << 50);
        for _ in 0..200 {
            let Some(at) = self.tcb.next_timer().map(|at| at.total_micros() as u64).filter(|at| *at <= end)
            else {
                break;
            };
            self.now = self.now.max(at);
            self.tcb.on_timer(self.instant(), &mut self.env);
            self.transmit();
        }
        self.now = end.max(self.now);
        self.tcb.on_timer(self.instant(), &mut self.env);
    }

    fn read(&mut self) {
        while let Some(chunk) = self.tcb.recv(self.instant(), &mut self.env) {
            assert!(chunk.len() > 0, "an empty piece");
            assert!(
                chunk == octets(self.read, chunk.len() as u32),
                "other octets than were sent, from {}",
                self.read
            );
            self.read = self.read.wrapping_add(chunk.len() as u32);
        }
    }

    fn transmit(&mut self) {
        for round in 0.. {
            assert!(round < MOST_SENT, "the engine never falls silent: {:?}", self.tcb);
            let now = self.instant();
            let Some(transmit) = self.tcb.poll_transmit(now, &self.limits, &mut self.env) else { break };
            let header = transmit.header;
            let mut payload = vec![0; transmit.payload.len()];
            assert_eq!(transmit.payload.copy_to(&mut payload), header.payload_len as usize);
            let from = header.seq.since(self.iss.add(1));
            assert!(
                payload.is_empty() || from.wrapping_add(header.payload_len) <= self.written,
                "never written"
            );
            assert!(payload == octets(from, header.payload_len), "other octets than were written");
            let mut room = [0; Segment::MAX_HEADER_LEN];
            assert_eq!(header.emit(&mut room), Some(header.header_len()), "{header:?}");
            if !header.flags.contains(Flags::RST) {
                self.nxt = self.nxt.max(header.end());
                self.note_window(&header);
            }
            self.stamp = header.timestamps.map_or(self.stamp, |stamps| stamps.value);
        }
        let _ = self.tcb.take_events();
    }

    /// Acknowledged bytes and the announced window stay valid.
    fn note_window(&mut self, header: &Segment) {
        if !header.flags.contains(Flags::ACK) {
            return;
        }
        let syn = header.flags.contains(Flags::SYN);
        if syn {
            self.scale = header.window_scale.unwrap_or(0);
        }
        let shift = if syn { 0 } else { u32::from(self.scale) };
        let edge = header.ack.add(u32::from(header.window) << shift);
        if let Some((ack, before)) = self.shown {
            assert!(header.ack.ge(ack), "an acknowledgment goes back: {header:?}");
            assert!(
                edge.add(if self.scale > 0 { (1 << self.scale) - 1 } else { 0 }).ge(before),
                "a window goes back"
            );
        }
        self.shown = Some((header.ack, edge));
    }
}

/// Options by the bits of a byte.
fn with_options(mut segment: Segment, input: &mut Input<'_>, stamp: u32) -> Segment {
    let which = input.byte();
    if which & 1 != 0 {
        let value = input.word();
        segment.timestamps = Some(Timestamps { value, echo: stamp.wrapping_sub(u32::from(input.byte())) });
    }
    if which & 2 != 0 {
        segment.sack_permitted = true;
        segment.window_scale = Some(input.byte() % 15);
    }
    if which & 4 != 0 {
        segment.mss = Some(input.short());
    }
    for _ in 0..(which >> 4) % 5 {
        let start = segment.ack.add(u32::from(input.short()));
        segment.sack.push(start, start.add(u32::from(input.short())));
    }
    segment
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut world = World::new(&mut input);
    world.transmit();
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    // In every case, an end.
    world.read();
    world.tcb.abort(&mut world.env);
    world.transmit();
    assert_eq!(world.tcb.state(), State::Closed);
});
