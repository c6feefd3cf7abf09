//! What can be chosen about an interface: numbers of pages, the threshold, the clearing, the trust.
//!
//! Each value has a documented default and range; [`Config::check`] names key, value and range of the first that is
//! outside. The keys are those of the command line.

use crate::feature::Feature;
use crate::strip::MOST;
use crate::toeplitz::HashKey;
use alloc::string::ToString;
use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;
use xen::ids::PAGE_SIZE;

/// Which received pages are cleared before the backend can see them again; each word includes those before it.
///
/// What is left in a page is what the same backend wrote there: a page that changes hands is always cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clearing {
    /// None; only pages that change hands to another backend. For measurements.
    Off,
    /// The bytes of a frame that is shorter than the threshold, and pages of which nobody knows what was used.
    #[default]
    Small,
    /// The bytes of every frame that was copied out, for its length or because the backend is not trusted.
    Copied,
    /// The bytes of every frame.
    All,
}

impl fmt::Display for Clearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Small => "small",
            Self::Copied => "copied",
            Self::All => "all",
        })
    }
}

/// A word that is none of those that a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord;

impl FromStr for Clearing {
    type Err = UnknownWord;
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Off, Self::Small, Self::Copied, Self::All]
            .into_iter()
            .find(|one| one.to_string() == word)
            .ok_or(UnknownWord)
    }
}

/// Who decides whether a backend is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The toolstack, by `device/vif/N/trusted`.
    #[default]
    Toolstack,
    /// Nobody: every frame is copied out, whatever the toolstack says. The other way round there is no choice: what
    /// the toolstack does not trust cannot be trusted from here.
    Never,
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Toolstack => "toolstack",
            Self::Never => "never",
        })
    }
}

impl FromStr for Trust {
    type Err = UnknownWord;
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Toolstack, Self::Never].into_iter().find(|one| one.to_string() == word).ok_or(UnknownWord)
    }
}

/// The choices for one interface.
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
    /// `pool.strip`: pages in a row for frames that are longer than a page, 16 for the longest; 0: no such frames are sent;
    /// 0..=128, default 128.
    pub strip: usize,
    /// `pool.threshold`: frames of this many bytes or more stay in their page while they are read, if the backend is
    /// trusted; smaller ones are copied out; 0..=4096, default 64: see
    /// `docs/measuring.md`.
    pub threshold: usize,
    /// `pool.clearing`: see [`Clearing`].
    pub clearing: Clearing,
    /// `pool.trust`: see [`Trust`].
    pub trust: Trust,
    /// `pool.quarantine`: pages that may be lost to a backend that does not let go of them before the device stops;
    /// 1..=4096, default 64.
    pub quarantine_max: usize,
    /// `pool.held`: packets that applications may hold beyond the stack's turn; 0..=8192, default 256.
    pub held_max: usize,
    /// `vif.queues`: queues at most, each with a share of the pages; 1..=8, default 1: there is one vCPU.
    pub queues: usize,
    /// The secret by which flows are given to queues, of bytes that nobody can foresee; without one the backend chooses.
    pub hash_key: Option<HashKey>,
    /// `vif.refuse`: features that are not used although the backend has them. None.
    pub refuse: Feature,
    /// The first index of the rings. 0; something else only in tests of what happens when indexes wrap.
    pub ring_start: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pool_rx: 512,
            pool_rx_max: 1024,
            pool_tx: 256,
            pool_tx_max: 512,
            strip: 128,
            threshold: 64,
            clearing: Clearing::Small,
            trust: Trust::Toolstack,
            quarantine_max: 64,
            held_max: 256,
            queues: 1,
            hash_key: None,
            refuse: Feature::empty(),
            ring_start: 0,
        }
    }
}

/// A value out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The key on the command line.
    pub key: &'static str,
    /// The value.
    pub value: usize,
    /// What would be right.
    pub range: RangeInclusive<usize>,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} is not within {} to {}", self.key, self.value, self.range.start(), self.range.end())
    }
}

impl core::error::Error for OutOfRange {}

/// Pages that a pool can have: `pool.rx`, `pool.tx`; more as they grow, up to the same.
pub const POOL: RangeInclusive<usize> = 32..=16_384;
/// Bytes that the threshold can be.
pub const THRESHOLD: RangeInclusive<usize> = 0..=PAGE_SIZE;
/// Packets that can be held.
pub const HELD: RangeInclusive<usize> = 0..=8192;
/// Pages that can be in quarantine before the device stops.
pub const QUARANTINE: RangeInclusive<usize> = 1..=4096;

/// Queues that an interface can have.
pub const QUEUES: RangeInclusive<usize> = 1..=8;
/// The fewest pages that a queue's pool starts with when several share them.
const FEWEST_OF_A_QUEUE: usize = 64;

impl Config {
    /// The choices for each of `queues` queues: the pages are shared out.
    pub(crate) fn share(&self, queues: usize) -> Self {
        let part =
            |pages: usize| pages.checked_div(queues).unwrap_or(pages).max(pages.min(FEWEST_OF_A_QUEUE));
        Self {
            pool_rx: part(self.pool_rx),
            pool_rx_max: part(self.pool_rx_max),
            pool_tx: part(self.pool_tx),
            pool_tx_max: part(self.pool_tx_max),
            strip: part(self.strip),
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
            ("pool.strip", self.strip, 0..=MOST),
            ("pool.threshold", self.threshold, THRESHOLD),
            ("pool.quarantine", self.quarantine_max, QUARANTINE),
            ("pool.held", self.held_max, HELD),
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

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn a_value_out_of_range_is_named_with_what_would_be_right() {
        let config = Config { pool_rx: 31, ..Config::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "pool.rx=31 is not within 32 to 16384");
        let config = Config { threshold: 4097, ..Config::default() };
        assert_eq!(config.check().unwrap_err().to_string(), "pool.threshold=4097 is not within 0 to 4096");
        let config = Config { pool_tx_max: 255, ..Config::default() };
        assert_eq!(config.check().unwrap_err().key, "pool.tx.max");
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for clearing in [Clearing::Off, Clearing::Small, Clearing::Copied, Clearing::All] {
            assert_eq!(clearing.to_string().parse(), Ok(clearing));
        }
        for trust in [Trust::Toolstack, Trust::Never] {
            assert_eq!(trust.to_string().parse(), Ok(trust));
        }
        assert_eq!("always".parse::<Trust>(), Err(UnknownWord));
        assert_eq!("".parse::<Clearing>(), Err(UnknownWord));
    }
}
