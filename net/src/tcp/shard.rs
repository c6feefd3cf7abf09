//! All connections of the stack, with what they share: the engine's environment, secrets, limits, deadlines.
//!
//! The engine's clock stands still while the guest does: a pause of the guest is not silence of its peers.

use alloc::collections::{BTreeMap, VecDeque};
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
use tcp::{CloseReason, Config, Env, Events, Limits as Frames, Seq, State, Tcb, TimeWait, Transmit};

use crate::base::budget::Budget;
use crate::base::chunk::Chunk;
use crate::base::config::Limits;
use crate::base::counters::Counters;
use crate::base::error::NetError;
use crate::base::rng::Rng;
use crate::base::time;
use crate::tcp::conn::{Conn, Owner};
use crate::tcp::deadlines::Deadlines;
use crate::tcp::listener::Listener;

/// Deadlines handled in one turn.
const TIMER_BUDGET: usize = 1024;

/// Bytes of a half-open connection.
const HALF_OPEN: usize = 64;

/// Challenge ACKs in a second, of all connections together. RFC 5961, section 7.
const CHALLENGES: u32 = 1000;

/// While there is any memory, a connection may have this many bytes waiting, each way.
const LEAST_GRANT: usize = 4096;

/// Without memory a connection may send this many bytes at once: what waits for room would never learn of it otherwise.
const LEAST_SEND: u32 = 128;

/// Of the memory that is left, a connection is granted at most this part; the last part of all memory is for grants of
/// [`LEAST_GRANT`].
const GRANT_PART: usize = 8;
const LEAST_GRANTS_PART: usize = 4;

/// The first window of a connection is this part of all memory for connections, and at most 64 KiB: it is a promise.
const WINDOW_PART: usize = 64;

/// Bytes that a connection takes in any case: its place in the tables, and in the lists of those with something to do.
const CONNECTION: usize = Connections::<Conn>::memory_each().saturating_add(8);

/// Bytes beside the payload that a segment may make an idle connection take: its state while it is active, and a page's
/// or a copy's own.
const SEGMENT: usize = Tcb::<Chunk>::active_memory().saturating_add(64);

/// While memory is short, a connection gives way that was not heard of for this long, idle or not.
const STALE: Duration = Duration::from_secs(1);

/// Connections that are looked at to find one that gives way: those that were not used for longest.
const CANDIDATES: usize = 64;

/// Connections that are still being ended when their memory is given to new ones, at most.
const EVICTING: usize = 64;

/// How long a connection that nobody holds may take to close when its peer does not answer.
const ORPHAN_LIFE: Duration = Duration::from_secs(60);

/// How long a path is taken to be narrow. RFC 1191, section 6.3.
const NARROW_FOR: Duration = Duration::from_secs(600);

/// TIME-WAIT, milliseconds.
const TIME_WAIT_MS: u32 = 60_000;

/// The connections of the stack.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(super) conns: Connections<Conn>,
    pub(super) env: Env<Chunk>,
    pub(super) listeners: BTreeMap<u16, Listener>,
    pub(super) half_open: Option<SynCache>,
    pub(super) cookies: Cookies,
    pub(super) time_waits: TimeWaits,
    pub(super) isn: Isn,
    pub(super) ports: Ports,
    pub(super) limits: Limits,
    /// Connections with something to send.
    dirty: VecDeque<u32>,
    /// Memory for all of it.
    budget: Budget,
    /// Bytes of it that were free when the turn began, less what was taken since.
    free: usize,
    /// Bytes of TIME-WAIT in `budget`.
    time_wait_bytes: usize,
    /// How long the guest stood still, all in all.
    lost: Duration,
    /// The engine's time.
    pub(super) at: Instant,
    /// Entries of neighbours that connections which are gone have held.
    released: Vec<u32>,
    /// When connections that we open are given up. The engine counts from the first SYN, which waits for its neighbour.
    pub(super) connecting: Deadlines,
    /// When connections whose path was found to be narrow try whether it is wider again.
    narrowed: Deadlines,
}

fn key(rng: &mut Rng) -> Key {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    Key::new(bytes)
}

impl Shard {
    /// No connections yet. Without memory for the table of half-open connections every SYN is answered by a cookie.
    pub(crate) fn new(limits: Limits, account: Account, rng: &mut Rng, now: Instant) -> Self {
        let count = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        let half_open = count(limits.half_open);
        let share = u16::try_from(half_open.div_ceil(4)).unwrap_or(u16::MAX);
        let mut budget = Budget::new(account);
        let has_room = budget.take(limits.half_open.saturating_mul(HALF_OPEN));
        Self {
            conns: Connections::new(key(rng), count(limits.connections_per_source), millis(now)),
            env: Env::new(config(budget.limit()), Limiter::noisy(CHALLENGES, key(rng))),
            listeners: BTreeMap::new(),
            half_open: SynCache::new(key(rng), half_open, share).ok().filter(|_| has_room),
            cookies: Cookies::new(key(rng)),
            time_waits: TimeWaits::new(key(rng), count(limits.time_wait), TIME_WAIT_MS),
            isn: Isn::new(key(rng)),
            ports: Ports::new(key(rng)),
            limits,
            dirty: VecDeque::new(),
            free: budget.free(),
            budget,
            time_wait_bytes: 0,
            lost: Duration::ZERO,
            at: now,
            released: Vec::new(),
            connecting: Deadlines::default(),
            narrowed: Deadlines::default(),
        }
    }

    /// Other secrets: handshakes under way and TIME-WAIT are forgotten, connections go on.
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

    /// Another turn begins. For `paused` of the time since the last one the guest stood still: its peers are not blamed
    /// for that.
    pub(crate) fn begin(&mut self, now: Instant, paused: Duration) {
        self.lost = Duration::from_micros(self.lost.total_micros().saturating_add(paused.total_micros()));
        let micros = i64::try_from(self.lost.total_micros()).unwrap_or(i64::MAX);
        self.at = self.at.max(Instant::from_micros(now.total_micros().saturating_sub(micros)));
        self.free = self.budget.free();
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.conns.len()).unwrap_or(usize::MAX)
    }

    /// What the engine has counted.
    pub(crate) fn engine(&self) -> tcp::Counters {
        self.env.counters.clone()
    }

    pub(crate) fn half_open_len(&self) -> usize {
        self.half_open.as_ref().map_or(0, |half| usize::try_from(half.len()).unwrap_or(usize::MAX))
    }

    /// Connections in TIME-WAIT that nobody holds.
    pub(crate) fn time_wait_len(&self) -> usize {
        usize::try_from(self.time_waits.len()).unwrap_or(usize::MAX)
    }

    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> + use<'_> {
        self.listeners.keys().copied()
    }

    /// All connections with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (FourTuple, &Conn)> {
        self.conns.iter().filter_map(|(id, conn)| Some((self.conns.tuple(id)?, conn)))
    }

    /// How long the peer of a connection has been silent.
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

    /// Changes a connection, and draws the consequences.
    pub(super) fn update<R>(
        &mut self,
        id: u32,
        counters: &mut Counters,
        change: impl FnOnce(&mut Conn, Instant, &mut Env<Chunk>) -> R,
    ) -> Option<R> {
        let at = self.at;
        let conn = self.conns.get_mut(id)?;
        grant(&mut self.env, conn, self.free, self.budget.limit());
        let result = change(conn, at, &mut self.env);
        self.settle(id, true, counters);
        Some(result)
    }

    /// Draws the consequences of what the engine did with a connection. With `ask` it may have something to send.
    pub(crate) fn settle(&mut self, id: u32, ask: bool, counters: &mut Counters) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let events = conn.tcb.take_events();
        if !events.is_empty() {
            notify(conn, events, counters);
        }
        let opening = conn.tcb.state() == State::SynSent;
        let sends = ask && conn.tcb.wants_transmit();
        let (owner, state, time_wait) = (conn.owner, conn.tcb.state(), conn.tcb.time_wait());
        self.set_timer(id);
        self.charge(id);
        if sends {
            self.mark(id);
        }
        if !opening {
            self.connecting.remove(id);
        }
        if owner == Owner::Parked && self.get(id).is_some_and(Conn::is_readable) {
            self.offer(id);
        }
        if owner != Owner::Orphan || sends {
            return;
        }
        match (state, time_wait, self.conns.tuple(id)) {
            (State::Closed, ..) => self.remove(id),
            (_, Some(rest), Some(tuple)) => {
                // Without memory the connection is over at once, as if its time were.
                self.enter_time_wait(&tuple, &rest);
                self.remove(id);
            }
            _ => {}
        }
    }

    /// Sets the timer of a connection: the engine's deadline, or the end of its rest.
    pub(super) fn set_timer(&mut self, id: u32) {
        let Some(conn) = self.conns.get(id) else { return };
        let timer = conn.tcb.next_timer().map(millis_up);
        let timer = timer.into_iter().chain(conn.rest_ends()).min();
        self.conns.set_timer(id, timer);
    }

    /// Gives a connection to its listener; without one, or without memory for its place in the line, it ends.
    pub(super) fn offer(&mut self, id: u32) {
        let port = self.conns.tuple(id).map(|tuple| tuple.local_port);
        let listener = port.and_then(|port| self.listeners.get_mut(&port));
        let Some(conn) = self.conns.get_mut(id) else { return };
        match listener.map(|listener| (listener.ready.try_reserve(1).is_ok(), listener)) {
            Some((true, listener)) => {
                conn.owner = Owner::Ready;
                listener.ready.push_back(id);
                listener.waiting.wake_one();
            }
            _ => {
                conn.owner = Owner::Orphan;
                conn.tcb.abort(&mut self.env);
            }
        }
    }

    /// The entries of neighbours that nobody holds any more for connections which are gone.
    pub(crate) fn take_released(&mut self) -> Vec<u32> {
        core::mem::take(&mut self.released)
    }

    /// Forgets a connection.
    fn remove(&mut self, id: u32) {
        self.connecting.remove(id);
        self.narrowed.remove(id);
        if let Some(conn) = self.conns.remove(id) {
            self.give(bytes(conn.charged).saturating_add(CONNECTION));
            self.released.extend(conn.pin);
        }
    }

    /// Notes how much memory a connection takes now.
    pub(super) fn charge(&mut self, id: u32) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let now = conn.memory();
        let charged = u32::try_from(now).unwrap_or(u32::MAX);
        let before = bytes(core::mem::replace(&mut conn.charged, charged));
        if now > before {
            let more = now.saturating_sub(before);
            self.budget.add(more);
            self.free = self.free.saturating_sub(more);
        } else if now < before {
            self.give(before.saturating_sub(now));
        }
    }

    fn give(&mut self, bytes: usize) {
        self.budget.give(bytes);
        self.free = self.free.saturating_add(bytes);
    }

    /// A connection that closed first is over but for TIME-WAIT. Without memory for that it is over at once, as if its
    /// time were.
    fn enter_time_wait(&mut self, tuple: &FourTuple, rest: &TimeWait) {
        if self.free > LEAST_GRANT {
            let _ = self.time_waits.insert(tuple, rest, self.at);
        }
        self.charge_time_waits();
    }

    fn charge_time_waits(&mut self) {
        let now = self.time_waits.memory();
        let before = core::mem::replace(&mut self.time_wait_bytes, now);
        self.budget.add(now.saturating_sub(before));
        self.give(before.saturating_sub(now));
    }

    /// Whether a connection may take a segment with so much payload. If not, the longest silent one gives way.
    pub(super) fn has_room_for(&mut self, payload: usize, counters: &mut Counters) -> bool {
        let wanted = payload.saturating_add(SEGMENT);
        if self.free < wanted {
            self.free = self.budget.free();
        }
        if self.free < wanted {
            self.give_way(counters);
        }
        self.free >= wanted
    }

    /// Takes the memory for one more connection, if need be that of the longest idle one.
    pub(super) fn make_room(&mut self, counters: &mut Counters) -> bool {
        let len = self.len();
        let has_room = |this: &Self| this.free >= CONNECTION.saturating_add(LEAST_GRANT);
        if len >= self.limits.connections || !has_room(self) {
            self.free = self.budget.free();
            let full = len >= self.limits.connections;
            // Those that were told to end are still in the table until their reset is sent.
            let ending = EVICTING.saturating_mul(CONNECTION.saturating_add(SEGMENT));
            let too_many = len >= self.limits.connections.saturating_add(EVICTING);
            if (full || !has_room(self))
                && (too_many || self.budget.overdraft() > ending || !self.give_way(counters))
            {
                return false;
            }
        }
        self.budget.add(CONNECTION);
        self.free = self.free.saturating_sub(CONNECTION);
        true
    }

    /// The memory that [`Shard::make_room`] took is not needed.
    pub(super) fn give_room(&mut self) {
        self.give(CONNECTION);
    }

    /// Ends the connection that was not used for longest among those that are idle, were silent for long, or whose peers
    /// do not take what is sent.
    fn give_way(&mut self, counters: &mut Counters) -> bool {
        let gives_way = |conn: &Conn| {
            let stale = time::after(conn.tcb.heard_at(), STALE) <= self.at;
            conn.tcb.state() != State::Closed && (conn.tcb.is_idle() || conn.tcb.is_blocked() || stale)
        };
        let found = self.conns.by_use().take(CANDIDATES).find(|id| self.get(*id).is_some_and(gives_way));
        let Some(id) = found else { return false };
        counters.evicted.bump();
        self.conns.touch(id);
        self.update(id, counters, |conn, _, env| {
            conn.fault.get_or_insert(NetError::TimedOut);
            if conn.owner != Owner::Held {
                conn.owner = Owner::Orphan;
            }
            conn.tcb.abort(env);
        });
        true
    }

    /// Handles deadlines that are over. `true`: there are more.
    pub(crate) fn fire_timers(&mut self, counters: &mut Counters) -> bool {
        self.time_waits.expire(self.at);
        self.charge_time_waits();
        let at = self.at;
        for _ in 0..TIMER_BUDGET {
            let Some(id) = self.narrowed.pop(at) else { break };
            // The least of path, peer and link counts.
            self.update(id, counters, |conn, _, env| conn.tcb.set_path_mss(u16::MAX, env));
        }
        for _ in 0..TIMER_BUDGET {
            let Some(id) = self.connecting.pop(at) else { break };
            self.update(id, counters, |conn, _, env| {
                conn.fault = Some(NetError::TimedOut);
                conn.tcb.abort(env);
            });
            counters.timed_out.bump();
        }
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

    /// When [`Shard::fire_timers`] or [`Shard::poll_half_open`] has something to do.
    pub(crate) fn next(&self) -> Option<Instant> {
        let deadline = self.conns.next_deadline().map(from_millis);
        let half_open = self.half_open.as_ref().and_then(|half| half.next(self.at));
        let others = [half_open, self.time_waits.next(self.at), self.connecting.next(), self.narrowed.next()];
        let next = deadline.into_iter().chain(others.into_iter().flatten()).min()?;
        Some(time::after(next, self.lost))
    }

    /// The next connection with something to send.
    pub(crate) fn take_dirty(&mut self) -> Option<u32> {
        loop {
            let id = self.dirty.pop_front()?;
            // A number that was given to another connection since is polled in vain at most.
            if let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.queued) {
                conn.queued = false;
                return Some(id);
            }
        }
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Puts a connection into the list of those with something to send.
    pub(crate) fn mark(&mut self, id: u32) {
        let Self { conns, dirty, .. } = self;
        if conns.get(id).is_none_or(|conn| conn.queued) {
            return;
        }
        if dirty.try_reserve(1).is_err() {
            // Numbers of connections that are gone make room: there are no more than connections then.
            dirty.retain(|id| conns.get(*id).is_some_and(|conn| conn.queued));
        }
        if dirty.len() < dirty.capacity()
            && let Some(conn) = conns.get_mut(id)
        {
            conn.queued = true;
            dirty.push_back(id);
        }
    }

    /// The next segment of a connection; `None`: it has nothing to send. It counts as sent.
    pub(crate) fn poll_transmit(&mut self, id: u32, frames: &Frames) -> Option<Transmit<'_>> {
        let at = self.at;
        let conn = self.conns.get_mut(id)?;
        grant(&mut self.env, conn, self.free, self.budget.limit());
        conn.tcb.poll_transmit(at, frames, &mut self.env)
    }

    /// A connection in the list was interrupted before it sent anything: it is the next.
    pub(crate) fn bring_forward(&mut self, id: u32) {
        if let Some(place) = self.dirty.iter().rposition(|other| *other == id) {
            self.dirty.remove(place);
            self.dirty.push_front(id);
        }
    }

    /// A router says that a segment of this connection was too big. `true`: the size was lowered.
    pub(crate) fn too_big(&mut self, tuple: &FourTuple, seq: Seq, mss: u16, counters: &mut Counters) -> bool {
        let Some(id) = self.conns.find(tuple) else { return false };
        let lowered =
            self.update(id, counters, |conn, at, env| conn.tcb.on_packet_too_big(seq, mss, at, env));
        let lowered = lowered.unwrap_or(false);
        if lowered {
            self.narrowed.insert(id, time::after(self.at, NARROW_FOR));
        }
        lowered
    }

    /// There is no way to the peer of a connection: the reset of one that is closed is lost.
    pub(crate) fn forget_reset(&mut self, id: u32, counters: &mut Counters) {
        if self.get(id).is_some_and(|conn| conn.tcb.state() == State::Closed) {
            self.poll_transmit(id, &Frames { max_payload: 0 });
            self.settle(id, false, counters);
        }
    }

    /// Lets a connection go: it closes in the background, with FIN or at once with RST.
    pub(crate) fn orphan(&mut self, id: u32, end: End, counters: &mut Counters) {
        self.update(id, counters, |conn, at, env| {
            conn.owner = Owner::Orphan;
            conn.io().front = None;
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

    /// Ends the connections whose local address is not ours any more.
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

/// Wakes who waits for what happened, and counts it.
fn notify(conn: &mut Conn, events: Events, counters: &mut Counters) {
    if events.contains(Events::CLOSED) {
        match conn.tcb.close_reason() {
            Some(CloseReason::Reset | CloseReason::Refused) => counters.reset.bump(),
            Some(CloseReason::TimedOut) => counters.timed_out.bump(),
            _ => {}
        }
    }
    if events.intersects(Events::READABLE | Events::CLOSED) {
        conn.wake_reader();
    }
    if events.intersects(Events::WRITABLE | Events::ESTABLISHED | Events::FIN_ACKED | Events::CLOSED) {
        conn.wake_writer();
    }
}

/// Tells the engine what this connection may have.
fn grant(env: &mut Env<Chunk>, conn: &Conn, free: usize, limit: usize) {
    let common = free.saturating_sub(limit / LEAST_GRANTS_PART);
    let part = (common / GRANT_PART).max(LEAST_GRANT.min(free));
    let options = &conn.options;
    let narrow = |bytes: usize| u32::try_from(bytes.min(part)).unwrap_or(u32::MAX);
    env.receive_grant = narrow(options.rx_buffer);
    env.send_grant = narrow(options.tx_buffer).max(LEAST_SEND);
    let millis = |duration: core::time::Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    env.config.delayed_ack_ms = options.ack_delay.map_or(0, millis);
    env.config.connect_timeout_ms = millis(options.connect_timeout);
}

/// What is the same for all connections.
fn config(memory: usize) -> Config {
    let window = (memory / WINDOW_PART).clamp(LEAST_GRANT, 65_535);
    let receive_window = u32::try_from(window).unwrap_or(65_535);
    Config { time_wait_ms: TIME_WAIT_MS, receive_window, ..Config::default() }
}

fn bytes(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn millis(at: Instant) -> u64 {
    u64::try_from(at.total_micros()).unwrap_or(0) / 1000
}

/// Rounded up: a deadline is not over before it is.
fn millis_up(at: Instant) -> u64 {
    u64::try_from(at.total_micros()).unwrap_or(0).div_ceil(1000)
}

fn from_millis(millis: u64) -> Instant {
    Instant::from_micros(i64::try_from(millis.saturating_mul(1000)).unwrap_or(i64::MAX))
}
