//! Two TCP engines over a hostile network: each reads a prefix of what the other wrote; and once the network works
//! again, all of it, or the connection ends.
//!
//! ```text
//!   options of both, initial numbers, then bytes: what happens to the next packet, or what an application does
//!   0..7: it arrives   8: lost   9: twice   10: later than the next   11 n: time passes   12 n: write   13: read   14: shutdown
//! ```

#![no_main]

use std::collections::VecDeque;

use bytes::Bytes;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use smoltcp::time::Instant;
use tcp::limiter::Limiter;
use tcp::{CloseReason, Config, Ecn, Env, Flags, Limits, Open, Reply, Segment, Seq, State, Tcb};

/// Operations that one input may have.
const MOST: usize = 600;
/// Rounds of the kind network until all must be over: minutes of timeouts, a packet or a timer each.
const ROUNDS: usize = 200_000;

fn octets(from: usize, len: usize) -> Bytes {
    (from..from + len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>().into()
}

struct Host {
    tcb: Option<Tcb<Bytes>>,
    env: Env<Bytes>,
    open: Open,
    limits: Limits,
    written: usize,
    read: usize,
    shut: bool,
}

impl Host {
    fn new(input: &mut Input<'_>) -> Self {
        let bits = input.byte();
        let config = Config {
            ecn: [Ecn::Off, Ecn::Passive, Ecn::Active][usize::from(bits) % 3],
            receive_window: 2000 + u32::from(input.short()),
            receive_window_max: 70_000 << (bits >> 6),
            quick_acks: bits >> 4,
            max_pieces: 8 + u16::from(input.byte()),
            max_records: 8 + u16::from(input.byte()),
            time_wait_ms: 1000,
            ..Config::default()
        };
        let mss = 100 + input.short() % 3000;
        let open = Open {
            iss: Seq(input.word()),
            timestamp_offset: input.word(),
            announced_mss: mss,
            path_mss: mss,
        };
        Self {
            tcb: None,
            env: Env::new(config, Limiter::new(100, 100)),
            open,
            limits: Limits { max_payload: u32::from(input.short()) },
            written: 0,
            read: 0,
            shut: false,
        }
    }

    fn over(&self) -> bool {
        self.tcb.as_ref().is_some_and(|tcb| tcb.state() == State::Closed)
    }
}

struct World {
    hosts: [Host; 2],
    /// Packets to each host.
    links: [VecDeque<(Segment, Bytes)>; 2],
    now: u64,
}

impl World {
    fn instant(&self) -> Instant {
        Instant::from_micros(self.now as i64)
    }

    fn transmit(&mut self, index: usize) {
        let now = self.instant();
        let host = &mut self.hosts[index];
        let Some(tcb) = &mut host.tcb else { return };
        for round in 0.. {
            assert!(round < 70_000, "the engine never falls silent: {tcb:?}");
            let Some(transmit) = tcb.poll_transmit(now, &host.limits, &mut host.env) else { break };
            let header = transmit.header;
            let size = transmit.segment_size.map_or(usize::MAX, usize::from);
            let mut payload = vec![0; transmit.payload.len()];
            transmit.payload.copy_to(&mut payload);
            let (mut seq, mut rest) = (header.seq, Bytes::from(payload));
            loop {
                let part = rest.split_to(size.min(rest.len()));
                let mut segment = Segment { seq, payload_len: part.len() as u32, ..header };
                if !rest.is_empty() {
                    segment.flags.remove(Flags::FIN | Flags::PSH);
                }
                seq = seq.add(segment.payload_len);
                self.links[1 - index].push_back((segment, part));
                if rest.is_empty() {
                    break;
                }
            }
        }
        let _ = tcb.take_events();
    }

    fn deliver(&mut self, index: usize, (segment, payload): (Segment, Bytes)) {
        let now = self.instant();
        let host = &mut self.hosts[index];
        match &mut host.tcb {
            Some(tcb) => {
                if tcb.on_segment(&segment, payload, now, &mut host.env) == Reply::Reset
                    && let Some(reset) = segment.reset_for()
                {
                    self.links[1 - index].push_back((reset, Bytes::new()));
                }
            }
            None if segment.flags.intersection(Flags::SYN | Flags::ACK | Flags::RST) == Flags::SYN => {
                host.tcb = Some(Tcb::passive(&host.open, &segment, now, &mut host.env));
            }
            None => {}
        }
        self.transmit(index);
    }

    /// Moves to the next timer, if it is not later than `limit`.
    fn timers(&mut self, limit: u64) -> bool {
        let at = |host: &Host| host.tcb.as_ref().and_then(Tcb::next_timer).map(|at| at.total_micros() as u64);
        let Some(next) = self.hosts.iter().filter_map(at).min().filter(|next| *next <= limit) else {
            self.now = self.now.max(limit);
            return false;
        };
        self.now = self.now.max(next);
        for index in 0..2 {
            let now = self.instant();
            let host = &mut self.hosts[index];
            if let Some(tcb) = &mut host.tcb {
                tcb.on_timer(now, &mut host.env);
            }
            self.transmit(index);
        }
        true
    }

    fn write(&mut self, index: usize, len: usize) {
        let host = &mut self.hosts[index];
        let Some(tcb) = host.tcb.as_mut().filter(|_| !host.shut) else { return };
        if tcb.send(octets(host.written, len), &mut host.env).is_ok() {
            host.written += len;
        }
        self.transmit(index);
    }

    fn read(&mut self, index: usize) {
        let now = self.instant();
        let written = self.hosts[1 - index].written;
        let host = &mut self.hosts[index];
        let Some(tcb) = &mut host.tcb else { return };
        while let Some(chunk) = tcb.recv(now, &mut host.env) {
            assert!(host.read + chunk.len() <= written, "more came than was written");
            assert!(
                chunk == octets(host.read, chunk.len()),
                "other octets than were written, from {}",
                host.read
            );
            host.read += chunk.len();
        }
        self.transmit(index);
    }

    fn shutdown(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        if let Some(tcb) = &mut host.tcb {
            host.shut = true;
            tcb.shutdown(&mut host.env);
        }
        self.transmit(index);
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let byte = input.byte();
        let index = usize::from(byte >> 7);
        match byte & 15 {
            0..8 => {
                if let Some(packet) = self.links[index].pop_front() {
                    self.deliver(index, packet);
                }
            }
            8 => drop(self.links[index].pop_front()),
            9 => {
                if let Some(packet) = self.links[index].front().cloned() {
                    self.deliver(index, packet);
                }
            }
            10 => {
                if let Some(packet) = self.links[index].pop_front() {
                    let later = self.links[index].len().min(usize::from(byte >> 4) % 4 + 1);
                    self.links[index].insert(later, packet);
                }
            }
            11 => {
                let limit = self.now + (u64::from(input.byte()) << (input.byte() % 18));
                for _ in 0..50 {
                    if !self.timers(limit) {
                        break;
                    }
                }
            }
            12 => self.write(index, usize::from(input.short())),
            13 => self.read(index),
            14 => self.shutdown(index),
            _ => {}
        }
    }

    /// Nothing is lost any more, and both close.
    fn finish(&mut self) {
        for _ in 0..ROUNDS {
            for index in 0..2 {
                self.read(index);
                // Before the handshake is over a close waits for it; afterwards it is owed once.
                if !self.hosts[index].shut {
                    self.shutdown(index);
                }
            }
            let mut moved = false;
            for index in 0..2 {
                if let Some(packet) = self.links[index].pop_front() {
                    self.deliver(index, packet);
                    moved = true;
                }
            }
            if !moved {
                if self.hosts.iter().all(|host| host.over() || host.tcb.is_none()) {
                    return;
                }
                self.now += 1000;
                let limit = self.now + 1_000_000_000_000;
                assert!(
                    self.timers(limit),
                    "both wait for ever: {:?} {:?}",
                    self.hosts[0].tcb,
                    self.hosts[1].tcb
                );
            }
        }
        panic!("it never ends: {:?} {:?}", self.hosts[0].tcb, self.hosts[1].tcb);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let hosts = [Host::new(&mut input), Host::new(&mut input)];
    let now = 1_000_000 + u64::from(input.word()) * 1000;
    let mut world = World { hosts, links: Default::default(), now };
    let at = world.instant();
    let first = &mut world.hosts[0];
    first.tcb = Some(Tcb::connect(&first.open, at, &mut first.env));
    world.transmit(0);
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.finish();
    let reasons = [0, 1].map(|index| world.hosts[index].tcb.as_ref().and_then(Tcb::close_reason));
    if reasons == [Some(CloseReason::Finished); 2] {
        let whole =
            world.hosts[0].read == world.hosts[1].written && world.hosts[1].read == world.hosts[0].written;
        assert!(whole, "both finished, and not all was read");
    }
});
