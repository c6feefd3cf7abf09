//! The bytes of a reply.
//!
//! ```text
//!   HTTP/1.1 200 OK\r\n
//!   Date: …\r\n                                 while the clock is known
//!   Content-Type: …\r\nContent-Length: …\r\n    unless the code has no body
//!   …: …\r\n                                    further headers
//!   (Connection: …\r\n)                         only where HTTP/1.1 does not imply it; added when the reply is sent
//!   \r\n
//!   body                                        behind the head in one piece, or shared bytes
//! ```

use crate::content::Content;
use crate::http::clock::Moment;
use crate::http::status_code::{Code, Refusal};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::{self, Write as _};
use core::ops::Range;
use core::task::{Context, Poll};
use kernel::net::Bytes;

/// The connection's state after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// It stays open, as HTTP/1.1 implies.
    Keep,
    /// It stays open, and an HTTP/1.0 client must be notified.
    KeepSaid,
    /// It ends.
    Close,
}

impl Persist {
    /// The end of a head that says it.
    pub(crate) const fn header(self) -> &'static [u8] {
        match self {
            Self::Keep => b"",
            Self::KeepSaid => b"Connection: keep-alive\r\n\r\n",
            Self::Close => b"Connection: close\r\n\r\n",
        }
    }
}

/// Where the body is.
#[derive(Clone, Debug)]
enum Body {
    /// In the bytes of the head, after it.
    Inline,
    /// In content.
    Shared(Rc<Content>, Range<usize>),
    /// In another reply, which is made later.
    Later(Rc<dyn Deferred>),
}

/// A reply that cannot be made at once. It begins when it is first polled, and is given up when it is dropped.
pub trait Deferred: fmt::Debug {
    /// Seconds after which it is made in any case.
    fn seconds(&self) -> u64;

    /// Whether it need not be waited for any longer.
    fn poll_ready(&self, cx: &Context<'_>) -> Poll<()>;

    /// The reply, as far as it has come.
    fn reply(&self, now: &Moment) -> Rc<Reply>;
}

/// A reply that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Reply {
    code: Code,
    bytes: Bytes,
    head_len: usize,
    /// Bytes of the body behind the head.
    inline_len: usize,
    body: Body,
}

/// The last line of each head.
const END: &[u8] = b"\r\n";

/// The reply for which there is no memory.
const NO_MEMORY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n";

impl Reply {
    /// A reply with a short body, which is copied after the head. `headers` are whole lines, each ended by CR LF.
    #[must_use]
    pub fn new(code: Code, content_type: &str, headers: &str, body: &[u8], now: &Moment) -> Self {
        let head = head(code, Some((content_type, body.len())), headers, body, now);
        Self::made(code, head, Body::Inline)
    }

    /// A reply whose body is a range of shared bytes. The bytes live until the client has them.
    #[must_use]
    pub fn shared(
        code: Code,
        content_type: &str,
        headers: &str,
        body: (&Rc<Content>, Range<usize>),
        now: &Moment,
    ) -> Self {
        let (content, range) = body;
        let head = head(code, Some((content_type, range.len())), headers, &[], now);
        Self::made(code, head, Body::Shared(Rc::clone(content), range))
    }

    /// A reply without a body and without a word about it, as the codes 204 and 304 demand (RFC 9110, 15.3.5 and
    /// 15.4.5).
    #[must_use]
    pub fn bare(code: Code, headers: &str, now: &Moment) -> Self {
        Self::made(code, head(code, None, headers, &[], now), Body::Inline)
    }

    /// A short text about this moment, not to be cached.
    #[must_use]
    pub fn text(code: Code, body: &str, now: &Moment) -> Self {
        Self::new(code, TEXT, "Cache-Control: no-store\r\n", body.as_bytes(), now)
    }

    /// The reply to a refused request: the code, and a sentence for a person.
    #[must_use]
    pub fn refusal(refusal: Refusal, now: &Moment) -> Self {
        let mut body = String::new();
        let _ = writeln!(body, "{}: {}", refusal.code.line(), refusal.why);
        let headers = match refusal.code {
            // RFC 9110, 15.5.6: required.
            Code::MethodNotAllowed => ALLOW,
            Code::ServiceUnavailable => "Retry-After: 1\r\n",
            _ => "",
        };
        Self::new(refusal.code, TEXT, headers, body.as_bytes(), now)
    }

    /// A reply that is made later.
    #[must_use]
    pub fn later(deferred: Rc<dyn Deferred>) -> Self {
        Self { body: Body::Later(deferred), ..Self::no_memory() }
    }

    /// What this reply waits for, if it is made later.
    #[must_use]
    pub const fn deferred(&self) -> Option<&Rc<dyn Deferred>> {
        match &self.body {
            Body::Later(deferred) => Some(deferred),
            _ => None,
        }
    }

    /// 503, without an allocation.
    #[must_use]
    pub const fn no_memory() -> Self {
        let bytes = Bytes::from_static(NO_MEMORY);
        let (code, head_len) = (Code::ServiceUnavailable, NO_MEMORY.len());
        Self { code, bytes, head_len, inline_len: 0, body: Body::Inline }
    }

    fn made(code: Code, head: Option<(Vec<u8>, usize)>, body: Body) -> Self {
        match head {
            Some((bytes, head_len)) => {
                let inline_len = bytes.len().saturating_sub(head_len);
                Self { code, bytes: bytes.into(), head_len, inline_len, body }
            }
            None => Self::no_memory(),
        }
    }

    /// The status code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Head and body of a reply to which nothing has to be added, if they are one piece.
    #[must_use]
    pub fn whole(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> Bytes {
        self.bytes.slice(..self.head_len.min(self.bytes.len()))
    }

    /// Takes what goes out first: the head, with `lines` and what `persist` says, and the part of the body that is adjacent
    /// to it. Without memory for further lines the reply becomes [`Reply::no_memory`].
    pub(crate) fn take_first(&mut self, lines: &[u8], persist: Persist, head_only: bool) -> Bytes {
        let end = if head_only { self.head_len } else { self.bytes.len() };
        if lines.is_empty() && persist == Persist::Keep {
            let mut bytes = core::mem::take(&mut self.bytes);
            bytes.truncate(end);
            return bytes;
        }
        let open = self.bytes.get(..self.head_len.saturating_sub(END.len())).unwrap_or_default();
        let said = if persist == Persist::Keep { END } else { persist.header() };
        let inline = self.bytes.get(self.head_len..end).unwrap_or_default();
        match joined([open, lines, said, inline]) {
            Some(bytes) => bytes.into(),
            None => {
                *self = Self::no_memory();
                core::mem::take(&mut self.bytes)
            }
        }
    }

    /// The length of the body.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.inline_len.saturating_add(self.tail_len())
    }

    /// The part of the body that is not adjacent to the head, from an offset on, up to where its memory ends.
    #[must_use]
    pub fn tail(&self, from: usize) -> Bytes {
        match &self.body {
            Body::Inline | Body::Later(_) => Bytes::new(),
            Body::Shared(content, range) => content.slice(range.start.saturating_add(from)..range.end),
        }
    }

    /// The length of the part of the body that is not adjacent to the head.
    #[must_use]
    pub fn tail_len(&self) -> usize {
        match &self.body {
            Body::Inline | Body::Later(_) => 0,
            Body::Shared(_, range) => range.len(),
        }
    }
}

/// Parts in one piece; `None` if there is no memory.
fn joined(parts: [&[u8]; 4]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(parts.iter().fold(0, |sum, part| part.len().saturating_add(sum))).ok()?;
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Some(bytes)
}

const TEXT: &str = "text/plain; charset=utf-8";
/// The methods that every resource has.
pub(crate) const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";

/// The head, the body behind it, and the length of the head; `None` if there is no memory.
fn head(
    code: Code,
    content: Option<(&str, usize)>,
    headers: &str,
    body: &[u8],
    now: &Moment,
) -> Option<(Vec<u8>, usize)> {
    let content_type = content.map_or("", |(content_type, _)| content_type);
    let parts = [FIXED, content_type.len(), headers.len(), body.len()];
    let mut head = String::new();
    head.try_reserve_exact(parts.into_iter().fold(0, usize::saturating_add)).ok()?;
    // The parts do not outgrow the memory that was reserved.
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| head.push_str(part));
    push(&["HTTP/1.1 ", code.line(), "\r\n"]);
    if !now.date.is_empty() {
        push(&["Date: ", &now.date, "\r\n"]);
    }
    if let Some((content_type, len)) = content {
        let mut digits = itoa::Buffer::new();
        push(&["Content-Type: ", content_type, "\r\nContent-Length: ", digits.format(len), "\r\n"]);
    }
    push(&[headers, "\r\n"]);
    let mut bytes = head.into_bytes();
    let head_len = bytes.len();
    bytes.extend_from_slice(body);
    Some((bytes, head_len))
}

/// The longest status line, date, and names and length of the content: less than this.
const FIXED: usize = 192;

/// A resource that never changes: its reply is made once a second.
#[derive(Debug)]
pub struct Fixed {
    content_type: &'static str,
    headers: &'static str,
    body: &'static [u8],
    made: RefCell<Option<(u64, Rc<Reply>)>>,
}

impl Fixed {
    /// A resource.
    #[must_use]
    pub const fn new(content_type: &'static str, headers: &'static str, body: &'static [u8]) -> Self {
        Self { content_type, headers, body, made: RefCell::new(None) }
    }

    /// The reply for this second.
    #[must_use]
    pub fn reply(&self, now: &Moment) -> Rc<Reply> {
        let mut made = self.made.borrow_mut();
        match &*made {
            Some((second, reply)) if *second == now.seconds => Rc::clone(reply),
            _ => {
                let reply = Reply::new(Code::Ok, self.content_type, self.headers, self.body, now);
                let reply = Rc::new(reply);
                *made = Some((now.seconds, Rc::clone(&reply)));
                reply
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    fn at(seconds: u64) -> Moment {
        Moment { seconds, date: crate::http::date::http_date(seconds) }
    }

    #[test]
    fn a_reply_is_head_and_body_and_names_its_length() {
        let reply = Reply::new(Code::Ok, "text/x", "X-A: b\r\n", b"body", &Moment::default());
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 4\r\nX-A: b\r\n\r\n";
        assert_eq!(reply.head(), head.as_slice());
        assert_eq!(reply.whole(), [head.as_slice(), b"body"].concat());
        assert_eq!((reply.body_len(), reply.tail_len()), (4, 0));
        let mut body = Content::new(&Rc::new(Memory::limited(100)));
        body.reserve(10).unwrap();
        body.extend(b"a body");
        let shared =
            Reply::shared(Code::Ok, "text/x", "X-A: b\r\n", (&body.sealed(), 2..6), &Moment::default());
        assert_eq!((shared.whole(), shared.tail_len()), (head.as_slice().into(), 4));
        assert_eq!(shared.tail(1), b"ody".as_slice());
        let bare = Reply::bare(Code::NoContent, "", &Moment::default());
        assert_eq!(bare.whole(), b"HTTP/1.1 204 No Content\r\n\r\n".as_slice());
    }

    #[test]
    fn what_goes_out_first_is_in_one_piece_that_nobody_else_holds() {
        let open = "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 4\r\n";
        for (lines, persist, head_only, rest) in [
            ("", Persist::Keep, false, "\r\nbody"),
            ("", Persist::Keep, true, "\r\n"),
            ("X: y\r\n", Persist::Keep, false, "X: y\r\n\r\nbody"),
            ("", Persist::Close, false, "Connection: close\r\n\r\nbody"),
            ("X: y\r\n", Persist::KeepSaid, true, "X: y\r\nConnection: keep-alive\r\n\r\n"),
        ] {
            let mut reply = Reply::new(Code::Ok, "text/x", "", b"body", &Moment::default());
            let first = reply.take_first(lines.as_bytes(), persist, head_only);
            assert_eq!(first, [open, rest].concat());
            assert!(first.is_unique());
            assert_eq!(reply.body_len(), 4);
        }
    }

    #[test]
    fn a_head_does_not_outgrow_its_memory() {
        let (text, len) =
            head(Code::HeaderFieldsTooLarge, Some(("", usize::MAX)), "", &[], &at(u64::MAX)).unwrap();
        assert!(len == text.len() && len <= FIXED, "{len}");
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
