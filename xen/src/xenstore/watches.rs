//! The watches of a connection: their paths, their state in the daemon, and their pending events.
//!
//! ```text
//!   xenstored ──path, token──► Watches[token] ──► up to EVENTS_MAX paths, each once ──► Watch::changed()
//!                                    └── no such token: counted, dropped
//! ```
//!
//! An event says "look again", no more: the same path waits only once, and many different ones end in a single event
//! for the watched path itself. So a watch takes bounded memory, whatever the other side does. Tokens are never used
//! twice, so that an event that is late cannot reach a later watch.

use crate::xenstore::wire;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::{Poll, Waker};
use litemap::LiteMap;

/// Different paths that wait in a watch.
const EVENTS_MAX: usize = 64;
/// Bytes of all those paths.
const EVENT_BYTES_MAX: usize = 16 * 1024;

/// All watches of a connection, by the number in their token.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_number: LiteMap<u64, Watched>,
    last_number: u64,
}

#[derive(Debug)]
struct Watched {
    path: String,
    at_daemon: AtDaemon,
    events: VecDeque<String>,
    waiter: Option<Waker>,
}

/// The daemon's state of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtDaemon {
    /// Nothing.
    Unknown,
    /// It was asked; it may have the watch.
    Asked,
    /// It has the watch.
    Confirmed,
}

impl Watches {
    /// Notes a new watch; the number in its token.
    pub(super) fn add(&mut self, path: &str) -> u64 {
        self.last_number = self.last_number.wrapping_add(1);
        let watched = Watched {
            path: path.into(),
            at_daemon: AtDaemon::Unknown,
            events: VecDeque::new(),
            waiter: None,
        };
        self.by_number.insert(self.last_number, watched);
        self.last_number
    }

    pub(super) fn set(&mut self, number: u64, at_daemon: AtDaemon) {
        if let Some(watched) = self.by_number.get_mut(&number) {
            watched.at_daemon = at_daemon;
        }
    }

    /// The next event of a watch, else keeps the waker; and the waker before it, to be dropped outside the borrow.
    pub(super) fn poll(&mut self, number: u64, waker: Waker) -> (Poll<String>, Option<Waker>) {
        let Some(watched) = self.by_number.get_mut(&number) else { return (Poll::Pending, None) };
        match watched.events.pop_front() {
            Some(path) => (Poll::Ready(path), None),
            None => (Poll::Pending, watched.waiter.replace(waker)),
        }
    }

    /// Forgets a watch: its path, if the daemon may have it, and its waker, to be dropped outside the borrow.
    pub(super) fn remove(&mut self, number: u64) -> (Option<String>, Option<Waker>) {
        let Some(watched) = self.by_number.remove(&number) else { return (None, None) };
        let path = (watched.at_daemon != AtDaemon::Unknown).then_some(watched.path);
        (path, watched.waiter)
    }

    /// Delivers the payload of a watch event; `false` if there is no watch for it.
    pub(super) fn fire(&mut self, payload: &[u8], wakers: &mut Vec<Waker>) -> bool {
        let Some((path, token)) = wire::watch_event(payload) else { return false };
        let Some(watched) = number(token).and_then(|number| self.by_number.get_mut(&number)) else {
            return false;
        };
        watched.queue(core::str::from_utf8(path).ok());
        wakers.extend(watched.waiter.take());
        true
    }

    /// Delivers an event to every watch.
    pub(super) fn fire_all(&mut self, wakers: &mut Vec<Waker>) {
        for watched in self.by_number.iter_mut().map(|(_, watched)| watched) {
            watched.queue(None);
            wakers.extend(watched.waiter.take());
        }
    }

    /// Path and token of every watch that a new connection must be asked for. Those whose request is not answered are
    /// asked for by their own tasks, or ended by their drop.
    pub(super) fn renew(&self) -> Vec<(String, String)> {
        let confirmed = self.by_number.iter().filter(|(_, watched)| watched.at_daemon == AtDaemon::Confirmed);
        confirmed.map(|(number, watched)| (watched.path.clone(), token(*number))).collect()
    }

    /// Watches that exist.
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }
}

impl Watched {
    /// Queues a path, or the watched one in its place: for `None`, and when there is no room for more.
    fn queue(&mut self, path: Option<&str>) {
        let path = path.unwrap_or(&self.path);
        if self.events.iter().any(|event| event == path) {
            return;
        }
        let bytes = self.events.iter().fold(path.len(), |sum, event| sum.saturating_add(event.len()));
        if self.events.len() < EVENTS_MAX && bytes <= EVENT_BYTES_MAX {
            self.events.push_back(path.into());
        } else if !self.events.contains(&self.path) {
            // At most one above the limits.
            self.events.push_back(self.path.clone());
        }
    }
}

/// The token of a watch.
pub(super) fn token(number: u64) -> String {
    format!("w{number}")
}

/// The number in a token, if it is exactly one of ours.
fn number(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?;
    let number = text.strip_prefix('w')?.parse().ok()?;
    (token(number) == text).then_some(number)
}
