//! The sending half of a turn: deadlines make jobs dirty, dirty jobs are polled in turn until the budget or the slots
//! run out.
//!
//! No job sends more than a burst before the next one has its turn. Without a free slot nothing is polled until one comes
//! back: time alone frees none.

use nic::Nic;
use smoltcp::iface::{Interface, PollResult, SocketSet};
use smoltcp::time::{Duration, Instant};

use crate::turn::path_mtu::Ways;
use xen::Counter;

use crate::base::sched::{Job, Sched, Slot};
use crate::base::time;
use crate::turn::state::State;

/// Frames that a job may send before the next one has its turn.
const BURST: usize = 8;

/// Deadlines handled in one turn.
const TIMER_BUDGET: usize = 1024;

/// smoltcp's silence after it asked for a neighbour's address.
const NEIGHBOR_SILENCE: Duration = Duration::from_secs(1);

/// How long a job rests that wants to send at once and does not. smoltcp has no such state that is known; should there
/// be one, it must not spin.
const REST: Duration = Duration::from_millis(10);

/// What polling a set came to.
#[derive(Clone, Copy)]
struct Pumped {
    sent: usize,
    /// The interface has no slot left.
    blocked: bool,
    /// When smoltcp wants to be polled again.
    wish: Option<Instant>,
}

impl Pumped {
    /// Whether smoltcp has just found out that it must wait for a neighbour's address.
    fn lacks_neighbour(&self, now: Instant) -> bool {
        self.wish == Some(time::after(now, NEIGHBOR_SILENCE))
    }

    /// Whether an ARP frame may be sooner than what smoltcp waits for; `again`: the last one was not the one.
    fn stuck(&self, now: Instant, again: bool) -> bool {
        // A socket that has sent something may have set its own timer to the same second.
        let idle = self.sent == 0;
        let soon = self.wish.is_some_and(|at| at > now && at <= time::after(now, NEIGHBOR_SILENCE));
        idle && (self.lacks_neighbour(now) || (again && soon))
    }
}

impl State {
    /// Makes jobs dirty whose deadline is reached. `true`: there are more.
    pub(crate) fn fire_timers(&mut self) -> bool {
        for _ in 0..TIMER_BUDGET {
            let Some(job) = self.sched.take_due(self.now) else { return false };
            let slot = match job {
                Job::Udp(id) => self.udp.get_mut(id).map(|entry| &mut entry.slot),
                Job::Tcp(id) => self.conns.get_mut(id).map(|conn| &mut conn.slot),
            };
            if let Some(slot) = slot
                && self.sched.fired(job, slot, self.now)
            {
                self.counters.timers_fired.bump();
                self.sched.mark(job, slot);
            }
        }
        self.sched.next().is_some_and(|at| at <= self.now)
    }

    /// Polls dirty jobs. `true`: there are more, and slots for them.
    pub(crate) fn transmit<N: Nic>(&mut self, nic: &mut N) -> bool {
        let mut budget = self.limits.tx_budget.max(1);
        while budget > 0 {
            if !self.link_up || nic.tx_exhausted() {
                if self.sched.dirty() > 0 {
                    self.counters.tx_exhausted.bump();
                }
                return false;
            }
            let Some(job) = self.sched.take() else { return false };
            let sent = match job {
                Job::Udp(id) => self.transmit_udp(nic, id),
                Job::Tcp(id) => self.transmit_tcp(nic, id),
            };
            // A job that sends nothing costs something too.
            budget = budget.saturating_sub(sent.max(1));
        }
        let more = self.sched.dirty() > 0 && !nic.tx_exhausted();
        if more {
            self.counters.tx_budget_hits.bump();
        }
        more
    }

    fn transmit_tcp<N: Nic>(&mut self, nic: &mut N, id: usize) -> usize {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id) else { return 0 };
        conn.slot.taken();
        let mut before = conn.socket().state();
        if conn.is_due(before, now) {
            if !self.check_time(id) {
                return 0;
            }
            before = self.conns.get(id).map_or(before, |conn| conn.socket().state());
        }
        let Some(conn) = self.conns.get_mut(id) else { return 0 };
        if conn.time_wait.is_some_and(|since| rested(since) <= now) && conn.holds_unread() {
            self.sched.arm(Job::Tcp(id), &mut conn.slot, Some(time::after(now, NEIGHBOR_SILENCE)));
            return 0;
        }
        nic.steer(conn.flow);
        let visits = &mut self.counters.socket_visits;
        let ways = Ways { real: &mut self.iface, wide: self.wide.as_deref_mut(), narrow: &mut self.narrow };
        let (iface, is_wide) = ways.of(conn, before, now);
        if is_wide {
            nic.set_segment_size(Some(conn.mss));
        }
        let pumped = pump(iface, nic, now, &mut conn.sockets, visits);
        if is_wide {
            nic.set_segment_size(None);
        }
        let waits = pumped.sent == 0 && pumped.lacks_neighbour(now);
        let peer = conn.tuple.remote.addr;
        let state = conn.note_polled(before, now);
        let conn = match conn.is_steady(state) {
            true => Some(conn),
            false if self.settle(id) => self.conns.get_mut(id),
            false => None,
        };
        if let Some(conn) = conn {
            let last = conn.expires.into_iter().chain(conn.gives_up(state)).min();
            plan(&mut self.sched, (Job::Tcp(id), &mut conn.slot), pumped, now, last);
        }
        if waits {
            self.want_neighbour(peer);
        }
        pumped.sent
    }
}

/// Plans when the job is polled next: when smoltcp asks for it, or at `last`, our own deadline.
fn plan(
    sched: &mut Sched,
    (job, slot): (Job, &mut Slot),
    pumped: Pumped,
    now: Instant,
    last: Option<Instant>,
) {
    if pumped.blocked {
        // Who got something of the last slots waits behind those who got nothing.
        match pumped.sent {
            0 => sched.mark_first(job, slot),
            _ => sched.mark(job, slot),
        }
        return;
    }
    let again = slot.retried();
    if pumped.stuck(now, again) {
        sched.stick(job, slot);
    }
    let wish = match pumped.wish {
        Some(at) if at <= now && pumped.sent > 0 => {
            sched.mark(job, slot);
            None
        }
        Some(at) if at <= now => Some(time::after(now, REST)),
        wish => wish,
    };
    sched.arm(job, slot, wish.into_iter().chain(last).min());
}

/// Sends up to a burst from one set.
fn pump<N: Nic>(
    iface: &mut Interface,
    nic: &mut N,
    now: Instant,
    sockets: &mut SocketSet<'static>,
    visits: &mut Counter,
) -> Pumped {
    for sent in 0..BURST {
        visits.bump();
        if iface.poll_egress(now, nic, sockets) == PollResult::None {
            return Pumped { sent, blocked: nic.tx_exhausted(), wish: iface.poll_at(now, sockets) };
        }
        // Most jobs have one frame to send: asking whether there are more spares them a poll in vain.
        if sent == 0 {
            let wish = iface.poll_at(now, sockets);
            if wish.is_none_or(|at| at > now) {
                return Pumped { sent: 1, blocked: false, wish };
            }
        }
    }
    Pumped { sent: BURST, blocked: false, wish: Some(now) }
}

/// Shortly before smoltcp's TIME-WAIT of ten seconds ends.
fn rested(since: Instant) -> Instant {
    time::after(since, Duration::from_millis(9_500))
}
