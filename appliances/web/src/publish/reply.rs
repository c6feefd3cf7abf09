//! A published file as a reply: type, entity tag, ranges (RFC 9110, 13 and 14).

use super::store::File;
use crate::http::{Code, Moment, Reply, Request};
use alloc::format;
use core::ops::Range;

/// The reply to a request for this file; its bytes are shared, not copied.
pub(super) fn make(path: &str, file: &File, request: &Request<'_>, now: &Moment) -> Reply {
    let len = file.range.len();
    let kind = content_type(path);
    let common = format!(
        "ETag: {}\r\nAccept-Ranges: bytes\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n",
        file.etag
    );
    if request.header("If-None-Match").is_some_and(|list| names(list, &file.etag)) {
        return Reply::shared(Code::NotModified, kind, &common, (&file.data, file.range.clone()), now);
    }
    let asked = request.header("Range").filter(|_| {
        // Only a range of the very revision that the client knows.
        request.header("If-Range").is_none_or(|tag| tag == file.etag.as_bytes())
    });
    match asked.map_or(Asked::Whole, |value| range(value, len)) {
        Asked::Whole => Reply::shared(Code::Ok, kind, &common, (&file.data, file.range.clone()), now),
        Asked::Part(part) => {
            let last = part.end.saturating_sub(1);
            let headers = format!("{common}Content-Range: bytes {}-{last}/{len}\r\n", part.start);
            let start = file.range.start;
            let part = start.saturating_add(part.start)..start.saturating_add(part.end);
            Reply::shared(Code::PartialContent, kind, &headers, (&file.data, part), now)
        }
        Asked::Nothing => {
            let headers = format!("{common}Content-Range: bytes */{len}\r\n");
            Reply::new(
                Code::RangeNotSatisfiable,
                "text/plain; charset=utf-8",
                &headers,
                b"no such range\n",
                now,
            )
        }
    }
}

/// Whether a list of entity tags has this one; weak tags compare as strong ones (RFC 9110, 13.1.2).
fn names(list: &[u8], etag: &str) -> bool {
    let tags = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag)).any(|tag| tag == b"*" || tag == etag.as_bytes())
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<usize>),
    Nothing,
}

/// One range of bytes. Several, or what is none, are answered with the whole (RFC 9110, 14.2).
fn range(value: &[u8], len: usize) -> Asked {
    let parsed = core::str::from_utf8(value).ok().and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = parsed.and_then(|text| text.trim().split_once('-')) else {
        return Asked::Whole;
    };
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<usize>().ok()).flatten()
    };
    let part = match (first, number(first), last, number(last)) {
        ("", _, _, Some(suffix)) => len.saturating_sub(suffix)..len,
        (_, Some(first), "", _) => first..len,
        (_, Some(first), _, Some(last)) if first <= last => first..last.saturating_add(1).min(len),
        _ => return Asked::Whole,
    };
    if part.is_empty() { Asked::Nothing } else { Asked::Part(part) }
}

/// What the end of a name says.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "log" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "mp4" => "video/mp4",
        "tar" => "application/x-tar",
        "gz" => "application/gzip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, content_type, names, range};

    #[test]
    fn ranges_are_those_of_the_rfc() {
        assert_eq!(range(b"bytes=0-99", 10), Asked::Part(0..10));
        assert_eq!(range(b"bytes=2-4", 10), Asked::Part(2..5));
        assert_eq!(range(b"bytes=7-", 10), Asked::Part(7..10));
        assert_eq!(range(b"bytes=-3", 10), Asked::Part(7..10));
        assert_eq!(range(b"bytes=-99", 10), Asked::Part(0..10));
        for nothing in ["bytes=10-", "bytes=-0", "bytes=10-18446744073709551615"] {
            assert_eq!(range(nothing.as_bytes(), 10), Asked::Nothing, "{nothing}");
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
            assert_eq!(range(whole.as_bytes(), 10), Asked::Whole, "{whole}");
        }
    }

    #[test]
    fn tags_are_found_in_lists() {
        assert!(names(b"\"a\", W/\"b\"", "\"b\"") && names(b"*", "\"b\"") && !names(b"\"ab\"", "\"b\""));
        assert_eq!(content_type("/a/b.html"), "text/html; charset=utf-8");
        assert_eq!(content_type("/a.b/c"), "application/octet-stream");
    }
}
