//! The site on port 80 if everything is to be read over TLS: each request is sent to the same place there.

use crate::http::server::Context;
use crate::http::{Code, Moment, Refusal, Reply, Request, Site};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;

/// Bytes of a host name at most (RFC 1035 §2.3.4).
const LONGEST_HOST: usize = 253;

/// Redirects with 308 to `https://` and the same host, path and query (RFC 9110 §15.4.9).
#[derive(Clone, Copy, Debug, Default)]
pub struct RedirectSite;

impl Site for RedirectSite {
    fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>> {
        Some(Rc::new(reply(request, context.now)))
    }
}

fn reply(request: &Request<'_>, now: &Moment) -> Reply {
    let Some(location) = location(request.header("host"), request.path, request.query) else {
        let why = "the site is read over https, and the request names no host for that";
        return Reply::refusal(Refusal::new(Code::BadRequest, why), now);
    };
    let headers = format!("Location: {location}\r\n");
    Reply::new(Code::PermanentRedirect, "text/plain; charset=utf-8", &headers, location.as_bytes(), now)
}

/// The URL over TLS; `None` without a host, or with one that could not stand in a URL.
fn location(host: Option<&[u8]>, path: &[u8], query: &[u8]) -> Option<String> {
    let host = core::str::from_utf8(host?.trim_ascii()).ok()?;
    // An IPv6 address stands in brackets and has colons itself; else a port follows the first colon.
    let (name, bare, colons) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, _) = rest.split_once(']')?;
            (host.get(..address.len().checked_add(2)?)?, address, true)
        }
        None => host.split(':').next().map(|name| (name, name, false))?,
    };
    let other = |byte: u8| matches!(byte, b'.' | b'-' | b'_') || colons && byte == b':';
    let printable = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
    let legal = bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || other(byte));
    if bare.is_empty() || bare.len() > LONGEST_HOST || !legal {
        return None;
    }
    if !path.starts_with(b"/") || !printable(path) || !printable(query) {
        return None;
    }
    let (path, query) = (core::str::from_utf8(path).ok()?, core::str::from_utf8(query).ok()?);
    let mark = if query.is_empty() { "" } else { "?" };
    Some(format!("https://{name}{path}{mark}{query}"))
}

#[cfg(test)]
mod tests {
    use super::location;

    #[test]
    fn the_same_place_over_tls() {
        let to = |host: &str, path: &str, query: &str| {
            location(Some(host.as_bytes()), path.as_bytes(), query.as_bytes())
        };
        assert_eq!(to("a.example", "/b/c", "d=e").unwrap(), "https://a.example/b/c?d=e");
        assert_eq!(to("a.example:80", "/", "").unwrap(), "https://a.example/");
        assert_eq!(to("[2001:db8::1]:8080", "/x", "").unwrap(), "https://[2001:db8::1]/x");
        assert_eq!(to("192.0.2.1", "//evil.example/", "").unwrap(), "https://192.0.2.1//evil.example/");
    }

    #[test]
    fn a_host_that_cannot_stand_in_a_url_is_refused() {
        for host in ["", ":80", "user@a", "a b", "a/b", "a\"b", "[::1", "[]", "ä.example"] {
            assert_eq!(location(Some(host.as_bytes()), b"/", b""), None, "{host}");
        }
        assert_eq!(location(None, b"/", b""), None);
        assert_eq!(location(Some(b"a"), b"*", b""), None);
        assert_eq!(location(Some(b"a"), b"/\xff", b""), None);
    }
}
