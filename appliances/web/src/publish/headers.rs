//! The header lines of a reply, each name once, and the rules of a pushed file `_headers`.
//!
//! ```text
//!   # the syntax of common static hosts
//!   /assets/*
//!     Cache-Control: public, max-age=86400
//!   /*
//!     X-Robots-Tag: noindex
//! ```
//!
//! A rule is a path, `*` for anything, and indented lines `Name: value`. All rules that match a path apply; what a rule sets
//! takes the place of the server's own header.

use super::pattern::Pattern;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Lines of all rules together at most, and bytes of one.
const MOST_LINES: usize = 256;
const LONGEST_LINE: usize = 2048;
/// Bytes of all headers together at most: all may apply to one path.
const MOST_BYTES: usize = 4096;
pub(super) const NO_MEMORY: &str = "no memory for the rules";
/// Headers that are the server's own: the message would mean something else.
const RESERVED: [&str; 8] = [
    "connection",
    "content-length",
    "content-encoding",
    "content-range",
    "content-type",
    "date",
    "transfer-encoding",
    "etag",
];

/// Bytes of a usual reply's lines.
const USUAL: usize = 384;

/// Header lines, each ended by CR LF.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers {
    lines: String,
    /// Bytes at the front that rules have set.
    ruled: usize,
}

impl Headers {
    /// No lines yet, and memory for the usual ones in one piece.
    pub(super) fn usual() -> Self {
        let mut lines = String::new();
        let _ = lines.try_reserve_exact(USUAL);
        Self { lines, ruled: 0 }
    }

    /// Sets a header of the server's own, each name once, unless a rule has set it.
    pub(super) fn set_default(&mut self, name: &str, value: &str) {
        if !self.is_ruled(name) {
            self.push(name, value);
        }
    }

    /// Sets a header by a rule, unless a rule has set it before.
    fn set_by_rule(&mut self, name: &str, value: &str) {
        if !self.is_ruled(name) {
            self.push(name, value);
            self.ruled = self.lines.len();
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.lines.push_str(part);
        }
    }

    fn is_ruled(&self, name: &str) -> bool {
        let named =
            |line: &str| line.split_once(':').is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.lines.get(..self.ruled).is_some_and(|ruled| ruled.lines().any(named))
    }

    pub(super) fn lines(&self) -> &str {
        &self.lines
    }
}

/// The rules of a file `_headers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HeaderRules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    lines: Vec<(String, String)>,
}

impl HeaderRules {
    /// Parses the file.
    ///
    /// # Errors
    /// The number of the first wrong line, and the cause.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut rules, mut set): (Vec<Rule>, usize) = (Vec::new(), 0);
        for (number, line) in (1..).zip(text.lines()) {
            let fault = |why: &str| Err(format!("_headers, line {number}: {why}"));
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if number > MOST_LINES || line.len() > LONGEST_LINE {
                return fault("too many lines, or too long a line");
            }
            if !line.starts_with([' ', '\t']) {
                let Some(pattern) = Pattern::parse(content) else {
                    return fault("a path begins with /, and has one * at most, at its end");
                };
                rules.try_reserve(1).map_err(|_| String::from(NO_MEMORY))?;
                rules.push(Rule { pattern, lines: Vec::new() });
                continue;
            }
            let (Some(rule), Some((name, value))) = (rules.last_mut(), content.split_once(':')) else {
                return fault("a header is Name: value, indented below a path");
            };
            let (name, value) = (name.trim(), value.trim());
            if !is_token(name) || value.chars().any(char::is_control) {
                return fault("the name or the value has characters that a header cannot have");
            }
            if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
                return fault("this header is the server's own");
            }
            set = set.saturating_add(content.len()).saturating_add(4);
            if set > MOST_BYTES {
                return fault("all headers together are longer than 4 KiB");
            }
            rule.lines.try_reserve(1).map_err(|_| String::from(NO_MEMORY))?;
            rule.lines.push((name.into(), value.into()));
        }
        Ok(Self(rules))
    }

    /// The headers of a path.
    pub(super) fn of(&self, path: &str) -> Headers {
        let mut headers = Headers::usual();
        for rule in self.0.iter().filter(|rule| rule.pattern.matches(path).is_some()) {
            rule.lines.iter().for_each(|(name, value)| headers.set_by_rule(name, value));
        }
        headers
    }
}

/// A header's name (RFC 9110, 5.6.2).
fn is_token(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::{HeaderRules, Headers};

    #[test]
    fn rules_of_all_matching_paths_apply() {
        let rules =
            HeaderRules::parse("# a\n/a/*\n  X-A: 1\n\tCache-Control: max-age=5\n\n/*\n  X-A: 2\n  X-B: 3\n")
                .unwrap();
        assert_eq!(rules.of("/a/b").lines(), "X-A: 1\r\nCache-Control: max-age=5\r\nX-B: 3\r\n");
        assert_eq!(rules.of("/b").lines(), "X-A: 2\r\nX-B: 3\r\n");
        let mut headers = rules.of("/a/b");
        headers.set_default("cache-control", "no-cache");
        headers.set_default("ETag", "x");
        assert!(!headers.lines().contains("no-cache") && headers.lines().ends_with("ETag: x\r\n"));
        assert_eq!(Headers::default().lines(), "");
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, line) in [
            ("  X: 1\n", 1),
            ("/*\n  X 1\n", 2),
            ("/*\n  X\u{1}: 1\n", 2),
            ("/*\n  X: a\u{1}b\n", 2),
            ("/*\n  content-LENGTH: 1\n", 2),
            ("a\n", 1),
            ("/a*b*\n", 1),
        ] {
            let error = HeaderRules::parse(text).unwrap_err();
            assert!(error.starts_with(&alloc::format!("_headers, line {line}: ")), "{text:?}: {error}");
        }
    }
}
