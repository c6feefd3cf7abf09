//! Names and paths: `/a/b`, never `..`.

use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of a path at most: with its escapes it stays below what clients and proxies take.
pub(super) const LONGEST: usize = 1024;

/// The path under which a pushed name is published; `None` if it cannot be one. An empty name is `/`, for trees.
pub(super) fn from_push(name: &str) -> Option<String> {
    if name.len() >= LONGEST {
        return None;
    }
    let mut path = String::new();
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." || part.chars().any(|c| c.is_control() || c == '\\') {
            return None;
        }
        path.push('/');
        path.push_str(part);
    }
    Some(path)
}

/// The path of a request, percent-decoded; `None` if it cannot be a published one.
pub(super) fn from_request(path: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(path.len()).ok()?;
    let mut rest = path.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(*rest.next()?)?.checked_mul(16)?.checked_add(hex(*rest.next()?)?)?,
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(digit.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(digit.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{from_push, from_request};

    #[test]
    fn names_stay_below_the_root() {
        assert_eq!(from_push("a//b/./c.html").as_deref(), Some("/a/b/c.html"));
        assert_eq!(from_push("").as_deref(), Some(""));
        for bad in ["../a", "a/..", "a\\b", "a\0", "a\nb", &"a".repeat(1024)] {
            assert_eq!(from_push(bad), None, "{bad:?}");
        }
        assert_eq!(from_request(b"/a%20b/%C3%A9").as_deref(), Some("/a b/\u{e9}"));
        assert_eq!(from_request(b"/docs/").as_deref(), Some("/docs/"));
        assert!(
            from_request(b"/%zz").is_none()
                && from_request(b"/%f").is_none()
                && from_request(b"/%ff").is_none()
        );
    }
}
