//! A published file as a reply: its headers, and the outcome of the request's conditions.

use super::conditions::{Outcome, Validators, evaluate};
use super::headers::Headers;
use super::media::media_type;
use super::store::File;
use crate::http::date::http_date;
use crate::http::{Code, Moment, Refusal, Reply, Request};
use alloc::format;

/// How a file answers a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served<'a> {
    /// The path, whose end gives the media type.
    pub(super) path: &'a str,
    pub(super) file: &'a File,
    /// `br` or `gzip`, if the file is a precompressed form of the path.
    pub(super) coding: Option<&'a str>,
    /// Whether the reply depends on `Accept-Encoding`.
    pub(super) varies: bool,
    /// The code of a complete reply: 200, or 404 for `404.html`.
    pub(super) code: Code,
}

/// The reply; its body shares the published bytes. `headers` has what `_headers` says of the path.
pub(super) fn make(served: Served<'_>, mut headers: Headers, request: &Request<'_>, now: &Moment) -> Reply {
    let Served { path, file, coding, varies, code } = served;
    let kind = media_type(path);
    let modified = (file.modified > 0).then_some(file.modified);
    headers.set_default("ETag", &file.etag);
    if let Some(seconds) = modified {
        headers.set_default("Last-Modified", &http_date(seconds));
    }
    headers.set_default("Accept-Ranges", "bytes");
    headers.set_default("Cache-Control", if code == Code::Ok { cache_rule(path) } else { "no-cache" });
    headers.set_default("X-Content-Type-Options", "nosniff");
    headers.set_default("X-Frame-Options", "SAMEORIGIN");
    headers.set_default("Referrer-Policy", "strict-origin-when-cross-origin");
    if varies {
        headers.set_default("Vary", "Accept-Encoding");
    }
    if let Some(coding) = coding {
        headers.set_default("Content-Encoding", coding);
    }
    let len = file.range.len();
    let outcome = if code == Code::Ok {
        evaluate(request, Validators { etag: &file.etag, modified, len })
    } else {
        Outcome::Whole
    };
    let whole = (&file.data, file.range.clone());
    match outcome {
        Outcome::Whole => Reply::shared(code, kind, headers.lines(), whole, now),
        Outcome::NotModified => Reply::bare(Code::NotModified, headers.lines(), now),
        Outcome::PreconditionFailed => {
            Reply::refusal(Refusal::new(Code::PreconditionFailed, "the resource has changed"), now)
        }
        Outcome::Part(part) => {
            let last = part.end.saturating_sub(1);
            headers.set_default("Content-Range", &format!("bytes {}-{last}/{len}", part.start));
            let start = file.range.start;
            let part = start.saturating_add(part.start)..start.saturating_add(part.end);
            Reply::shared(Code::PartialContent, kind, headers.lines(), (&file.data, part), now)
        }
        Outcome::NotSatisfiable => {
            let mut headers = Headers::default();
            headers.set_default("Content-Range", &format!("bytes */{len}"));
            let kind = "text/plain; charset=utf-8";
            Reply::new(Code::RangeNotSatisfiable, kind, headers.lines(), b"no such range\n", now)
        }
    }
}

/// Names with a hash of their content may be cached for good; everything else is revalidated.
fn cache_rule(path: &str) -> &'static str {
    if has_hash(path) { "public, max-age=31536000, immutable" } else { "no-cache" }
}

/// Whether the file's name has a hash before its ending, as bundlers write it: `app-BfK3s9xQ.js`,
/// `main.3f2a91c0.css`. A hash is 8 to 64 letters and digits with at least two of each, so that words and dates are
/// none.
fn has_hash(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, _)) = file.split_once('.').and_then(|_| file.rsplit_once('.')) else { return false };
    let Some(last) = stem.rsplit(['.', '-', '_']).next().filter(|last| last.len() < stem.len()) else {
        return false;
    };
    let digits = last.bytes().filter(u8::is_ascii_digit).count();
    let letters = last.bytes().filter(u8::is_ascii_alphabetic).count();
    (8..=64).contains(&last.len())
        && digits >= 2
        && letters >= 2
        && digits.saturating_add(letters) == last.len()
}

#[cfg(test)]
mod tests {
    use super::has_hash;

    #[test]
    fn hashed_names_are_those_of_bundlers() {
        for hashed in [
            "/a/app-BfK3s9xQ.js",
            "/main.3f2a91c0.css",
            "/x_0123456789abcdef.woff2",
            "/index-C8h2k4Lm.js.map",
        ] {
            assert_eq!(has_hash(hashed), !hashed.ends_with(".map"), "{hashed}");
        }
        for plain in [
            "/index.html",
            "/3f2a91c0.css",
            "/release-20240101.txt",
            "/my-component.js",
            "/jquery-3.7.1.min.js",
            "/a",
        ] {
            assert!(!has_hash(plain), "{plain}");
        }
    }
}
