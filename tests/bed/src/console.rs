//! A guest's serial console: everything it printed since its first byte, and waiting for a line.

use crate::agent::Agent;
use crate::error::Result;
use crate::wire::{self, Tag};
use regex::Regex;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A last line without an end counts as a line when nothing was added to it for so long: a prompt.
const QUIET: Duration = Duration::from_millis(300);

/// What a line must match: a part of it (`"ready"`) or a regular expression (`Regex::new(r"port \d+")?`).
#[derive(Clone, Debug)]
pub enum Pattern {
    /// The line has this in it.
    Text(String),
    /// The expression matches somewhere in the line.
    Regex(Regex),
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Regex> for Pattern {
    fn from(regex: Regex) -> Self {
        Self::Regex(regex)
    }
}

impl From<&Self> for Pattern {
    fn from(pattern: &Self) -> Self {
        pattern.clone()
    }
}

impl Pattern {
    /// Whether the line matches.
    #[must_use]
    pub fn matches(&self, line: &str) -> bool {
        match self {
            Self::Text(text) => line.contains(text),
            Self::Regex(regex) => regex.is_match(line),
        }
    }

    /// The pattern for a message.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("a line with `{text}`"),
            Self::Regex(regex) => format!("a line that matches `{regex}`"),
        }
    }
}

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    changed: Option<Instant>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    text: Mutex<Text>,
    news: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, bytes: &[u8]) {
        let mut text = self.lock();
        text.bytes.extend_from_slice(bytes);
        text.changed = Some(Instant::now());
        self.news.notify_all();
    }
}

/// The text of a console, as it grows.
#[derive(Debug)]
pub(crate) struct Console {
    shared: Arc<Shared>,
    stream: TcpStream,
}

impl Console {
    /// Follows the log that xenconsoled writes for the guest.
    pub(crate) fn follow(agent: Agent, path: &str) -> Result<Self> {
        let stream = agent.follow(path)?;
        let shared = Arc::new(Shared::default());
        let (sink, source) = (Arc::clone(&shared), stream.try_clone());
        std::thread::spawn(move || {
            if let Ok(mut source) = source {
                while let Ok(Some((Tag::Data, bytes))) = wire::read_frame(&mut source) {
                    sink.append(&bytes);
                }
            }
            sink.lock().ended = true;
            sink.news.notify_all();
        });
        Ok(Self { shared, stream })
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().bytes).replace('\r', "")
    }

    /// How many bytes there are so far.
    pub(crate) fn len(&self) -> usize {
        self.shared.lock().bytes.len()
    }

    /// Waits for new bytes after the first `known` ones, at most `limit`; returns them.
    pub(crate) fn after(&self, known: usize, limit: Duration) -> Vec<u8> {
        let text = self.shared.lock();
        let waiting = |text: &mut Text| text.bytes.len() <= known && !text.ended;
        let (text, _) =
            self.shared.news.wait_timeout_while(text, limit, waiting).unwrap_or_else(PoisonError::into_inner);
        text.bytes.get(known..).unwrap_or_default().to_vec()
    }

    /// Looks for a line from byte `from` on, waiting at most `limit`. Returns the line and where the next begins.
    pub(crate) fn find(&self, pattern: &Pattern, from: usize, limit: Duration) -> Option<(String, usize)> {
        let deadline = Instant::now() + limit;
        let mut text = self.shared.lock();
        loop {
            let quiet = text.changed.is_none_or(|changed| changed.elapsed() >= QUIET);
            if let Some(found) =
                search(text.bytes.get(from..).unwrap_or_default(), pattern, quiet || text.ended)
            {
                return Some((found.0, from + found.1));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let wait = left.min(QUIET);
            (text, _) = self.shared.news.wait_timeout(text, wait).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Ends the thread that follows, and the agent's.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// The first line that matches, and where the next one begins; an unended last line counts if `quiet`.
fn search(bytes: &[u8], pattern: &Pattern, quiet: bool) -> Option<(String, usize)> {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if !line.ends_with(b"\n") && !quiet {
            return None;
        }
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        if pattern.matches(text) {
            return Some((text.to_owned(), at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_whole_and_in_order() {
        let text = b"one\r\nport 80\r\nport 81\r\nprompt> ";
        let port = Pattern::from(Regex::new(r"port \d+").unwrap());
        let (line, next) = search(text, &port, false).unwrap();
        assert_eq!(line, "port 80");
        assert_eq!(search(&text[next..], &port, false).unwrap().0, "port 81");
    }

    #[test]
    fn unended_line_counts_only_when_quiet() {
        let text = b"one\nprompt> ";
        assert_eq!(search(text, &"prompt".into(), false), None);
        assert_eq!(search(text, &"prompt".into(), true), Some(("prompt> ".into(), text.len())));
    }
}
