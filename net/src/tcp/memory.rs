//! The memory of connections: what each uses, what the ledger grants it, and who gives way when there is none.
//!
//! ```text
//!   ledger ─► Budget ─► free ── a part for each call ─► Env: receive_grant, send_grant
//!                        ▲└─ none: the least useful connection ends
//!                        └── charge: what a connection uses at the end of an iteration
//! ```

use core::cmp::Reverse;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpAddress;
use tcp::connections::Connections;
use tcp::tuple::FourTuple;
use tcp::{Env, Segment, State, Tcb, TimeWait};

use crate::base::chunk::Chunk;
use crate::base::counters::Counters;
use crate::base::error::NetError;
use crate::base::time;
use crate::tcp::conn::{Conn, ConnFlags, Memory, Owner};
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

/// The silence after which a connection with something in flight may be ended when memory is short.
const STALE: Duration = Duration::from_secs(1);

/// The time that a new connection has for its first bytes when memory is short: two retransmissions.
const GRACE: Duration = Duration::from_millis(500);

/// The pause after a request that a connection may have even if memory is short.
const PAUSE: Duration = Duration::from_secs(3);

/// The number of connections from which on a source counts as heavy.
const HEAVY: u32 = 8;

/// Useful connections of a heavy source give way to a source that has this part of its number, as a divisor.
const HEAVIER: u32 = 4;

/// Connections at most that end for a queued slice.
const SEND_EVICTIONS: u32 = 8;

/// Bytes at most by which connections overdraw the account to send.
const OVERDRAFT: usize = 8 * 1024;

/// The number of least recently used connections among which one is chosen to end.
const CANDIDATES: usize = 64;

/// The number of connections at most that are still being ended after their memory was given to new ones.
const EVICTING: usize = 64;

/// The memory that the payload of a segment needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    bytes: usize,
    /// It can be read at once.
    is_next: bool,
}

impl Wanted {
    #[inline]
    pub(super) fn of(conn: &Conn, segment: &Segment) -> Self {
        let beside = if conn.tcb.is_idle() { SEGMENT } else { OVERHEAD };
        Self {
            bytes: bytes(segment.payload_len).saturating_add(beside),
            is_next: conn.tcb.is_next(segment.seq),
        }
    }
}

/// How useful a connection is that has memory while memory is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// It has not asked for anything in time, or its peer does not take what is sent, or is silent meanwhile.
    None,
    /// It pauses after a request.
    Pauses,
    /// It is being served, or has been a moment ago.
    Served,
}

impl Use {
    fn of(conn: &Conn, now: Instant) -> Self {
        let is_silent = |least| time::after(conn.tcb.heard_at(), least) <= now;
        let is_useless = match (conn.tcb.is_idle(), conn.is(ConnFlags::HAS_ASKED)) {
            (true, true) => false,
            (true, false) => is_silent(GRACE),
            (false, _) => conn.tcb.is_blocked() || is_silent(STALE),
        };
        if is_useless {
            Self::None
        } else if conn.tcb.is_idle() && is_silent(PAUSE) {
            Self::Pauses
        } else {
            Self::Served
        }
    }
}

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

    /// Takes the memory of a segment's payload, if there is as much: until the end of the iteration, when its connection
    /// is charged for what it uses. Otherwise the least useful connection ends.
    ///
    /// Payload out of order cannot be read until what is missing comes: it ends nobody, and leaves the last part of the memory
    /// to others. Clients that leave gaps would keep a request out that is one segment.
    #[inline]
    pub(super) fn take_room_for(&mut self, id: u32, wanted: Wanted, counters: &mut Counters) -> bool {
        let Wanted { bytes, is_next } = wanted;
        let least = bytes.saturating_add(if is_next { 0 } else { self.least_grants });
        let has_room = self.free >= least || self.find_room_for(id, (least, is_next), counters);
        if has_room {
            self.free = self.free.saturating_sub(bytes);
        }
        has_room
    }

    #[cold]
    fn find_room_for(&mut self, id: u32, wanted: (usize, bool), counters: &mut Counters) -> bool {
        let (least, is_next) = wanted;
        self.refresh_touched(counters);
        self.free = self.budget.free();
        if self.free < least
            && is_next
            && let Some(FourTuple { remote, .. }) = self.conns.tuple(id)
        {
            self.give_way(remote, counters);
        }
        self.free >= least
    }

    /// Whether a connection may queue `len` bytes of its own, if necessary in place of less useful ones. A short one may
    /// overdraw the account a little: the reply that says that there is no memory.
    pub(super) fn make_room_to_send(&mut self, id: u32, len: usize, counters: &mut Counters) -> bool {
        if self.free >= len {
            return true;
        }
        self.refresh_touched(counters);
        self.free = self.budget.free();
        let Some(FourTuple { remote, .. }) = self.conns.tuple(id) else { return false };
        for _ in 0..SEND_EVICTIONS {
            if self.free >= len || !self.give_way(remote, counters) {
                break;
            }
        }
        self.free >= len || self.budget.overdraft().saturating_add(len) <= OVERDRAFT
    }

    /// Whether there is room for one more connection.
    fn has_room(&mut self, counters: &mut Counters) -> bool {
        let has_room = |this: &Self| {
            this.len() < this.limits.connections && this.free >= CONNECTION.saturating_add(LEAST_GRANT)
        };
        if !has_room(self) {
            self.refresh_touched(counters);
            self.free = self.budget.free();
        }
        has_room(self)
    }

    /// Whether one more connection of a peer would be admitted now. A SYN is not answered by a cookie otherwise: its sender tries again,
    /// and one that has the answer takes the connection for established.
    pub(super) fn may_admit(&mut self, peer: IpAddress, counters: &mut Counters) -> bool {
        self.has_room(counters) || self.least_useful(peer).is_some()
    }

    /// Takes the memory of one more connection of a peer, if necessary from the least useful one.
    pub(super) fn make_room(&mut self, peer: IpAddress, counters: &mut Counters) -> bool {
        if !self.has_room(counters) {
            // Ended connections stay in the table until their reset is sent.
            let ending = EVICTING.saturating_mul(CONNECTION.saturating_add(SEGMENT));
            let too_many = self.len() >= self.limits.connections.saturating_add(EVICTING);
            if too_many || self.budget.overdraft() > ending || !self.give_way(peer, counters) {
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

    /// The connection that gives way to one of `peer`: one of a source that has far more than that of `peer`, or else a
    /// useless one, see [`Use`], of a source that has as many. Among equals, one of the source that has most, in steps of
    /// [`HEAVY`], gives way, and of those the least recently used one.
    ///
    /// So a client that opens many connections at once ends its own, and keeps nobody out. A newcomer that finds no room
    /// tries again, one that was accepted and ended does not.
    ///
    /// Only the first [`CANDIDATES`] of the open ones are looked at: a segment costs no more, whatever peers have open.
    fn least_useful(&self, peer: IpAddress) -> Option<u32> {
        self.least_useful_of(peer, self.conns.by_use())
    }

    /// The same among given connections, in the order of their use.
    fn least_useful_of(&self, peer: IpAddress, by_use: impl Iterator<Item = u32>) -> Option<u32> {
        let own = self.conns.count_of_source(peer);
        // Runs of connections of one source are usual.
        let mut last = (peer, own);
        let mut least = None;
        for id in by_use.take(CANDIDATES) {
            // One that was ended in this iteration, and not followed to its end yet, is no candidate.
            let Some(conn) = self.get(id).filter(|conn| conn.tcb.state() != State::Closed) else { continue };
            let Some(FourTuple { remote, .. }) = self.conns.tuple(id) else { continue };
            if last.0 != remote {
                last = (remote, self.conns.count_of_source(remote));
            }
            let (count, usage) = (last.1, Use::of(conn, self.at));
            let is_heavy = count >= HEAVY && count / HEAVIER > own;
            if count < own || (usage == Use::Served && !is_heavy) {
                continue;
            }
            if usage == Use::None && count > self.conns.len() / 2 {
                return Some(id);
            }
            let rank = (!is_heavy, usage, Reverse(count / HEAVY));
            if least.is_none_or(|(least, _)| rank < least) {
                least = Some((rank, id));
            }
        }
        least.map(|(_, id)| id)
    }

    /// Ends the connection that is less useful than one of `peer`.
    fn give_way(&mut self, peer: IpAddress, counters: &mut Counters) -> bool {
        let Some(id) = self.least_useful(peer) else { return false };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Limits;
    use crate::base::options::TcpOptions;
    use crate::base::rng::Rng;
    use crate::tcp::link::Link;
    use alloc::vec::Vec;
    use ledger::{Consumer, Ledger};
    use tcp::Seq;

    const PEER: IpAddress = IpAddress::v4(10, 0, 0, 2);

    /// The connections that a search looks at, and the one that it finds for a source.
    fn search_for(shard: &Shard, peer: IpAddress) -> (usize, Option<u32>) {
        let mut looked_at = 0;
        let found = shard.least_useful_of(peer, shard.conns.by_use().inspect(|_| looked_at += 1));
        (looked_at, found)
    }

    fn search(shard: &Shard) -> (usize, Option<u32>) {
        search_for(shard, PEER)
    }

    fn shard() -> Shard {
        let account = Ledger::new(64 << 20).open(Consumer::Tcp);
        Shard::new(Limits::for_memory(64 << 20), account, &mut Rng::new([1; 32]), Instant::ZERO)
    }

    fn connect_to(shard: &mut Shard, peer: IpAddress) -> u32 {
        let link = Link { mtu: 1500, flow_key: None };
        let ends = (IpAddress::v4(10, 0, 0, 1), peer, 80);
        shard.connect(ends, TcpOptions::default(), &link, &mut Counters::default()).unwrap().0
    }

    #[test]
    fn who_has_many_connections_gives_way_and_keeps_nobody_out() {
        let mut shard = shard();
        let (light, other) = (IpAddress::v4(10, 0, 0, 3), IpAddress::v4(10, 0, 0, 4));
        // The least recently used ones are of the source that has few.
        let few: Vec<u32> = (0..2).map(|_| connect_to(&mut shard, light)).collect();
        let many: Vec<u32> = (0..40).map(|_| connect_to(&mut shard, PEER)).collect();
        let found = |shard: &Shard, peer| search_for(shard, peer).1;
        // Nobody is silent yet: all are useful.
        assert_eq!(found(&shard, PEER), None, "not to one of its own");
        assert_eq!([light, other].map(|peer| found(&shard, peer)), [Some(many[0]); 2]);
        for _ in 0..8 {
            connect_to(&mut shard, other);
        }
        assert_eq!(found(&shard, other), Some(many[0]), "four times as many");
        for _ in 0..2 {
            connect_to(&mut shard, other);
        }
        assert_eq!(found(&shard, other), None, "less than four times as many");
        shard.begin(Instant::from_secs(1), Duration::ZERO);
        assert_eq!(
            [PEER, other, light].map(|peer| found(&shard, peer)),
            [Some(many[0]); 3],
            "of the heaviest"
        );
        for id in many {
            shard.update(id, &mut Counters::default(), |conn, _, env| conn.tcb.abort(env));
        }
        assert_eq!(
            [PEER, other].map(|peer| found(&shard, peer) == Some(few[0])),
            [false; 2],
            "not of a lighter one"
        );
        assert!(found(&shard, light).is_some_and(|id| !few.contains(&id)));
    }

    #[test]
    fn payload_out_of_order_leaves_room_for_what_can_be_read() {
        let mut shard = shard();
        let (id, counters) = (connect_to(&mut shard, PEER), &mut Counters::default());
        let limit = shard.budget.limit();
        let segment = |seq| Segment { seq: Seq(seq), payload_len: 10_000, ..Segment::default() };
        // The memory that is left, and whether there is room for what comes next, and for what comes out of order.
        for (left, rooms) in [
            (9_000, [false, false]),
            (20_000, [true, false]),
            (limit / 4, [true, false]),
            (limit / 2, [true; 2]),
        ] {
            let used = shard.budget.free() - left;
            shard.budget.add(used);
            shard.free = 0;
            let room = [0, 1].map(|seq| {
                let wanted = Wanted::of(shard.get(id).unwrap(), &segment(seq));
                shard.take_room_for(id, wanted, counters)
            });
            assert_eq!(room, rooms, "{left}");
            shard.budget.give(used);
        }
        assert_eq!(counters.evicted.get(), 0);
    }

    #[test]
    fn a_search_costs_the_same_whatever_peers_have_open() {
        let mut shard = shard();
        let counters = &mut Counters::default();
        let connect = |shard: &mut Shard| connect_to(shard, PEER);
        // The oldest have ended, and are held by their application.
        for _ in 0..500 {
            let id = connect(&mut shard);
            shard.update(id, counters, |conn, _, env| conn.tcb.abort(env));
            assert_eq!(shard.get(id).map(|conn| conn.tcb.state()), Some(State::Closed));
        }
        assert_eq!((shard.len(), search(&shard)), (500, (0, None)));
        let open: Vec<u32> = (0..500).map(|_| connect(&mut shard)).collect();
        assert_eq!(search(&shard), (CANDIDATES, None), "nobody is silent yet");
        shard.begin(Instant::from_secs(1), Duration::ZERO);
        assert_eq!(search(&shard), (1, Some(open[0])), "the one that is silent for the longest time");
        // One that a timer of another ends, or the search itself, is not found again.
        for ended in &open[..100] {
            assert!(shard.give_way(PEER, counters));
            assert_eq!(shard.get(*ended).map(|conn| conn.tcb.state()), Some(State::Closed));
        }
        assert_eq!(search(&shard), (1, Some(open[100])));
    }
}
