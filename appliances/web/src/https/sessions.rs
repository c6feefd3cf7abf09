//! The sessions of a server: each with its connection while it is served, here while the connection is parked.
//!
//! ```text
//!   ready: new ───────► open ─► TlsStream ─ park ─► parked, by connection and by age
//!   ready: parked ────► open ◄────────────────────────┘ └─ memory is short: the oldest goes; too old: gone
//! ```

use crate::http::Stream;
use crate::https::stream::{SERVING_COST, StreamError, TlsStream};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use kernel::ledger::{Account, Reservation};
use kernel::net::Bytes;
use tls::{Server, Session};

/// What a session without bytes in its buffers costs, and its place in the tables.
const SESSION_COST: usize = 4096;

kernel::xen::counters! {
    /// What became of sessions, since the start.
    pub struct HttpsCounts {
        /// Handshakes that were complete, with a certificate.
        handshakes,
        /// Handshakes that were complete without one, by a ticket.
        resumed,
        /// Sessions that ended by an error of TLS: a client that speaks something else, or lacks a close_notify.
        failed,
        /// Sessions for which there was no certificate yet, or no memory.
        refused,
        /// Sessions of idle connections that made room for others, or were idle for too long.
        dropped,
    }
}

/// A session without its connection.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) session: Box<Session>,
    /// What is to be sent, taken from the session.
    pub(super) outgoing: Bytes,
    pub(super) reservation: Reservation,
    /// What the session costs by itself.
    pub(super) base: usize,
    /// When it was parked, in seconds; and its number among all.
    since: u64,
    number: u64,
}

/// The sessions; `K` names a connection.
#[derive(Debug)]
pub struct Sessions<K: Ord> {
    server: Rc<Server>,
    account: Account,
    counts: Cell<HttpsCounts>,
    parked: RefCell<BTreeMap<K, Parked>>,
    by_age: RefCell<BTreeMap<u64, K>>,
    next: Cell<u64>,
    now: Cell<u64>,
}

impl<K: Ord + Copy> Sessions<K> {
    /// No sessions yet. Their memory is charged to `account`.
    #[must_use]
    pub fn new(server: Rc<Server>, account: Account) -> Self {
        let (parked, by_age) = (RefCell::default(), RefCell::default());
        Self {
            server,
            account,
            counts: Cell::default(),
            parked,
            by_age,
            next: Cell::new(0),
            now: Cell::new(0),
        }
    }

    /// The number of sessions whose connections are parked.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parked.borrow().len()
    }

    /// The counters.
    pub fn counts(&self) -> HttpsCounts {
        self.counts.get()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut HttpsCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }

    /// The session of a connection: another one if the connection is new, else the parked one.
    ///
    /// # Errors
    /// No certificate; no memory; or a parked session that had to go.
    pub fn open<T: Stream>(
        self: &Rc<Self>,
        stream: T,
        key: K,
        is_new: bool,
    ) -> Result<TlsStream<T, K>, StreamError<T::Error>> {
        let state = self.state_of(&key, is_new);
        if state.as_ref().is_err_and(|error| !matches!(error, StreamError::Evicted)) {
            self.count(|counts| counts.refused.bump());
        }
        Ok(TlsStream::new(stream, key, Rc::clone(self), state?))
    }

    /// The parked session or another one, with memory to be served.
    fn state_of<E>(&self, key: &K, is_new: bool) -> Result<Parked, StreamError<E>> {
        let known = self.take(key);
        let mut state = match known {
            Some(state) if !is_new => state,
            None if !is_new => return Err(StreamError::Evicted),
            _ => self.fresh()?,
        };
        while let Err(refused) = state.reservation.grow(SERVING_COST) {
            self.evict().ok_or(refused)?;
        }
        Ok(state)
    }

    fn fresh<E>(&self) -> Result<Parked, StreamError<E>> {
        let session = Box::new(self.server.accept()?);
        let reservation = loop {
            match self.account.reserve(SESSION_COST) {
                Ok(reservation) => break reservation,
                Err(refused) => self.evict().ok_or(refused)?,
            }
        };
        Ok(Parked { session, outgoing: Bytes::new(), reservation, base: SESSION_COST, since: 0, number: 0 })
    }

    /// Drops the session that was parked first; `None` if there is none.
    fn evict(&self) -> Option<()> {
        let (_, key) = self.by_age.borrow_mut().pop_first()?;
        self.parked.borrow_mut().remove(&key);
        self.count(|counts| counts.dropped.bump());
        Some(())
    }

    fn take(&self, key: &K) -> Option<Parked> {
        let state = self.parked.borrow_mut().remove(key)?;
        self.by_age.borrow_mut().remove(&state.number);
        Some(state)
    }

    pub(super) fn park(&self, key: K, mut state: Parked) {
        let number = self.next.replace(self.next.get().wrapping_add(1));
        (state.since, state.number) = (self.now.get(), number);
        state.reservation.shrink_to(state.base.saturating_add(state.outgoing.len()));
        self.by_age.borrow_mut().insert(number, key);
        self.parked.borrow_mut().insert(key, state);
    }

    /// Tells the time in seconds, and drops sessions that were parked for longer than `most`: their connections are over.
    pub fn tick(&self, now: u64, most: u64) {
        self.now.set(now);
        let old = |key: &K| {
            let since = self.parked.borrow().get(key).map_or(0, |state| state.since);
            now.saturating_sub(since) > most
        };
        loop {
            let first = self.by_age.borrow().first_key_value().map(|(_, key)| *key);
            match first {
                Some(key) if old(&key) => drop(self.evict()),
                _ => return,
            }
        }
    }
}
