//! After a call into the engine: who is told, who sends, and when it is called again.
//!
//! ```text
//!   update ─► engine ─► events wake tasks at once; the connection is in the list of those with something to send
//!      └──────────────► touched ─(end of the iteration)─► refresh: timer, memory, end
//! ```
//!
//! A request and its reply touch a connection several times in an iteration, and refresh it once.

use tcp::tuple::FourTuple;
use tcp::{CloseReason, Env, Events, Limits as Frames, State, Transmit};

use smoltcp::time::Instant;

use crate::base::chunk::Chunk;
use crate::base::counters::Counters;
use crate::tcp::conn::{Conn, ConnFlags, Owner};
use crate::tcp::memory::{CONNECTION, bytes, grant};
use crate::tcp::shard::{Shard, millis_up};

impl Shard {
    /// Changes a connection by a call into the engine.
    #[inline]
    pub(super) fn update<R>(
        &mut self,
        id: u32,
        counters: &mut Counters,
        change: impl FnOnce(&mut Conn, Instant, &mut Env<Chunk>) -> R,
    ) -> Option<R> {
        let at = self.at;
        let conn = self.conns.get_mut(id)?;
        grant(&mut self.env, conn, self.free, self.least_grants);
        let result = change(conn, at, &mut self.env);
        if !conn.is_followed() {
            self.follow(id, counters);
        }
        Some(result)
    }

    /// The next segment of a connection with this name, which counts as sent. `None`: it has nothing to send.
    pub(crate) fn poll_transmit(
        &mut self,
        id: u32,
        tuple: &FourTuple,
        frames: &Frames,
    ) -> Option<Transmit<'_>> {
        let at = self.at;
        let conn = self.conns.get_mut(id)?;
        grant(&mut self.env, conn, self.free, self.least_grants);
        let mut out = conn.tcb.poll_transmit(at, frames, &mut self.env)?;
        (out.header.src_port, out.header.dst_port) = (tuple.local_port, tuple.remote_port);
        Some(out)
    }

    /// Follows the events of a connection after a call into the engine. Those that change its state are followed to the end
    /// at once; what is left of others is done once, by [`Shard::refresh_touched`].
    pub(super) fn follow(&mut self, id: u32, counters: &mut Counters) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        notify(conn, counters);
        let has_room = self.touched.len() < self.touched.capacity();
        if conn.tcb.state() != State::Established || !(has_room || conn.is(ConnFlags::TOUCHED)) {
            return self.refresh(id, true, counters);
        }
        let offered = conn.owner == Owner::Parked && conn.is_readable();
        let sends = !conn.is(ConnFlags::QUEUED) && conn.tcb.wants_transmit();
        if !conn.is(ConnFlags::TOUCHED) {
            conn.flags.insert(ConnFlags::TOUCHED);
            self.touched.push(id);
        }
        if sends {
            self.mark(id);
        }
        if offered {
            self.offer(id);
        }
    }

    /// Refreshes the connections that were touched and have not been refreshed since.
    pub(crate) fn refresh_touched(&mut self, counters: &mut Counters) {
        while let Some(id) = self.touched.pop() {
            if self.get(id).is_some_and(|conn| conn.is(ConnFlags::TOUCHED)) {
                self.refresh(id, false, counters);
            }
        }
    }

    /// Updates timer, lists and memory of a connection. With `ask` it may have something to send.
    pub(crate) fn refresh(&mut self, id: u32, ask: bool, counters: &mut Counters) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        notify(conn, counters);
        conn.flags.remove(ConnFlags::TOUCHED);
        let (owner, state) = (conn.owner, conn.tcb.state());
        let sends = ask && conn.tcb.wants_transmit();
        let offered = owner == Owner::Parked && conn.is_readable();
        let (timer, memory) = (Deadline::of(conn), conn.charge());
        self.set_timer(id, timer);
        self.account(memory);
        if sends {
            self.mark(id);
        }
        if offered {
            self.offer(id);
        }
        if state != State::Established {
            self.refresh_unusual(id, sends);
        }
    }

    /// The part of [`Shard::refresh`] for a connection that begins or ends.
    #[inline(never)]
    fn refresh_unusual(&mut self, id: u32, sends: bool) {
        let Some(conn) = self.get(id) else { return };
        let (owner, state, time_wait) = (conn.owner, conn.tcb.state(), conn.tcb.time_wait());
        if state == State::Closed {
            // It may be held by an application for ever, and has nothing that others could have.
            self.conns.retire(id);
        }
        if owner != Owner::Orphan || sends {
            return;
        }
        match (state, time_wait, self.conns.tuple(id)) {
            (State::Closed, ..) => self.remove(id),
            (_, Some(rest), Some(tuple)) => {
                // Without memory the connection ends at once.
                self.enter_time_wait(&tuple, &rest);
                self.remove(id);
            }
            _ => {}
        }
    }

    /// Sets the timer of a connection. While bytes are on their way, a deadline that moves back with each segment leaves the
    /// timer where it is: it is set again when it expires.
    fn set_timer(&mut self, id: u32, timer: Deadline) {
        match timer {
            Deadline::NoLater(at) => self.conns.set_timer_no_later(id, at),
            Deadline::Exact(at) => self.conns.set_timer(id, at),
        }
    }

    /// Passes a connection to its listener. Without one, or without memory for its place in the queue, it ends.
    pub(super) fn offer(&mut self, id: u32) {
        let port = self.conns.local_port(id);
        let listener = port.and_then(|port| self.listeners.get_mut(port));
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
                self.mark(id);
            }
        }
    }

    /// Removes a connection.
    fn remove(&mut self, id: u32) {
        if let Some(conn) = self.conns.remove(id) {
            self.give(bytes(conn.charged).saturating_add(CONNECTION));
            self.released.extend(conn.pin);
        }
    }
}

/// The time at which a connection is to be called: the engine's deadline, or the end of its idle period, in milliseconds.
#[derive(Clone, Copy)]
enum Deadline {
    /// Then or before.
    NoLater(u64),
    /// Then, or never.
    Exact(Option<u64>),
}

impl Deadline {
    #[inline]
    fn of(conn: &Conn) -> Self {
        let timer = conn.tcb.next_timer().map(millis_up);
        match timer.into_iter().chain(conn.rest_ends()).min() {
            Some(timer) if !conn.tcb.is_idle() => Self::NoLater(timer),
            timer => Self::Exact(timer),
        }
    }
}

/// Counts new events of a connection, and wakes the tasks that wait for them.
fn notify(conn: &mut Conn, counters: &mut Counters) {
    let events = conn.tcb.take_events();
    if events.is_empty() {
        return;
    }
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
