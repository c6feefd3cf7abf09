//! What a client may make us spend.

use alloc::format;
use alloc::string::String;

/// Seconds between two requests at most: a day.
const LONGEST_IDLE: u64 = 86_400;

/// Header lines of a request; they are parsed on the stack.
pub const MAX_HEADERS: usize = 64;

/// Limits of a connection. Their numbers follow what common servers allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head; beyond: 431.
    pub head_bytes: usize,
    /// Bytes of the request line; beyond: 414.
    pub line_bytes: usize,
    /// Bytes of a request's body, as sent; beyond: 413. No resource takes one, so bodies are only read to get past them.
    pub body_bytes: u64,
    /// Seconds from the first byte of a request to its end; beyond: 408.
    pub request_seconds: u64,
    /// Seconds between two requests; beyond: the connection is closed without a word. `app.idle=` on the command line.
    pub idle_seconds: u64,
    /// Bytes a second that a client must take, beyond the first `request_seconds`; else the connection is closed.
    pub reply_bytes_a_second: usize,
    /// Bytes of replies on all connections that may wait to be sent; beyond: 503.
    pub unsent_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 8 * 1024,
            line_bytes: 4 * 1024,
            body_bytes: 64 * 1024,
            request_seconds: 30,
            idle_seconds: 60,
            reply_bytes_a_second: 4 * 1024,
            unsent_bytes: 2 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// With the operator's `app.idle=SECONDS`, if he has one.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn with_idle(self, value: Option<&str>) -> Result<Self, String> {
        let Some(value) = value else { return Ok(self) };
        match value.parse() {
            Ok(idle_seconds @ 1..=LONGEST_IDLE) => Ok(Self { idle_seconds, ..self }),
            _ => Err(format!(
                "command line: app.idle={value} is wrong: the seconds that a connection may be silent between two requests, \
                 1 to {LONGEST_IDLE}, like app.idle={}",
                self.idle_seconds
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn idle_is_a_number_of_seconds_up_to_a_day() {
        let idle = |value| Limits::default().with_idle(value).map(|limits| limits.idle_seconds);
        assert_eq!((idle(None), idle(Some("1")), idle(Some("86400"))), (Ok(60), Ok(1), Ok(86_400)));
        for bad in ["", "0", "-1", "86401", "1m", "99999999999999999999"] {
            assert!(idle(Some(bad)).unwrap_err().contains("like app.idle=60"), "{bad:?}");
        }
    }
}
