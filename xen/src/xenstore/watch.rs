//! Watches: being told that a node, or one below it, may have changed.
//!
//! ```text
//!   xenstored ──path, token──► Watches[token] ──► up to EVENTS_MAX paths, each once ──► Watch::changed()
//!                                    └── no such token: counted, dropped
//! ```
//!
//! An event says "look again", no more: the same path waits only once, and a storm of different ones ends in a single
//! event for the watched path itself. So a watch takes bounded memory, whatever the other side does. Dropping a
//! [`Watch`] ends it at the daemon too; what the daemon had sent before is dropped when it arrives. Tokens are never
//! used twice, so that such a late event cannot reach a later watch.

use crate::abi::io_xs_wire::XsdSockmsgType as Kind;
use crate::xenstore::connection::Connection;
use crate::xenstore::error::XsError;
use crate::xenstore::nodes::{Nodes, acknowledged, name};
use crate::xenstore::wire;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
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

/// What the daemon knows of a watch.
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
    fn add(&mut self, path: &str) -> u64 {
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

    fn set(&mut self, number: u64, at_daemon: AtDaemon) {
        if let Some(watched) = self.by_number.get_mut(&number) {
            watched.at_daemon = at_daemon;
        }
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

    /// Path and token of every watch that a new connection must be asked for.
    pub(super) fn renew(&mut self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (number, watched) in self.by_number.iter_mut() {
            match watched.at_daemon {
                AtDaemon::Confirmed => all.push((watched.path.clone(), token(*number))),
                // Its request fails with the old connection.
                AtDaemon::Asked | AtDaemon::Unknown => watched.at_daemon = AtDaemon::Unknown,
            }
        }
        all
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

fn token(number: u64) -> String {
    format!("w{number}")
}

/// The number in a token, if it is one of ours to the letter.
fn number(text: &[u8]) -> Option<u64> {
    let text = core::str::from_utf8(text).ok()?;
    let number = text.strip_prefix('w')?.parse().ok()?;
    (token(number) == text).then_some(number)
}

/// A watch on a node and all below it, until it is dropped.
///
/// For one task: of two that wait for the same watch, only the later one is woken.
#[derive(Debug)]
pub struct Watch {
    connection: Rc<Connection>,
    number: u64,
}

impl Watch {
    pub(super) async fn new(connection: &Rc<Connection>, path: &str) -> Result<Self, XsError> {
        let number = connection.with(|state| state.watches.add(path));
        let watch = Self { connection: Rc::clone(connection), number };
        let nodes = Nodes { connection, transaction: None };
        let answer = nodes.send(Kind::Watch, path, &[token(number).as_bytes(), b"\0"])?;
        watch.set(AtDaemon::Asked);
        match answer.await.map_err(|failure| name(failure, Kind::Watch, path)) {
            Ok(payload) => {
                acknowledged(&payload, Kind::Watch, path)?;
                watch.set(AtDaemon::Confirmed);
                Ok(watch)
            }
            Err(error) => {
                if matches!(error, XsError::Refused { .. }) {
                    watch.set(AtDaemon::Unknown);
                }
                Err(error)
            }
        }
    }

    fn set(&self, at_daemon: AtDaemon) {
        self.connection.with(|state| state.watches.set(self.number, at_daemon));
    }

    /// Waits for the next event: the path that may have changed, or the watched path when more happened than a watch
    /// keeps. The first event comes at once. Relative paths stay relative.
    ///
    /// There is also an event when the connection is set up anew or breaks: whoever then reads learns of it.
    pub async fn changed(&self) -> String {
        poll_fn(|cx| self.poll_changed(cx)).await
    }

    /// [`Watch::changed`] for a hand-written future.
    pub fn poll_changed(&self, cx: &Context<'_>) -> Poll<String> {
        let waker = cx.waker().clone();
        let (poll, _dropped_outside) = self.connection.with(|state| {
            let Some(watched) = state.watches.by_number.get_mut(&self.number) else {
                return (Poll::Pending, None);
            };
            match watched.events.pop_front() {
                Some(path) => (Poll::Ready(path), None),
                None => (Poll::Pending, watched.waiter.replace(waker)),
            }
        });
        poll
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _dropped_outside = self.connection.with(|state| {
            let watched = state.watches.by_number.remove(&self.number)?;
            if watched.at_daemon != AtDaemon::Unknown {
                let token = token(self.number);
                let parts: [&[u8]; 4] = [watched.path.as_bytes(), b"\0", token.as_bytes(), b"\0"];
                state.request_unattended(Kind::Unwatch, 0, &parts);
            }
            watched.waiter
        });
    }
}
