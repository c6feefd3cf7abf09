//! One direction of a path, as `tc netem` would make it, by the host's clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// What the link does to packets; probabilities are in 1/100,000.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Delay of every packet.
    pub delay: Duration,
    /// Packets that take up to this much longer, and so come late.
    pub jitter: Duration,
    /// How many do.
    pub reorder: u64,
    /// Packets that are lost.
    pub loss: u64,
    /// Packets that come twice.
    pub duplicate: u64,
    /// Packets of which a bit is turned.
    pub corrupt: u64,
    /// Bytes in a second; 0: as they come.
    pub rate: u64,
    /// Bytes that wait at most; others are lost.
    pub queue: u64,
}

/// A link with the packets on it.
#[derive(Debug)]
pub struct Wire {
    link: Link,
    on_it: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    free_at: Instant,
    serial: u64,
    dice: u64,
}

impl Wire {
    /// An empty wire; `seed` decides which packets the link treats badly.
    #[must_use]
    pub fn new(link: Link, seed: u64) -> Self {
        let dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { link, on_it: BinaryHeap::new(), free_at: Instant::now(), serial: 0, dice }
    }

    fn roll(&mut self, bound: u64) -> u64 {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        (self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound.max(1)
    }

    fn chance(&mut self, of_100_000: u64) -> bool {
        of_100_000 > 0 && self.roll(100_000) < of_100_000
    }

    /// Puts a packet on the link.
    pub fn put(&mut self, mut packet: Vec<u8>, now: Instant) {
        if self.chance(self.link.loss) {
            return;
        }
        let mut at = now;
        if self.link.rate > 0 {
            let start = self.free_at.max(now);
            let waiting = (start - now).as_nanos() as u64 * self.link.rate / 1_000_000_000;
            if waiting > self.link.queue {
                return;
            }
            self.free_at = start + Duration::from_nanos(packet.len() as u64 * 1_000_000_000 / self.link.rate);
            at = self.free_at;
        }
        at += self.link.delay;
        let jitter = self.link.jitter.as_micros() as u64;
        if self.chance(self.link.reorder) {
            at += Duration::from_micros(self.roll(jitter));
        }
        if self.chance(self.link.duplicate) {
            let later = at + Duration::from_micros(self.roll(jitter));
            self.push(later, packet.clone());
        }
        if self.chance(self.link.corrupt) {
            let at = self.roll(packet.len() as u64) as usize;
            packet[at] ^= 1 << self.roll(8);
        }
        self.push(at, packet);
    }

    fn push(&mut self, at: Instant, packet: Vec<u8>) {
        self.serial += 1;
        self.on_it.push(Reverse((at, self.serial, packet)));
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.on_it.peek().map(|first| first.0.0)
    }

    /// A packet that has arrived.
    pub fn take(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.next().filter(|at| *at <= now)?;
        self.on_it.pop().map(|Reverse((_, _, packet))| packet)
    }
}
