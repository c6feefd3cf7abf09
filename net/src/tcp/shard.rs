//! All connections of the stack, with their shared state: the engine's environment, secrets, limits, deadlines.
//!
//! The engine's clock stops while the guest is paused: a pause of the guest is not silence of its peers.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use ledger::Account;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpAddress;
use tcp::connections::Connections;
use tcp::cookie::Cookies;
use tcp::isn::Isn;
use tcp::limiter::Limiter;
use tcp::ports::Ports;
use tcp::syn_cache::SynCache;
use tcp::time_wait::TimeWaits;
use tcp::tuple::{FourTuple, Key};
use tcp::{Config, Env, Limits as Frames, Seq, State};

use crate::base::budget::Budget;
use crate::base::chunk::Chunk;
use crate::base::config::Limits;
use crate::base::counters::Counters;
use crate::base::error::NetError;
use crate::base::rng::Rng;
use crate::base::time;
use crate::link::neighbours::Pin;
use crate::tcp::conn::{Conn, ConnFlags, Owner};
use crate::tcp::listener::Listeners;

/// Deadlines handled in one iteration.
const TIMER_BUDGET: usize = 1024;

/// Bytes of a half-open connection.
const HALF_OPEN: usize = 64;

/// Challenge ACKs in a second, of all connections together. RFC 5961, section 7.
const CHALLENGES: u32 = 1000;

/// Bytes that a connection may queue each way while there is any memory.
pub(super) const LEAST_GRANT: usize = 4096;

/// The last part of all memory is for grants of [`LEAST_GRANT`]: this divisor.
const LEAST_GRANTS_PART: usize = 4;

/// The part of the memory for connections that the first window of a connection is, as a divisor; at most 64 KiB. An
/// offered window cannot be taken back.
const WINDOW_PART: usize = 64;

/// A state of a connection that is active is kept for another one, for each of these bytes of memory for connections.
const SPARE_PART: usize = 256 * 1024;

/// Connections that are touched in an iteration before others are refreshed at once.
const TOUCHED: usize = 256;

/// The timeout of closing a connection without owner whose peer does not answer.
const ORPHAN_LIFE: Duration = Duration::from_secs(60);

/// The duration of TIME-WAIT in milliseconds.
const TIME_WAIT_MS: u32 = 60_000;

/// The connections of the stack.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(super) conns: Connections<Conn>,
    pub(super) env: Env<Chunk>,
    pub(super) listeners: Listeners,
    pub(super) half_open: Option<SynCache>,
    pub(super) cookies: Cookies,
    pub(super) time_waits: TimeWaits,
    pub(super) isn: Isn,
    pub(super) ports: Ports,
    pub(super) limits: Limits,
    /// Connections with something to send.
    pub(super) dirty: VecDeque<u32>,
    /// The memory of all of them.
    pub(super) budget: Budget,
    /// Bytes of it that were free at the begin of the iteration, less those taken since.
    pub(super) free: usize,
    /// Bytes of it that are granted in small parts only.
    pub(super) least_grants: usize,
    /// Bytes of TIME-WAIT in `budget`.
    pub(super) time_wait_bytes: usize,
    /// The total time for which the guest was paused.
    lost: Duration,
    /// The engine's time.
    pub(super) at: Instant,
    /// Pinned neighbour entries of removed connections.
    pub(super) released: Vec<Pin>,
    /// Connections whose timer and memory are updated at the end of the iteration; never more than its capacity.
    pub(super) touched: Vec<u32>,
}

fn key(rng: &mut Rng) -> Key {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    Key::new(bytes)
}

impl Shard {
    /// A shard without connections. Without memory for the SYN cache, each SYN is answered by a cookie.
    pub(crate) fn new(limits: Limits, account: Account, rng: &mut Rng, now: Instant) -> Self {
        let count = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        let half_open = count(limits.half_open);
        let share = u16::try_from(half_open.div_ceil(4)).unwrap_or(u16::MAX);
        let mut budget = Budget::new(account);
        // Without memory for the list each call is followed to its end at once.
        let mut touched = Vec::new();
        let _ = touched.try_reserve_exact(TOUCHED);
        let has_room = budget.take(limits.half_open.saturating_mul(HALF_OPEN));
        Self {
            conns: Connections::new(key(rng), count(limits.connections_per_source), millis(now)),
            env: Env::new(config(budget.limit()), Limiter::noisy(CHALLENGES, key(rng))),
            listeners: Listeners::default(),
            half_open: SynCache::new(key(rng), half_open, share).ok().filter(|_| has_room),
            cookies: Cookies::new(key(rng)),
            time_waits: TimeWaits::new(key(rng), count(limits.time_wait), TIME_WAIT_MS),
            isn: Isn::new(key(rng)),
            ports: Ports::new(key(rng)),
            limits,
            dirty: VecDeque::new(),
            free: budget.free(),
            least_grants: budget.limit() / LEAST_GRANTS_PART,
            budget,
            time_wait_bytes: 0,
            lost: Duration::ZERO,
            at: now,
            released: Vec::new(),
            touched,
        }
    }

    /// Replaces all secrets. Handshakes in progress and TIME-WAIT are dropped, connections continue.
    pub(crate) fn renew(&mut self, rng: &mut Rng) {
        self.isn.renew(key(rng));
        self.ports.renew(key(rng));
        self.cookies.replace(key(rng));
        if let Some(half_open) = &mut self.half_open {
            half_open.renew(key(rng));
        }
        self.time_waits.renew(key(rng));
        self.env.challenge_acks = Limiter::noisy(CHALLENGES, key(rng));
        if self.conns.renew(key(rng)).is_err() {
            log::warn!("no memory to hash {} connections by another key; they keep the old one", self.len());
        }
    }

    /// Begins an iteration. The guest was paused for `paused` of the time since the last one, which does not count as
    /// silence of its peers.
    pub(crate) fn begin(&mut self, now: Instant, paused: Duration) {
        self.lost = Duration::from_micros(self.lost.total_micros().saturating_add(paused.total_micros()));
        let micros = i64::try_from(self.lost.total_micros()).unwrap_or(i64::MAX);
        self.at = self.at.max(Instant::from_micros(now.total_micros().saturating_sub(micros)));
        self.free = self.budget.free();
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.conns.len()).unwrap_or(usize::MAX)
    }

    /// The counters of the engine.
    pub(crate) fn engine(&self) -> tcp::Counters {
        self.env.counters.clone()
    }

    pub(crate) fn half_open_len(&self) -> usize {
        self.half_open.as_ref().map_or(0, |half| usize::try_from(half.len()).unwrap_or(usize::MAX))
    }

    /// Connections in TIME-WAIT.
    pub(crate) fn time_wait_len(&self) -> usize {
        usize::try_from(self.time_waits.len()).unwrap_or(usize::MAX)
    }

    /// The ports with a listener, in ascending order.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.listeners.ports()
    }

    /// All connections with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FourTuple, &Conn)> {
        self.conns.iter().filter_map(|(id, conn)| Some((self.conns.tuple(id)?, conn)))
    }

    /// The time since the last segment of a connection's peer.
    pub(crate) fn silence(&self, conn: &Conn) -> core::time::Duration {
        time::until(conn.tcb.heard_at(), self.at)
    }

    pub(crate) fn tuple(&self, id: u32) -> Option<FourTuple> {
        self.conns.tuple(id)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Conn> {
        self.conns.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Conn> {
        self.conns.get_mut(id)
    }

    /// Takes the pinned neighbour entries of removed connections.
    pub(crate) fn take_released(&mut self) -> Vec<Pin> {
        core::mem::take(&mut self.released)
    }

    /// Handles passed deadlines. Returns whether there are more.
    pub(crate) fn fire_timers(&mut self, counters: &mut Counters) -> bool {
        self.time_waits.expire(self.at);
        self.charge_time_waits();
        for _ in 0..TIMER_BUDGET {
            let Some(id) = self.conns.pop_expired(millis(self.at)) else { return false };
            counters.timers_fired.bump();
            if self.end_rest(id, counters) {
                continue;
            }
            self.update(id, counters, |conn, at, env| conn.tcb.on_timer(at, env));
        }
        true
    }

    /// The time of the next call of [`Shard::fire_timers`] or [`Shard::poll_half_open`].
    pub(crate) fn next(&self) -> Option<Instant> {
        let deadline = self.conns.next_deadline().map(from_millis);
        let half_open = self.half_open.as_ref().and_then(|half| half.next(self.at));
        let others = [half_open, self.time_waits.next(self.at)];
        let next = deadline.into_iter().chain(others.into_iter().flatten()).min()?;
        Some(time::after(next, self.lost))
    }

    /// The next connection with something to send.
    pub(crate) fn take_dirty(&mut self) -> Option<u32> {
        loop {
            let id = self.dirty.pop_front()?;
            // A number that another connection has now costs at most one unnecessary poll.
            if let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.is(ConnFlags::QUEUED)) {
                conn.flags.remove(ConnFlags::QUEUED);
                return Some(id);
            }
        }
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Adds a connection to the list of those with something to send.
    pub(crate) fn mark(&mut self, id: u32) {
        let Self { conns, dirty, .. } = self;
        if dirty.len() == dirty.capacity() && dirty.try_reserve(1).is_err() {
            // Removes numbers of removed connections: the list is then no longer than the number of connections.
            dirty.retain(|id| conns.get(*id).is_some_and(|conn| conn.is(ConnFlags::QUEUED)));
        }
        if dirty.len() < dirty.capacity()
            && let Some(conn) = conns.get_mut(id).filter(|conn| !conn.is(ConnFlags::QUEUED))
        {
            conn.flags.insert(ConnFlags::QUEUED);
            dirty.push_back(id);
        }
    }

    /// Puts a connection that was interrupted before it sent anything at the front of the list.
    pub(crate) fn bring_forward(&mut self, id: u32) {
        if let Some(place) = self.dirty.iter().rposition(|other| *other == id) {
            self.dirty.remove(place);
            self.dirty.push_front(id);
        }
    }

    /// Handles a router's report that a segment of this connection is too big. Returns whether the size was lowered.
    pub(crate) fn too_big(&mut self, tuple: &FourTuple, seq: Seq, mss: u16, counters: &mut Counters) -> bool {
        let Some(id) = self.conns.find(tuple) else { return false };
        let lowered =
            self.update(id, counters, |conn, at, env| conn.tcb.on_packet_too_big(seq, mss, at, env));
        lowered.unwrap_or(false)
    }

    /// Notes that there is no route to the peer of a connection. The reset of a closed one is dropped.
    pub(crate) fn forget_reset(&mut self, id: u32, counters: &mut Counters) {
        let closed = self.get(id).is_some_and(|conn| conn.tcb.state() == State::Closed);
        if let Some(tuple) = self.tuple(id).filter(|_| closed) {
            self.poll_transmit(id, &tuple, &Frames { max_payload: 0 });
            self.refresh(id, false, counters);
        }
    }

    /// Closes a connection without owner in the background, with FIN, or at once with RST.
    pub(crate) fn orphan(&mut self, id: u32, end: End, counters: &mut Counters) {
        self.update(id, counters, |conn, at, env| {
            conn.owner = Owner::Orphan;
            conn.take_front();
            conn.rest();
            conn.tcb.set_keep_alive(None);
            conn.tcb.set_user_timeout(Some(ORPHAN_LIFE));
            match end {
                End::Close => {
                    conn.tcb.shutdown(env);
                    conn.tcb.shut_read(at, env);
                }
                End::Abort => conn.tcb.abort(env),
            }
        });
    }

    /// Ends the connections whose local address was removed.
    pub(crate) fn drop_addresses(&mut self, ours: impl Fn(IpAddress) -> bool, counters: &mut Counters) {
        for id in 0..self.conns.end() {
            if self.conns.tuple(id).is_none_or(|tuple| ours(tuple.local)) {
                continue;
            }
            self.update(id, counters, |conn, _, env| {
                conn.fault.get_or_insert(NetError::AddressLost);
                conn.tcb.abort(env);
            });
        }
    }
}

/// How a connection loses its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With FIN, after everything that was written.
    Close,
    /// With RST, at once.
    Abort,
}

/// The configuration of all connections.
fn config(memory: usize) -> Config {
    let window = (memory / WINDOW_PART).clamp(LEAST_GRANT, 65_535);
    let receive_window = u32::try_from(window).unwrap_or(65_535);
    // They are not in the ledger: at most a two-hundredth of its part for connections, once that has a MiB.
    let spares = (memory / SPARE_PART).clamp(4, 64);
    Config { time_wait_ms: TIME_WAIT_MS, receive_window, spares, ..Config::default() }
}

fn millis(at: Instant) -> u64 {
    u64::try_from(at.total_micros()).unwrap_or(0) / 1000
}

/// Rounded up, so that no deadline passes early.
pub(super) fn millis_up(at: Instant) -> u64 {
    u64::try_from(at.total_micros()).unwrap_or(0).div_ceil(1000)
}

fn from_millis(millis: u64) -> Instant {
    Instant::from_micros(i64::try_from(millis.saturating_mul(1000)).unwrap_or(i64::MAX))
}
