//! The machine's side: one turn of the loop.
//!
//! ```text
//!   reap ─► link changed? ─► receive ≤ budget ─► deadlines ─► (tasks) ─► egress of dirty ≤ budget ─► flush ─► final check
//!   └──────────────── receive ──────────────────────────┘             └───────────────── send ──────────────────────┘
//! ```
//!
//! Every step is bounded, so a flood of frames delays deadlines by one budget and no more.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;

use netfront::Nic;
use smoltcp::time::Duration;
use xen::SystemTime;

use crate::base::config::Config;
use crate::api::net::Net;
use crate::turn::state::State;
use crate::base::status::bump;
use crate::base::time;

/// The stack over one network interface, driven by the kernel's loop.
pub struct Stack<N: Nic> {
    nic: N,
    net: Net,
}

/// What a turn leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When the next turn is due at the latest; `None`: only when something happens.
    pub next: Option<SystemTime>,
    /// Another turn is due at once, without sleep.
    pub more: bool,
}

impl<N: Nic> Stack<N> {
    /// A stack over `nic`. Nothing is sent before the first turn.
    pub fn new(mut nic: N, config: Config, now: SystemTime) -> Self {
        let state = State::new(&mut nic, config, time::instant(now));
        Self { nic, net: Net::new(Rc::new(RefCell::new(state))) }
    }

    /// What applications hold.
    #[must_use]
    pub fn net(&self) -> Net {
        self.net.clone()
    }

    /// The first half of a turn: takes what came in and notes what is due. Wakes tasks, and runs none.
    ///
    /// To be called when the interface has an event, when [`Turn::next`] is reached, when tasks have run, and again while
    /// [`Turn::more`]. `true`: there is more to take.
    ///
    /// The tasks run between the halves, so that what they answer leaves in the same turn, acknowledgement included.
    pub fn receive(&mut self, now: SystemTime) -> bool {
        let mut state = self.net.state();
        bump(&mut state.counters.turns);
        state.now = time::instant(now);
        state.forgive_standstill();
        self.nic.reap();
        state.follow_link(&mut self.nic);
        let received = state.receive(&mut self.nic);
        let timers = state.fire_timers();
        received || timers
    }

    /// The second half of a turn: sends what is due. Wakes tasks, and runs none.
    pub fn send(&mut self) -> Turn {
        let mut state = self.net.state();
        self.nic.steer(0);
        state.announce(&mut self.nic);
        state.run_ip6(&mut self.nic);
        let sending = state.transmit(&mut self.nic);
        state.ask_neighbours(&mut self.nic);
        state.drain_taps(&mut self.nic);
        self.nic.flush();
        let again = state.address.announce_again.filter(|_| state.link_up);
        let ip6 = state.me.ip6.due.filter(|_| state.link_up);
        let due = state.sched.next().into_iter().chain(again).chain(ip6).min();
        state.due = due.filter(|at| *at > state.now);
        let next = due.map(time::system_time);
        drop(state);
        // Asking for an event costs the backend one: not when the next turn comes anyway.
        Turn { next, more: sending || self.nic.final_check() }
    }

    /// Both halves, for who has no tasks to run in between.
    pub fn turn(&mut self, now: SystemTime) -> Turn {
        let more = self.receive(now);
        let turn = self.send();
        Turn { more: turn.more || more, ..turn }
    }

    /// The interface.
    pub const fn nic(&self) -> &N {
        &self.nic
    }

    /// The interface, for changes.
    pub const fn nic_mut(&mut self) -> &mut N {
        &mut self.nic
    }
}

impl<N: Nic> fmt::Debug for Stack<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("net", &self.net).finish_non_exhaustive()
    }
}

/// A turn that comes this much later than it was due: the guest was paused, or its host had no time for it.
const STANDSTILL: Duration = Duration::from_secs(1);

impl State {
    /// A guest that stood still has not waited: its patience with its peers goes on where it was. Without that, an hour
    /// of pause would end every connection that was waiting for an acknowledgement, unasked.
    fn forgive_standstill(&mut self) {
        let now = self.now;
        let Some(due) = self.due.take().filter(|due| time::after(*due, STANDSTILL) <= now) else { return };
        bump(&mut self.counters.standstills);
        let standstill = Duration::from(time::until(due, now));
        for id in self.conns.ids() {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.forgive(standstill, now);
            }
        }
    }

    /// A link that came up may lead to another backend, with other abilities, in another network.
    fn follow_link<N: Nic>(&mut self, nic: &mut N) {
        self.link_up = nic.link_up();
        let generation = nic.link_generation();
        if generation != self.link_generation {
            self.follow_backend(nic, generation);
        }
    }

    #[inline(never)]
    fn follow_backend<N: Nic>(&mut self, nic: &mut N, generation: u32) {
        self.link_generation = generation;
        self.rebuild_interface(nic);
        self.address.announce = self.me.address.is_some();
        self.me.ip6.new_link(self.now);
        self.look_again();
    }
}
