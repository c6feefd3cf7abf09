//! Which queue a flow is on, and whether the backend keeps to it.
//!
//! ```text
//!   flow ──hash──► queue to send on          = the one on which the backend gives us its frames
//!   received frame with its hash ─► counted; on another queue than the hash says? ─► counted; one in 16 is hashed here too
//! ```
//!
//! What the backend says of a hash is believed no further than a counter: it can put frames on any queue.

use crate::device::NetDevice;
use crate::hash::Hashing;
use crate::rx::RxQueue;
use xen::Machine;
use xen::abi::io_netif::{NetifExtraHash, NetifHashType};

/// Of so many frames with a hash one is hashed here too.
const SAMPLE: u64 = 16;

/// What a queue knows of hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steering {
    pub(crate) hashing: Hashing,
    /// Its own number.
    number: u32,
    /// How many there are.
    queues: u32,
}

impl<M: Machine> NetDevice<M> {
    /// From here on frames may come with a hash. `agreed`: the backend has said that they do.
    pub(crate) fn take_hashing(&mut self, hashing: Hashing, agreed: bool) {
        let queues = u32::try_from(self.queues.len()).unwrap_or(u32::MAX);
        for (number, queue) in (0..).zip(&mut self.queues) {
            queue.rx.steering = Some(Steering { hashing, number, queues });
        }
        self.hashing = agreed.then_some(hashing);
        self.features.hash = agreed;
    }

    /// The queue of a flow.
    #[inline]
    pub(crate) fn queue_of(&self, flow: u32) -> usize {
        let queues = self.queues.len();
        if queues < 2 {
            return 0;
        }
        let queues = u32::try_from(queues).unwrap_or(1);
        let queue = match &self.hashing {
            Some(hashing) => hashing.queue(flow, queues),
            None => flow.checked_rem(queues).unwrap_or_default(),
        };
        usize::try_from(queue).unwrap_or_default()
    }
}

impl RxQueue {
    /// Counts the hash of the current frame, and how far it is right.
    pub(crate) fn note_hash(&mut self, extra: &NetifExtraHash) {
        let Some(Steering { hashing, number, queues }) = self.steering else { return };
        self.stats.hashed = self.stats.hashed.wrapping_add(1);
        let elsewhere = hashing.queue(extra.value, queues) != number;
        self.stats.hash_elsewhere = self.stats.hash_elsewhere.wrapping_add(u64::from(elsewhere));
        if self.stats.hashed.wrapping_rem(SAMPLE) == 1 {
            let ports = matches!(extra.kind, NetifHashType::Ipv4Tcp | NetifHashType::Ipv6Tcp);
            let ours = hashing.key.of_frame(self.frame(), ports);
            self.stats.hash_checked = self.stats.hash_checked.wrapping_add(1);
            let wrong = ours != Some(extra.value);
            self.stats.hash_wrong = self.stats.hash_wrong.wrapping_add(u64::from(wrong));
        }
    }
}
