//! The command line: `key=value` words, each checked, each error telling what would be right.
//!
//! | key | value | default |
//! |---|---|---|
//! | `ip=` | `dhcp`, or an address with its prefix length, `192.0.2.10/24` | `dhcp` |
//! | `gw=` | the gateway's address; only with a static `ip=` | none |
//! | `dns=` | name servers, up to 3, separated by commas; only with a static `ip=` | none |
//! | `ip6=` | `auto` (by router advertisements), `off`, or an address with its prefix length, `2001:db8::10/64` | `auto` |
//! | `gw6=` | the IPv6 gateway's address; only with a static `ip6=` | none |
//! | `ip.N=`, `gw.N=`, `dns.N=`, `ip6.N=`, `gw6.N=` | the same for the interface `device/vif/N`, see [`address`] | `dhcp`, `auto` |
//! | `host=` | the host name: letters, digits and `-`, up to 63 | the appliance's name |
//! | `log=` | `error`, `warn`, `info`, `debug` or `trace` | `info` |
//! | `pool.…=` | the policies of the page pools, see [`pool`] | |
//! | `vif.queues=` | queues of the network card at most, 1 to 8 | 1 |
//! | `vif.refuse=` | features of the network card that are not used, separated by commas: `sg`, `csum4`, `csum6`, `gso4`, `gso6`, `split`, `mcast`, `hash`, `gref` | none |
//! | `watchdog=` | seconds after which Xen ends a guest that hangs, 2 to 3600 | none |
//! | `seed=` | a secret of 32 characters or more, for processors without RDRAND | none |
//! | `app.NAME=` | whatever the appliance documents | |

pub mod address;
pub mod pool;

use self::address::{AddressKeys, Addresses};
use self::pool::PoolKeys;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use netfront::Feature;
use netfront::config::QUEUES;

/// Seconds that a watchdog may wait.
pub const WATCHDOG: core::ops::RangeInclusive<u32> = 2..=3600;
/// Characters that a seed must have: 128 bits in hexadecimal.
pub const LEAST_SEED: usize = 32;

/// The command line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `ip=`, `gw=`, `dns=`, `ip6=`, `gw6=`, and those of other interfaces than the first.
    pub addresses: Addresses,
    /// `host=`.
    pub host: Option<String>,
    /// `log=`.
    pub log: log::LevelFilter,
    /// `pool.…=`.
    pub pool: PoolKeys,
    /// `vif.queues=`.
    pub queues: usize,
    /// `vif.refuse=`.
    pub refuse: Feature,
    /// `watchdog=`.
    pub watchdog: Option<u32>,
    /// `seed=`.
    pub seed: Option<String>,
    app: Vec<(String, String)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addresses: Addresses::default(),
            host: None,
            log: log::LevelFilter::Info,
            pool: PoolKeys::default(),
            queues: 1,
            refuse: Feature::empty(),
            watchdog: None,
            seed: None,
            app: Vec::new(),
        }
    }
}

/// A word of the command line that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The key as written.
    pub key: String,
    /// The value as written.
    pub value: String,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, right } = self;
        write!(f, "command line: {key}={value} is wrong: {right}")
    }
}

impl Config {
    /// Reads a command line. A later word wins over an earlier one with the same key.
    ///
    /// # Errors
    /// Every word that is wrong, not only the first.
    pub fn parse(cmdline: &[u8]) -> Result<Self, Vec<ConfigError>> {
        let Ok(line) = str::from_utf8(cmdline) else {
            let value = String::from_utf8_lossy(cmdline).into_owned();
            return Err(alloc::vec![wrong("command line", &value, "write it in UTF-8")]);
        };
        let mut parser = Parser::default();
        for word in line.split_ascii_whitespace() {
            if let Err(error) = parser.word(word) {
                parser.errors.push(error);
            }
        }
        parser.finish()
    }

    /// The value of `app.NAME=`.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<&str> {
        self.app.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Parser {
    config: Config,
    addresses: AddressKeys,
    errors: Vec<ConfigError>,
}

impl Parser {
    fn word(&mut self, word: &str) -> Result<(), ConfigError> {
        let Some((key, value)) = word.split_once('=') else {
            return Err(wrong(word, "", "every word is key=value"));
        };
        match key {
            "host" => self.config.host = Some(host(key, value)?),
            "log" => self.config.log = level(key, value)?,
            "vif.queues" => self.config.queues = number(key, value, QUEUES, "queues")?,
            "vif.refuse" => self.config.refuse = features(key, value)?,
            "watchdog" => self.config.watchdog = Some(number(key, value, WATCHDOG, "seconds")?),
            "seed" => self.config.seed = Some(seed(key, value)?),
            _ if self.addresses.word(key, value)? => {}
            _ if self.config.pool.word(key, value)? => {}
            _ => match key.strip_prefix("app.") {
                Some(name) if !name.is_empty() => self.config.app.push((name.to_owned(), value.to_owned())),
                _ => {
                    let known = "the keys are ip, gw, dns, ip6, gw6, ip.N, gw.N, dns.N, ip6.N, gw6.N, host, log, pool.rx, pool.rx.max, pool.tx, pool.tx.max, \
                                 pool.threshold, pool.clearing, pool.quarantine, pool.held, pool.trust, \
                                 vif.queues, vif.refuse, watchdog, seed and app.NAME";
                    return Err(wrong(key, value, known));
                }
            },
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Config, Vec<ConfigError>> {
        let (addresses, errors) = self.addresses.finish();
        self.config.addresses = addresses;
        self.errors.extend(errors);
        self.errors.extend(self.config.pool.contradictions());
        if self.errors.is_empty() { Ok(self.config) } else { Err(self.errors) }
    }
}

fn wrong(key: &str, value: &str, right: &str) -> ConfigError {
    ConfigError { key: key.to_owned(), value: value.to_owned(), right: right.to_owned() }
}

fn parse<T: FromStr>(key: &str, value: &str, right: &str) -> Result<T, ConfigError> {
    value.parse().map_err(|_| wrong(key, value, right))
}

/// Not told back, neither here nor on the console: it is a secret.
fn seed(key: &str, value: &str) -> Result<String, ConfigError> {
    if value.len() < LEAST_SEED {
        return Err(wrong(
            key,
            "…",
            "a secret of 32 characters or more, like the output of openssl rand -hex 32",
        ));
    }
    Ok(value.to_owned())
}

fn features(key: &str, value: &str) -> Result<Feature, ConfigError> {
    let mut features = Feature::empty();
    for name in value.split(',') {
        let words = Feature::NAMES.map(|(name, _)| name).join(", ");
        let right = alloc::format!("features separated by commas, of {words}; like vif.refuse=gso4,gso6");
        features |= Feature::named(name).ok_or_else(|| wrong(key, value, &right))?;
    }
    Ok(features)
}

fn host(key: &str, value: &str) -> Result<String, ConfigError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let inner = !value.starts_with('-') && !value.ends_with('-');
    if (1..=63).contains(&value.len()) && value.bytes().all(legal) && inner {
        return Ok(value.to_owned());
    }
    Err(wrong(key, value, "1 to 63 letters, digits and -, like host=web1 (RFC 1123)"))
}

fn level(key: &str, value: &str) -> Result<log::LevelFilter, ConfigError> {
    parse(key, value, "one of error, warn, info, debug, trace, off")
}

fn number<T: FromStr + fmt::Display + PartialOrd>(
    key: &str,
    value: &str,
    range: core::ops::RangeInclusive<T>,
    unit: &str,
) -> Result<T, ConfigError> {
    let right = alloc::format!("a number of {unit} from {} to {}", range.start(), range.end());
    let number = parse(key, value, &right)?;
    if range.contains(&number) { Ok(number) } else { Err(wrong(key, value, &right)) }
}

#[cfg(test)]
mod tests {
    use super::address::Ip;
    use super::*;
    use alloc::string::ToString;
    use core::net::Ipv4Addr;

    fn error(line: &str) -> String {
        Config::parse(line.as_bytes()).unwrap_err()[0].to_string()
    }

    #[test]
    fn an_empty_line_means_dhcp() {
        assert_eq!(Config::parse(b"  ").unwrap(), Config::default());
    }

    #[test]
    fn every_key_is_read() {
        let line = b"ip=192.0.2.10/24 gw=192.0.2.1 dns=192.0.2.2,192.0.2.3 host=web-1 log=debug \
            pool.rx=64 pool.tx=128 pool.threshold=0 vif.queues=8 vif.refuse=sg,split watchdog=30 app.peer=a=b";
        let config = Config::parse(line).unwrap();
        let Ip::Static { address, prefix, gateway, dns } = config.addresses.of(0, true) else {
            panic!("static")
        };
        assert_eq!((address.to_string(), *prefix, dns.len()), ("192.0.2.10".to_owned(), 24, 2));
        assert_eq!(*gateway, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(config.host.as_deref(), Some("web-1"));
        assert_eq!(config.log, log::LevelFilter::Debug);
        let pool = &config.pool;
        assert_eq!((pool.rx, pool.tx, pool.threshold), (Some(64), Some(128), Some(0)));
        assert_eq!(config.watchdog, Some(30));
        assert_eq!(config.queues, 8);
        assert_eq!(config.refuse, Feature::SCATTER_GATHER | Feature::SPLIT_EVENT_CHANNELS);
        assert_eq!(config.app("peer"), Some("a=b"));
    }

    #[test]
    fn errors_name_key_value_and_what_would_be_right() {
        assert_eq!(
            error("ip=10.0.0.300/24"),
            "command line: ip=10.0.0.300/24 is wrong: ip=dhcp, or an IPv4 address with its prefix length, \
             like ip=192.0.2.10/24"
        );
        assert!(error("ip=10.0.0.3").contains("prefix length"));
        assert!(error("ip=10.0.0.3/33").contains("prefix length"));
        assert!(error("vif.queues=9").contains("a number of queues from 1 to 8"));
        assert!(error("vif.queues=0").contains("a number of queues from 1 to 8"));
        assert!(error("vif.refuse=sg,tso").contains("of sg, csum4, "));
        assert!(error("vif.refuse=").contains("of sg, csum4, "));
        assert!(error("watchdog=1").contains("a number of seconds from 2 to 3600"));
        assert!(error("speed=9").contains("the keys are ip, gw"));
        assert!(error("quiet").contains("key=value"));
        assert!(error("gw=10.0.0.1").contains("add ip="));
        assert!(error("log=loud").contains("one of error, warn"));
        assert!(error("host=-x").contains("RFC 1123"));
        assert!(error("app.=1").contains("app.NAME"));
    }

    #[test]
    fn all_wrong_words_are_reported() {
        assert_eq!(Config::parse(b"a=1 b=2 log=info").unwrap_err().len(), 2);
        assert!(Config::parse(&[0xff, b'=']).unwrap_err()[0].right.contains("UTF-8"));
    }
}
