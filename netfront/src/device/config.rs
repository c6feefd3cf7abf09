//! The configuration of an interface: pool sizes, the threshold, clearing, trust, queues.
//!
//! ```text
//!   command line ─► Config ─check─► each value within its range, or OutOfRange {key, value, range}
//! ```
//!
//! Each value has a documented default and range. The keys are those of the command line.

use crate::wire::feature::Feature;
pub use crate::wire::policy::{Clearing, Trust, UnknownWord};
use core::fmt;
use core::ops::RangeInclusive;
use nic::HashKey;
use pool::contiguous::MAX_PAGES;
use xen::ids::PAGE_SIZE;

/// The configuration of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `pool.rx`: pages to receive into, at the start and at least; 32..=16384, default 512: twice the ring.
    pub pool_rx: usize,
    /// `pool.rx.max`: pages to which the pool may grow; `pool_rx`..=16384, default 1024.
    pub pool_rx_max: usize,
    /// `pool.tx`: pages to send from, at the start and at least; 32..=16384, default 256: the ring.
    pub pool_tx: usize,
    /// `pool.tx.max`: pages to which the pool may grow; `pool_tx`..=16384, default 512.
    pub pool_tx_max: usize,
    /// `pool.contiguous`: contiguous pages for frames that are longer than a page, 16 for the longest; 0: no such frames are
    /// sent; 0..=128, default 128.
    pub contiguous: usize,
    /// `pool.threshold`: frames of at least this many bytes are read in their page, if the backend is trusted; shorter
    /// ones are copied out; 0..=4096, default 64: see `docs/measuring.md`.
    pub threshold: usize,
    /// `pool.clearing`: see [`Clearing`].
    pub clearing: Clearing,
    /// `pool.trust`: see [`Trust`].
    pub trust: Trust,
    /// `pool.quarantine`: pages that a backend may keep in use before the device stops; 1..=4096, default 64.
    pub quarantine_max: usize,
    /// `pool.retained`: the retention limit, packets that applications may retain; 0..=8192, default 256.
    pub retained_max: usize,
    /// `vif.queues`: the largest number of queues, each with a share of the pages; 1..=8, default 1: there is one vCPU.
    pub queues: usize,
    /// The secret by which flows are assigned to queues, of random bytes. Without it the backend chooses.
    pub hash_key: Option<HashKey>,
    /// `vif.refuse`: features that are not used although the backend has them; default none.
    pub refuse: Feature,
    /// The first index of the rings; default 0. Tests of wrapping indexes set another.
    pub ring_start: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pool_rx: 512,
            pool_rx_max: 1024,
            pool_tx: 256,
            pool_tx_max: 512,
            contiguous: 128,
            threshold: 64,
            clearing: Clearing::Small,
            trust: Trust::Toolstack,
            quarantine_max: 64,
            retained_max: 256,
            queues: 1,
            hash_key: None,
            refuse: Feature::empty(),
            ring_start: 0,
        }
    }
}

/// A value is out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The key on the command line.
    pub key: &'static str,
    /// The value.
    pub value: usize,
    /// The range.
    pub range: RangeInclusive<usize>,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} is not within {} to {}", self.key, self.value, self.range.start(), self.range.end())
    }
}

impl core::error::Error for OutOfRange {}

/// Pages of a pool: `pool.rx` and `pool.tx`, and their limits.
pub const POOL: RangeInclusive<usize> = 32..=16_384;
/// Bytes of the threshold.
pub const THRESHOLD: RangeInclusive<usize> = 0..=PAGE_SIZE;
/// The retention limit, in packets.
pub const RETAINED: RangeInclusive<usize> = 0..=8192;
/// Quarantined pages at which the device stops.
pub const QUARANTINE: RangeInclusive<usize> = 1..=4096;

/// Queues of an interface.
pub const QUEUES: RangeInclusive<usize> = 1..=8;
/// The smallest share of the pages of a pool, when several queues share them.
const MIN_SHARE: usize = 64;

impl Config {
    /// The configuration of each of `queues` queues: a share of the pages.
    pub(crate) fn share(&self, queues: usize) -> Self {
        let part = |pages: usize| pages.checked_div(queues).unwrap_or(pages).max(pages.min(MIN_SHARE));
        Self {
            pool_rx: part(self.pool_rx),
            pool_rx_max: part(self.pool_rx_max),
            pool_tx: part(self.pool_tx),
            pool_tx_max: part(self.pool_tx_max),
            contiguous: part(self.contiguous),
            ..*self
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let rules = [
            ("pool.rx", self.pool_rx, POOL),
            ("pool.rx.max", self.pool_rx_max, self.pool_rx..=*POOL.end()),
            ("pool.tx", self.pool_tx, POOL),
            ("pool.tx.max", self.pool_tx_max, self.pool_tx..=*POOL.end()),
            ("vif.queues", self.queues, QUEUES),
            ("pool.contiguous", self.contiguous, 0..=MAX_PAGES),
            ("pool.threshold", self.threshold, THRESHOLD),
            ("pool.quarantine", self.quarantine_max, QUARANTINE),
            ("pool.retained", self.retained_max, RETAINED),
        ];
        for (key, value, range) in rules {
            if !range.contains(&value) {
                return Err(OutOfRange { key, value, range });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        let config = Config { pool_rx: 31, ..Config::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "pool.rx=31 is not within 32 to 16384");
        let config = Config { threshold: 4097, ..Config::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "pool.threshold=4097 is not within 0 to 4096");
        let config = Config { pool_tx_max: 255, ..Config::default() };
        assert_eq!(config.check().unwrap_err().key, "pool.tx.max");
    }
}
