//! Paths of `_headers` and `_redirects`: a path, or its beginning and `*`.

use alloc::string::String;

/// A path, or all that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    start: String,
    is_prefix: bool,
}

impl Pattern {
    /// Parses `/path` or `/start*`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (start, is_prefix) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        let is_path = start.starts_with('/') && !start.contains(['*', '?', '#']);
        is_path.then(|| Self { start: start.into(), is_prefix })
    }

    /// What `*` stands for, if the path matches; without `*` it is empty.
    pub(super) fn matches<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(self.start.as_str()) {
            Some(rest) if self.is_prefix || rest.is_empty() => Some(rest),
            // `/docs/*` is about `/docs` too.
            None if self.is_prefix && self.start.strip_suffix('/') == Some(path) => Some(""),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_match_a_path_or_its_beginning() {
        let matches = |pattern: &str, path| Pattern::parse(pattern).unwrap().matches(path);
        assert_eq!(matches("/a", "/a"), Some(""));
        assert_eq!(matches("/a", "/ab"), None);
        assert_eq!(matches("/a/*", "/a/b/c"), Some("b/c"));
        assert_eq!((matches("/a/*", "/a"), matches("/a/*", "/ab")), (Some(""), None));
        assert_eq!(matches("/*", "/"), Some(""));
        assert!(["", "a", "/a*b", "/*/*", "/a?b"].iter().all(|bad| Pattern::parse(bad).is_none()));
    }
}
