//! The bytes of a reply.
//!
//! ```text
//!   HTTP/1.1 200 OK\r\n
//!   Date: …\r\n                                 while the clock is known
//!   Content-Type: …\r\nContent-Length: …\r\n    unless the code has no body
//!   …: …\r\n                                    further headers
//!   (Connection: …\r\n)                         only where HTTP/1.1 does not imply it; added when the reply is sent
//!   body                                        after the head in one piece, or separate bytes, or shared ones
//!   body                                        behind the head in one piece, or bytes of its own, or shared ones
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
    pub(crate) const fn header(self) -> &'static [u8] {
        match self {
            Self::Keep => b"",
            Self::KeepSaid => b"Connection: keep-alive\r\n",
            Self::Close => b"Connection: close\r\n",
        }
    }
}

/// Where the body is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    /// In the bytes of the head, after it.
    Inline,
    /// In bytes of its own.
    Own(Vec<u8>),
    /// In published content.
    Shared(Rc<Content>, Range<usize>),
}

/// A reply that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: Code,
    bytes: Vec<u8>,
    head_len: usize,
    body: Body,
}

/// The last line of each head.
const END: &[u8] = b"\r\n";

impl Reply {
    /// A reply with a short body, which is copied after the head. `headers` are whole lines, each ended by CR LF.
    #[must_use]
    pub fn new(code: Code, content_type: &str, headers: &str, body: &[u8], now: &Moment) -> Self {
        let mut bytes = head(code, Some((content_type, body.len())), headers, now);
        let head_len = bytes.len();
        bytes.extend_from_slice(body);
        Self { code, bytes, head_len, body: Body::Inline }
    }

    /// A reply that owns its body.
    #[must_use]
    pub fn owning(code: Code, content_type: &str, headers: &str, body: String, now: &Moment) -> Self {
        let bytes = head(code, Some((content_type, body.len())), headers, now);
        Self { code, head_len: bytes.len(), bytes, body: Body::Own(body.into_bytes()) }
    }

    /// A reply whose body is a range of published bytes. The bytes live until the reply is sent.
    #[must_use]
    pub fn shared(
        code: Code,
        content_type: &str,
        headers: &str,
        body: (&Rc<Content>, Range<usize>),
        now: &Moment,
    ) -> Self {
        let (content, range) = body;
        let bytes = head(code, Some((content_type, range.len())), headers, now);
        Self { code, head_len: bytes.len(), bytes, body: Body::Shared(Rc::clone(content), range) }
    }

    /// A reply without a body and without a word about it, as the codes 204 and 304 demand (RFC 9110, 15.3.5 and
    /// 15.4.5).
    #[must_use]
    pub fn bare(code: Code, headers: &str, now: &Moment) -> Self {
        let bytes = head(code, None, headers, now);
        Self { code, head_len: bytes.len(), bytes, body: Body::Inline }
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
            _ => "",
        };
        Self::new(refusal.code, TEXT, headers, body.as_bytes(), now)
    }

    /// The status code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Head and body of a reply to which nothing has to be added, if they are one piece.
    #[must_use]
    pub fn whole(&self) -> &[u8] {
        &self.bytes
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.bytes.get(..self.head_len).unwrap_or_default()
    }

    /// The head without its last line, for more headers after it.
    pub(crate) fn open_head(&self) -> &[u8] {
        self.bytes.get(..self.head_len.saturating_sub(END.len())).unwrap_or_default()
    }

    /// The part of the body that is adjacent to the head.
    #[must_use]
    pub fn inline(&self) -> &[u8] {
        self.bytes.get(self.head_len..).unwrap_or_default()
    }

    /// The part of the body that is not adjacent to the head, from an offset on, up to where its memory ends.
    #[must_use]
    pub fn tail(&self, from: usize) -> &[u8] {
        match &self.body {
            Body::Inline => &[],
            Body::Own(bytes) => bytes.get(from..).unwrap_or_default(),
            Body::Shared(content, range) => content.run(range.start.saturating_add(from)..range.end),
        }
    }

    /// The length of the part of the body that is not adjacent to the head.
    #[must_use]
    pub fn tail_len(&self) -> usize {
        match &self.body {
            Body::Inline => 0,
            Body::Own(bytes) => bytes.len(),
            Body::Shared(_, range) => range.len(),
        }
    }

    /// The memory that this reply alone takes.
    pub(crate) fn own_bytes(&self) -> usize {
        let body = if let Body::Own(bytes) = &self.body { bytes.capacity() } else { 0 };
        self.bytes.capacity().saturating_add(body)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
/// The methods that every resource has.
pub(crate) const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";

fn head(code: Code, body: Option<(&str, usize)>, headers: &str, now: &Moment) -> Vec<u8> {
    let mut head = String::with_capacity(256_usize.saturating_add(headers.len()));
    // Writing to a string does not fail.
    let _ = write!(head, "HTTP/1.1 {}\r\n", code.line());
    if !now.date.is_empty() {
        let _ = write!(head, "Date: {}\r\n", now.date);
    }
    if let Some((content_type, len)) = body {
        let _ = write!(head, "Content-Type: {content_type}\r\nContent-Length: {len}\r\n");
    }
    let _ = write!(head, "{headers}\r\n");
    head.into_bytes()
}

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

    fn at(seconds: u64) -> Moment {
        Moment { seconds, date: crate::http::date::http_date(seconds) }
    }

    #[test]
    fn a_reply_is_head_and_body_and_names_its_length() {
        let reply = Reply::new(Code::Ok, "text/x", "X-A: b\r\n", b"body", &Moment::default());
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 4\r\nX-A: b\r\n\r\n";
        assert_eq!(reply.head(), head);
        assert_eq!(reply.whole(), [head.as_slice(), b"body"].concat());
        assert_eq!((reply.inline(), reply.tail_len()), (b"body".as_slice(), 0));
        assert!(reply.open_head().ends_with(b"X-A: b\r\n"));
        let owning = Reply::owning(Code::Ok, "text/x", "X-A: b\r\n", "body".into(), &Moment::default());
        assert_eq!(
            (owning.whole(), owning.tail(1), owning.tail_len()),
            (head.as_slice(), b"ody".as_slice(), 4)
        );
        let bare = Reply::bare(Code::NoContent, "", &Moment::default());
        assert_eq!(bare.whole(), b"HTTP/1.1 204 No Content\r\n\r\n");
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
