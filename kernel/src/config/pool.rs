//! `pool.…=`: the sizes and policies of the page pools, and their defaults for a guest of a given size.

use super::{Config, ConfigError};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use cmdline::{Key, Value};
use core::ops::RangeInclusive;
use netfront::config::{Clearing, QUARANTINE, RETAINED, THRESHOLD, Trust};

/// Pages that a pool may have at the start.
pub const PAGES: RangeInclusive<usize> = 32..=4096;
/// Pages to which a pool may grow. The grant table has entries for two such pools.
pub const MAX_PAGES: RangeInclusive<usize> = 32..=8192;
/// Pages of a pool at the start, in a guest with enough memory.
const DEFAULT_PAGES: usize = 512;
/// The share of memory of each pool, as a divisor.
const MEMORY_DIVISOR: usize = 16;

/// A number in a range.
const fn number(
    unit: &'static str,
    range: &RangeInclusive<usize>,
    set: fn(&mut Config, usize),
) -> Value<Config> {
    Value::Number { unit, least: *range.start(), most: *range.end(), set }
}

/// The keys.
pub const KEYS: &[Key<Config>] = &[
    Key {
        name: "pool.rx",
        value: number("pages", &PAGES, |config, pages| config.pool.rx = Some(pages)),
        default: "512, less in a small guest",
        help: "pages for receiving that are granted at the start, and that shrinking leaves",
        example: "512",
    },
    Key {
        name: "pool.rx.max",
        value: number("pages", &MAX_PAGES, |config, pages| config.pool.rx_max = Some(pages)),
        default: "twice `pool.rx=`",
        help: "pages to which the receive pool may grow",
        example: "1024",
    },
    Key {
        name: "pool.tx",
        value: number("pages", &PAGES, |config, pages| config.pool.tx = Some(pages)),
        default: "512, less in a small guest",
        help: "pages for sending that are granted at the start, and that shrinking leaves",
        example: "512",
    },
    Key {
        name: "pool.tx.max",
        value: number("pages", &MAX_PAGES, |config, pages| config.pool.tx_max = Some(pages)),
        default: "twice `pool.tx=`",
        help: "pages to which the transmit pool may grow",
        example: "1024",
    },
    Key {
        name: "pool.threshold",
        value: number("bytes", &THRESHOLD, |config, bytes| config.pool.threshold = Some(bytes)),
        default: "64",
        help: "the length from which a packet is passed by reference",
        example: "64",
    },
    Key {
        name: "pool.clearing",
        value: Value::OneOf {
            words: &["off", "small", "copied", "all"],
            set: |config, word| {
                config.pool.clearing = Some(word.parse::<Clearing>().ok()?);
                Some(())
            },
        },
        default: "small",
        help: "which received packets are cleared before their page is posted again: none, those below the \
               threshold, those that were copied, all",
        example: "all",
    },
    Key {
        name: "pool.quarantine",
        value: number("pages", &QUARANTINE, |config, pages| config.pool.quarantine = Some(pages)),
        default: "64",
        help: "pages that a backend may keep mapped before the interface stops",
        example: "64",
    },
    Key {
        name: "pool.retained",
        value: number("packets", &RETAINED, |config, packets| config.pool.retained = Some(packets)),
        default: "half of `pool.rx=`",
        help: "packets that applications may retain",
        example: "256",
    },
    Key {
        name: "pool.trust",
        value: Value::OneOf {
            words: &["toolstack", "never"],
            set: |config, word| {
                config.pool.trust = Some(word.parse::<Trust>().ok()?);
                Some(())
            },
        },
        default: "toolstack",
        help: "whether a backend is trusted: as `device/vif/N/trusted` says, or never, so that every packet is copied",
        example: "never",
    },
];

/// The `pool.…=` words of a command line.
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
    /// `pool.retained=`.
    pub retained: Option<usize>,
    /// `pool.trust=`.
    pub trust: Option<Trust>,
}

impl PoolKeys {
    /// The words that contradict each other.
    pub(super) fn contradictions(&self) -> Vec<ConfigError> {
        let pairs = [("pool.rx", self.rx, self.rx_max), ("pool.tx", self.tx, self.tx_max)];
        let wrong_pair = |(key, initial, max): (&str, Option<usize>, Option<usize>)| {
            let (initial, max) = (initial?, max?);
            (max < initial).then(|| {
                let right = format!("at least {key}={initial}; leave it out for twice that");
                ConfigError::new(&format!("{key}.max"), &max.to_string(), &right)
            })
        };
        pairs.into_iter().filter_map(wrong_pair).collect()
    }

    /// The configuration of an interface in a guest with `memory_bytes` of RAM. By default each pool has a sixteenth of
    /// it, up to 512 pages.
    #[must_use]
    pub fn choices(&self, memory_bytes: u64) -> netfront::Config {
        let pages = usize::try_from(memory_bytes / 4096).unwrap_or(usize::MAX);
        let default = (pages / MEMORY_DIVISOR).clamp(*PAGES.start(), DEFAULT_PAGES);
        let (pool_rx, pool_rx_max) = sizes(self.rx, self.rx_max, default);
        let (pool_tx, pool_tx_max) = sizes(self.tx, self.tx_max, default);
        let default_config = netfront::Config::default();
        netfront::Config {
            pool_rx,
            pool_rx_max,
            pool_tx,
            pool_tx_max,
            // For frames of up to 64 KiB: room for at least four.
            contiguous: pool_tx.saturating_mul(2).min(128),
            threshold: self.threshold.unwrap_or(default_config.threshold),
            clearing: self.clearing.unwrap_or(default_config.clearing),
            quarantine_max: self.quarantine.unwrap_or(default_config.quarantine_max),
            retained_max: self.retained.unwrap_or(pool_rx / 2),
            trust: self.trust.unwrap_or(default_config.trust),
            ..default_config
        }
    }
}

/// Pages at the start, and at most.
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
                    pool.quarantine=1 pool.retained=0 pool.trust=never";
        let expected = netfront::Config {
            pool_rx: 64,
            pool_rx_max: 65,
            pool_tx: 4096,
            pool_tx_max: 8192,
            threshold: 4096,
            clearing: Clearing::Off,
            quarantine_max: 1,
            retained_max: 0,
            trust: Trust::Never,
            ..netfront::Config::default()
        };
        assert_eq!(choices(line, 32), expected);
    }

    #[test]
    fn by_default_the_memory_decides_the_sizes() {
        for (mebibytes, pages) in [(3, 48), (2, 32), (32, 512), (4096, 512)] {
            let choices = choices("", mebibytes);
            assert_eq!((choices.pool_rx, choices.pool_rx_max), (pages, pages * 2), "{mebibytes} MiB");
            assert_eq!((choices.pool_tx, choices.pool_tx_max), (pages, pages * 2), "{mebibytes} MiB");
        }
        assert_eq!(choices("pool.rx.max=100", 32).pool_rx, 100, "a cap below the default takes it down");
    }

    #[test]
    fn errors_name_the_range() {
        for (line, right) in [
            ("pool.rx=31", "pool.rx=31 is wrong: a number of pages from 32 to 4096"),
            ("pool.rx.max=8193", "a number of pages from 32 to 8192"),
            ("pool.tx=99999999999999999999", "a number of pages from 32 to 4096"),
            ("pool.tx.max=-1", "a number of pages from 32 to 8192"),
            ("pool.threshold=4097", "a number of bytes from 0 to 4096"),
            ("pool.quarantine=0", "a number of pages from 1 to 4096"),
            ("pool.retained=8193", "a number of packets from 0 to 8192"),
            ("pool.clearing=some", "pool.clearing=some is wrong: one of off, small, copied, all"),
            ("pool.trust=always", "pool.trust=always is wrong: one of toolstack, never"),
            ("pool.rx=64 pool.rx.max=63", "pool.rx.max=63 is wrong: at least pool.rx=64"),
            ("pool.tx.max=64 pool.tx=65", "pool.tx.max=64 is wrong"),
            ("pool.speed=1", "the keys are"),
        ] {
            assert!(error(line).contains(right), "{line}: {}", error(line));
        }
    }
}
