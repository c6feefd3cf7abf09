//! `pool.*`: the policies of the page pools, and what they are in a guest of this size where nothing was said.
//!
//! | key | value | default |
//! |---|---|---|
//! | `pool.rx=`, `pool.tx=` | pages that are granted at the start, and that shrinking leaves; 32 to 4096 | 512, less in a small guest |
//! | `pool.rx.max=`, `pool.tx.max=` | pages to which the pool may grow; from the above to 8192 | twice the above |
//! | `pool.threshold=` | bytes from which a packet is handed up by reference; 0 to 4096 | 64 |
//! | `pool.clearing=` | what is cleared: packets below the threshold (`small`), all that are copied (`copied`), `all`, none (`off`) | `small` |
//! | `pool.quarantine=` | pages lost to a backend at which the device stops; 1 to 4096 | 64 |
//! | `pool.held=` | packets that applications may keep beyond the stack's turn; 0 to 8192 | half of `pool.rx=` |
//! | `pool.trust=` | `toolstack`: as `device/vif/N/trusted` says; `never`: copy everything | `toolstack` |

use super::{ConfigError, number, parse, wrong};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use netfront::config::{Clearing, HELD, QUARANTINE, THRESHOLD, Trust};

/// Pages that a pool may be told to have at the start.
pub const PAGES: RangeInclusive<usize> = 32..=4096;
/// Pages to which it may be told to grow. Two such pools are all that the grant table has entries for.
pub const MAX_PAGES: RangeInclusive<usize> = 32..=8192;
/// Pages of a pool at the start, in a guest with memory enough.
const DEFAULT_PAGES: usize = 512;

/// What the command line says of the pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolKeys {
    /// `pool.rx=`.
    pub rx: Option<usize>,
    /// `pool.rx.max=`.
    pub rx_max: Option<usize>,
    /// `pool.tx=`.
    pub tx: Option<usize>,
    /// `pool.tx.max=`.
    pub tx_max: Option<usize>,
    /// `pool.threshold=`.
    pub threshold: Option<usize>,
    /// `pool.clearing=`.
    pub clearing: Option<Clearing>,
    /// `pool.quarantine=`.
    pub quarantine: Option<usize>,
    /// `pool.held=`.
    pub held: Option<usize>,
    /// `pool.trust=`.
    pub trust: Option<Trust>,
}

impl PoolKeys {
    /// Takes a word, if its key is one of these; whether it is.
    pub(super) fn word(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        match key {
            "pool.rx" => self.rx = Some(number(key, value, PAGES, "pages")?),
            "pool.rx.max" => self.rx_max = Some(number(key, value, MAX_PAGES, "pages")?),
            "pool.tx" => self.tx = Some(number(key, value, PAGES, "pages")?),
            "pool.tx.max" => self.tx_max = Some(number(key, value, MAX_PAGES, "pages")?),
            "pool.threshold" => self.threshold = Some(number(key, value, THRESHOLD, "bytes")?),
            "pool.quarantine" => self.quarantine = Some(number(key, value, QUARANTINE, "pages")?),
            "pool.held" => self.held = Some(number(key, value, HELD, "packets")?),
            "pool.clearing" => self.clearing = Some(parse(key, value, "one of small, copied, all, off")?),
            "pool.trust" => self.trust = Some(parse(key, value, "one of toolstack, never")?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Words that are right each by itself, and not together.
    pub(super) fn contradictions(&self) -> Vec<ConfigError> {
        let pairs = [("pool.rx", self.rx, self.rx_max), ("pool.tx", self.tx, self.tx_max)];
        let wrong_pair = |(key, initial, max): (&str, Option<usize>, Option<usize>)| {
            let (initial, max) = (initial?, max?);
            (max < initial).then(|| {
                let right =
                    format!("a pool does not grow to less than {key}={initial}; leave it out for twice that");
                wrong(&format!("{key}.max"), &max.to_string(), &right)
            })
        };
        pairs.into_iter().filter_map(wrong_pair).collect()
    }

    /// The choices for an interface of a guest with so much memory: by default a sixteenth of it for each pool.
    #[must_use]
    pub fn choices(&self, memory_bytes: u64) -> netfront::Config {
        let pages = usize::try_from(memory_bytes / 4096).unwrap_or(usize::MAX);
        let default = (pages / 16).clamp(*PAGES.start(), DEFAULT_PAGES);
        let (pool_rx, pool_rx_max) = sizes(self.rx, self.rx_max, default);
        let (pool_tx, pool_tx_max) = sizes(self.tx, self.tx_max, default);
        let usual = netfront::Config::default();
        netfront::Config {
            pool_rx,
            pool_rx_max,
            pool_tx,
            pool_tx_max,
            // For frames of up to 64 KiB: four at least.
            strip: pool_tx.saturating_mul(2).min(128),
            threshold: self.threshold.unwrap_or(usual.threshold),
            clearing: self.clearing.unwrap_or(usual.clearing),
            quarantine_max: self.quarantine.unwrap_or(usual.quarantine_max),
            held_max: self.held.unwrap_or(pool_rx / 2),
            trust: self.trust.unwrap_or(usual.trust),
            ..usual
        }
    }
}

/// Pages at the start and at most.
fn sizes(initial: Option<usize>, max: Option<usize>, default: usize) -> (usize, usize) {
    let initial = initial.unwrap_or_else(|| default.min(max.unwrap_or(default)));
    (initial, max.unwrap_or(initial.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use alloc::string::String;

    fn error(line: &str) -> String {
        Config::parse(line.as_bytes()).unwrap_err()[0].to_string()
    }

    fn choices(line: &str, mebibytes: u64) -> netfront::Config {
        let choices = Config::parse(line.as_bytes()).unwrap().pool.choices(mebibytes << 20);
        assert_eq!(choices.check(), Ok(()), "{line}");
        choices
    }

    #[test]
    fn every_policy_can_be_chosen() {
        let line = "pool.rx=64 pool.rx.max=65 pool.tx=4096 pool.tx.max=8192 pool.threshold=4096 pool.clearing=off \
                    pool.quarantine=1 pool.held=0 pool.trust=never";
        let expected = netfront::Config {
            pool_rx: 64,
            pool_rx_max: 65,
            pool_tx: 4096,
            pool_tx_max: 8192,
            threshold: 4096,
            clearing: Clearing::Off,
            quarantine_max: 1,
            held_max: 0,
            trust: Trust::Never,
            ..netfront::Config::default()
        };
        assert_eq!(choices(line, 32), expected);
    }

    #[test]
    fn by_default_pools_are_as_large_as_the_memory_allows() {
        for (mebibytes, pages) in [(3, 48), (2, 32), (32, 512), (4096, 512)] {
            let choices = choices("", mebibytes);
            assert_eq!((choices.pool_rx, choices.pool_rx_max), (pages, pages * 2), "{mebibytes} MiB");
            assert_eq!((choices.pool_tx, choices.pool_tx_max), (pages, pages * 2), "{mebibytes} MiB");
        }
        assert_eq!(choices("pool.rx.max=100", 32).pool_rx, 100, "a cap below the default takes it down");
    }

    #[test]
    fn errors_name_key_value_and_what_would_be_right() {
        for (line, right) in [
            ("pool.rx=31", "pool.rx=31 is wrong: a number of pages from 32 to 4096"),
            ("pool.rx.max=8193", "a number of pages from 32 to 8192"),
            ("pool.tx=99999999999999999999", "a number of pages from 32 to 4096"),
            ("pool.tx.max=-1", "a number of pages from 32 to 8192"),
            ("pool.threshold=4097", "a number of bytes from 0 to 4096"),
            ("pool.quarantine=0", "a number of pages from 1 to 4096"),
            ("pool.held=8193", "a number of packets from 0 to 8192"),
            ("pool.clearing=some", "pool.clearing=some is wrong: one of small, copied, all, off"),
            ("pool.trust=always", "pool.trust=always is wrong: one of toolstack, never"),
            (
                "pool.rx=64 pool.rx.max=63",
                "pool.rx.max=63 is wrong: a pool does not grow to less than pool.rx=64",
            ),
            ("pool.tx.max=64 pool.tx=65", "pool.tx.max=64 is wrong"),
            ("pool.speed=1", "the keys are"),
        ] {
            assert!(error(line).contains(right), "{line}: {}", error(line));
        }
    }
}
