//! The memory of connections: what each uses, what the ledger grants it, and who gives way when there is none.
//!
//! ```text
//!   ledger ─► Budget ─► free ── a part for each call ─► Env: receive_grant, send_grant
//!                        ▲└─ none: the longest silent connection ends
//!                        └── charge: what a connection uses at the end of an iteration
//! ```

use smoltcp::time::Duration;
use tcp::connections::Connections;
use tcp::tuple::FourTuple;
use tcp::{Env, State, Tcb, TimeWait};

use crate::base::chunk::Chunk;
use crate::base::counters::Counters;
use crate::base::error::NetError;
use crate::base::time;
use crate::tcp::conn::{Conn, Memory, Owner};
use crate::tcp::shard::{LEAST_GRANT, Shard};

/// Bytes that a connection may send without memory, so that a task that waits for room is woken again.
const LEAST_SEND: u32 = 128;

/// The part of the free memory that a connection is granted at most, as a divisor.
const GRANT_PART: usize = 8;

/// Bytes that each connection takes: its places in the tables and lists.
pub(super) const CONNECTION: usize = Connections::<Conn>::memory_each().saturating_add(8);

/// Bytes beside the payload that a segment can cost: the overhead of a page or a copy.
const OVERHEAD: usize = 64;

/// The same for an idle connection, which needs its active state too.
const SEGMENT: usize = Tcb::<Chunk>::active_memory().saturating_add(OVERHEAD);

/// The silence after which a connection, idle or not, may be ended when memory is short.
const STALE: Duration = Duration::from_secs(1);

/// The number of least recently used connections among which one is chosen to end.
const CANDIDATES: usize = 64;

/// The number of connections at most that are still being ended after their memory was given to new ones.
const EVICTING: usize = 64;

impl Shard {
    /// Updates the memory of a connection.
    pub(super) fn charge(&mut self, id: u32) {
        if let Some(conn) = self.conns.get_mut(id) {
            let memory = conn.charge();
            self.account(memory);
        }
    }

    /// Takes from the ledger what a connection uses more than before, or gives back what it uses less.
    #[inline]
    pub(super) fn account(&mut self, Memory { before, now }: Memory) {
        if now > before {
            let more = now.saturating_sub(before);
            self.budget.add(more);
            self.free = self.free.saturating_sub(more);
        } else if now < before {
            self.give(before.saturating_sub(now));
        }
    }

    pub(super) fn give(&mut self, bytes: usize) {
        self.budget.give(bytes);
        self.free = self.free.saturating_add(bytes);
    }

    /// Moves a connection that closed first to TIME-WAIT. Without memory for that it ends at once.
    pub(super) fn enter_time_wait(&mut self, tuple: &FourTuple, rest: &TimeWait) {
        if self.free > LEAST_GRANT {
            let _ = self.time_waits.insert(tuple, rest, self.at);
        }
        self.charge_time_waits();
    }

    pub(super) fn charge_time_waits(&mut self) {
        let now = self.time_waits.memory();
        let before = core::mem::replace(&mut self.time_wait_bytes, now);
        self.budget.add(now.saturating_sub(before));
        self.give(before.saturating_sub(now));
    }

    /// Takes the memory of a segment with `payload` bytes, if there is as much: until the end of the iteration, when its
    /// connection is charged for what it uses. Otherwise the connection that is silent for the longest time ends.
    pub(super) fn take_room_for(&mut self, payload: u32, is_idle: bool, counters: &mut Counters) -> bool {
        let wanted = bytes(payload).saturating_add(if is_idle { SEGMENT } else { OVERHEAD });
        if self.free < wanted {
            self.refresh_touched(counters);
            self.free = self.budget.free();
        }
        if self.free < wanted {
            self.give_way(counters);
        }
        let has_room = self.free >= wanted;
        if has_room {
            self.free = self.free.saturating_sub(wanted);
        }
        has_room
    }

    /// Takes the memory of one more connection, if necessary from the one that is idle for the longest time.
    pub(super) fn make_room(&mut self, counters: &mut Counters) -> bool {
        let len = self.len();
        let has_room = |this: &Self| this.free >= CONNECTION.saturating_add(LEAST_GRANT);
        if len >= self.limits.connections || !has_room(self) {
            self.refresh_touched(counters);
            self.free = self.budget.free();
            let full = len >= self.limits.connections;
            // Ended connections stay in the table until their reset is sent.
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

    /// Returns the memory that [`Shard::make_room`] took.
    pub(super) fn give_room(&mut self) {
        self.give(CONNECTION);
    }

    /// Ends the least recently used connection among those that are idle, silent for long, or whose peers do not take what
    /// is sent.
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
}

/// Sets the memory that the engine may use for a connection.
#[inline]
pub(super) fn grant(env: &mut Env<Chunk>, conn: &Conn, free: usize, least_grants: usize) {
    let common = free.saturating_sub(least_grants);
    let part = (common / GRANT_PART).max(LEAST_GRANT.min(free));
    let part = u32::try_from(part).unwrap_or(u32::MAX);
    let options = &conn.options;
    env.receive_grant = options.rx_buffer.min(part);
    env.send_grant = options.tx_buffer.min(part).max(LEAST_SEND);
    env.config.delayed_ack_ms = options.ack_delay_ms;
}

pub(super) fn bytes(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
