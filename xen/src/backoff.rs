//! Waiting between attempts: one second at first, twice as long after each failure, one minute at most.
//!
//! ```text
//!   attempt ─fails─► log the error if it is another one ─► wait 1 s, 2 s, 4 s … 60 s ─► attempt
//!      └─succeeds─► reset: the next failure waits 1 s, and is logged
//! ```

/// The first wait in nanoseconds.
const FIRST_NS: u64 = 1_000_000_000;
/// The longest wait in nanoseconds.
pub const LONGEST_NS: u64 = 60_000_000_000;

/// The waits between attempts that fail with an `E`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff<E> {
    next_ns: u64,
    last: Option<E>,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Nanoseconds until the next attempt.
    pub ns: u64,
    /// Whether the error differs from the one before, and is worth a log line.
    pub is_news: bool,
}

impl<E: PartialEq> Backoff<E> {
    /// Before the first attempt.
    #[must_use]
    pub const fn new() -> Self {
        Self { next_ns: FIRST_NS, last: None }
    }

    /// An attempt has failed.
    pub fn failed(&mut self, error: E) -> Wait {
        let ns = self.next_ns;
        self.next_ns = ns.saturating_mul(2).min(LONGEST_NS);
        let is_news = self.last.as_ref() != Some(&error);
        self.last = Some(error);
        Wait { ns, is_news }
    }

    /// An attempt has succeeded.
    pub fn reset(&mut self) {
        *self = Self::new();
    }
}

impl<E: PartialEq> Default for Backoff<E> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Wait};

    #[test]
    fn waits_double_up_to_a_minute_and_begin_again() {
        let mut backoff = Backoff::new();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(backoff.failed('a').ns, seconds * 1_000_000_000);
        }
        backoff.reset();
        assert_eq!(backoff.failed('a'), Wait { ns: 1_000_000_000, is_news: true });
    }

    #[test]
    fn an_error_is_news_when_it_changes() {
        let mut backoff = Backoff::new();
        let news = ["a", "a", "b", "b", "a"].map(|error| backoff.failed(error).is_news);
        assert_eq!(news, [true, false, true, false, true]);
    }
}
