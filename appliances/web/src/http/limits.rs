//! The limits of a connection.

/// Header lines of a request; they are parsed on the stack.
pub const MAX_HEADERS: usize = 64;

/// The limits of a connection. Their values are those of common servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head; beyond: 431.
    pub head_bytes: usize,
    /// Bytes of the request line; beyond: 414.
    pub line_bytes: usize,
    /// Bytes of a request's body, framing included; beyond: 413. No resource takes a body, so bodies are read and discarded.
    pub body_bytes: u64,
    /// Seconds from the first byte of a request to its end; beyond: 408.
    pub request_seconds: u64,
    /// Bytes a second that a client must take, beyond the first `request_seconds`; else the connection is closed.
    pub reply_bytes_a_second: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 8 * 1024,
            line_bytes: 4 * 1024,
            body_bytes: 64 * 1024,
            request_seconds: 30,
            reply_bytes_a_second: 4 * 1024,
        }
    }
}
