//! The rules of a pushed file `_redirects`, in the syntax of common static hosts.
//!
//! ```text
//!   # from      to               code, 301 without one
//!   /old        /new.html
//!   /blog/*     /posts/:splat    302
//!   /*          /index.html      200      an application of one page: the path stays, the file answers
//! ```
//!
//! The first rule that matches applies, to paths at which no file is published.

use super::headers::NO_MEMORY;
use super::pattern::Pattern;
use crate::http::Code;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const MOST_LINES: usize = 1024;
const LONGEST_LINE: usize = 2048;

/// The rules of a file `_redirects`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Redirects(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    from: Pattern,
    to: String,
    code: Code,
}

/// What a rule says of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The client is told another URL.
    To(String, Code),
    /// The file at another path answers, with this code.
    Serve(String, Code),
}

impl Redirects {
    /// Parses the file.
    ///
    /// # Errors
    /// The number of the first wrong line, and the cause.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let fault = |why: &str| format!("_redirects, line {number}: {why}");
            let content = line.split(" #").next().unwrap_or_default().trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if number > MOST_LINES || line.len() > LONGEST_LINE {
                return Err(fault("too many lines, or too long a line"));
            }
            let mut words = content.split_ascii_whitespace();
            let (Some(from), Some(to), code, None) = (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(fault("a rule is FROM TO, or FROM TO CODE"));
            };
            let from = Pattern::parse(from)
                .ok_or_else(|| fault("FROM begins with /, and has one * at most, at its end"))?;
            let code = match code {
                None | Some("301") => Code::MovedPermanently,
                Some("200") => Code::Ok,
                Some("302") => Code::Found,
                Some("303") => Code::SeeOther,
                Some("307") => Code::TemporaryRedirect,
                Some("308") => Code::PermanentRedirect,
                Some("404") => Code::NotFound,
                Some(_) => return Err(fault("CODE is 200, 301, 302, 303, 307, 308 or 404")),
            };
            let is_path = to.starts_with('/') && !to.starts_with("//");
            let is_url = to.starts_with("https://") || to.starts_with("http://");
            let is_served = matches!(code, Code::Ok | Code::NotFound);
            if !(is_path || is_url && !is_served) || !to.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(fault("TO is a path; or a URL, except with the codes 200 and 404"));
            }
            if to.matches(":splat").count() > 1 {
                return Err(fault("TO has one :splat at most"));
            }
            rules.try_reserve(1).map_err(|_| String::from(NO_MEMORY))?;
            rules.push(Rule { from, to: to.into(), code });
        }
        Ok(Self(rules))
    }

    /// What the first matching rule says.
    pub(super) fn of(&self, path: &str) -> Option<Redirect> {
        self.0.iter().find_map(|rule| {
            // Without its slashes, or `/:splat` would lead to another host: `//evil.example`.
            let splat = rule.from.matches(path)?.trim_start_matches('/');
            Some(match rule.code {
                Code::Ok | Code::NotFound => Redirect::Serve(rule.to.replace(":splat", splat), rule.code),
                code => Redirect::To(rule.to.replace(":splat", &encode(splat)), code),
            })
        })
    }
}

/// A path with percent signs in place of all bytes that a URL's path cannot have.
pub(super) fn encode(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Redirect, Redirects, encode};
    use crate::http::Code;

    #[test]
    fn the_first_matching_rule_applies() {
        let rules = Redirects::parse(
            "# x\n/old /new\n/blog/* /posts/:splat 302 # y\n/go https://a.example/:splat 308\n/* /index.html 200\n",
        );
        let rules = rules.unwrap();
        let to = |to: &str, code| Some(Redirect::To(to.into(), code));
        assert_eq!(rules.of("/old"), to("/new", Code::MovedPermanently));
        assert_eq!(rules.of("/blog/a b"), to("/posts/a%20b", Code::Found));
        assert_eq!(rules.of("/go"), to("https://a.example/", Code::PermanentRedirect));
        assert_eq!(rules.of("/x/y"), Some(Redirect::Serve("/index.html".into(), Code::Ok)));
        let all = Redirects::parse("/* /:splat 302").unwrap();
        assert_eq!(all.of("//evil.example/x"), to("/evil.example/x", Code::Found));
        assert_eq!(Redirects::default().of("/old"), None);
        assert_eq!(encode("/a\r\nb/\u{e9}?"), "/a%0D%0Ab/%C3%A9%3F");
    }

    #[test]
    fn wrong_rules_are_named() {
        for bad in [
            "/a",
            "/a /b 301 x",
            "/a /b 999",
            "a /b",
            "/a b",
            "/a //b",
            "/a https://x 200",
            "/a ftp://x",
            "/a/* /:splat/:splat",
        ] {
            let error = Redirects::parse(&alloc::format!("/ok /fine\n{bad}\n")).unwrap_err();
            assert!(error.starts_with("_redirects, line 2: "), "{bad}: {error}");
        }
    }
}
