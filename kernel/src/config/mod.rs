//! The command line of the kernel, and of the appliance (`app.NAME=`).
//!
//! | file | keys |
//! |---|---|
//! | `keys` | `host=`, `log=`, `vif.…=`, `watchdog=`, `seed=` |
//! | `address` | `ip=`, `gw=`, `dns=`, `ip6=`, `gw6=`, also for each interface (`ip.N=`) |
//! | `pool` | `pool.…=` |
//!
//! Each file has a table of [`cmdline::Key`]s. The parser, the error messages and the tables in `docs/configuration.md`
//! are made from it; the test `docs_configuration_is_made_from_the_tables` keeps the document up to date.

pub mod address;
mod keys;
pub mod pool;

use self::address::{Addresses, VifWords};
use self::pool::PoolKeys;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
pub use cmdline::WordError as ConfigError;
use cmdline::{Key, words};
pub use keys::{KEYS, LEAST_SEED, WATCHDOG};
use netfront::Feature;

/// The prefix of the appliance's keys.
const APP: &str = "app.";

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `ip=`, `gw=`, `dns=`, `ip6=`, `gw6=`, for each interface.
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
    /// `watchdog=`, in seconds.
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

impl Config {
    /// Parses a command line. A later word wins over an earlier one with the same key.
    ///
    /// # Errors
    /// Every word that is wrong, not only the first.
    pub fn parse(cmdline: &[u8]) -> Result<Self, Vec<ConfigError>> {
        let Ok(line) = str::from_utf8(cmdline) else {
            let value = String::from_utf8_lossy(cmdline).into_owned();
            return Err(alloc::vec![ConfigError::new("command line", &value, "write it in UTF-8")]);
        };
        let mut parser = Parser::default();
        let mut errors = Vec::new();
        for word in words(line) {
            errors.extend(word.and_then(|(key, value)| parser.word(key, value)).err());
        }
        let Parser { mut config, vifs } = parser;
        let (addresses, contradictions) = Addresses::from_words(vifs);
        config.addresses = addresses;
        errors.extend(contradictions);
        errors.extend(config.pool.contradictions());
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// The value of `app.NAME=`; of several, the last.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<&str> {
        self.app.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Parses the `app.NAME=` words by the appliance's table of keys.
    ///
    /// # Errors
    /// Every word that is wrong. Its key has the prefix `app.`.
    pub fn app_options<T: Default>(&self, keys: &[Key<T>]) -> Result<T, Vec<ConfigError>> {
        let mut options = T::default();
        let mut errors = Vec::new();
        for (name, value) in &self.app {
            let written = alloc::format!("{APP}{name}");
            let set = match cmdline::find(keys, name) {
                Some(key) => key.set(&mut options, &written, value),
                None => Err(unknown_app_key(&written, value, keys)),
            };
            errors.extend(set.err());
        }
        if errors.is_empty() { Ok(options) } else { Err(errors) }
    }
}

fn unknown_app_key<T>(written: &str, value: &str, keys: &[Key<T>]) -> ConfigError {
    let names: Vec<String> = keys.iter().map(|key| alloc::format!("{APP}{}", key.name)).collect();
    cmdline::unknown(written, value, names.iter().map(String::as_str))
}

/// What the words have led to so far.
#[derive(Default)]
struct Parser {
    config: Config,
    vifs: Vec<VifWords>,
}

impl Parser {
    /// Parses one word by the tables.
    fn word(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        if let Some(known) = cmdline::find(KEYS, key).or_else(|| cmdline::find(pool::KEYS, key)) {
            return known.set(&mut self.config, key, value);
        }
        if let Some((known, vif)) = address::find(key, value)? {
            return known.set(VifWords::of(&mut self.vifs, vif), key, value);
        }
        match key.strip_prefix(APP) {
            Some(name) if !name.is_empty() => {
                self.config.app.push((name.to_owned(), value.to_owned()));
                Ok(())
            }
            _ => Err(Self::unknown(key, value)),
        }
    }

    fn unknown(key: &str, value: &str) -> ConfigError {
        let vif: Vec<String> = address::KEYS.iter().map(|key| alloc::format!("{}.N", key.name)).collect();
        let known = address::KEYS.iter().map(|key| key.name);
        let known = known.chain(vif.iter().map(String::as_str));
        let known = known.chain(KEYS.iter().chain(pool::KEYS).map(|key| key.name)).chain(["app.NAME"]);
        cmdline::unknown(key, value, known)
    }
}

#[cfg(test)]
mod tests;
