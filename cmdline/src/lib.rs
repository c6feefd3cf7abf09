//! The command line: `key=value` words, described by tables.
//!
//! ```text
//!   const KEYS: &[Key<Options>] ──┬─► parse(): Options, or an error for each word that is wrong
//!     name, value, default,       ├─► the error: what would be right, with an example
//!     help, example               └─► table(): the rows in docs/configuration.md
//! ```
//!
//! The kernel has a table of its keys, and each appliance one of its own (`app.NAME=`). Pure and `no_std`.
//!
//! ```
//! use cmdline::{Key, Value, parse, words};
//!
//! #[derive(Default)]
//! struct Options { idle: usize }
//!
//! const KEYS: &[Key<Options>] = &[Key {
//!     name: "idle",
//!     value: Value::Number { unit: "seconds", least: 1, most: 86_400, set: |options, value| options.idle = value },
//!     default: "60",
//!     help: "how long a connection may be silent",
//!     example: "30",
//! }];
//!
//! let words = words("idle=90000").map(Result::unwrap);
//! let errors = parse(KEYS, words).map(|options| options.idle).unwrap_err();
//! assert_eq!(errors[0].to_string(), "command line: idle=90000 is wrong: a number of seconds from 1 to 86400, like idle=30");
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

extern crate alloc;

mod error;
mod key;
mod table;

pub use error::WordError;
pub use key::{Key, Value};
pub use table::{replace_section, table};

use alloc::vec::Vec;

/// Splits a command line into keys and values.
///
/// # Errors
/// For each word without `=`.
pub fn words(line: &str) -> impl Iterator<Item = Result<(&str, &str), WordError>> {
    line.split_ascii_whitespace()
        .map(|word| word.split_once('=').ok_or_else(|| WordError::new(word, "", "every word is key=value")))
}

/// The key of that name.
#[must_use]
pub fn find<'a, T>(keys: &'a [Key<T>], name: &str) -> Option<&'a Key<T>> {
    keys.iter().find(|key| key.name == name)
}

/// Parses words by a table. A later word wins over an earlier one with the same key.
///
/// # Errors
/// Every word that is wrong, not only the first.
pub fn parse<'a, T: Default>(
    keys: &[Key<T>],
    words: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<T, Vec<WordError>> {
    let (mut options, mut errors) = (T::default(), Vec::new());
    for (name, value) in words {
        let set = match find(keys, name) {
            Some(key) => key.set(&mut options, name, value),
            None => Err(unknown(name, value, keys.iter().map(|key| key.name))),
        };
        errors.extend(set.err());
    }
    if errors.is_empty() { Ok(options) } else { Err(errors) }
}

/// The error for a key that is in no table. `known` are the names of the keys.
#[must_use]
pub fn unknown<'a>(name: &str, value: &str, known: impl Iterator<Item = &'a str>) -> WordError {
    let names: Vec<&str> = known.collect();
    WordError::new(name, value, &alloc::format!("the keys are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Options {
        idle: usize,
        mode: String,
        features: Vec<String>,
        host: String,
        seed: String,
    }

    const KEYS: &[Key<Options>] = &[
        Key {
            name: "idle",
            value: Value::Number {
                unit: "seconds",
                least: 1,
                most: 100,
                set: |options, value| options.idle = value,
            },
            default: "60",
            help: "silence",
            example: "30",
        },
        Key {
            name: "mode",
            value: Value::OneOf {
                words: &["fast", "safe"],
                set: |options, value| {
                    options.mode = value.to_string();
                    Some(())
                },
            },
            default: "safe",
            help: "the mode",
            example: "fast",
        },
        Key {
            name: "features",
            value: Value::SomeOf {
                words: &["a", "b"],
                set: |options, values| {
                    options.features = values.iter().map(ToString::to_string).collect();
                    Some(())
                },
            },
            default: "",
            help: "features",
            example: "a,b",
        },
        Key {
            name: "host",
            value: Value::Text {
                syntax: "letters",
                set: |options, value| {
                    options.host = value.to_string();
                    value.bytes().all(|byte| byte.is_ascii_alphabetic()).then_some(())
                },
            },
            default: "the name",
            help: "the host | name",
            example: "web",
        },
        Key {
            name: "seed",
            value: Value::Secret { least: 4, set: |options, value| options.seed = value.to_string() },
            default: "none",
            help: "a secret",
            example: "x",
        },
    ];

    fn parsed(line: &str) -> Result<Options, Vec<String>> {
        let words = words(line).map(Result::unwrap);
        parse(KEYS, words).map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_kind_of_value_is_parsed() {
        let options = parsed("idle=1 mode=fast features=b,a host=web seed=abcd idle=100").unwrap();
        let expected = Options {
            idle: 100,
            mode: "fast".into(),
            features: vec!["b".into(), "a".into()],
            host: "web".into(),
            seed: "abcd".into(),
        };
        assert_eq!(options, expected);
        assert_eq!(parsed("  ").unwrap(), Options::default());
    }

    #[test]
    fn errors_name_word_reason_and_example() {
        for (line, error) in [
            ("idle=0", "idle=0 is wrong: a number of seconds from 1 to 100, like idle=30"),
            ("idle=101", "idle=101 is wrong: a number of seconds from 1 to 100, like idle=30"),
            ("idle=x", "idle=x is wrong: a number of seconds from 1 to 100, like idle=30"),
            ("idle=+5", "idle=+5 is wrong: a number of seconds from 1 to 100, like idle=30"),
            ("mode=slow", "mode=slow is wrong: one of fast, safe, like mode=fast"),
            ("features=a,c", "features=a,c is wrong: some of a, b, separated by commas, like features=a,b"),
            ("features=", "features= is wrong: some of a, b, separated by commas, like features=a,b"),
            ("host=1", "host=1 is wrong: letters, like host=web"),
            ("seed=abc", "seed=… is wrong: a secret of 4 characters or more, like seed=x"),
            ("speed=9", "speed=9 is wrong: the keys are idle, mode, features, host, seed"),
        ] {
            assert_eq!(parsed(line).unwrap_err(), [alloc::format!("command line: {error}")], "{line}");
        }
        assert_eq!(parsed("a=1 idle=1 b=2").unwrap_err().len(), 2);
        let error = words("quiet").next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "command line: quiet is wrong: every word is key=value");
    }

    #[test]
    fn the_table_has_a_row_for_each_key() {
        let rows = table(KEYS, "app.");
        let expected = "| key | meaning | value | default |\n|---|---|---|---|\n\
            | `app.idle=` | silence | a number of seconds from 1 to 100 | `60` |\n\
            | `app.mode=` | the mode | one of `fast`, `safe` | `safe` |\n\
            | `app.features=` | features | some of `a`, `b`, separated by commas | |\n\
            | `app.host=` | the host \\| name | letters | the name |\n\
            | `app.seed=` | a secret | a secret of 4 characters or more | none |\n";
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_section_of_a_document_is_replaced() {
        let document =
            "a\n<!-- keys: x -->\nold\n<!-- end of keys -->\nb\n<!-- keys: y -->\n<!-- end of keys -->\n";
        let expected =
            "a\n<!-- keys: x -->\nnew\n<!-- end of keys -->\nb\n<!-- keys: y -->\n<!-- end of keys -->\n";
        assert_eq!(replace_section(document, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replace_section(document, "z", "new\n"), None);
    }
}
