//! A peer that sends whatever it likes: the engine keeps its promises and its limits.
//!
//! ```text
//!   random segments near the numbers that matter, random calls, random time ─► what leaves is checked
//! ```

mod world;

use bytes::Bytes;
use smoltcp::time::{Duration, Instant};
use tcp::limiter::Limiter;
use tcp::{Agreed, Config, Env, Flags, Limits, SackBlocks, Segment, SendError, Seq, State, Tcb, Timestamps};
use world::{Dice, open, pattern};

struct Peer {
    dice: Dice,
    tcb: Tcb<Bytes>,
    env: Env<Bytes>,
    now: i64,
    /// Newest ACK, right edge of the window and end of data that left.
    ack: Seq,
    edge: Seq,
    sent: Seq,
    first: Seq,
    written: usize,
    scale: u32,
    stamp: u32,
    segments: u64,
}

impl Peer {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let config = Config { max_pieces: 200, max_records: 40, challenge_acks: 255, ..Config::default() };
        let mut env = Env::new(config, Limiter::new(1_000_000, 1_000_000));
        let iss = (dice.roll() as u32) | 0xffff_0000;
        let irs = Seq((dice.roll() as u32) | 0xffff_8000);
        let scaled = dice.chance(70_000);
        let agreed = Agreed {
            irs,
            peer_mss: (100 + dice.below(1400)) as u16,
            window_scale: scaled.then_some((3, 7)),
            shown_window: 65_535,
            sack: dice.chance(70_000),
            timestamp: dice.chance(70_000).then_some(77),
            ecn: dice.chance(50_000),
            rtt: Some(1 + dice.below(100_000) as u32),
        };
        let tcb = Tcb::established(&open(iss), &agreed, Instant::from_millis(10), &mut env);
        let first = Seq(iss).add(1);
        Self {
            stamp: 77,
            scale: if scaled { 7 } else { 0 },
            tcb,
            env,
            now: 10_000,
            ack: irs.add(1),
            edge: irs.add(1),
            sent: first,
            first,
            written: 0,
            segments: 0,
            dice,
        }
    }

    fn near(&mut self, base: Seq) -> Seq {
        match self.dice.below(6) {
            0 => base,
            1 => base.add(self.dice.below(3) as u32),
            2 => base.sub(self.dice.below(3) as u32),
            3 => base.add(self.dice.below(20_000) as u32),
            4 => base.sub(self.dice.below(20_000) as u32),
            _ => Seq(self.dice.roll() as u32),
        }
    }

    fn segment(&mut self) -> Segment {
        let usual = self.dice.chance(60_000);
        let mut flags = Flags::ACK;
        if !usual {
            flags = Flags::from_bits_retain(self.dice.roll() as u8);
            // Ends of the connection are rare, or nothing else is tried.
            if !self.dice.chance(1_000) {
                flags.remove(Flags::RST | Flags::FIN);
            }
        }
        let seq = if self.dice.chance(50_000) { self.ack } else { self.near(self.ack) };
        let ack = if self.dice.chance(50_000) { self.sent } else { self.near(self.sent) };
        let mut sack = SackBlocks::default();
        for _ in 0..self.dice.below(5) {
            let (start, end) = (self.near(self.sent), self.near(self.sent));
            sack.push(start, end);
        }
        self.stamp = self.stamp.wrapping_add(self.dice.below(3) as u32);
        let value = if self.dice.chance(90_000) { self.stamp } else { self.dice.roll() as u32 };
        Segment {
            seq,
            ack,
            flags,
            window: if self.dice.chance(80_000) {
                self.dice.roll() as u16
            } else {
                self.dice.below(3) as u16
            },
            payload_len: if self.dice.chance(50_000) { 0 } else { self.dice.below(3_000) as u32 },
            congestion_experienced: self.dice.chance(10_000),
            timestamps: self
                .dice
                .chance(95_000)
                .then_some(Timestamps { value, echo: self.dice.below(100_000) as u32 }),
            sack,
            ..Segment::default()
        }
    }

    fn step(&mut self) {
        let now = Instant::from_micros(self.now);
        match self.dice.below(12) {
            0..=5 => {
                let mut segment = self.segment();
                if !self.dice.chance(80_000) {
                    segment.timestamps = None;
                }
                let payload = Bytes::from(vec![0; segment.payload_len as usize]);
                let _ = self.tcb.on_segment(&segment, payload, now, &mut self.env);
            }
            6 => {
                let len = self.dice.below(5_000) as usize;
                let bytes: Bytes = (self.written..self.written + len).map(pattern).collect();
                match self.tcb.send(bytes, &mut self.env) {
                    Ok(()) => self.written += len,
                    Err(SendError::Full(_) | SendError::Closed) => {}
                }
            }
            7 => while self.tcb.recv(now, &mut self.env).is_some() {},
            8 => self.env.receive_grant = self.dice.below(200_000) as u32,
            9 => {
                let (seq, mss) = (self.near(self.sent), self.dice.below(2_000) as u16);
                if self.dice.chance(5_000) {
                    self.tcb.on_packet_too_big(seq, mss, now, &mut self.env);
                }
                self.tcb.on_unreachable(seq, true, &mut self.env);
                self.tcb.set_keep_alive(Some(Duration::from_millis(self.dice.below(5_000) + 1)));
            }
            10 if self.dice.chance(500) => self.tcb.shutdown(&mut self.env),
            _ => {
                self.now += self.dice.below(400_000) as i64;
                let now = Instant::from_micros(self.now);
                if self.tcb.next_timer().is_some_and(|at| at <= now) {
                    self.tcb.on_timer(now, &mut self.env);
                }
            }
        }
        self.drain();
    }

    fn drain(&mut self) {
        let now = Instant::from_micros(self.now);
        let limits = Limits { max_payload: if self.dice.chance(50_000) { 0 } else { 65_000 } };
        for round in 0.. {
            assert!(round < 5_000, "it stops sending");
            let Some(transmit) = self.tcb.poll_transmit(now, &limits, &mut self.env) else { break };
            self.segments += 1;
            let header = transmit.header;
            let len: usize = transmit.payload.clone().map(<[u8]>::len).sum();
            assert_eq!(len, header.payload_len as usize);
            assert!(len <= 65_000);
            assert!(header.header_len() <= 60);
            let first = header.seq.since(self.first) as usize;
            for (offset, byte) in transmit.payload.flatten().enumerate() {
                assert_eq!(*byte, pattern(first + offset), "what is sent is what was given");
            }
            if header.flags.contains(Flags::RST) {
                continue;
            }
            assert!(header.ack.ge(self.ack), "the acknowledgment does not go back");
            self.ack = header.ack;
            let edge = header.ack.add(u32::from(header.window) << self.scale);
            assert!(edge.ge(self.edge), "the window does not shrink");
            self.edge = edge;
            self.sent = self.sent.max(header.end());
        }
        assert!(self.tcb.receive_queued() <= 5 << 20);
    }
}

#[test]
fn random_segments_break_no_promise() {
    let mut segments = 0;
    let mut states = [0_u32; 10];
    for seed in 0..300 {
        let mut peer = Peer::new(seed);
        for _ in 0..2_000 {
            peer.step();
            if peer.tcb.state() == State::Closed {
                break;
            }
        }
        states[peer.tcb.state() as usize] += 1;
        segments += peer.segments;
        // Time ends everything that can end.
        peer.tcb.abort(&mut peer.env);
        peer.drain();
        while peer.tcb.recv(Instant::from_micros(peer.now), &mut peer.env).is_some() {}
        assert!(peer.tcb.is_idle(), "seed {seed}");
        assert_eq!(peer.tcb.next_timer(), None);
    }
    assert!(segments > 100_000, "{segments} segments left");
    println!("{segments} segments, end states {states:?}");
}
