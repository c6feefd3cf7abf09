//! Conditions and ranges of a request for a file (RFC 9110, 13 and 14).
//!
//! ```text
//!   If-Match, or else If-Unmodified-Since ── false ─► 412
//!   If-None-Match, or else If-Modified-Since ── unchanged ─► 304
//!   Range, if If-Range holds ─► 206 or 416; else 200
//! ```

use crate::http::Request;
use crate::http::date::parse_http_date;
use crate::http::request_head::Method;
use core::ops::Range;

/// The identity of the present version of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// The strong entity tag, in quotes.
    pub(super) etag: &'a str,
    /// Last-Modified, seconds since 1970; `None` if the time is unknown.
    pub(super) modified: Option<u64>,
    /// The length in bytes.
    pub(super) len: usize,
}

/// The reply to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Whole,
    Part(Range<usize>),
    NotModified,
    PreconditionFailed,
    NotSatisfiable,
}

/// Evaluates the conditions in the order of RFC 9110, 13.2.2.
pub(super) fn evaluate(request: &Request<'_>, file: Validators<'_>) -> Outcome {
    let has = |name| request.header(name).is_some();
    let date = |name| request.header(name).and_then(parse_http_date);
    if has("If-Match") {
        // The strong comparison: a weak tag never matches.
        if !request.list("If-Match").any(|tag| tag == b"*" || tag == file.etag.as_bytes()) {
            return Outcome::PreconditionFailed;
        }
    } else if let (Some(since), Some(modified)) = (date("If-Unmodified-Since"), file.modified)
        && modified > since
    {
        return Outcome::PreconditionFailed;
    }
    if has("If-None-Match") {
        let weak = |tag: &[u8]| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == file.etag.as_bytes();
        if request.list("If-None-Match").any(weak) {
            return Outcome::NotModified;
        }
    } else if let (Some(since), Some(modified)) = (date("If-Modified-Since"), file.modified)
        && modified <= since
    {
        return Outcome::NotModified;
    }
    // A range has a meaning for GET only.
    match request.header("Range").filter(|_| request.method == Method::Get && if_range(request, file)) {
        Some(value) => range(value, file.len),
        None => Outcome::Whole,
    }
}

/// Whether the range is of this version: by its strong tag, or by its exact date.
fn if_range(request: &Request<'_>, file: Validators<'_>) -> bool {
    request.header("If-Range").is_none_or(|value| {
        value == file.etag.as_bytes()
            || (!value.contains(&b'"') && file.modified.is_some() && parse_http_date(value) == file.modified)
    })
}

/// One range of bytes. Several ranges, or a malformed one, get the whole file (RFC 9110, 14.2).
fn range(value: &[u8], len: usize) -> Outcome {
    let text = core::str::from_utf8(value).unwrap_or_default();
    let parsed = text.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = parsed.and_then(|(_, set)| set.trim().trim_matches(',').trim().split_once('-'))
    else {
        return Outcome::Whole;
    };
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<usize>().ok()).flatten()
    };
    let part = match (first, number(first), last, number(last)) {
        ("", _, _, Some(suffix)) => len.saturating_sub(suffix)..len,
        (_, Some(first), "", _) => first..len,
        (_, Some(first), _, Some(last)) if first <= last => first..last.saturating_add(1).min(len),
        _ => return Outcome::Whole,
    };
    if part.is_empty() { Outcome::NotSatisfiable } else { Outcome::Part(part) }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, range};

    #[test]
    fn ranges_are_those_of_the_rfc() {
        for (value, part) in [
            ("bytes=0-99", 0..10),
            ("bytes=2-4", 2..5),
            ("bytes=7-", 7..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("Bytes=0-1", 0..2),
            ("bytes=0-1,", 0..2),
        ] {
            assert_eq!(range(value.as_bytes(), 10), Outcome::Part(part), "{value}");
        }
        for nothing in ["bytes=10-", "bytes=-0", "bytes=10-18446744073709551615"] {
            assert_eq!(range(nothing.as_bytes(), 10), Outcome::NotSatisfiable, "{nothing}");
        }
        for whole in [
            "bytes=",
            "bytes=-",
            "bytes=4-2",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "items=0-1",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(range(whole.as_bytes(), 10), Outcome::Whole, "{whole}");
        }
    }
}
