//! When to try again what failed, and whether its error is worth a line in the log.
//!
//! ```text
//!   failed("full") ─► 1 s, logged    failed("full") ─► 2 s    failed("gone") ─► 4 s, logged  …  60 s at most
//!   worked() ─► from the beginning
//! ```

use alloc::string::String;

/// The first pause, and the longest, in nanoseconds.
const FIRST_NS: u64 = 1_000_000_000;
const LONGEST_NS: u64 = 60_000_000_000;

/// Attempts at one thing.
#[derive(Debug, Default)]
pub struct Retry {
    /// The last pause; 0 while it works.
    pause_ns: u64,
    last_error: String,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// The time until the next attempt, in nanoseconds.
    pub pause_ns: u64,
    /// The error is another one than the last time: a line in the log.
    pub is_news: bool,
}

impl Retry {
    /// An attempt failed with this error.
    pub fn failed(&mut self, error: &str) -> Again {
        let is_news = self.pause_ns == 0 || self.last_error != error;
        if is_news {
            self.last_error = error.into();
        }
        self.pause_ns = self.pause_ns.saturating_mul(2).clamp(FIRST_NS, LONGEST_NS);
        Again { pause_ns: self.pause_ns, is_news }
    }

    /// An attempt succeeded.
    pub const fn worked(&mut self) {
        self.pause_ns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Retry;
    use alloc::vec::Vec;

    #[test]
    fn pauses_double_and_only_another_error_is_news() {
        let mut retry = Retry::default();
        let errors = ["full", "full", "gone", "gone", "full", "full", "full", "full"];
        let seen: Vec<_> = errors
            .iter()
            .map(|error| retry.failed(error))
            .map(|again| (again.pause_ns / 1_000_000_000, again.is_news))
            .collect();
        let expected =
            [(1, true), (2, false), (4, true), (8, false), (16, true), (32, false), (60, false), (60, false)];
        assert_eq!(seen, expected);
        retry.worked();
        assert_eq!(retry.failed("full").pause_ns, 1_000_000_000);
        assert!(!retry.failed("full").is_news);
    }
}
