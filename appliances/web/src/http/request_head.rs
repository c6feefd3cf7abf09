//! The bytes of a request's head to a [`Request`] and its [`Framing`], or to a [`Refusal`].
//!
//! httparse checks the grammar. This file interprets the lines by RFC 9112: where the body ends, and
//! whether the connection stays. A message whose end could be read in two ways is refused, never guessed: that is how
//! requests are smuggled past a proxy.

use crate::http::limits::{Limits, MAX_HEADERS};
use crate::http::reply::Persist;
use crate::http::status_code::{Code, Refusal};
use core::mem::MaybeUninit;
use httparse::{Error, Header, Status};

/// Room for parsed header lines: not initialised, because filling 2 KiB would cost more than parsing a usual request.
pub(crate) type Room<'b> = [MaybeUninit<Header<'b>>; MAX_HEADERS];

/// Room on the stack.
pub(crate) const fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// The methods of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Head and body.
    Get,
    /// The head only.
    Head,
    /// The methods of a resource.
    Options,
    /// A method of RFC 9110 or 5789 that no resource here has.
    NotAllowed,
    /// An unknown method.
    Unknown,
}

/// A request.
#[derive(Debug)]
pub struct Request<'b> {
    /// The method.
    pub method: Method,
    /// The path, from `/` on, as sent: percent signs and all.
    pub path: &'b [u8],
    /// The text after `?`.
    pub query: &'b [u8],
    headers: &'b [Header<'b>],
}

impl<'b> Request<'b> {
    /// The value of the first header line with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        self.headers(name).next()
    }

    /// The values of all header lines with this name, in any case. A list may stand on several lines (RFC 9110, 5.3).
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }

    /// Names and values of all header lines.
    pub fn lines(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// The elements of a comma-separated list, over all lines with this name.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.headers(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
    }
}

/// The framing of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// This number of bytes; usually 0.
    Length(u64),
    /// Chunks, until the last one.
    Chunked,
}

impl Body {
    /// That of nearly all requests.
    pub const NONE: Self = Self::Length(0);
}

/// How requests follow each other on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Bytes of the head.
    pub head_len: usize,
    /// The body.
    pub body: Body,
    /// The connection's state after the reply.
    pub persist: Persist,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Parses the received bytes; `None`: the head is not complete.
///
/// # Errors
/// The error in it. The connection cannot continue after that: the start of the next request is unknown.
pub(crate) fn parse<'b>(
    bytes: &'b [u8],
    room: &'b mut Room<'b>,
    limits: &Limits,
) -> Result<Option<(Request<'b>, Framing)>, Refusal> {
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(bytes, room).map_err(|error| syntax(error, bytes))?;
    let (Status::Complete(head_len), Some(method), Some(target), Some(minor)) =
        (status, parsed.method, parsed.path, parsed.version)
    else {
        return incomplete(bytes, limits);
    };
    let headers: &'b [Header<'b>] = parsed.headers;
    if !ends_in_crlf(bytes, head_len, target, headers) {
        return Err(Refusal::bad("a line of the head does not end in CR LF"));
    }
    if method.len().saturating_add(target.len()) > limits.line_bytes {
        return Err(LINE_TOO_LONG);
    }
    let (path, query) = split_target(target.as_bytes())?;
    let request = Request { method: Method::named(method), path, query, headers };
    let framing = framing(headers, head_len, minor)?;
    Ok(Some((request, framing)))
}

/// Whether each line of a parsed head ends in CR LF, which the library does not demand. A proxy that takes a bare LF
/// for a part of a value would see other headers.
fn ends_in_crlf(bytes: &[u8], head_len: usize, target: &str, headers: &[Header<'_>]) -> bool {
    const VERSION: usize = " HTTP/1.1".len();
    let start = bytes.as_ptr().addr();
    let end_of = |part: &[u8]| part.as_ptr().addr().wrapping_sub(start).wrapping_add(part.len());
    let cr_at = |at: usize| bytes.get(at) == Some(&b'\r');
    cr_at(end_of(target.as_bytes()).wrapping_add(VERSION))
        && cr_at(head_len.wrapping_sub(2))
        && headers.iter().all(|header| {
            let end = end_of(header.value);
            cr_at(end) || cr_at(end.wrapping_add(blanks(bytes, end)))
        })
}

/// The number of blanks and tabs from a place on.
#[cold]
fn blanks(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

const LINE_TOO_LONG: Refusal = Refusal::new(Code::UriTooLong, "the request line is too long");

fn incomplete<T>(bytes: &[u8], limits: &Limits) -> Result<Option<T>, Refusal> {
    if bytes.len() >= limits.line_bytes && !bytes.iter().take(limits.line_bytes).any(|byte| *byte == b'\n') {
        return Err(LINE_TOO_LONG);
    }
    if bytes.len() >= limits.head_bytes {
        return Err(Refusal::new(Code::HeaderFieldsTooLarge, "the head is too long"));
    }
    Ok(None)
}

fn syntax(error: Error, bytes: &[u8]) -> Refusal {
    match error {
        Error::TooManyHeaders => Refusal::new(Code::HeaderFieldsTooLarge, "there are too many header lines"),
        Error::Version if names_version(bytes) => {
            Refusal::new(Code::VersionNotSupported, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        }
        Error::Version => Refusal::bad("the request line does not end in a version"),
        Error::HeaderName => Refusal::bad("a header name is malformed"),
        Error::HeaderValue => Refusal::bad("a header value is malformed"),
        Error::NewLine => Refusal::bad("a line does not end as it should"),
        Error::Token | Error::Status => Refusal::bad("the request line is malformed"),
    }
}

/// Whether the first line ends in `HTTP/` and a digit: another version rather than nonsense.
fn names_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let word = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    word.strip_prefix(b"HTTP/").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

impl Method {
    fn named(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "POST" | "PUT" | "DELETE" | "PATCH" | "TRACE" | "CONNECT" => Self::NotAllowed,
            _ => Self::Unknown,
        }
    }
}

/// Path and query of a target: `/path?query`, or the same after `http://host`, or `*`, or `host:port`.
fn split_target(target: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let local = if target.first() == Some(&b'/') { target } else { local_part(target)? };
    let mark = local.iter().position(|byte| *byte == b'?');
    let (path, query) = mark.and_then(|at| local.split_at_checked(at)).unwrap_or((local, b""));
    let path = if path.is_empty() { b"/" } else { path };
    Ok((path, query.get(1..).unwrap_or_default()))
}

#[cold]
fn local_part(target: &[u8]) -> Result<&[u8], Refusal> {
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"http://"));
    match (scheme, target) {
        (Some(_), _) => {
            let rest = target.get(7..).unwrap_or_default();
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
            let (host, local) = rest.split_at_checked(end).unwrap_or((rest, b""));
            if host.is_empty() || !is_authority(host) {
                return Err(Refusal::bad("the URL has no host with an optional port"));
            }
            Ok(local)
        }
        // OPTIONS and CONNECT: the method alone decides the answer.
        (None, b"*") => Ok(target),
        (None, _) if !target.is_empty() && !target.contains(&b'/') => Ok(target),
        (None, _) => Err(Refusal::bad("the request target is neither a path nor an http URL")),
    }
}

/// The header lines about the message itself.
#[derive(Default)]
struct Lines {
    hosts: u32,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

fn framing(headers: &[Header<'_>], head_len: usize, minor: u8) -> Result<Framing, Refusal> {
    let mut lines = Lines::default();
    for header in headers {
        lines.read(header)?;
    }
    if lines.hosts > 1 || (minor > 0 && lines.hosts == 0) {
        return Err(Refusal::bad("there must be one Host header"));
    }
    if lines.chunked && (lines.length.is_some() || minor == 0) {
        return Err(Refusal::bad("Transfer-Encoding stands beside Content-Length, or in HTTP/1.0"));
    }
    let persist = match (minor, lines.close, lines.keep_alive) {
        (_, true, _) | (0, false, false) => Persist::Close,
        (0, false, true) => Persist::KeepSaid,
        _ => Persist::Keep,
    };
    let body = if lines.chunked { Body::Chunked } else { Body::Length(lines.length.unwrap_or(0)) };
    Ok(Framing { head_len, body, persist, expects_continue: lines.expects_continue && minor > 0 })
}

impl Lines {
    /// The length of a name decides which one it can be: most lines cost one comparison of numbers.
    fn read(&mut self, header: &Header<'_>) -> Result<(), Refusal> {
        // To letters and hyphens of a name the grammar leaves no byte that differs in this bit alone, but for case.
        let is = |name: &str| header.name.bytes().map(|byte| byte | 0x20).eq(name.bytes());
        match header.name.len() {
            4 if is("host") => {
                self.hosts = self.hosts.saturating_add(1);
                if !is_authority(header.value) {
                    return Err(Refusal::bad("the Host header is no host with an optional port"));
                }
            }
            6 if is("expect") => {
                if !header.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::new(Code::ExpectationFailed, "only 100-continue may be expected"));
                }
                self.expects_continue = true;
            }
            10 if is("connection") => {
                for option in header.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is("content-length") => {
                let length = decimal(header.value).filter(|_| self.length.is_none());
                self.length = Some(length.ok_or(Refusal::bad("Content-Length is not one number"))?);
            }
            17 if is("transfer-encoding") => {
                if self.chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::new(
                        Code::NotImplemented,
                        "only the transfer coding chunked is known",
                    ));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Digits and nothing else, at least one; `parse` would take a sign.
fn decimal(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add))?
}

/// The bytes of a host's name (RFC 3986, 3.2.2): letters, digits, and `!$%&'()*+,-.;=_~`. One look at a table is a
/// third of what a comparison of ranges costs.
static IN_HOST: [bool; 256] = {
    /// A bit for each byte up to 127.
    const LEGAL: u128 = 0x47ff_fffe_87ff_fffe_2bff_7ff2_0000_0000;
    let mut table = [false; 256];
    let (mut rest, mut bits) = (table.as_mut_slice(), LEGAL);
    while let Some((first, after)) = rest.split_first_mut() {
        *first = bits & 1 == 1;
        (rest, bits) = (after, bits >> 1);
    }
    table
};

/// Whether a byte may be in a host's name.
#[inline]
fn is_in_host(byte: u8) -> bool {
    IN_HOST.get(usize::from(byte)) == Some(&true)
}

/// Whether this is `host`, `host:port`, `[IPv6]` or `[IPv6]:port`, or empty (RFC 9110, 7.2; RFC 3986, 3.2.2). A name
/// with user information, blanks or another port is not.
fn is_authority(value: &[u8]) -> bool {
    let (host_ok, port) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b']');
            let Some((address, behind)) = end.and_then(|at| rest.split_at_checked(at)) else { return false };
            let is_address =
                str::from_utf8(address).is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok());
            (is_address, behind.get(1..).unwrap_or_default())
        }
        None => {
            let end = value.iter().position(|byte| !is_in_host(*byte)).unwrap_or(value.len());
            let port = value.get(end..).unwrap_or_default();
            (end > 0 || port.is_empty(), port)
        }
    };
    host_ok && is_port(port)
}

/// Whether this is empty, or a colon and a port, which may be empty too.
fn is_port(text: &[u8]) -> bool {
    let Some(digits) = text.strip_prefix(b":") else { return text.is_empty() };
    digits.is_empty() || decimal(digits).is_some_and(|port| port <= 65_535)
}

#[cfg(test)]
mod tests {
    use super::is_authority;

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        for good in ["", "a", "a.b-c:80", "10.0.2.15:8080", "a:", "[::1]", "[2001:db8::1]:443", "a%20b"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a@b", "u:p@a", "a:99999", "a:b", "a:80:80", "[::1", "[::g]", "[::1]x", ":80", "a/b",
            "a?", "\u{e9}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
