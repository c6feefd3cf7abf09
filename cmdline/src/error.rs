//! A word of the command line that is wrong.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

/// A word of the command line that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordError {
    /// The key as written.
    pub key: String,
    /// The value as written; empty if the word has none, `…` for a secret.
    pub value: String,
    /// What would be right.
    pub right: String,
}

impl WordError {
    /// The error for `key=value`.
    #[must_use]
    pub fn new(key: &str, value: &str, right: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned(), right: right.to_owned() }
    }
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, right } = self;
        // A word without `=` has no value.
        let equals = if value.is_empty() && right.ends_with("key=value") { "" } else { "=" };
        write!(f, "command line: {key}{equals}{value} is wrong: {right}")
    }
}

impl core::error::Error for WordError {}
