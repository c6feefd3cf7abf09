//! A reply's bytes: head and body in one piece, so that sending it is one write; what is published is shared instead,
//! and a second write.
//!
//! ```text
//!   HTTP/1.1 200 OK\r\n
//!   Date: …\r\n                                 as long as the clock is known
//!   Content-Type: …\r\nContent-Length: …\r\n    always
//!   …: …\r\n                                    what the reply says besides
//!   (Connection: …\r\n)                         only where HTTP/1.1 would not assume it: a copy
//!   \r\n
//!   body
//! ```

use crate::content::Content;
use crate::http::clock::Moment;
use crate::http::code::{Code, Refusal};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Write as _;
use core::ops::Range;

/// What becomes of the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// It stays; HTTP/1.1 takes that for granted.
    Keep,
    /// It stays, and an HTTP/1.0 client must be told.
    KeepSaid,
    /// It ends.
    Close,
}

impl Persist {
    const fn header(self) -> &'static [u8] {
        match self {
            Self::Keep => b"",
            Self::KeepSaid => b"Connection: keep-alive\r\n",
            Self::Close => b"Connection: close\r\n",
        }
    }
}

/// A reply that can be sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: Code,
    bytes: Vec<u8>,
    head_len: usize,
    /// What follows `bytes`, shared with whoever publishes it.
    tail: Option<(Rc<Content>, Range<usize>)>,
}

impl Reply {
    /// Makes a reply. `headers` are whole lines, each ended by CR LF.
    #[must_use]
    pub fn new(code: Code, content_type: &str, headers: &str, body: &[u8], now: &Moment) -> Self {
        let mut head = String::with_capacity(body.len().saturating_add(256));
        // Writing to a string does not fail.
        let _ = write!(head, "HTTP/1.1 {}\r\n", code.line());
        if !now.date.is_empty() {
            let _ = write!(head, "Date: {}\r\n", now.date);
        }
        let _ =
            write!(head, "Content-Type: {content_type}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        let head_len = head.len();
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self { code, bytes, head_len, tail: None }
    }

    /// Makes a reply whose body is a part of shared bytes: nothing is copied, and the bytes live until it is sent. With
    /// [`Code::NotModified`] there is no body and nothing is said of it (RFC 9110, 15.4.5).
    #[must_use]
    pub fn shared(
        code: Code,
        content_type: &str,
        headers: &str,
        body: (&Rc<Content>, Range<usize>),
        now: &Moment,
    ) -> Self {
        let mut head = String::with_capacity(384);
        // Writing to a string does not fail.
        let _ = write!(head, "HTTP/1.1 {}\r\n", code.line());
        if !now.date.is_empty() {
            let _ = write!(head, "Date: {}\r\n", now.date);
        }
        let (data, range) = body;
        let tail = (code != Code::NotModified).then(|| (Rc::clone(data), range.clone()));
        if tail.is_some() {
            let _ = write!(head, "Content-Type: {content_type}\r\nContent-Length: {}\r\n", range.len());
        }
        let _ = write!(head, "{headers}\r\n");
        Self { code, head_len: head.len(), bytes: head.into_bytes(), tail }
    }

    /// A short text that nobody should keep: it is about this moment.
    #[must_use]
    pub fn text(code: Code, body: &str, now: &Moment) -> Self {
        Self::new(code, "text/plain; charset=utf-8", "Cache-Control: no-store\r\n", body.as_bytes(), now)
    }

    /// The reply to a request that is refused: the code, and a sentence for a person.
    #[must_use]
    pub fn refusal(refusal: Refusal, now: &Moment) -> Self {
        let mut body = String::new();
        let _ = writeln!(body, "{}: {}", refusal.code.line(), refusal.why);
        let headers = match refusal.code {
            // RFC 9110, 15.5.6: must be there.
            Code::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        Self::new(refusal.code, "text/plain; charset=utf-8", headers, body.as_bytes(), now)
    }

    /// The status code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Head and body, as a client gets them that keeps the connection by HTTP/1.1's own rule.
    #[must_use]
    pub fn whole(&self) -> &[u8] {
        &self.bytes
    }

    /// The head, as the answer to HEAD.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.bytes.get(..self.head_len).unwrap_or_default()
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.head_len..).unwrap_or_default()
    }

    /// What of the body is shared, behind [`Reply::whole`].
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        self.tail.as_ref().and_then(|(data, range)| data.bytes().get(range.clone())).unwrap_or_default()
    }

    /// A copy that says what becomes of the connection.
    #[must_use]
    pub fn saying(&self, persist: Persist) -> Self {
        let line = persist.header();
        let end_of_lines = self.head_len.saturating_sub(2);
        let mut bytes = Vec::with_capacity(self.bytes.len().saturating_add(line.len()));
        bytes.extend_from_slice(self.bytes.get(..end_of_lines).unwrap_or_default());
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(self.bytes.get(end_of_lines..).unwrap_or_default());
        let head_len = self.head_len.saturating_add(line.len());
        Self { code: self.code, bytes, head_len, tail: self.tail.clone() }
    }
}

/// A resource that does not change: its reply is made once a second at most, for the date in it.
#[derive(Debug)]
pub struct Fixed {
    content_type: &'static str,
    headers: &'static str,
    body: &'static [u8],
    made: RefCell<Option<(u64, Rc<Reply>)>>,
}

impl Fixed {
    /// A resource. `headers` are whole lines, each ended by CR LF.
    #[must_use]
    pub const fn new(content_type: &'static str, headers: &'static str, body: &'static [u8]) -> Self {
        Self { content_type, headers, body, made: RefCell::new(None) }
    }

    /// The reply of this second. Connections that still send the last second's keep it until they are done.
    #[must_use]
    pub fn reply(&self, now: &Moment) -> Rc<Reply> {
        let mut made = self.made.borrow_mut();
        match &*made {
            Some((seconds, reply)) if *seconds == now.seconds => Rc::clone(reply),
            _ => {
                let reply = Rc::new(Reply::new(Code::Ok, self.content_type, self.headers, self.body, now));
                *made = Some((now.seconds, Rc::clone(&reply)));
                reply
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { seconds, date: crate::http::date::http_date(seconds) }
    }

    #[test]
    fn a_reply_is_head_and_body_and_says_how_long_it_is() {
        let reply = Reply::new(Code::Ok, "text/x", "X-A: b\r\n", b"body", &Moment::default());
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 4\r\nX-A: b\r\n\r\n";
        assert_eq!(reply.head(), head);
        assert_eq!(reply.whole(), [head.as_slice(), b"body"].concat());
        let closing = reply.saying(Persist::Close);
        assert!(closing.head().ends_with(b"X-A: b\r\nConnection: close\r\n\r\n"));
        assert_eq!(closing.body(), b"body");
        assert_eq!(reply.saying(Persist::Keep), reply);
    }

    #[test]
    fn a_fixed_reply_is_made_once_a_second() {
        let fixed = Fixed::new("text/plain", "", b"x");
        let first = fixed.reply(&at(7));
        assert!(Rc::ptr_eq(&first, &fixed.reply(&at(7))));
        let second = fixed.reply(&at(8));
        assert!(!Rc::ptr_eq(&first, &second));
        assert!(second.head().windows(37).any(|line| line == b"Date: Thu, 01 Jan 1970 00:00:08 GMT\r\n"));
    }
}
