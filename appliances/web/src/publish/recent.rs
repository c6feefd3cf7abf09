//! Replies of the current second, by what they depend on: most requests of a busy site are for a few files.
//!
//! ```text
//!   request ─► Key (path, Accept-Encoding, Host) ─► the same key in this second ─► the same reply
//!                                                └► otherwise the reply is made, and kept in place of the oldest
//! ```
//!
//! A request with a condition or a range has no key. Whoever changes the published content forgets all replies.

use crate::http::{Reply, Request};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Replies that are kept at most, and bytes of a head and of a key at most: together 16 KiB, of what the guest itself uses.
const MOST: usize = 16;
const LONGEST_HEAD: usize = 768;
const LONGEST_KEY: usize = 256;

/// All of a request that decides the reply with code 200 of a published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    path: &'a [u8],
    accept_encoding: Option<&'a [u8]>,
    /// The name of the host, where it chooses the site.
    host: Option<&'a [u8]>,
}

impl<'a> Key<'a> {
    /// The key of a request; `None` if its reply may depend on something else. With `hosts`, the host chooses the site.
    pub(super) fn of(request: &Request<'a>, hosts: bool) -> Option<Self> {
        let mut key = Self { path: request.path, accept_encoding: None, host: None };
        for (name, value) in request.lines() {
            // The length tells most names apart.
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            match name.len() {
                4 if hosts && is("Host") => key.host = Some(value),
                5 if is("Range") => return None,
                8 if is("If-Match") || is("If-Range") => return None,
                13 if is("If-None-Match") => return None,
                15 if is("Accept-Encoding") => {
                    let another = key.accept_encoding.replace(value);
                    if another.is_some() {
                        return None;
                    }
                }
                17 if is("If-Modified-Since") => return None,
                19 if is("If-Unmodified-Since") => return None,
                _ => {}
            }
        }
        Some(key)
    }

    fn parts(&self) -> [&'a [u8]; 3] {
        [self.path, self.accept_encoding.unwrap_or_default(), self.host.unwrap_or_default()]
    }
}

#[derive(Debug)]
struct Entry {
    second: u64,
    /// The parts of the key, one behind the other, and where the second and the third begin.
    bytes: Vec<u8>,
    starts: (usize, usize),
    /// Whether the second and the third were there.
    has: (bool, bool),
    reply: Rc<Reply>,
}

impl Entry {
    /// `None` without memory.
    fn new(key: &Key<'_>, second: u64, reply: &Rc<Reply>) -> Option<Self> {
        let [path, accept, host] = key.parts();
        let starts = (path.len(), path.len().saturating_add(accept.len()));
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(starts.1.saturating_add(host.len())).ok()?;
        key.parts().into_iter().for_each(|part| bytes.extend_from_slice(part));
        let has = (key.accept_encoding.is_some(), key.host.is_some());
        Some(Self { second, bytes, starts, has, reply: Rc::clone(reply) })
    }

    fn key(&self) -> Key<'_> {
        let (path, rest) = self.bytes.split_at_checked(self.starts.0).unwrap_or_default();
        let at = self.starts.1.saturating_sub(self.starts.0);
        let (accept, host) = rest.split_at_checked(at).unwrap_or_default();
        Key { path, accept_encoding: self.has.0.then_some(accept), host: self.has.1.then_some(host) }
    }
}

/// The replies.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: Vec<Entry>,
    next: usize,
}

impl Recent {
    /// The reply to a request with this key, if it was made in this second.
    pub(super) fn get(&self, key: &Key<'_>, second: u64) -> Option<Rc<Reply>> {
        let found = self.entries.iter().find(|entry| entry.second == second && entry.key() == *key)?;
        Some(Rc::clone(&found.reply))
    }

    /// Keeps a reply, in place of the oldest. Without memory, and if it is large, nothing is kept.
    pub(super) fn put(&mut self, key: &Key<'_>, second: u64, reply: &Rc<Reply>) {
        let len: usize = key.parts().iter().map(|part| part.len()).sum();
        if len > LONGEST_KEY || reply.whole().len() > LONGEST_HEAD {
            return;
        }
        let Some(entry) = Entry::new(key, second, reply) else { return };
        if self.entries.len() < MOST {
            if self.entries.try_reserve(1).is_ok() {
                self.entries.push(entry);
            }
        } else if let Some(place) = self.entries.get_mut(self.next) {
            *place = entry;
            self.next = self.next.wrapping_add(1) % MOST;
        }
    }

    /// The published content changes.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, MOST, Recent};
    use crate::http::request_head::{parse, room};
    use crate::http::{Limits, Moment, Reply};
    use alloc::format;
    use alloc::rc::Rc;

    /// Calls `run` with the key of a request for `path` with these lines.
    fn with_key<R>(path: &str, lines: &str, run: impl FnOnce(Option<Key<'_>>) -> R) -> R {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut room = room();
        let (request, _) = parse(head.as_bytes(), &mut room, &Limits::default()).unwrap().unwrap();
        run(Key::of(&request, true))
    }

    fn reply(text: &str) -> Rc<Reply> {
        Rc::new(Reply::text(crate::http::Code::Ok, text, &Moment::default()))
    }

    #[test]
    fn a_reply_is_found_by_all_that_decides_it() {
        let (mut recent, kept) = (Recent::default(), reply("x"));
        with_key("/a", "Accept-Encoding: br\r\n", |key| recent.put(&key.unwrap(), 7, &kept));
        let found = |path, lines, second| with_key(path, lines, |key| recent.get(&key.unwrap(), second));
        assert!(
            found("/a", "accept-encoding: br\r\nCookie: b\r\n", 7).is_some_and(|it| Rc::ptr_eq(&it, &kept))
        );
        assert!(found("/a?query", "Accept-Encoding: br\r\n", 7).is_some());
        for (path, lines, second) in [
            ("/ab", "Accept-Encoding: br\r\n", 7),
            ("/a", "Accept-Encoding: gzip\r\n", 7),
            ("/a", "", 7),
            ("/a", "Accept-Encoding:\r\n", 7),
            ("/a", "Accept-Encoding: br\r\n", 8),
        ] {
            assert!(found(path, lines, second).is_none(), "{path} {lines} {second}");
        }
        recent.forget();
        assert!(with_key("/a", "Accept-Encoding: br\r\n", |key| recent.get(&key.unwrap(), 7)).is_none());
    }

    #[test]
    fn conditions_and_ranges_have_no_key() {
        for line in [
            "Range: bytes=0-1",
            "If-Match: *",
            "If-Range: \"a\"",
            "IF-NONE-MATCH: *",
            "If-Modified-Since: x",
            "If-Unmodified-Since: x",
            "Accept-Encoding: br\r\nAccept-Encoding: gzip",
        ] {
            assert!(with_key("/a", &format!("{line}\r\n"), |key| key.is_none()), "{line}");
        }
    }

    #[test]
    fn few_and_small_replies_are_kept() {
        let mut recent = Recent::default();
        let path = |number| format!("/{number}");
        for number in 0..=MOST {
            with_key(&path(number), "", |key| recent.put(&key.unwrap(), 0, &reply("x")));
        }
        let mut kept = |number| with_key(&path(number), "", |key| recent.get(&key.unwrap(), 0).is_some());
        assert!(!kept(0) && (1..=MOST).all(&mut kept));
        with_key("/long", "", |key| recent.put(&key.unwrap(), 0, &reply(&"x".repeat(2000))));
        assert!(with_key("/long", "", |key| recent.get(&key.unwrap(), 0)).is_none());
    }
}
