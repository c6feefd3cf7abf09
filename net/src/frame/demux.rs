//! From a 4-tuple to the number of its connection, in constant time.
//!
//! ```text
//!   hash(tuple, key) & mask ─► bucket ─► entry ─next─► entry ─next─► ·
//! ```
//!
//! The table is as wide as the cap of connections, so chains stay short and it never grows. The hash has a secret key:
//! a peer who chooses ports and addresses cannot aim at one bucket.

use alloc::vec;
use alloc::vec::Vec;

use slab::Slab;
use smoltcp::wire::{IpAddress, IpEndpoint};

/// The two ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) local: IpEndpoint,
    pub(crate) remote: IpEndpoint,
}

#[derive(Debug)]
struct Entry {
    tuple: Tuple,
    conn: usize,
    next: Option<usize>,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Demux {
    buckets: Vec<Option<usize>>,
    entries: Slab<Entry>,
    key: [u64; 2],
}

impl Demux {
    /// A table for about `capacity` connections.
    pub(crate) fn new(capacity: usize, key: [u64; 2]) -> Self {
        let width = capacity.clamp(16, 1 << 20).next_power_of_two();
        Self { buckets: vec![None; width], entries: Slab::new(), key }
    }

    pub(crate) fn find(&self, tuple: &Tuple) -> Option<usize> {
        let mut at = *self.buckets.get(self.bucket(tuple))?;
        while let Some(entry) = at.and_then(|at| self.entries.get(at)) {
            if entry.tuple == *tuple {
                return Some(entry.conn);
            }
            at = entry.next;
        }
        None
    }

    /// Adds a tuple that is not in the table.
    pub(crate) fn insert(&mut self, tuple: Tuple, conn: usize) {
        debug_assert!(self.find(&tuple).is_none(), "{tuple:?} is in the table twice");
        let bucket = self.bucket(&tuple);
        if let Some(first) = self.buckets.get_mut(bucket) {
            *first = Some(self.entries.insert(Entry { tuple, conn, next: *first }));
        }
    }

    pub(crate) fn remove(&mut self, tuple: &Tuple) {
        let bucket = self.bucket(tuple);
        let mut before = None;
        let mut at = self.buckets.get(bucket).copied().flatten();
        while let Some(here) = at {
            let Some(entry) = self.entries.get(here) else { return };
            let next = entry.next;
            if entry.tuple == *tuple {
                match before.and_then(|before| self.entries.get_mut(before)) {
                    Some(entry) => entry.next = next,
                    None => self.buckets.get_mut(bucket).into_iter().for_each(|first| *first = next),
                }
                self.entries.try_remove(here);
                return;
            }
            before = at;
            at = next;
        }
    }

    /// The hash of a flow, for interfaces with several queues.
    pub(crate) fn hash(&self, tuple: &Tuple) -> u32 {
        u32::try_from(self.bucket(tuple)).unwrap_or_default()
    }

    fn bucket(&self, tuple: &Tuple) -> usize {
        let [k0, k1] = self.key;
        let ports = (u64::from(tuple.local.port) << 16) | u64::from(tuple.remote.port);
        let mut hash = (fold(tuple.remote.addr) ^ k0).wrapping_mul(0x9fb2_1c65_1e98_df25);
        hash ^= hash >> 32;
        hash =
            (hash ^ fold(tuple.local.addr).rotate_left(32) ^ ports ^ k1).wrapping_mul(0xd6e8_feb8_6659_fd93);
        hash ^= hash >> 32;
        let mask = self.buckets.len().wrapping_sub(1);
        usize::try_from(hash).unwrap_or(0) & mask
    }
}

fn fold(address: IpAddress) -> u64 {
    match address {
        IpAddress::Ipv4(v4) => u64::from(v4.to_bits()),
        IpAddress::Ipv6(v6) => {
            let bits = v6.to_bits();
            let low = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
            u64::try_from(bits >> 64).unwrap_or(0).rotate_left(17) ^ low
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(n: u32) -> Tuple {
        let [_, _, high, low] = n.to_be_bytes();
        Tuple {
            local: IpEndpoint::new(IpAddress::v4(10, 0, 0, 1), 80),
            remote: IpEndpoint::new(IpAddress::v4(10, 0, high, 9), 1000 + u16::from(low)),
        }
    }

    #[test]
    fn finds_what_is_in_and_not_what_is_out() {
        let mut demux = Demux::new(64, [1, 2]);
        for n in 0..4096 {
            demux.insert(tuple(n), usize::try_from(n).unwrap());
        }
        for n in (0..4096).filter(|n| n % 3 == 0) {
            demux.remove(&tuple(n));
            demux.remove(&tuple(n));
        }
        for n in 0..4096 {
            let expected = (n % 3 != 0).then(|| usize::try_from(n).unwrap());
            assert_eq!(demux.find(&tuple(n)), expected, "tuple {n}");
        }
        assert_eq!(demux.entries.len(), 4096 - 1366);
    }

    #[test]
    fn neighbouring_tuples_spread_over_the_buckets() {
        let demux = Demux::new(4096, [0x1234_5678, 0x9abc_def0]);
        let mut load = vec![0_u32; demux.buckets.len()];
        (0..4096).for_each(|n| load[demux.bucket(&tuple(n))] += 1);
        assert!(*load.iter().max().unwrap() <= 10, "longest chain {}", load.iter().max().unwrap());
    }
}
