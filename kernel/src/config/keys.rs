//! The keys of the command line that are about the guest as a whole.

use super::Config;
use alloc::borrow::ToOwned;
use cmdline::{Key, Value};
use core::ops::RangeInclusive;
use netfront::Feature;
use netfront::config::QUEUES;

/// Seconds that the watchdog may wait.
pub const WATCHDOG: RangeInclusive<usize> = 2..=3600;
/// Characters that a seed needs: 128 bits in hexadecimal.
pub const LEAST_SEED: usize = 32;
/// Characters that a host name may have (RFC 1123).
const MAX_HOST: usize = 63;

/// The names of the features that can be refused.
const FEATURES: [&str; Feature::NAMES.len()] = {
    let [(a, _), (b, _), (c, _), (d, _), (e, _), (f, _), (g, _), (h, _), (i, _)] = Feature::NAMES;
    [a, b, c, d, e, f, g, h, i]
};

/// The keys.
pub const KEYS: &[Key<Config>] = &[
    Key {
        name: "host",
        value: Value::Text { syntax: "1 to 63 letters, digits and - (RFC 1123)", set: set_host },
        default: "the appliance's name",
        help: "the host name",
        example: "web1",
    },
    Key {
        name: "log",
        value: Value::OneOf {
            words: &["off", "error", "warn", "info", "debug", "trace"],
            set: |config, word| {
                config.log = word.parse().ok()?;
                Some(())
            },
        },
        default: "info",
        help: "the lowest level of log lines on the console",
        example: "debug",
    },
    Key {
        name: "vif.queues",
        value: Value::Number {
            unit: "queues",
            least: *QUEUES.start(),
            most: *QUEUES.end(),
            set: |config, number| config.queues = number,
        },
        default: "1",
        help: "queues of each network interface at most",
        example: "2",
    },
    Key {
        name: "vif.refuse",
        value: Value::SomeOf {
            words: &FEATURES,
            set: |config, words| {
                config.refuse = Feature::empty();
                words.iter().try_for_each(|word| {
                    config.refuse |= Feature::named(word)?;
                    Some(())
                })
            },
        },
        default: "none",
        help: "features of the network interfaces that are not used",
        example: "gso4,gso6",
    },
    Key {
        name: "watchdog",
        value: Value::Number {
            unit: "seconds",
            least: *WATCHDOG.start(),
            most: *WATCHDOG.end(),
            set: |config, number| config.watchdog = u32::try_from(number).ok(),
        },
        default: "none",
        help: "after this time Xen ends a guest whose loop has stopped, as `on_watchdog=` says",
        example: "30",
    },
    Key {
        name: "seed",
        value: Value::Secret { least: LEAST_SEED, set: |config, value| config.seed = Some(value.to_owned()) },
        default: "none",
        help: "entropy for a processor without RDRAND and RDSEED",
        example: "SECRET (make one with openssl rand -hex 32)",
    },
];

fn set_host(config: &mut Config, value: &str) -> Option<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let inner = !value.starts_with('-') && !value.ends_with('-');
    let fits = (1..=MAX_HOST).contains(&value.len()) && value.bytes().all(legal) && inner;
    fits.then(|| config.host = Some(value.to_owned()))
}
