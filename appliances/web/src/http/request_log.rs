//! What is kept of each request that was answered, if somebody keeps it: an access log.
//!
//! ```text
//!   head ─► Entry: the texts of the client, escaped ─► the reply is sent ─► RequestLog::answered
//! ```

use crate::http::clock::Moment;
use crate::http::request_head::Request;
use crate::http::status_code::Code;
use alloc::string::String;
use core::fmt::{self, Write as _};
use core::task::{Context, Poll};
use kernel::net::IpEndpoint;

/// Bytes of the client that are kept of the request line, and of each of the two header lines.
const MOST: usize = 1024;

/// The texts of a request, each in quotes. Whatever could end a line or a text is escaped as `\xhh`, as Apache does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    texts: String,
    /// Where the request line ends.
    split: usize,
}

impl Default for Entry {
    /// That of a request that could not be read.
    fn default() -> Self {
        let texts = String::from(r#""-""-" "-""#);
        Self { texts, split: 3 }
    }
}

impl Entry {
    /// Of a request, and the bytes of its head. Without memory for its texts, as if it could not be read.
    #[must_use]
    pub fn new(head: &[u8], request: &Request<'_>) -> Self {
        let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty());
        let (referer, agent) = (request.header("referer"), request.header("user-agent"));
        let mut texts = String::new();
        let most =
            [line, referer, agent].map(longest).iter().fold(1, |sum: usize, len| sum.saturating_add(*len));
        if texts.try_reserve(most).is_err() {
            return Self::default();
        }
        quote(&mut texts, line);
        let split = texts.len();
        quote(&mut texts, referer);
        texts.push(' ');
        quote(&mut texts, agent);
        Self { texts, split }
    }

    /// The request line, in quotes.
    #[must_use]
    pub fn line(&self) -> &str {
        self.texts.get(..self.split).unwrap_or_default()
    }

    /// Referer and user agent, each in quotes.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.texts.get(self.split..).unwrap_or_default()
    }
}

/// Bytes that [`quote`] adds at most: four for each byte of the client, and the quotes.
fn longest(bytes: Option<&[u8]>) -> usize {
    bytes.unwrap_or(b"-").len().min(MOST).saturating_mul(4).saturating_add(2)
}

/// Adds bytes of a client in quotes; `-` for none.
fn quote(to: &mut String, bytes: Option<&[u8]>) {
    to.push('"');
    for byte in bytes.unwrap_or(b"-").iter().take(MOST) {
        match byte {
            b'"' | b'\\' => to.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => to.push(char::from(*byte)),
            // Writing to a string does not fail.
            _ => {
                let _ = write!(to, "\\x{byte:02x}");
            }
        }
    }
    to.push('"');
}

/// Keeps a line for each request that is answered.
pub trait RequestLog: fmt::Debug {
    /// Whether there is room for the line of a request: it is answered when there is.
    fn has_room(&self) -> bool;

    /// The same, waiting.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<()>;

    /// A request was answered: its reply, with a body of this many bytes, goes out.
    fn answered(&self, peer: Option<IpEndpoint>, entry: &Entry, reply: (Code, usize), now: &Moment);
}
