//! How frames are assigned to queues, and whether the backend keeps to it.
//!
//! ```text
//!   received frame with its hash ─► counted ─► on the queue that the hash names?  else counted
//!                                          └─► one in 16: hashed here too ─► equal?  else counted
//! ```
//!
//! The backend's hash only moves counters: a backend can put frames on any queue.

use crate::queue::counters::RxStats;
use crate::wire::hashing::Hashing;
use xen::abi::io_netif::{NetifExtraHash, NetifHashType};

/// One frame in this number is hashed here too.
const SAMPLE: u64 = 16;

/// What a queue knows of the hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steering {
    hashing: Hashing,
    /// The number of this queue.
    number: u32,
    /// The number of queues.
    queues: u32,
}

impl Steering {
    /// The hash as agreed, for queue `number` of `queues`.
    pub(crate) const fn new(hashing: Hashing, number: u32, queues: u32) -> Self {
        Self { hashing, number, queues }
    }

    /// Whether the backend may send this hash.
    pub(super) fn allows(&self, extra: &NetifExtraHash) -> bool {
        self.hashing.allows(extra)
    }

    /// Counts the hash of a frame, and whether it is right.
    pub(super) fn note(&self, extra: &NetifExtraHash, frame: &[u8], stats: &mut RxStats) {
        stats.hashed.bump();
        if self.hashing.queue(extra.value, self.queues) != self.number {
            stats.hash_wrong_queue.bump();
        }
        if stats.hashed.get().wrapping_rem(SAMPLE) == 1 {
            let ports = matches!(extra.kind, NetifHashType::Ipv4Tcp | NetifHashType::Ipv6Tcp);
            stats.hash_checked.bump();
            if self.hashing.key.of_frame(frame, ports) != Some(extra.value) {
                stats.hash_mismatch.bump();
            }
        }
    }
}
